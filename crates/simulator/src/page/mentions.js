// The list that helps to mention somebody, and the ids behind the names.
import { avatar, displayName, h } from "/page/dom.js";
import { t } from "/page/i18n.js";
import { getWorld, userById, users } from "/page/store.js";

let counter = 0;

/** Everybody who can be mentioned in a room, the bot first. */
function candidates(room) {
  const { bot } = getWorld();
  const ids = room?.guild ? (room.guild.members ?? []).map((member) => member.id ?? member) : users().map((user) => user.id);
  const others = ids.filter((id) => id !== bot?.id).map(userById).filter(Boolean);
  return bot ? [bot, ...others] : others;
}

/** A text with `@name` turned into what Discord sends; longer names win. */
export function withMentions(text, room) {
  const people = candidates(room).sort((one, other) => displayName(other).length - displayName(one).length);
  return people.reduce((done, user) => done.replaceAll(`@${displayName(user)}`, `<@${user.id}>`), text);
}

/** A list box over a text field that opens at `@`. */
export class MentionPicker {
  constructor(field, room) {
    this.field = field;
    this.room = room;
    this.found = [];
    this.index = 0;
    this.id = `picker-${counter++}`;
    this.element = h("div", { class: "picker", id: this.id, role: "listbox", hidden: true });
    field.setAttribute("aria-controls", this.id);
    field.setAttribute("aria-autocomplete", "list");
    // A press on a button beside the field takes the focus for a moment only.
    field.addEventListener("blur", () => setTimeout(() => {
      if (document.activeElement !== field) this.close();
    }, 150));
  }

  /** Puts an `@` where the caret is and opens the list. */
  openFresh() {
    const { field } = this;
    const caret = field.selectionStart ?? field.value.length;
    const before = field.value.slice(0, caret);
    const gap = !before || /\s$/.test(before) ? "" : " ";
    field.setRangeText(`${gap}@`, caret, field.selectionEnd ?? caret, "end");
    field.focus();
    this.update();
  }

  /** What stands between the last `@` and the caret, or nothing. */
  query() {
    const before = this.field.value.slice(0, this.field.selectionStart ?? 0);
    return /(?:^|[\s\u3000])[@＠]([^\s@]{0,24})$/u.exec(before)?.[1];
  }

  update() {
    const query = this.query();
    if (query === undefined) {
      this.close();
      return;
    }
    const wanted = query.toLowerCase();
    const fits = (user) => [user.global_name, user.name, user.username].some((name) => name?.toLowerCase().includes(wanted));
    this.found = candidates(this.room()).filter(fits).slice(0, 8);
    this.index = 0;
    this.draw();
  }

  draw() {
    this.element.hidden = !this.found.length;
    this.element.setAttribute("aria-label", t("mention"));
    this.element.replaceChildren(...this.found.map((user, index) => h("div", {
      role: "option",
      id: `${this.id}-${index}`,
      "aria-selected": String(index === this.index),
      on: {
        mousedown: (event) => event.preventDefault(),
        click: () => this.choose(index),
      },
    }, avatar(user, true), h("span", { text: displayName(user) }), user.bot ? h("span", { class: "badge", text: t("bot") }) : null)));
    if (this.found.length) this.field.setAttribute("aria-activedescendant", `${this.id}-${this.index}`);
    else this.field.removeAttribute("aria-activedescendant");
    this.element.children[this.index]?.scrollIntoView({ block: "nearest" });
  }

  /** Takes a key; true when it was meant for the list. */
  keydown(event) {
    if (this.element.hidden) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      this.index = (this.index + step + this.found.length) % this.found.length;
      this.draw();
    } else if (event.key === "Enter" || event.key === "Tab") this.choose(this.index);
    else if (event.key === "Escape") this.close();
    else return false;
    event.preventDefault();
    return true;
  }

  choose(index) {
    const user = this.found[index];
    const caret = this.field.selectionStart;
    const start = caret - (this.query()?.length ?? 0) - 1;
    this.field.setRangeText(`@${displayName(user)} `, start, caret, "end");
    this.close();
    this.field.focus();
    this.field.dispatchEvent(new Event("input"));
  }

  close() {
    this.element.hidden = true;
    this.found = [];
    this.field.removeAttribute("aria-activedescendant");
  }
}
