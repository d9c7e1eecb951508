// The list of rooms: guilds with their channels and threads, and direct messages.
import { call } from "/page/api.js";
import { avatar, displayName, h, icon } from "/page/dom.js";
import { t } from "/page/i18n.js";
import { getWorld, isThread, isUnread, reloadWorld } from "/page/store.js";

const TEXT_KINDS = new Set([0, 5, 10, 11, 12]);
const THREADS_SHOWN_MAX = 6;

/** Draws the list; `open(channelId)` is called with the room that was chosen. */
export function drawRooms(container, current, open) {
  const focused = container.contains(document.activeElement) ? document.activeElement.dataset.room : null;
  const { guilds, dms, users } = getWorld();
  const sections = guilds.map((guild) => guildSection(guild, current, open));
  const people = users.filter((user) => !user.bot);
  if (people.length) sections.push(directSection(people, dms, current, open));
  if (!sections.length) sections.push(h("p", { class: "empty", text: t("noRooms") }));
  container.replaceChildren(...sections);
  if (focused) container.querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
}

function guildSection(guild, current, open) {
  const channels = guild.channels.filter((one) => TEXT_KINDS.has(one.type));
  const items = channels.filter((one) => !isThread(one)).flatMap((channel) => {
    const threads = channels.filter((one) => isThread(one) && one.parent_id === channel.id).slice(-THREADS_SHOWN_MAX);
    return [channel, ...threads].map((one) => {
      const sign = isThread(one) ? "thread" : "hash";
      return room(one.id, icon(sign), one.name, current, open, isThread(one));
    });
  });
  return h("section", { "aria-label": guild.name }, h("h2", { text: guild.name }), h("ul", {}, items));
}

function directSection(people, dms, current, open) {
  const items = people.map((user) => {
    const dm = dms.find((one) => one.user_id === user.id);
    const start = () => (dm ? open(dm.id) : startDirect(user.id).then(open, () => {}));
    return room(dm?.id ?? `new-${user.id}`, avatar(user, true), displayName(user), current, start, false);
  });
  return h("section", { "aria-label": t("direct") }, h("h2", { text: t("direct") }), h("ul", {}, items));
}

async function startDirect(userId) {
  const dm = await call("POST", "dms", { user_id: userId });
  await reloadWorld();
  return dm.id;
}

function room(id, sign, name, current, open, ofThread) {
  const kind = `room${ofThread ? " of-thread" : ""}${isUnread(id) ? " unread" : ""}`;
  const button = h("button", {
    type: "button",
    class: kind,
    data: { room: id },
    // With a thread open, its channel is on the screen too, but the thread is the place.
    "aria-current": id === current.at(-1) ? "page" : current.includes(id) ? "true" : undefined,
    on: { click: () => open(id) },
  }, sign, h("span", { class: "name", text: name }));
  return h("li", {}, button);
}
