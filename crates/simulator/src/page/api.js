// Calls of the control API and the stream of events.
import { t } from "/page/i18n.js";
import { toast } from "/page/toast.js";

/** What the simulator answers; a failure is shown to the person and thrown. */
export async function call(method, path, body) {
  let response;
  try {
    response = await fetch(`/control/${path}`, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    toast(t("unreachable"), "error");
    throw error;
  }
  const text = await response.text();
  if (!response.ok) {
    const reason = explain(text) || `${response.status}`;
    toast(t("refused", { reason }), "error");
    throw new Error(reason);
  }
  return text ? JSON.parse(text) : null;
}

/** Like `call`, for background work: failures are thrown without a word to the person. */
export async function quietly(method, path, body) {
  const response = await fetch(`/control/${path}`, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${response.status}`);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

function explain(text) {
  try {
    const error = JSON.parse(text).error;
    return typeof error === "string" ? error : JSON.stringify(error);
  } catch {
    return text.slice(0, 200);
  }
}

/** Listens for events for ever. `onOpen(again)` runs at each connection, before its events. */
export function listen({ onEvent, onOpen, onLost }) {
  let opened = false;
  let delay = 500;
  const connect = () => {
    const source = new EventSource("/control/events");
    source.onopen = () => {
      delay = 500;
      onOpen(opened);
      opened = true;
    };
    source.onmessage = (message) => onEvent(JSON.parse(message.data));
    source.onerror = () => {
      onLost();
      source.close();
      setTimeout(connect, delay);
      delay = Math.min(delay * 2, 5000);
    };
  };
  connect();
}
