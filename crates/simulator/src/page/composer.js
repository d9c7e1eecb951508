// Where a person writes: text, files, mentions, a reply, and as whom.
import { call, quietly } from "/page/api.js";
import { avatar, displayName, h, icon, iconButton } from "/page/dom.js";
import { t } from "/page/i18n.js";
import { MentionPicker, withMentions } from "/page/mentions.js";
import { chooseSpeaker, roomName, speakerIn, speakersOf } from "/page/store.js";
import { toast } from "/page/toast.js";

const TEXT_MAX = 2000;
const FILE_BYTES_MAX = 10 * 1024 * 1024;
const FILES_MAX = 10;
const TYPING_EVERY_MS = 8000;

/** The box at the foot of a pane. */
export class Composer {
  constructor(paneName) {
    this.room = undefined;
    this.replyTo = undefined;
    this.files = [];
    this.drafts = new Map();
    this.typedAt = 0;
    this.sending = false;
    this.build(paneName);
  }

  build(paneName) {
    const id = `composer-${paneName}`;
    this.text = h("textarea", { id, rows: "1", on: {
      keydown: (event) => this.keydown(event),
      input: () => this.input(),
      paste: (event) => this.takeFiles(event.clipboardData?.files),
    } });
    this.label = h("label", { class: "hidden-visually", for: id });
    this.picker = new MentionPicker(this.text, () => this.room);
    this.input_files = h("input", { type: "file", multiple: true, hidden: true, on: { change: () => {
      this.takeFiles(this.input_files.files);
      this.input_files.value = "";
    } } });
    this.speaker = h("select", { on: { change: () => chooseSpeaker(this.speaker.value) } });
    this.face = h("span");
    this.context = h("div", { class: "context", hidden: true });
    this.chosen = h("div", { class: "chosen-files", hidden: true });
    this.attach = iconButton("attach", t("attach"), () => this.input_files.click(), { "data-do": "attach" });
    this.mention = iconButton("at", t("mention"), () => this.picker.openFresh(), { "data-do": "mention" });
    this.as = h("span", { class: "as", "aria-hidden": "true" });
    this.sender = h("button", { type: "submit", class: "primary send" }, icon("send"));
    this.row = h("div", { class: "row" }, this.attach, this.mention,
      h("div", { class: "speaker" }, this.as, this.face, this.speaker), this.sender);
    const frame = h("div", { class: "frame" }, this.context, this.chosen, this.label, this.text, this.row);
    this.element = h("form", { class: "composer", on: {
      submit: (event) => {
        event.preventDefault();
        this.send();
      },
      dragover: (event) => event.preventDefault(),
      drop: (event) => {
        event.preventDefault();
        this.takeFiles(event.dataTransfer?.files);
      },
    } }, this.picker.element, frame, this.input_files);
  }

  /** Shows the box of a room; what was written elsewhere waits there. */
  show(room) {
    const changed = this.room?.channel.id !== room?.channel.id;
    if (changed) {
      if (this.room) this.drafts.set(this.room.channel.id, this.text.value);
      this.text.value = this.drafts.get(room?.channel.id) ?? "";
      this.reply(undefined);
      this.files = [];
      this.drawFiles();
      this.picker.close();
    }
    this.room = room;
    this.draw();
    if (changed) this.resize();
  }

  draw() {
    const name = roomName(this.room);
    const people = speakersOf(this.room);
    const speaker = speakerIn(this.room);
    this.label.textContent = t("compose", { name });
    this.text.placeholder = speaker ? t("placeholder", { name }) : t("noSpeaker");
    this.text.disabled = !speaker;
    for (const [element, key] of [[this.speaker, "speakAs"], [this.attach, "attach"], [this.mention, "mention"], [this.sender, "send"]]) {
      element.setAttribute("aria-label", t(key));
      element.title = t(key);
    }
    this.speaker.replaceChildren(...people.map((user) => h("option", { value: user.id, text: displayName(user) })));
    this.speaker.value = speaker?.id ?? "";
    this.speaker.disabled = people.length < 2;
    this.input_files.setAttribute("aria-label", t("attach"));
    this.as.textContent = t("as");
    this.face.replaceChildren(...(speaker ? [avatar(speaker, true)] : []));
    this.sender.disabled = !speaker;
    this.drawReply();
  }

