// Ties the page together: where one is, what is shown, and what arrives.
import { listen } from "/page/api.js";
import { drawDrawer, prepareDrawer } from "/page/drawer.js";
import { language, translatePage } from "/page/i18n.js";
import { Pane } from "/page/pane.js";
import { drawPresence, watchPresence } from "/page/presence.js";
import { drawRooms } from "/page/rooms.js";
import { getWorld, isThread, loadMessages, on, reloadWorld, roomById, take, write } from "/page/store.js";

const WIDE = matchMedia("(min-width: 860px)");
const element = (id) => document.getElementById(id);

const main = new Pane(element("pane-main"), "main", {
  onBack: () => go(),
  onOpenThread: (id) => openRoom(id),
});
const thread = new Pane(element("pane-thread"), "thread", {
  onBack: () => go(main.channelId),
  onClose: () => go(main.channelId),
  onOpenThread: (id) => openRoom(id),
});

/** The place is the address: `#/room` or `#/room/thread`, so that Back and reload work. */
function go(roomId, threadId) {
  const place = `#/${[roomId, threadId].filter(Boolean).join("/")}`;
  if (location.hash === place) showPlace();
  else location.hash = place;
}

function openRoom(id) {
  const room = roomById(id);
  if (room && isThread(room.channel)) go(room.channel.parent_id, id);
  else if (room) go(id);
  // A thread or direct message that was made this moment.
  else reloadWorld().then(() => roomById(id) && openRoom(id)).catch(() => {});
}

function showPlace() {
  const [roomId, threadId] = location.hash.replace(/^#\//, "").split("/").map((id) => (roomById(id) ? id : undefined));
  const before = document.body.dataset.view;
  const room = roomId ?? (WIDE.matches ? main.channelId ?? firstRoom() : undefined);
  main.show(room);
  thread.show(threadId);
  thread.container.hidden = !threadId;
  document.body.dataset.view = threadId ? "thread" : roomId ? "main" : "rooms";
  drawList();
  if (before !== document.body.dataset.view && WIDE.matches && roomId) (threadId ? thread : main).composer.text.focus();
}

function firstRoom() {
  return getWorld().guilds.flatMap((guild) => guild.channels).find((channel) => channel.type === 0)?.id;
}

function drawList() {
  drawRooms(element("room-list"), [main.channelId, thread.channelId].filter(Boolean), openRoom);
}

function openIds() {
  const { view } = document.body.dataset;
  const shown = WIDE.matches ? [main, thread] : view === "thread" ? [thread] : view === "main" ? [main] : [];
  return shown.map((pane) => pane.channelId).filter(Boolean);
}

const panes = [main, thread];
const eachShowing = (channelId, action) => panes.filter((pane) => pane.channelId === channelId).forEach(action);

on("world", () => {
  drawPresence();
  showPlace();
  panes.forEach((pane) => pane.redraw());
});
on("messages", ({ channelId }) => eachShowing(channelId, (pane) => pane.drawMessages()));
on("message", (detail) => eachShowing(detail.channelId, (pane) => pane.change(detail)));
on("typing", ({ channelId }) => eachShowing(channelId, (pane) => pane.drawTyping()));
on("speaker", () => panes.forEach((pane) => pane.redraw()));
on("unread", drawList);
on("resync", readAnew);
addEventListener("hashchange", showPlace);
WIDE.addEventListener("change", showPlace);

/** What happened while nobody listened, or listened too slowly, is read again. */
function readAnew() {
  reloadWorld().catch(() => {});
  panes.filter((pane) => pane.channelId).forEach((pane) => loadMessages(pane.channelId).catch(() => {}));
}

element("language").addEventListener("click", () => {
  document.documentElement.lang = language() === "ja" ? "en" : "ja";
  write("language", language());
  drawWords();
});

element("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const shown = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = shown === "dark" ? "light" : "dark";
  write("theme", root.dataset.theme);
});

function drawWords() {
  translatePage();
  element("language").firstElementChild.textContent = language() === "ja" ? "A" : "あ";
  panes.forEach((pane) => pane.redraw());
  drawList();
  drawPresence();
  if (element("drawer").open) drawDrawer();
}

prepareDrawer(() => roomById(main.channelId)?.guild ?? getWorld().guilds[0]);
drawWords();
watchPresence();
listen({
  onEvent: (event) => take(event, openIds()),
  onOpen: (again) => {
    element("offline").hidden = true;
    if (again) readAnew();
    else reloadWorld().catch(() => {});
  },
  onLost: () => {
    element("offline").hidden = false;
  },
});
