// The page's way to the server. It is one more client of the API: nothing here that a script could not do.

import { language } from "./i18n.js";

/**
 * The server refuses. `code`: why, of `/api/v1`; `errors`: what is wrong, by field; `retryAfter`: in how many seconds to come
 * back, or 0; `body`: the whole answer.
 */
export class Refusal extends Error {
  constructor(status, body, retryAfter) {
    super(String(body?.message ?? body?.detail ?? status));
    this.status = status;
    this.body = body;
    this.code = body?.code;
    this.errors = this.code ? {} : body?.errors ?? {};
    this.retryAfter = retryAfter;
  }

  /** The session is over. A role that is too small has the same status in one dialect, and says what it lacks. */
  get ended() {
    return this.status === 401 && !/\blacks\b/.test(this.message);
  }

  get forbidden() {
    return this.status === 403 || (this.status === 401 && !this.ended);
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

/** Says that the server does not answer, and looks for it from now on. */
export function lost() {
  if (looking !== null) return;
  looking = setTimeout(look, LOOK_AGAIN);
  tell(true);
}

/** Looks whether the server is there. */
export async function probe() {
  if (looking !== null) return;
  try {
    await fetch("/livez", { cache: "no-store" });
  } catch {
    lost();
  }
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

let comeBack = null;

/**
 * What to do when the session is over: `ask()` answers whether the same user has logged in again, and then the request
 * that was refused is sent once more.
 */
export function onEnded(ask) {
  comeBack = ask;
}

/**
 * Sends a request and answers `{body, etag}`. Throws a Refusal, or Lost. `body`: what becomes JSON, or a FormData, a Blob
 * or, with `type`, a text that goes as it is. `asText`: what comes is a text, whatever it says. `onProgress`: hears how
 * far it is, where the server tells that while it works. `ifMatch`: only if it is still this version. `alone`: a session that is over
 * is the caller's affair.
 */
export async function send(method, path, body, { ifMatch, type, asText = false, onProgress, alone = false, signal } = {}) {
  const headers = { Accept: onProgress ? "application/x-ndjson" : "application/json", "Accept-Language": language() };
  if (ifMatch) headers["If-Match"] = ifMatch;
  const asIs = type !== undefined || body instanceof FormData || body instanceof Blob;
  if (type !== undefined) headers["Content-Type"] = type;
  else if (body !== undefined && !asIs) headers["Content-Type"] = "application/json";
  let answer, value;
  try {
    answer = await fetch(path, {
      method, headers, signal, body: body === undefined || asIs ? body : JSON.stringify(body),
      cache: "no-store", credentials: "same-origin", redirect: "error",
    });
    if (answer.ok && onProgress) return { body: await last(answer, onProgress), etag: null };
    const text = await answer.text();
    if (asText && answer.ok) value = text;
    else try { value = JSON.parse(text); } catch { value = null; }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Refusal) throw error;
    lost();
    throw new Lost();
  }
  if (answer.ok) return { body: value, etag: answer.headers.get("ETag") };
  const refusal = new Refusal(answer.status, value, Number(answer.headers.get("Retry-After")) || 0);
  if (refusal.ended && !alone && comeBack && (await comeBack())) {
    return send(method, path, body, { ifMatch, type, asText, onProgress, alone: true, signal });
  }
  throw refusal;
}

/** Reads an answer of many lines of JSON: each but the last tells how far it is. One without its end is no answer. */
async function last(answer, onProgress) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Lost();
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines.map((text) => JSON.parse(text))) {
      if (line.failed) throw new Refusal(500, line.failed, 0);
      if (!line.progress) return line;
      onProgress(line.progress);
    }
  }
}

/** Sends a request and answers the `result` in its JSON; the whole of it where it has none. Throws a Refusal, or Lost. */
export async function call(method, path, body, options) {
  const { body: value } = await send(method, path, body, options);
  return value !== null && typeof value === "object" && "result" in value ? value.result : value;
}

/** A path with the parameters that have a value. */
export function at(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length > 0 ? `${path}?${new URLSearchParams(given)}` : path;
}
