// Builds elements; text always goes in as text, never as markup.

/** An element; `props` may hold `class`, `text`, `on` (listeners), `data`, and attributes. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "text") element.textContent = value;
    else if (key === "on") for (const [name, run] of Object.entries(value)) element.addEventListener(name, run);
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** A picture from the page's own sheet of icons; it says nothing to screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/page/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** A button that shows only an icon and is named by `label`. */
export function iconButton(name, label, onClick, extra = {}) {
  return h("button", { type: "button", class: "quiet", "aria-label": label, title: label, on: { click: onClick }, ...extra }, icon(name));
}

/** The round first letter of a user, in a colour of their own. */
export function avatar(user, little = false) {
  const name = displayName(user);
  const hue = [...String(user?.id ?? "")].reduce((sum, digit) => sum * 3 + digit.charCodeAt(0), 0) % 8;
  const hueOf = user?.bot ? 0 : 1 + (hue % 7);
  return h("span", { class: `avatar hue-${hueOf}${little ? " little" : ""}`, "aria-hidden": "true", text: [...name][0] ?? "?" });
}

/** What people call a user. */
export function displayName(user) {
  return user?.global_name || user?.name || user?.username || "?";
}
