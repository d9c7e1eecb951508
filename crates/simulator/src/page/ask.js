// Small questions: one text, or yes and no.
import { h } from "/page/dom.js";
import { t } from "/page/i18n.js";

/** Asks for a text; the answer is empty when the person changed their mind. */
export function askText(title, label, { value = "", action = t("create"), long = false } = {}) {
  const field = long ? h("textarea", { value, maxlength: "2000" }) : h("input", { type: "text", value, maxlength: "100", autocomplete: "off" });
  return ask(title, h("label", {}, label, field), action, "primary", () => field.value.trim(), field);
}

/** Asks for a yes. */
export function askSure(title, action) {
  return ask(title, null, action, "danger", () => "yes");
}

function ask(title, content, action, kind, answer, focus) {
  const dialog = document.getElementById("ask");
  return new Promise((resolve) => {
    const cancel = h("button", { type: "button", text: t("cancel"), on: { click: () => dialog.close("") } });
    const accept = h("button", { type: "submit", class: kind, text: action });
    const submit = (event) => {
      event.preventDefault();
      dialog.close(answer());
    };
    dialog.replaceChildren(h("form", { method: "dialog", on: { submit } },
      h("h2", { id: "ask-title", text: title }), content, h("div", { class: "buttons" }, cancel, accept)));
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    dialog.showModal();
    focus?.focus();
  });
}
