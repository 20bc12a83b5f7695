// What changed at the server while somebody looks: one stream of events for the tab, and whoever shows a noun is told.

import { probe } from "./api.js";

/** Changes that come together are told together, after so many milliseconds. */
const GATHER = 250;
/** A tab that was out of sight for longer, in milliseconds, may have missed something. */
const AWAY = 30_000;

const watchers = new Set();
let stream = null;
let gathered = new Set();
let timer = null;
let hiddenAt = null;

const path = () => location.hash.split("?")[0];

/**
 * Calls `listener()` when one of the nouns has changed, as long as `element` is on the page and nobody has gone elsewhere
 * (what was deleted is not asked for once more on the way out). Nouns are as the API has them:
 * `connections`, `profiles`, `customers`, `client_applications`, `providers`, `events`, `webhooks`, `api_tokens`, `users`,
 * `audit`.
 */
export function watch(nouns, element, listener) {
  watchers.add({ nouns: new Set(nouns), element, listener, path: path(), seen: false, since: Date.now() });
}

function tell(nouns) {
  for (const watcher of [...watchers]) {
    watcher.seen ||= watcher.element.isConnected;
    if (!watcher.element.isConnected) {
      // One that was never shown may be about to be.
      if (watcher.seen || Date.now() - watcher.since > AWAY) watchers.delete(watcher);
    } else if (watcher.path === path() && (nouns === null || [...nouns].some((noun) => watcher.nouns.has(noun)))) {
      watcher.listener();
    }
  }
}

function gather(nouns) {
  for (const noun of nouns) gathered.add(noun);
  timer ??= setTimeout(() => {
    timer = null;
    // What a dialog asks is about what stands below it: that is looked at again once it is answered.
    const dialog = document.querySelector("dialog[open]");
    if (dialog) {
      dialog.addEventListener("close", () => gather([]), { once: true });
      return;
    }
    const nouns = gathered;
    gathered = new Set();
    tell(nouns);
  }, GATHER);
}

/** Whatever is watched may have changed: everybody looks again. */
export function lookAgain() {
  tell(null);
}

/** Begins to listen, once somebody is logged in. `refused()`: what to do when the stream is: the session may be over. */
export function listen(refused) {
  if (stream) return;
  let broken = false;
  stream = new EventSource("/api/live");
  stream.addEventListener("change", (event) => {
    try { gather(JSON.parse(event.data).nouns); } catch { lookAgain(); }
  });
  stream.addEventListener("open", () => {
    // What happened while nobody listened was told to nobody.
    if (broken) lookAgain();
    broken = false;
  });
  stream.addEventListener("error", () => {
    broken = true;
    if (stream?.readyState !== EventSource.CLOSED) {
      // It tries again by itself; whether the server is there at all, nobody else may ask for a long time.
      probe();
      return;
    }
    // Where there are no events, the page does without.
    stream = null;
    refused();
  });
}

/** Listens no more. */
export function hush() {
  stream?.close();
  stream = null;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) hiddenAt = Date.now();
  else if (hiddenAt !== null && Date.now() - hiddenAt > AWAY && watchers.size > 0) lookAgain();
});
