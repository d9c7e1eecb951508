// A conversation on the screen: its bar, its messages, and the box to write in.
import { call } from "/page/api.js";
import { askSure, askText } from "/page/ask.js";
import { Composer } from "/page/composer.js";
import { avatar, displayName, h, icon, iconButton } from "/page/dom.js";
import { clock, day, t } from "/page/i18n.js";
import { plainLine } from "/page/markdown.js";
import { fillBody, messageElement } from "/page/message.js";
import { isThread, loadMessages, markRead, messagesOf, names, roomById, roomName, speakerIn, typingIn, userById } from "/page/store.js";

const STREAM_QUIET_MS = 1500;
const NEAR_BOTTOM_PX = 120;
const EMOJI = ["👍", "❤️", "😄", "🎉", "👀", "🙏", "✅", "🤔", "😢", "🌱", "🔥", "🔁"];

/** One of the two places for a conversation. */
export class Pane {
  constructor(container, name, { onBack, onOpenThread, onClose }) {
    this.container = container;
    this.name = name;
    this.onOpenThread = onOpenThread;
    this.streams = new Map();
    this.composer = new Composer(name);
    this.sign = h("span", { class: "glyph" });
    this.title = h("h2");
    this.bar = h("header", { class: "bar" },
      iconButton("back", t("back"), onBack, { class: "quiet go-back" }),
      this.sign, this.title,
      name === "thread" ? iconButton("close", t("close"), onClose, { class: "quiet close-thread" }) : null);
    this.list = h("div", { class: "messages", role: "log", "aria-live": "polite", "aria-relevant": "additions" });
    this.scroller = h("div", { class: "scroller", on: { scroll: () => this.noteScroll() } }, this.list);
    this.writing = h("div", { class: "writing", "aria-live": "polite" });
    this.toBottom = iconButton("down", t("toBottom"), () => this.scrollDown(), { class: "to-bottom", hidden: true });
    this.composer.element.prepend(this.toBottom);
    this.list.addEventListener("keydown", (event) => this.moveFocus(event));
    this.list.addEventListener("click", (event) => this.tap(event));
    // Pictures that load, a keyboard that opens, a neighbour that appears: all move the bottom.
    const watcher = new ResizeObserver(() => this.stick());
    watcher.observe(this.list);
    watcher.observe(this.scroller);
    container.append(this.bar, this.scroller, this.writing, this.composer.element);
    this.show(undefined);
  }

  get room() {
    return roomById(this.channelId);
  }

  /** Shows a room, or the hint to choose one. */
  show(channelId) {
    const changed = channelId !== this.channelId;
    this.channelId = channelId;
    this.drawBar();
    this.composer.element.hidden = !channelId;
    this.composer.show(this.room);
    if (!channelId) {
      this.list.replaceChildren(empty(t("chooseTitle"), t("choose")));
      return;
    }
    markRead(channelId);
    if (!changed) return;
    this.streams.clear();
    this.atBottom = true;
    this.drawTyping();
    if (messagesOf(channelId)) this.drawMessages();
    else this.list.replaceChildren();
    loadMessages(channelId).catch(() => {});
  }

  /** Draws everything anew, after a change of language, speaker or world. */
  redraw() {
    this.bar.querySelector(".go-back").setAttribute("aria-label", t("back"));
    this.bar.querySelector(".close-thread")?.setAttribute("aria-label", t("close"));
    this.toBottom.setAttribute("aria-label", t("toBottom"));
    this.drawBar();
    this.composer.show(this.room);
    if (this.channelId) this.drawMessages();
    else this.show(undefined);
    this.drawTyping();
  }

  drawBar() {
    const { room } = this;
    if (!room) {
      this.sign.replaceChildren();
      this.title.textContent = t("title");
      return;
    }
    const thread = isThread(room.channel);
    this.sign.replaceChildren(room.dm ? avatar(userById(room.dm.user_id), true) : icon(thread ? "thread" : "hash"));
    const parent = thread ? roomById(room.channel.parent_id) : undefined;
    const under = parent ? t("threadOf", { name: parent.channel.name }) : room.channel.topic || (room.guild?.name ?? t("direct"));
    this.title.replaceChildren(room.dm ? roomName(room) : room.channel.name, h("small", { text: under }));
    this.list.setAttribute("aria-label", `${t("messages")}: ${roomName(room)}`);
  }

