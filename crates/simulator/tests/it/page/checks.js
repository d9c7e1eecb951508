// Looks at everything that is visible and returns what a person could not press or read.
// Runs as the body of a function; returns {targets: [...], contrast: [...], sideways: [...]}.
const dialog = document.querySelector("dialog[open]");
const scope = dialog ?? document.body;
const wrong = { targets: [], contrast: [], sideways: [] };

const visible = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
  && !element.closest(".hidden-visually");
const describe = (element) => {
  const text = element.getAttribute("aria-label") || element.textContent.trim();
  return `${element.tagName.toLowerCase()}.${element.className?.baseVal ?? element.className} “${text.slice(0, 40)}”`;
};

for (const element of scope.querySelectorAll("button, input, select, textarea, a, [role=option]")) {
  if (!visible(element) || element.hidden) continue;
  const { width, height } = element.getBoundingClientRect();
  if (width < 43.5 || height < 43.5) wrong.targets.push(`${describe(element)} ${width}×${height}`);
}

// Code may scroll in its own box; nothing else may, and the page itself hides nothing.
for (const element of [document.documentElement, document.body, ...scope.querySelectorAll("*")]) {
  const page = element === document.documentElement || element === document.body;
  const scrolls = page || ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
  if (!scrolls || element.matches("pre, textarea") || !visible(element)) continue;
  if (element.scrollWidth > element.clientWidth + 1) {
    wrong.sideways.push(`${describe(element)} ${element.scrollWidth} in ${element.clientWidth}`);
  }
}

const channels = (colour) => {
  const numbers = colour.match(/[\d.]+/g)?.map(Number);
  if (!numbers || !colour.startsWith("rgb")) throw new Error(`a colour that cannot be read: ${colour}`);
  return { rgb: numbers.slice(0, 3), alpha: numbers[3] ?? 1 };
};
const over = (top, below) => top.rgb.map((value, index) => value * top.alpha + below[index] * (1 - top.alpha));
const backdrop = (element) => {
  const layers = [];
  for (let node = element; node; node = node.parentElement) {
    const layer = channels(getComputedStyle(node).backgroundColor);
    layers.push(layer);
    if (layer.alpha === 1) break;
  }
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
};
const brightness = (rgb) => {
  const [red, green, blue] = rgb.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const contrast = (element, colour) => {
  const behind = backdrop(element);
  const [light, dark] = [brightness(over(channels(colour), behind)), brightness(behind)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
};
const check = (element, colour, what) => {
  const ratio = contrast(element, colour);
  if (ratio < 4.5) wrong.contrast.push(`${what} ${ratio.toFixed(2)} ${colour}`);
};

const walker = document.createTreeWalker(scope, NodeFilter.SHOW_TEXT);
let texts = 0;
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !visible(element) || element.closest(":disabled, option, script")) continue;
  texts += 1;
  check(element, getComputedStyle(element).color, describe(element));
}
for (const field of scope.querySelectorAll("textarea, input, select")) {
  if (!visible(field) || field.disabled) continue;
  check(field, getComputedStyle(field).color, describe(field));
  if (field.placeholder) check(field, getComputedStyle(field, "::placeholder").color, `placeholder of ${describe(field)}`);
}
if (texts < 3) wrong.contrast.push(`only ${texts} texts were seen: the check looked at nothing`);
return wrong;
