// The drawer: faults to switch on, things to add, and the way to the records.
import { call, quietly } from "/page/api.js";
import { askText } from "/page/ask.js";
import { h, icon, iconButton } from "/page/dom.js";
import { t } from "/page/i18n.js";
import { getWorld, reloadWorld } from "/page/store.js";
import { toast } from "/page/toast.js";

const ENTRIES_SHOWN = 14;
const REFRESH_MS = 1500;

/** Faults that stay on until they are switched off. */
const SWITCHES = {
  rest500: { target: "rest", kind: "status", status: 500, count: 0 },
  rest429: { target: "rest", kind: "rate_limit_route", retry_after_ms: 1000, count: 0 },
  restDelay: { target: "rest", kind: "delay", delay_ms: 1500, count: 0 },
  model500: { target: "model", kind: "status", status: 500, count: 0 },
  model429: { target: "model", kind: "rate_limit_route", retry_after_ms: 5000, count: 0 },
  modelDelay: { target: "model", kind: "delay", delay_ms: 5000, count: 0 },
};

const on = new Set();
let timer;
let guildOf = () => undefined;

/** Prepares the drawer; `currentGuild()` says which guild new people join. */
export function prepareDrawer(currentGuild) {
  guildOf = currentGuild;
  const dialog = document.getElementById("drawer");
  dialog.addEventListener("close", () => clearInterval(timer));
  // A press beside the drawer lands on the dialog itself, which its content covers.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  for (const button of document.querySelectorAll("[data-open-drawer]")) button.addEventListener("click", openDrawer);
}

function openDrawer() {
  const dialog = document.getElementById("drawer");
  drawDrawer();
  dialog.showModal();
  readFaults();
  refreshEntries();
  timer = setInterval(refreshEntries, REFRESH_MS);
}

/** Shows what is on already, also when a test or another page switched it. */
async function readFaults() {
  const { faults } = await quietly("GET", "faults").catch(() => ({ faults: [] }));
  const is = (fault, wanted) => Object.keys(wanted).every((key) => fault[key] === wanted[key]);
  for (const [key, wanted] of Object.entries(SWITCHES)) {
    const found = faults.some((fault) => is(fault, wanted));
    if (found) on.add(key);
    else on.delete(key);
    document.querySelector(`[data-fault="${key}"]`)?.setAttribute("aria-checked", String(found));
  }
}

/** Draws the drawer anew, after a change of language. */
export function drawDrawer() {
  const dialog = document.getElementById("drawer");
  dialog.replaceChildren(
    h("header", { class: "bar" }, h("h2", { id: "drawer-title", text: t("drawer") }), iconButton("close", t("close"), () => dialog.close())),
    h("div", { class: "content" }, connection(), switches("restFaults", "restHelp", ["rest500", "rest429", "restDelay"], restOnce()),
      switches("modelFaults", "modelHelp", ["model500", "model429", "modelDelay"], modelOnce()), additions(), records()));
}

function section(title, help, ...content) {
  return h("section", {}, h("h3", { text: t(title) }), h("p", { text: t(help) }), content);
}

function press(label, action, kind) {
  const run = async () => {
    try {
      await action();
      toast(t("done"));
    } catch {
      // The person was told by a toast.
    }
  };
  return h("button", { type: "button", class: kind, data: { press: label }, text: t(label), on: { click: run } });
}

function connection() {
  const drop = (how) => () => call("POST", "gateway/drop", { how });
  return section("connection", "connectionHelp", h("div", { class: "buttons" },
    press("dropAbort", drop("abort")),
    press("dropReconnect", drop("reconnect")),
    press("dropInvalid", drop("invalid_session")),
    press("duplicate", () => call("POST", "gateway/duplicate_next", { count: 1 }))));
}

function restOnce() {
  const fault = { target: "rest", route: "POST /channels/{channel}/messages", kind: "drop_after", count: 1 };
  return press("restLost", () => call("POST", "faults", fault));
}