  drawMessages() {
    const list = messagesOf(this.channelId) ?? [];
    const focused = this.list.contains(document.activeElement) ? document.activeElement.closest(".message")?.dataset.id : undefined;
    const active = this.list.querySelector(".message.active")?.dataset.id;
    const parts = [];
    list.forEach((message, index) => parts.push(...this.pieces(message, list[index - 1])));
    if (!list.length) parts.push(empty(t("emptyTitle"), t(this.room?.dm ? "emptyDirect" : "emptyChannel")));
    this.drawQuietly(parts);
    this.find(active)?.classList.add("active");
    this.find(focused)?.focus();
    this.setTabStop();
    this.stick();
  }

  /** Replaces the whole list without having all of it read out. */
  drawQuietly(parts) {
    this.list.setAttribute("aria-live", "off");
    this.list.replaceChildren(...parts);
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => this.list.setAttribute("aria-live", "polite"), 400);
  }

  /** A message's element, and the day in front of it when it begins one. */
  pieces(message, before) {
    const begins = !before || day(before.timestamp) !== day(message.timestamp);
    const streaming = this.streams.has(message.id);
    const element = messageElement(message, begins ? undefined : before, streaming, this.actions());
    element.dataset.shape = shapeOf(message);
    return begins ? [h("div", { class: "day", text: day(message.timestamp) }), element] : [element];
  }

  find(id) {
    return id ? this.list.querySelector(`[data-id="${CSS.escape(id)}"]`) : undefined;
  }

  /** Takes in one change of this room's messages. */
  change({ message, kind }) {
    const list = messagesOf(this.channelId) ?? [];
    if (kind === "delete" || list.length === 1) {
      this.drawMessages();
    } else if (kind === "create") {
      this.list.append(...this.pieces(message, list[list.length - 2]));
      this.setTabStop();
    } else {
      this.update(message, list);
    }
    if (kind === "create") this.noteNew(message);
    this.stick();
  }

  update(message, list) {
    const element = this.find(message.id);
    if (!element) return;
    if (userById(message.author?.id)?.bot) this.stream(message, element);
    if (element.dataset.shape === shapeOf(message)) {
      fillBody(element, message);
      return;
    }
    const before = list[list.findIndex((one) => one.id === message.id) - 1];
    const fresh = this.pieces(message, before).at(-1);
    fresh.classList.toggle("active", element.classList.contains("active"));
    const focused = element.contains(document.activeElement);
    element.replaceWith(fresh);
    if (focused) fresh.focus();
    this.setTabStop();
  }

  /** Marks a message as growing until it was quiet for a while; then it is read out. */
  stream(message, element) {
    clearTimeout(this.streams.get(message.id));
    element.classList.add("streaming");
    this.streams.set(message.id, setTimeout(() => {
      this.streams.delete(message.id);
      const shown = this.find(message.id);
      const current = messagesOf(this.channelId)?.find((one) => one.id === message.id);
      shown?.classList.remove("streaming");
      if (!shown || !current) return;
      fillBody(shown, current);
      this.stick();
      announce(t("said", { name: displayName(current.author), text: plainLine(current.content, names, 400) }));
    }, STREAM_QUIET_MS));
  }

  actions() {
    return {
      insideThread: this.name === "thread",
      speaker: () => speakerIn(this.room),
      reply: (message) => this.composer.reply(message),
      react: (message, emoji) => this.act("POST", `messages/${message.id}/reactions`, { emoji }),
      chooseEmoji: (message) => this.chooseEmoji(message),
      openThread: (id) => this.onOpenThread(id),
      startThread: async (message) => {
        const name = await askText(t("startThread"), t("threadName"), { value: plainLine(message.content ?? "", names, 40) });
        if (!name) return;
        const thread = await this.act("POST", "threads", { name, message_id: message.id });
        if (thread) this.onOpenThread(thread.id);
      },
      edit: async (message) => {
        const content = await askText(t("editTitle"), t("newText"), { value: message.content, action: t("save"), long: true });
        if (content) await this.act("PATCH", `messages/${message.id}`, { content });
      },
      remove: async (message) => {
        if (await askSure(t("removeTitle"), t("remove"))) await this.act("DELETE", `messages/${message.id}`);
      },
    };
  }

  /** Does something as the current speaker; what goes wrong was shown by a toast. */
  async act(method, path, body) {
    const speaker = speakerIn(this.room);
    try {
      return await call(method, `channels/${this.channelId}/${path}`, { author_id: speaker?.id, ...body });
    } catch {
      return undefined;
    }
  }

  chooseEmoji(message) {
    const element = this.find(message.id);
    const shown = element.querySelector(".emoji-tray");
    this.list.querySelectorAll(".emoji-tray").forEach((tray) => tray.remove());
    if (shown) return;
    const choose = (emoji) => {
      tray.remove();
      element.focus();
      this.actions().react(message, emoji);
    };
    const tray = h("div", { class: "emoji-tray", role: "group", "aria-label": t("react") }, EMOJI.map((emoji) =>
      h("button", { type: "button", "aria-label": t("reactWith", { name: emoji }), text: emoji, on: { click: () => choose(emoji) } })));
    element.querySelector(".tools").before(tray);
    tray.firstChild.focus();
    tray.scrollIntoView({ block: "nearest" });
  }

  /** Up and down walk through the messages; only one of them is a stop for Tab. */
  moveFocus(event) {
    const current = event.target.closest(".message");
    if (event.key === "Escape") this.list.querySelectorAll(".emoji-tray").forEach((tray) => tray.remove());
    if (!current || event.target !== current || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    const all = [...this.list.querySelectorAll(".message")];
    const next = all[all.indexOf(current) + (event.key === "ArrowUp" ? -1 : 1)];
    if (!next) return;
    event.preventDefault();
    this.setTabStop(next);
    next.focus();
  }

  setTabStop(chosen) {
    const all = this.list.querySelectorAll(".message");
    all.forEach((element) => element.setAttribute("tabindex", "-1"));
    (chosen ?? all[all.length - 1])?.setAttribute("tabindex", "0");
  }

  /** A tap shows a message's buttons, as there is no hovering on a phone. */
  tap(event) {
    const message = event.target.closest(".message");
    if (event.target.closest("button, a, .emoji-tray")) return;
    const was = message?.classList.contains("active");
    this.list.querySelectorAll(".message.active").forEach((one) => one.classList.remove("active"));
    if (message && !was) message.classList.add("active");
  }

  drawTyping() {
    const people = typingIn(this.channelId, speakerIn(this.room)?.id);
    if (!people.length) {
      this.writing.replaceChildren();
      return;
    }
    const key = people.length === 1 ? "isTyping" : "areTyping";
    const dots = h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
    this.writing.replaceChildren(dots, t(key, { name: people.map(displayName).join(", ") }));
  }

  noteScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.atBottom = scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PX;
    if (this.atBottom) this.toBottom.hidden = true;
  }

  noteNew(message) {
    if (message.author?.id === speakerIn(this.room)?.id) this.atBottom = true;
    if (!this.atBottom) this.toBottom.hidden = false;
  }

  /** Keeps the newest message in sight unless the person scrolled up. */
  stick() {
    if (this.atBottom) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  scrollDown() {
    this.atBottom = true;
    this.toBottom.hidden = true;
    this.stick();
  }
}

/** What hangs on a message beside its text; while it stays the same, only the text is redrawn. */
function shapeOf({ attachments, embeds, reactions, thread }) {
  return JSON.stringify([attachments ?? [], embeds ?? [], reactions ?? [], thread?.id]);
}

function empty(title, text) {
  return h("div", { class: "empty" }, h("img", { src: "/page/leaf.svg", alt: "", width: "56", height: "56" }), h("strong", { text: title }), h("p", { text }));
}

function announce(text) {
  document.getElementById("announcer").textContent = `${text} ${clock(new Date().toISOString())}`;
}
