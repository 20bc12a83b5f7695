// What views are made of: headings, cards, badges, times, buttons to copy.

import { Lost } from "./api.js";
import { begin, busy, h, id as fresh, plain, svg, swap } from "./dom.js";
import { sentence, typed } from "./form.js";
import { relative, t, time } from "./i18n.js";
import { watch } from "./live.js";

/** The heading of a view: its title, one line about it, and what can be done. */
export function head(title, lead, actions = [], back = null) {
  return h("div", { class: "head" },
    h("div", {}, back && h("a", { class: "back", href: back.href }, icon("back"), back.label), h("h1", {}, title), lead && h("p", { class: "lead" }, lead)),
    [actions].flat().some(Boolean) && h("div", { class: "actions" }, actions),
  );
}

/** A part of a view with a heading of its own. */
export function card(title, ...children) {
  const heading = fresh("card");
  return h("section", { class: "card", "aria-labelledby": title && heading }, title && h("h2", { id: heading }, title), children);
}

/** A paragraph of what matters less. */
export function faint(...children) {
  return h("p", { class: "faint" }, children);
}

/** Titles and values in two columns: `[title, value]`; a value of nothing is left out. */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(Boolean).filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false)
    .map(([title, value]) => h("div", {}, h("dt", {}, title), h("dd", {}, value))));
}

/** A state in one word. `tone`: `good`, `bad`, `warn`, or nothing. */
export function badge(text, tone = "") {
  return h("span", { class: `badge ${tone}`.trim() }, text);
}

/** Words for machines, such as scopes; nothing where there are none. */
export function codes(words) {
  return words?.length > 0 && h("span", { class: "badges" }, words.map((word) => h("code", { class: "badge" }, plain(word))));
}

/** A time, as long ago as it is; the exact one when pointed at. */
export function ago(text) {
  if (!text) return null;
  return h("time", { datetime: text, title: time(text, "full"), "data-ago": true }, relative(text));
}

// What is on the screen grows old.
setInterval(() => {
  for (const element of document.querySelectorAll("time[data-ago]")) element.textContent = relative(element.dateTime);
}, 30_000);

/** A button that copies a text; it says so to those who see it and those who do not. `bare`: without words to see. */
export function copy(text, what, { bare = false } = {}) {
  const label = t("copy.copy");
  const sign = h("span", {}, icon("copy"));
  const state = h("span", { "aria-live": "polite", class: bare && "unseen" }, label);
  const button = h("button", { class: bare ? "bare copy" : "small copy", title: bare && label, "aria-label": what && t("copy.what", { what: plain(what) }), onclick: async () => {
    const done = await copied(text, button);
    swap(state, t(done ? "copy.done" : "copy.by_hand"));
    swap(sign, icon(done ? "check" : "alert"));
    setTimeout(() => { swap(state, label); swap(sign, icon("copy")); }, 2500);
  } }, sign, state);
  return button;
}

/** Without https the clipboard is out of reach; then the old way, by a selection. */
async function copied(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { class: "unseen", readonly: true, "aria-hidden": "true" });
    area.value = text;
    (button.closest("dialog") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    button.focus();
    return done;
  }
}

/** A text to be copied, in one line of its own. */
export function copyable(text, what) {
  return h("span", { class: "copyable" }, h("code", {}, plain(text)), copy(text, what ?? text, { bare: true }));
}

/** Where there is nothing: what it would be, and what to do next. */
export function empty(title, text, ...actions) {
  return h("div", { class: "card empty" }, h("h2", {}, title), text && h("p", {}, text), actions.length > 0 && h("div", { class: "actions" }, actions));
}

/** The place of what is on its way. */
export function skeleton(lines = 4) {
  return h("div", { class: "skeleton", "aria-busy": "true", "aria-label": t("app.loading") }, Array.from({ length: lines }, () => h("span", {})));
}

/** A button that does something at once; `act` may throw a Refusal, which is said in the page's notice. */
export function action(label, act, properties = {}) {
  const button = h("button", { ...properties, onclick: async () => {
    if (busy(button, true)) return;
    try {
      await act();
    } catch (error) {
      say(sentence(error), "bad");
    } finally {
      busy(button, false);
    }
  } }, label);
  return button;
}

const sayings = h("div", { class: "sayings", role: "status", "aria-live": "polite" });

/** Says what was done, for a while; what went wrong stays until it is closed. */
export function say(text, tone = "good") {
  if (!sayings.isConnected) document.body.append(sayings);
  const line = h("div", { class: `saying ${tone}` }, h("span", {}, text),
    tone !== "good" && h("button", { class: "bare", "aria-label": t("dialog.close"), onclick: () => line.remove() }, icon("close")));
  for (const older of sayings.querySelectorAll(".good")) older.remove();
  sayings.append(line);
  if (tone === "good") setTimeout(() => line.remove(), 5000);
}

/**
 * A part of a view that shows what `load()` answers, drawn by `draw(value, again)`, and again when one of the nouns has
 * changed: quietly, and never over a text that somebody is typing.
 */
