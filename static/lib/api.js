// The page's way to the server. It is one more client of the API: nothing here that a script could not do.

import { language } from "./i18n.js";

/** The server said no. `errors`: what is wrong, by field; `retryAfter`: in how many seconds to come back, or 0. */
export class Refusal extends Error {
  constructor(status, body, retryAfter) {
    super(typeof body?.message === "string" ? body.message : String(status));
    this.status = status;
    this.errors = body?.errors ?? {};
    this.retryAfter = retryAfter;
  }
}

/** The server does not answer. */
export class Lost extends Error {}

/** How long to wait between two looks whether the server is back, in milliseconds. */
const LOOK_AGAIN = 2000;

let looking = null;
let tell = () => {};

/** Calls `listener(true)` when the server stops answering, and `listener(false)` when it is back. */
export function onConnection(listener) {
  tell = listener;
  addEventListener("online", look);
}

function lost() {
  if (looking !== null) return;
  looking = setTimeout(look, LOOK_AGAIN);
  tell(true);
}

async function look() {
  if (looking === null) return;
  clearTimeout(looking);
  try {
    const answer = await fetch("/livez", { cache: "no-store" });
    if (!answer.ok) throw new Lost();
    looking = null;
    tell(false);
  } catch {
    looking = setTimeout(look, LOOK_AGAIN);
  }
}

/** Sends a request and answers the `result` in its JSON. Throws a Refusal, or Lost. */
export async function call(method, path, body) {
  const headers = { Accept: "application/json", "Accept-Language": language() };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer, value;
  try {
    answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store", credentials: "same-origin", redirect: "error",
    });
    const text = await answer.text();
    try { value = JSON.parse(text); } catch { value = null; }
  } catch {
    lost();
    throw new Lost();
  }
  if (!answer.ok) throw new Refusal(answer.status, value, Number(answer.headers.get("Retry-After")) || 0);
  return value?.result;
}
