// Short messages that say what happened and what to do.
import { h, iconButton } from "/page/dom.js";
import { t } from "/page/i18n.js";

/** Shows a text for a while; errors stay longer. */
export function toast(text, kind = "info") {
  const list = document.getElementById("toasts");
  for (const shown of list.children) if (shown.dataset.text === text) shown.remove();
  const element = h("div", { class: `toast ${kind}`, data: { text } }, h("p", { text }));
  element.append(iconButton("close", t("close"), () => element.remove()));
  // An open dialog covers the page; its messages must lie on top of it.
  const host = document.querySelector("dialog[open]");
  (host ?? document.body).append(list);
  host?.addEventListener("close", () => document.body.append(list), { once: true });
  list.append(element);
  while (list.children.length > 3) list.firstChild.remove();
  setTimeout(() => element.remove(), kind === "error" ? 9000 : 3500);
}
