// One message as an element.
import { avatar, displayName, h, icon, iconButton } from "/page/dom.js";
import { clock, t } from "/page/i18n.js";
import { plainLine, render } from "/page/markdown.js";
import { names, roomById, userById } from "/page/store.js";

const GROUP_MS = 5 * 60_000;
const KIND = { PIN: 6, JOIN: 7, THREAD_CREATED: 18, REPLY: 19, THREAD_STARTER: 21 };

/** Whether `message` goes on where `before` ended, without a name of its own. */
export function continues(before, message) {
  return Boolean(before)
    && before.author?.id === message.author?.id
    && !message.message_reference
    && (before.type === 0 || before.type === KIND.REPLY)
    && Date.parse(message.timestamp) - Date.parse(before.timestamp) < GROUP_MS;
}

/** The element of a message; `actions` holds what its buttons do. */
export function messageElement(message, before, streaming, actions) {
  const follows = continues(before, message);
  // A thread begins with a copy of the message it hangs on.
  const shown = message.type === KIND.THREAD_STARTER ? message.referenced_message ?? message : message;
  const author = userById(shown.author?.id) ?? shown.author;
  const element = h("article", {
    class: `message${follows ? "" : " first"}${streaming ? " streaming" : ""}`,
    tabindex: "-1",
    data: { id: message.id },
    "aria-label": displayName(author),
  });
  if (!follows) element.append(avatar(author));
  fill(element, message, author, follows, actions);
  return element;
}

function fill(element, message, author, follows, actions) {
  const speaker = actions.speaker();
  element.classList.toggle("mentioned", Boolean(speaker) && (message.mentions ?? []).some((one) => one.id === speaker.id));
  const parts = [];
  if (message.type === KIND.REPLY) parts.push(quote(message));
  if (!follows) parts.push(head(message, author));
  parts.push(h("div", { class: "body", dir: "auto" }));
  element.append(...parts.filter(Boolean));
  fillBody(element, message);
  element.append(...extras(message, actions));
  element.append(tools(message, actions));
}

function head(message, author) {
  const parts = [h("span", { class: "who", text: displayName(author) })];
  if (author?.bot) parts.push(h("span", { class: "badge", text: t("bot") }));
  parts.push(h("time", { datetime: message.timestamp, text: clock(message.timestamp) }));
  return h("div", { class: "head" }, parts);
}

/** Writes a message's text, and the hint that it was edited, into its element. */
export function fillBody(element, message) {
  const body = element.querySelector(".body");
  const told = narration(message);
  body.classList.toggle("narration", Boolean(told));
  if (told) body.textContent = told;
  else body.replaceChildren(...render(textOf(message), names));
  body.hidden = !body.hasChildNodes();
  element.querySelector(".edited")?.remove();
  if (message.edited_timestamp && !element.classList.contains("streaming")) {
    body.append(h("span", { class: "edited", title: clock(message.edited_timestamp), text: ` ${t("edited")}` }));
  }
}

function textOf(message) {
  const source = message.type === KIND.THREAD_STARTER ? message.referenced_message : message;
  return source?.content ?? "";
}

function narration(message) {
  if (message.type === KIND.THREAD_CREATED) return t("startedThread", { name: message.content });
  if (message.type === KIND.PIN) return t("pinnedMessage");
  if (message.type === KIND.JOIN) return t("joined");
  return "";
}

function quote(message) {
  const original = message.referenced_message;
  if (!original) return h("div", { class: "quoted" }, h("span", { class: "what", text: t("originalGone") }));
  const author = userById(original.author?.id) ?? original.author;
  const text = plainLine(original.content ?? "", names) || t("attachmentOnly");
  return h("div", { class: "quoted" }, h("span", { class: "who", text: displayName(author) }), h("span", { class: "what", text }));
}

function extras(message, actions) {
  const parts = (message.embeds ?? []).map((embed) => h("div", { class: "embed" },
    embed.title ? h("strong", { text: embed.title }) : null, embed.description ?? ""));
  const files = (message.attachments ?? []).map(attachment);
  if (files.length) parts.push(h("div", { class: "files" }, files));
  const reactions = (message.reactions ?? []).map((reaction) => reactionChip(message, reaction, actions));
  if (reactions.length) parts.push(h("div", { class: "chips" }, reactions));
  const thread = threadOf(message);
  if (thread && !actions.insideThread) {
    const open = () => actions.openThread(thread.id);
    parts.push(h("button", { type: "button", class: "open-thread", "aria-label": `${t("openThread")}: ${thread.name}`, on: { click: open } },
      icon("thread"), h("span", { text: thread.name })));
  }
  return parts;
}

function threadOf(message) {
  return message.thread ?? (roomById(message.id)?.channel.parent_id === message.channel_id ? roomById(message.id).channel : undefined);
}

function attachment(file) {
  // The page may be open under another name of this machine than files are signed for.
  const url = new URL(file.url, location.href);
  const href = url.pathname + url.search;
  const picture = (file.content_type ?? "").startsWith("image/");
  const shown = picture
    ? h("img", { src: href, alt: file.description ?? file.filename, loading: "lazy" })
    : [icon("file"), h("span", { class: "filename", text: file.filename }), h("span", { class: "size", text: size(file.size) })];
  return h("a", { class: picture ? "button picture" : "button", href, target: "_blank", rel: "noopener noreferrer", download: picture ? undefined : file.filename }, shown);
}

function size(bytes) {
  return bytes < 1024 ? `${bytes} B` : bytes < 1024 ** 2 ? `${Math.round(bytes / 1024)} kB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`;
}

function reactionChip(message, reaction, actions) {
  const name = reaction.emoji.name;
  return h("button", {
    type: "button",
    "aria-label": `${t("reactWith", { name })} (${reaction.count})`,
    on: { click: () => actions.react(message, name) },
  }, h("span", { class: "emoji", text: name }), h("span", { class: "count", text: String(reaction.count) }));
}

function tools(message, actions) {
  const speaker = actions.speaker();
  const buttons = [
    iconButton("reply", t("reply"), () => actions.reply(message), { "data-do": "reply" }),
    iconButton("react", t("react"), (event) => actions.chooseEmoji(message, event.currentTarget), { "data-do": "react" }),
  ];
  const room = roomById(message.channel_id);
  if (room?.guild && !actions.insideThread && !threadOf(message)) {
    buttons.push(iconButton("thread", t("startThread"), () => actions.startThread(message), { "data-do": "thread" }));
  }
  if (speaker && message.author?.id === speaker.id) {
    buttons.push(iconButton("edit", t("edit"), () => actions.edit(message), { "data-do": "edit" }));
    buttons.push(iconButton("trash", t("remove"), () => actions.remove(message), { "data-do": "remove" }));
  }
  return h("div", { class: "tools" }, buttons);
}