function modelOnce() {
  return press("modelBreak", () => call("POST", "model/script", { queue: [{ end: "abort", end_after_chunks: 4, per_chunk_ms: 60 }] }));
}

function switches(title, help, keys, once) {
  const rows = keys.map((key) => h("button", {
    type: "button",
    class: "switch",
    role: "switch",
    "aria-checked": String(on.has(key)),
    data: { fault: key },
    on: { click: (event) => flip(key, event.currentTarget) },
  }, h("span", { class: "label", text: t(key) }), h("span", { class: "knob", "aria-hidden": "true" })));
  return section(title, help, rows, h("div", { class: "buttons" }, once));
}

async function flip(key, element) {
  const turnOn = !on.has(key);
  try {
    if (turnOn) {
      await call("POST", "faults", SWITCHES[key]);
      on.add(key);
    } else {
      // Faults can only be cleared together, so the others are set again.
      on.delete(key);
      await call("DELETE", "faults");
      for (const other of on) await call("POST", "faults", SWITCHES[other]);
    }
    toast(t(turnOn ? "faultOn" : "faultOff", { name: t(key) }));
  } catch {
    // The person was told by a toast.
  }
  element.setAttribute("aria-checked", String(on.has(key)));
}

async function clearAll() {
  await call("DELETE", "faults");
  await call("DELETE", "model/script");
  on.clear();
  drawDrawer();
}

function additions() {
  const add = (label, run) => async () => {
    const name = await askText(t(label), t("name"));
    if (!name) throw new Error("nothing was entered");
    await run(name);
    await reloadWorld();
  };
  const person = add("addUser", async (name) => {
    const handle = name.toLowerCase().replace(/[^a-z0-9_.]/g, "") || "person";
    const user = await call("POST", "users", { name: handle, global_name: name });
    const guild = guildOf();
    if (guild) await call("POST", `guilds/${guild.id}/members`, { user_id: user.id });
  });
  const channel = add("addChannel", (name) => call("POST", `guilds/${guildOf().id}/channels`, { name }));
  const guild = add("addGuild", async (name) => {
    const people = getWorld().users.filter((user) => !user.bot).map((user) => user.id);
    const made = await call("POST", "guilds", { name, member_ids: people, with_bot: true });
    await call("POST", `guilds/${made.id}/channels`, { name: t("firstChannel") });
  });
  const buttons = [press("addUser", person)];
  if (guildOf()) buttons.push(press("addChannel", channel));
  buttons.push(press("addGuild", guild));
  return section("world", "worldHelp", h("div", { class: "buttons" }, buttons));
}

function records() {
  const link = (key, path) => h("a", { class: "button", href: path, target: "_blank", rel: "noopener", "aria-label": `${t(key)} (${t("opensTab")})` }, icon("file"), t(key));
  return section("records", "recordsHelp",
    h("ul", { class: "entries", id: "entries" }),
    h("div", { class: "links" }, link("ledger", "/control/ledger?limit=500"), link("modelRequests", "/control/model/requests"), link("worldJson", "/control/world")),
    press("clearAll", clearAll, "danger wide"));
}

async function refreshEntries() {
  const list = document.getElementById("entries");
  if (!list) return;
  try {
    const { last } = await quietly("GET", "ledger?limit=1");
    const { entries } = await quietly("GET", `ledger?after=${Math.max(0, last - ENTRIES_SHOWN)}&limit=${ENTRIES_SHOWN}`);
    list.replaceChildren(...entries.map(entryLine));
    if (!entries.length) list.replaceChildren(h("li", { text: t("nothingRecorded") }));
  } catch {
    // The bar at the top says already that the connection is lost.
  }
}

function entryLine(entry) {
  const about = entry.t ?? entry.action ?? [entry.method, entry.path ?? entry.route ?? entry.outcome].filter(Boolean).join(" ");
  const status = entry.status ?? entry.code ?? "";
  return h("li", {}, h("span", { class: "soft", text: entry.kind }), h("span", { text: String(about ?? "") }),
    h("span", { class: Number(status) >= 400 ? "bad" : "soft", text: String(status ?? "") }));
}
