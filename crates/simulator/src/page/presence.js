// Whether the bot is connected, and what to do when it is not.
import { quietly } from "/page/api.js";
import { displayName } from "/page/dom.js";
import { t } from "/page/i18n.js";
import { getWorld } from "/page/store.js";

const EVERY_MS = 3000;
let online;

/** Asks now and then who is connected. */
export function watchPresence() {
  const look = async () => {
    try {
      const { sessions } = await quietly("GET", "gateway/config");
      online = sessions.some((session) => session.connection !== null && session.connection !== undefined);
    } catch {
      online = undefined;
    }
    drawPresence();
    setTimeout(look, EVERY_MS);
  };
  look();
}

/** Writes the line under the rooms. */
export function drawPresence() {
  const line = document.getElementById("presence");
  const { bot } = getWorld();
  line.hidden = !bot || online === undefined;
  if (line.hidden) return;
  const text = t(online ? "botOnline" : "botOffline", { name: displayName(bot), address: location.origin });
  // The line is read out, so it is only written when it says something else.
  if (line.lastChild.textContent !== text) line.lastChild.textContent = text;
  line.classList.toggle("online", online);
}