  keydown(event) {
    // While kana are being converted, Enter belongs to the conversion: `isComposing` says so,
    // and 229 is what older engines send for the key that ends it.
    if (event.isComposing || event.keyCode === 229) return;
    if (this.picker.keydown(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      this.send();
    } else if (event.key === "Escape" && this.replyTo) {
      this.reply(undefined);
    }
  }

  input() {
    this.resize();
    this.picker.update();
    const speaker = speakerIn(this.room);
    if (!this.text.value || !speaker || Date.now() - this.typedAt < TYPING_EVERY_MS) return;
    this.typedAt = Date.now();
    // Whether others see the dots is not worth a message to the person.
    quietly("POST", `channels/${this.room.channel.id}/typing`, { author_id: speaker.id }).catch(() => {});
  }

  resize() {
    this.text.style.height = "auto";
    this.text.style.height = `${this.text.scrollHeight + 2}px`;
  }

  /** Makes the next message a reply, or not. */
  reply(message) {
    this.replyTo = message;
    this.drawReply();
    if (message) this.text.focus();
  }

  drawReply() {
    this.context.hidden = !this.replyTo;
    if (!this.replyTo) return;
    this.context.replaceChildren(
      h("span", { text: t("replyingTo", { name: displayName(this.replyTo.author) }) }),
      iconButton("close", t("stopReply"), () => this.reply(undefined)),
    );
  }

  takeFiles(list) {
    for (const file of list ?? []) {
      if (file.size > FILE_BYTES_MAX) toast(t("tooLarge", { name: file.name }), "error");
      else if (this.files.length >= FILES_MAX) toast(t("tooMany"), "error");
      else this.files.push(file);
    }
    this.drawFiles();
  }

  drawFiles() {
    this.chosen.hidden = !this.files.length;
    this.chosen.replaceChildren(...this.files.map((file) => {
      const remove = () => {
        this.files = this.files.filter((one) => one !== file);
        this.drawFiles();
      };
      return h("button", { type: "button", "aria-label": t("removeFile", { name: file.name }), on: { click: remove } },
        icon("file"), h("span", { text: file.name }), icon("close"));
    }));
  }

  async send() {
    const room = this.room;
    const speaker = speakerIn(room);
    const content = withMentions(this.text.value.trim(), room);
    if (this.sending || !speaker || (!content && !this.files.length)) return;
    const count = [...content].length;
    if (count > TEXT_MAX) {
      toast(t("tooLong", { count }), "error");
      return;
    }
    this.sending = true;
    try {
      const attachments = await this.encodeFiles();
      const body = { author_id: speaker.id, content };
      if (this.replyTo) body.reply_to = this.replyTo.id;
      if (attachments.length) body.attachments = attachments;
      await call("POST", `channels/${room.channel.id}/messages`, body);
      this.clear();
    } catch {
      // The person was told by a toast; the text stays so that they can send it again.
    } finally {
      this.sending = false;
      this.text.focus();
    }
  }

  clear() {
    this.text.value = "";
    this.files = [];
    this.typedAt = 0;
    this.reply(undefined);
    this.drawFiles();
    this.resize();
  }

  encodeFiles() {
    return Promise.all(this.files.map(async (file) => {
      try {
        const data = await dataUrl(file);
        return { filename: file.name, content_type: file.type || undefined, data_base64: data.slice(data.indexOf(",") + 1) };
      } catch (error) {
        toast(t("unreadable", { name: file.name }), "error");
        throw error;
      }
    }));
  }
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