export function block({ load, draw, nouns = [], lines, tag = "div", first }) {
  const element = h(tag, { class: "block" });
  let drawn = null;
  let asked = 0;
  const put = (value) => {
    const text = JSON.stringify(value);
    if (text === drawn) return;
    // Nothing is drawn anew under a finger.
    if (element.matches(":active")) {
      setTimeout(() => { if (element.isConnected) put(value); }, 300);
      return;
    }
    if (drawn !== null && (typed(element) || element.querySelector("[data-held]"))) {
      if (!element.querySelector(":scope > .changed")) {
        element.prepend(h("p", { class: "note changed", role: "status" }, t("app.changed_meanwhile"), " ",
          h("button", { class: "small", onclick: () => { drawn = text; keep(element, () => swap(element, draw(value, again))); } }, t("app.show_it"))));
      }
      return;
    }
    drawn = text;
    keep(element, () => swap(element, draw(value, again)));
  };
  const again = async ({ quiet = true } = {}) => {
    const mine = ++asked;
    if (!quiet && drawn === null) swap(element, skeleton(lines));
    try {
      const value = await load();
      if (mine === asked) put(value);
    } catch (error) {
      if (mine !== asked || error.name === "AbortError") return;
      // What was there stays there until the server is back.
      if (error instanceof Lost && drawn !== null) return;
      drawn = null;
      swap(element, h("p", { class: "alert", role: "alert" }, sentence(error), " ",
        h("button", { class: "small", onclick: () => again({ quiet: false }) }, t("app.again"))));
    }
  };
  if (nouns.length > 0) watch(nouns, element, () => again());
  if (first !== undefined) put(first);
  else again({ quiet: false });
  return Object.assign(element, { again, put });
}

/** Draws again and leaves the focus where it was, by `data-key` or address; where that is gone, at the title of the view. */
function keep(element, draw) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const key = focused && (focused.dataset.key ? `[data-key="${CSS.escape(focused.dataset.key)}"]` : focused.getAttribute("href") ? `a[href="${CSS.escape(focused.getAttribute("href"))}"]` : null);
  draw();
  const there = key && element.querySelector(key);
  if (there) there.focus({ preventScroll: true });
  else if (focused) begin(document);
}

/** Drawings of one stroke, 24 by 24. */
const ICONS = {
  overview: "M4 13h6V4H4zM14 20h6v-9h-6zM14 4v3h6V4zM4 20h6v-3H4z",
  profiles: "M15 7a4 4 0 1 1-4 4M11 11l-7 7v2h3l1-1v-2h2l3-3M16.5 7.5h.01",
  connections: "M9 15l6-6M8 12l-2.5 2.5a3.5 3.5 0 0 0 5 5L13 17M16 12l2.5-2.5a3.5 3.5 0 0 0-5-5L11 7",
  load: "M12 4v11M7 9l5-5 5 5M4 16v4h16v-4",
  applications: "M4 5h16v14H4zM4 9h16M7 7h.01M10 7h.01",
  customers: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20c0-3.5 2.5-6 6-6s6 2.5 6 6M16 4.5a3.5 3.5 0 0 1 0 6M18 14.5c2 .8 3 2.9 3 5.5",
  providers: "M12 3l8 4.5-8 4.5-8-4.500zM4 12l8 4.5 8-4.500M4 16.500l8 4.5 8-4.5",
  tokens: "M4 7h16v10H4zM8 12h.01M12 12h.01M16 12h.01",
  users: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM5 20c0-3.5 3-6 7-6s7 2.5 7 6",
  account: "M12 3l8 3v6c0 4.500-3.5 7.500-8 9-4.5-1.500-8-4.500-8-9V6zM9 12l2 2 4-4",
  audit: "M7 4h10v16H7zM10 8h4M10 12h4M10 16h2",
  webhooks: "M12 8a2.5 2.5 0 1 0-2.2-1.300L7 14M7 14a2.5 2.5 0 1 0 2.5 3H16M12 8l3.5 6.500M16 17a2.5 2.5 0 1 0-.5-2.5",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  back: "M15 5l-7 7 7 7",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  out: "M10 4H5v16h5M15 8l4 4-4 4M19 12H9",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  light: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.400M17.6 17.600L19 19M5 19l1.4-1.400M17.6 6.400L19 5",
  dark: "M20 14.500A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.500z",
  alert: "M12 4l9 16H3zM12 10v4M12 17h.01",
  check: "M5 12.500l4.5 4.500L19 7.5",
  plus: "M12 5v14M5 12h14",
  seek: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l5 5",
  save: "M12 4v11M7 10l5 5 5-5M4 16v4h16v-4",
  open: "M14 4h6v6M20 4l-9 9M17 14v6H4V7h6",
};

/** A drawing beside words: it says nothing by itself. */
export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" }, svg("path", { d: ICONS[name] }));
}

/** A link to another site: it says so, and tells that site nothing. */
export function outside(href, label) {
  // Only what a browser opens as a page: an address comes from whoever wrote the definition.
  const safe = /^https?:\/\//i.test(href ?? "");
  return safe ? h("a", { href, target: "_blank", rel: "noopener noreferrer" }, label, " ", icon("open"), h("span", { class: "unseen" }, t("app.new_tab"))) : null;
}
