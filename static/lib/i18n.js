// The page's words: one table for each language, by view, and the same keys in each (a test compares them). `profiles.title`
// is `title` among those of `profiles`. A browser fetches the table of the language that is spoken, and no other.
//
// Some sentences are the server's, which says them in English to whoever asks: what the doctor and a check find, what is
// wrong with a backup or a field, what a setting or a variable of a provider is for. It sends with each what it is made of, a machine word and facts
// (`told.js`), or the sentence is known here by its form (`FAULTS`). Four families have the words for those: `told` by the
// machine word, `setting` by the setting's name, `variable` by its name, behind that of its provider where others mean
// something else by it, and `fact` by the name of a fact and its value where that is no mere datum.
// English has none of the four: there the server's own sentence stands, and stands nowhere twice. For what a table does
// not know the server's sentence stands in any language. A test reads out of the server's source every word that it can
// send, and fails where another language than English lacks one of them, or has one that nobody sends.

import { plain } from "./dom.js";

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

/** The words of a key; nothing where the table has none. A part of it may be anybody's, such as `constructor`. */
export function find(key) {
  const dot = key.indexOf(".");
  const words = table[key.slice(0, dot)], word = key.slice(dot + 1);
  return words && Object.hasOwn(words, word) ? words[word] : undefined;
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
    return typeof value === "number" ? number(value) : fact(name, value) ?? plain(value);
  });
}

/** The word for what the server says of a fact: `place` is `token`. Nothing where that is a mere datum. */
export function fact(name, value) {
  return find(`fact.${name} ${value}`) ?? (name === "why" ? translated(REASONS, value) : null);
}

/**
 * The word for a value of the API, such as `lost` of the family `state`; a value that is in no table, as the server says
 * it. Keys are put together from a family and a value, in a template, which a test takes as a use of all of that family.
 */
export function word(key, value) {
  return find(key) === undefined ? plain(value) : t(key);
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
  [/^must be given, as several fit: (?<choices>.+)$/, "told.ambiguous"],
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
  [/^is given twice, with different values$/, "told.differs"],
  [/^is not UTF-8: the first bad byte is number (?<offset>\d+)$/, "told.not_utf8"],
  [/^none fits, and one is needed$/, "told.none_fits"],
  [/^the request changes nothing$/, "told.nothing_to_change"],
  [/^at most (?<most>\d+) are allowed$/, "told.too_many"],
  [/^is not granted$/, "told.not_granted"],
  [/^is on already/, "told.already_on"],
  [/^there may be more faults/, "told.and_more"],
  [/^has its secret kept as a hash alone/, "told.only_hashed"],
  [/^come from GRANTRY_KEYS/, "told.keys_elsewhere"],
  [/^were changed in the key file/, "told.keys_changed"],
  [/^were not changed: (?<why>.+)$/, "told.key_file"],
  [/^is the active key/, "told.active_key"],
  [/^has no endpoint for devices/, "told.no_devices"],
  [/^is refused by the provider: (?<what>.+)$/, "told.provider_says"],
  [/^there is none: it was promoted/, "told.no_next_secret"],
  [/^has no discovery document that can be used: (?<why>.+)$/, "told.not_discovered"],
  [/^must be (?<form>.+)$/, "fault.form"],
];

/** What the server says of a whole request. */
const SENTENCES = [
  [/^This \w+ is in use by (?<connections>\d+) connections? and (?<customers>\d+) customers?/, "error.in_use_both"],
  [/^This .+ is in use by (?<uses>[^;]+)/, "error.in_use"],
  [/^Not found/, "error.not_found"],
  [/^The provider is unavailable/, "error.provider_out"],
  [/^The provider answered, and refused/, "told.refresh_refused"],
  [/^This connection's grant is gone/, "error.grant_gone"],
  [/^The provider turns down the client id or secret/, "error.app_rejected"],
  [/^No account is connected yet/, "error.not_connected"],
  [/^The server is busy|^Too many .+: try again$/, "error.busy"],
  [/^Somebody else has changed/, "told.changed"],
  [/ exists already$/, "told.exists"],
  [/^The (request is too large|body is larger than)/, "told.too_large"],
  [/^The database cannot be written/, "told.storage"],
  [/^The provider gave tokens.+ lost/, "told.tokens_lost"],
  [/^The provider gave tokens/, "told.tokens_given_back"],
  [/^The server is stopping/, "told.stopping"],
  [/^A backup is being made/, "told.backup_busy"],
  [/^The backup could not be written or read/, "told.backup_out"],
  [/^Tokens of this provider live (?<seconds>\d+) seconds/, "told.short_lived"],
  [/^Server error/, "told.server_error"],
  [/^The request body did not arrive in time/, "told.slow_body"],
  [/^Method not allowed|^The request body must not be compressed|^Unsupported media type|^Not acceptable/, "told.bad_request"],
];

/** What a variable of a provider is for. */
const HELPS = [
  [/^'(?<part>[^']+)' in (?<address>\S+)\.$/, "told.variable_part"],
];

/** Why something did not work, where no word of its own says so. */
const REASONS = [
  [/^(?<address>\S+) answers with status (?<status>\d+)$/, "told.why_status"],
  [/^(?<address>\S+) answers with something else than a JSON object$/, "told.why_no_json"],
  [/^(?<field>\w+) is no https URL$/, "told.why_no_https"],
];

function translated(table, phrase) {
  for (const [form, key] of table) {
    const found = form.exec(phrase);
    // In English the server's sentence needs no other.
    if (found) return find(key) === undefined ? null : t(key, { ...found.groups, ...(found.groups?.uses && { uses: uses(found.groups.uses) }) });
  }
  return null;
}

/** `2 connections and 1 customer`, in the page's language. */
function uses(text) {
  const all = text.split(" and ").map((one) => /^(\d+) (.+?)s?$/.exec(one)).map((one) => one && [find(`fact.use ${one[2]}`), one[1]]);
  return all.every((one) => one?.[0]) ? all.map((one) => one.join(": ")).join("、") : text;
}

/** Title and help of a provider's variable, those that there are words for: somebody's own definition has its own. */
export function variable({ slug, origin }, key, { title, help }) {
  const known = origin === "built_in" ? find(`variable.${slug} ${key}`) ?? find(`variable.${key}`) : undefined;
  return { title: fact("title", title), help: translated(HELPS, help ?? "") ?? known };
}

/** A fault in the page's language; one that is not in the table, as the server says it. */
export function fault(phrase) {
  return translated(FAULTS, phrase) ?? plain(phrase).replace(/^[a-z]+ /, (first) => first[0].toUpperCase() + first.slice(1));
}

/** A sentence of the server's in the page's language, or nothing. */
export function said(message) {
  return translated(SENTENCES, message) ?? translated(FAULTS, message);
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

/** A length of time, in the largest unit that says something. */
export function span(ms) {
  const hours = Math.max(ms, 0) / 3_600_000;
  const [unit, length] = hours < 1 ? ["minute", hours * 60] : hours < 48 ? ["hour", hours] : ["day", hours / 24];
  return new Intl.NumberFormat(current, { style: "unit", unit, unitDisplay: "long" }).format(Math.floor(length));
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
