// The page's words: one table for each language, by view, and the same keys in each (a test compares them). `profiles.title`
// is `title` among those of `profiles`. A browser fetches the table of the language that is spoken, and no other.

const TABLES = { en: () => import("../lang/en.js"), ja: () => import("../lang/ja.js") };
const KEPT = "grantry.language";

/** The languages, each by its own name. */
export const LANGUAGES = { en: "English", ja: "日本語" };

let current = kept() ?? preferred();
let table = (await TABLES[current]()).default;

function kept() {
  try {
    const language = localStorage.getItem(KEPT);
    return language in TABLES ? language : null;
  } catch {
    return null;
  }
}

function preferred() {
  for (const wanted of navigator.languages ?? []) {
    const language = wanted.slice(0, 2).toLowerCase();
    if (language in TABLES) return language;
  }
  return "en";
}

/** The language of the page: `en` or `ja`. */
export function language() {
  return current;
}

/** Changes it, and remembers the choice in this browser. Throws a TypeError where the server does not answer. */
export async function speak(language) {
  table = (await TABLES[language]()).default;
  current = language;
  try { localStorage.setItem(KEPT, language); } catch { /* A browser that keeps nothing: until the page is closed. */ }
}

function find(key) {
  const dot = key.indexOf(".");
  return table[key.slice(0, dot)]?.[key.slice(dot + 1)];
}

/**
 * The text of a key. `{name}` becomes the value given, a number as it is written here; `{n|item|items}` is the first word
 * where the value is 1, and the second where not.
 */
export function t(key, values = {}) {
  const text = find(key);
  // The tests let no word on the console pass.
  if (text === undefined) console.error(`no words for ${key}`);
  return fill(text ?? key, values);
}

function fill(text, values) {
  return text.replace(/\{(\w+)(?:\|([^|{}]*)\|([^|{}]*))?\}/g, (whole, name, one, many) => {
    if (!(name in values)) return whole;
    const value = values[name];
    if (one !== undefined) return value === 1 ? one : many;
    return typeof value === "number" ? number(value) : String(value);
  });
}

/**
 * The word for a value of the API, such as `lost` of the family `state`; a value that is in no table, as the server says
 * it. Keys are put together from a family and a value, in a template, which a test takes as a use of all of that family.
 */
export function word(key, value) {
  return find(key) === undefined ? String(value ?? "") : t(key);
}

/** What the server finds wrong with a field, as it says it in English, and the key of the same in the tables. */
const FAULTS = [
  [/^can't be blank$/, "fault.blank"],
  [/^is too long \(maximum is (?<most>\d+) characters\)$/, "fault.long"],
  [/^is too short \(minimum is (?<least>\d+) characters\)$/, "fault.short"],
  [/^must not have control characters$/, "fault.control"],
  [/^has already been taken$/, "fault.taken"],
  [/^must be an e-mail address$/, "fault.email"],
  [/^is not included in the list$/, "fault.list"],
  [/^must be one of (?<values>.+)$/, "fault.one_of"],
  [/^must be of type (?<type>.+)$/, "fault.type"],
  [/^is not taken by this provider$/, "fault.not_for_provider"],
  [/^is not known here$/, "fault.unknown"],
  [/^can't be changed$/, "fault.fixed"],
  [/^stands there twice$/, "fault.twice"],
  [/^is the last administrator's, and one must stay$/, "fault.last_admin"],
  [/^this customer already has another profile of that provider$/, "fault.other_assigned"],
  [/^had another account before/, "fault.other_account"],
  [/^is a placeholder/, "fault.placeholder"],
  [/^malformed JSON at line (?<line>\d+), column (?<column>\d+): (?<what>.+)$/, "fault.json"],
  [/^is not right$/, "fault.not_right"],
  [/^must be (?<form>.+)$/, "fault.form"],
];

/** What the server says of a whole request. */
const SENTENCES = [
  [/^This \w+ is in use by (?<connections>\d+) connections? and (?<customers>\d+) customers?/, "error.in_use_both"],
  [/^This .+ is in use by (?<uses>.+)$/, "error.in_use"],
  [/^Not found/, "error.not_found"],
  [/^The provider is out/, "error.provider_out"],
  [/^This connection's grant is gone/, "error.grant_gone"],
  [/^The provider turns down the client id or secret/, "error.app_rejected"],
  [/^No account is connected yet/, "error.not_connected"],
  [/^The server is busy/, "error.busy"],
];

function translated(table, phrase) {
  for (const [form, key] of table) {
    const found = form.exec(phrase);
    if (found) return t(key, found.groups);
  }
  return null;
}

/** A fault in the page's language; one that is not in the table, as the server says it. */
export function fault(phrase) {
  return translated(FAULTS, phrase) ?? phrase;
}

/** A sentence of the server's in the page's language, or nothing. */
export function said(message) {
  return translated(SENTENCES, message);
}

/** A time as people write it here. */
export function time(text, style = "medium") {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return String(text);
  return new Intl.DateTimeFormat(current, { dateStyle: style, timeStyle: style === "full" ? "long" : "short" }).format(at);
}

/** A day as people write it here. */
export function day(text, options = { dateStyle: "medium" }) {
  const at = new Date(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text);
  if (Number.isNaN(at.getTime())) return String(text);
  return new Intl.DateTimeFormat(current, { ...options, timeZone: /T/.test(text) ? undefined : "UTC" }).format(at);
}

const STEPS = [["year", 31_557_600], ["month", 2_629_800], ["day", 86_400], ["hour", 3600], ["minute", 60]];

/** How long ago, or in how long. */
export function relative(text, now = Date.now()) {
  const at = new Date(text).getTime();
  if (Number.isNaN(at)) return String(text);
  const seconds = (at - now) / 1000;
  const words = new Intl.RelativeTimeFormat(current, { numeric: "auto" });
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length * 0.95) return words.format(Math.round(seconds / length), unit);
  }
  return words.format(Math.round(seconds), "second");
}

/** A number as people write it here. */
export function number(value) {
  return new Intl.NumberFormat(current).format(value);
}

/** Bytes as people write them here. */
export function size(bytes) {
  const step = bytes < 1000 ? 0 : bytes < 1e6 ? 1 : bytes < 1e9 ? 2 : 3;
  const unit = ["byte", "kilobyte", "megabyte", "gigabyte"][step];
  return new Intl.NumberFormat(current, { style: "unit", unit, unitDisplay: step === 0 ? "long" : "short", maximumFractionDigits: step === 0 ? 0 : 1 }).format(bytes / 1000 ** step);
}
