// Shows Discord's markdown as elements. User text only ever becomes text nodes.
import { h } from "/page/dom.js";

const FENCE = /```(?:([\w+#.-]{1,20})\n)?([\s\S]*?)(?:```|$)/g;
const INLINE = /`([^`\n]+)`|\*\*([\s\S]+?)\*\*|__([\s\S]+?)__|~~([\s\S]+?)~~|\*([^*\s](?:[^*\n]*[^*\s])?)\*|<@!?(\d+)>|<#(\d+)>|<@&(\d+)>|<a?:(\w+):\d+>|<t:(\d+)(?::\w)?>|(https?:\/\/[^\s<>]+)/;
const DEPTH_MAX = 4;

/** The nodes of a text; `names` resolves ids: `{user(id), channel(id)}` give names or nothing. */
export function render(text, names) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(FENCE)) {
    nodes.push(...blocks(trimEdge(text.slice(end, match.index), end > 0, true), names));
    const code = h("code", { text: match[2].replace(/\n$/, "") });
    nodes.push(h("pre", { tabindex: "0", data: match[1] ? { language: match[1] } : {} }, code));
    end = match.index + match[0].length;
  }
  nodes.push(...blocks(trimEdge(text.slice(end), end > 0, false), names));
  return nodes;
}

/** Line breaks that touch a code block are shown by the block itself. */
function trimEdge(text, after, before) {
  const start = after ? text.replace(/^\n/, "") : text;
  return before ? start.replace(/\n$/, "") : start;
}

function blocks(text, names) {
  const nodes = [];
  let plain = [];
  const flush = () => {
    if (plain.length) nodes.push(...inline(plain.join("\n"), names, 0));
    plain = [];
  };
  for (const line of text.split("\n")) {
    const heading = /^#{1,3} (.+)/.exec(line);
    const quote = /^> (.*)/.exec(line);
    if (!heading && !quote) {
      plain.push(line);
      continue;
    }
    flush();
    nodes.push(h(heading ? "h3" : "blockquote", {}, inline((heading ?? quote)[1], names, 0)));
  }
  flush();
  return nodes;
}

function inline(text, names, depth) {
  const nodes = [];
  let rest = text;
  while (rest) {
    const match = depth < DEPTH_MAX ? INLINE.exec(rest) : null;
    if (!match) break;
    if (match.index) nodes.push(document.createTextNode(rest.slice(0, match.index)));
    nodes.push(element(match, names, depth + 1));
    rest = rest.slice(match.index + match[0].length);
  }
  if (rest) nodes.push(document.createTextNode(rest));
  return nodes;
}

function element(match, names, depth) {
  const [whole, code, bold, underline, struck, italic, user, channel, role, emoji, time, address] = match;
  if (code) return h("code", { text: code });
  if (bold) return h("strong", {}, inline(bold, names, depth));
  if (underline) return h("u", {}, inline(underline, names, depth));
  if (struck) return h("s", {}, inline(struck, names, depth));
  if (italic) return h("em", {}, inline(italic, names, depth));
  if (user) return h("span", { class: "mention", text: `@${names.user(user) ?? user}` });
  if (channel) return h("span", { class: "mention", text: `#${names.channel(channel) ?? channel}` });
  if (role) return h("span", { class: "mention", text: "@role" });
  if (emoji) return document.createTextNode(`:${emoji}:`);
  if (time) return h("time", { text: new Date(Number(time) * 1000).toLocaleString() });
  if (address) return h("span", { class: "address", text: address });
  return document.createTextNode(whole);
}

/** A text in one plain line, for quotes and announcements. */
export function plainLine(text, names, length = 120) {
  const line = text
    .replace(/<@!?(\d+)>/g, (whole, id) => `@${names.user(id) ?? id}`)
    .replace(/<#(\d+)>/g, (whole, id) => `#${names.channel(id) ?? id}`)
    .replace(/[*_~`]{1,3}/g, "")
    .replace(/\s+/g, " ")
    .trim();
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}
