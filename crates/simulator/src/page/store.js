// What the page knows: the world, the messages of rooms that were opened, and who speaks.
import { quietly } from "/page/api.js";
import { displayName } from "/page/dom.js";

const TYPING_MS = 10_000;
const MESSAGES_MAX = 400;

const bus = new EventTarget();
let world = { bot: null, users: [], guilds: [], dms: [] };
const messages = new Map();
const typing = new Map();
const unread = new Set();
let speaker = read("speaker");
let reloading = null;

/** Runs `action` when something changed: `world`, `messages`, `message`, `typing`, `speaker`, `unread`, `resync`. */
export function on(kind, action) {
  bus.addEventListener(kind, (event) => action(event.detail));
}

function tell(kind, detail) {
  bus.dispatchEvent(new CustomEvent(kind, { detail }));
}

export const getWorld = () => world;
export const isUnread = (channelId) => unread.has(channelId);

/** Reads the world anew; calls that come while one runs share the next one. */
export function reloadWorld() {
  reloading ??= Promise.resolve()
    .then(() => {
      reloading = null;
      return quietly("GET", "world");
    })
    .then((answer) => {
      world = answer;
      tell("world");
    });
  return reloading;
}

/** All users, the bot included. */
export function users() {
  const list = [...world.users];
  if (world.bot && !list.some((user) => user.id === world.bot.id)) list.unshift(world.bot);
  return list;
}

export function userById(id) {
  return users().find((user) => user.id === id);
}

/** A room by its channel id: `{channel, guild?, dm?}`. */
export function roomById(id) {
  for (const guild of world.guilds) {
    const channel = guild.channels.find((one) => one.id === id);
    if (channel) return { channel, guild };
  }
  const dm = world.dms.find((one) => one.id === id);
  return dm ? { channel: { ...dm, type: 1 }, dm } : undefined;
}

export const isThread = (channel) => channel.type >= 10 && channel.type <= 12;

/** What a room is called, with its sign. */
export function roomName(room) {
  if (!room) return "";
  if (room.dm) return displayName(userById(room.dm.user_id));
  return isThread(room.channel) ? room.channel.name : `#${room.channel.name}`;
}

/** Resolves ids to names for markdown. */
export const names = {
  user: (id) => (userById(id) ? displayName(userById(id)) : undefined),
  channel: (id) => roomById(id)?.channel.name,
};

/** People who can speak in a room. */
export function speakersOf(room) {
  if (!room) return [];
  const people = world.users.filter((user) => !user.bot);
  if (room.dm) return people.filter((user) => user.id === room.dm.user_id);
  const members = new Set((room.guild.members ?? []).map((member) => member.id ?? member));
  return people.filter((user) => members.has(user.id));
}

/** Who speaks in a room: the chosen person, or the first who can. */
export function speakerIn(room) {
  const people = speakersOf(room);
  return people.find((user) => user.id === speaker) ?? people[0];
}

export function chooseSpeaker(id) {
  speaker = id;
  write("speaker", id);
  tell("speaker");
}

/** The messages of a room that was opened, oldest first. */
export const messagesOf = (channelId) => messages.get(channelId);

/** Reads a room's messages anew. */
export async function loadMessages(channelId) {
  const list = await quietly("GET", `channels/${channelId}/messages`);
  messages.set(channelId, list.slice(-MESSAGES_MAX));
  tell("messages", { channelId });
}

export function markRead(channelId) {
  if (unread.delete(channelId)) tell("unread");
}

/** Who is writing in a room now, apart from `exceptId`. */
export function typingIn(channelId, exceptId) {
  const now = Date.now();
  return [...(typing.get(channelId) ?? new Map())]
    .filter(([id, until]) => until > now && id !== exceptId)
    .map(([id]) => userById(id))
    .filter(Boolean);
}

/** Takes an event of the simulator in; `openIds` are the rooms on the screen. */
export function take(event, openIds) {
  const { type } = event;
  const message = event.message ?? event.data ?? event;
  const channelId = event.channel_id ?? message.channel_id;
  if (type === "message_create") {
    clearTyping(channelId, message.author?.id);
    add(channelId, message);
    if (!openIds.includes(channelId)) {
      unread.add(channelId);
      tell("unread");
    }
  } else if (type === "message_update") replace(channelId, message);
  else if (type === "message_delete") remove(channelId, event.message_id ?? message.id);
  else if (type === "typing") noteTyping(channelId, event.user_id ?? event.author_id);
  else if (type === "resync") tell("resync");
  else if (type === "reaction" || type.startsWith("message_") || type.startsWith("reaction")) refresh(channelId);
  else if (/^(thread|channel|guild|user|member|dm)/.test(type)) reloadWorld().catch(() => {});
}

function add(channelId, message) {
  const list = messages.get(channelId);
  if (!roomById(channelId)) reloadWorld().catch(() => {});
  if (!list || list.some((one) => one.id === message.id)) return;
  list.push(message);
  if (list.length > MESSAGES_MAX) list.shift();
  tell("message", { channelId, message, kind: "create" });
}

function replace(channelId, message) {
  const list = messages.get(channelId);
  const index = list?.findIndex((one) => one.id === message.id) ?? -1;
  if (index < 0) return;
  list[index] = { ...list[index], ...message };
  tell("message", { channelId, message: list[index], kind: "update" });
}

function remove(channelId, messageId) {
  const list = messages.get(channelId);
  const index = list?.findIndex((one) => one.id === messageId) ?? -1;
  if (index < 0) return;
  const [message] = list.splice(index, 1);
  tell("message", { channelId, message, kind: "delete" });
}

const refreshing = new Map();

/** Reads a room anew soon, once for many events. */
function refresh(channelId) {
  if (!messages.has(channelId) || refreshing.has(channelId)) return;
  refreshing.set(channelId, setTimeout(() => {
    refreshing.delete(channelId);
    loadMessages(channelId).catch(() => {});
  }, 60));
}

function noteTyping(channelId, userId) {
  if (!userId) return;
  if (!typing.has(channelId)) typing.set(channelId, new Map());
  typing.get(channelId).set(userId, Date.now() + TYPING_MS);
  tell("typing", { channelId });
  setTimeout(() => tell("typing", { channelId }), TYPING_MS + 50);
}

function clearTyping(channelId, userId) {
  if (typing.get(channelId)?.delete(userId)) tell("typing", { channelId });
}

/** A remembered choice; storage may be forbidden. */
export function read(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Remembers a choice, where that is allowed. */
export function write(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // A private window forgets; the page works all the same.
  }
}
