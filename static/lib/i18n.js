// The page's words: one table for each language, and the same keys in each (a test compares them).

import en from "../lang/en.js";
import ja from "../lang/ja.js";

const TABLES = { en, ja };
const KEPT = "grantry.language";

/** The languages, each by its own name. */
export const LANGUAGES = { en: "English", ja: "日本語" };

let current = kept() ?? preferred();

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

/** Changes it, and remembers the choice in this browser. */
export function speak(language) {
  current = language;
  try { localStorage.setItem(KEPT, language); } catch { /* A browser that keeps nothing: until the page is closed. */ }
}

/** The text of a key, with `{name}` replaced by the values given. */
export function t(key, values = {}) {
  const text = TABLES[current][key] ?? TABLES.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** What the server finds wrong with a field, as it says it in English, and the key of the same in the tables. */
const FAULTS = [
  [/^can't be blank$/, "fault.blank"],
  [/^is too long \(maximum is (?<most>\d+) characters\)$/, "fault.long"],
  [/^is too short \(minimum is (?<least>\d+) characters\)$/, "fault.short"],
  [/^must not have control characters$/, "fault.control"],
  [/^has already been taken$/, "fault.taken"],
  [/^must be an e-mail address$/, "fault.email"],
];

/** A fault in the page's language; one that is not in the table, as the server says it. */
export function fault(phrase) {
  for (const [form, key] of FAULTS) {
    const found = form.exec(phrase);
    if (found) return t(key, found.groups);
  }
  return phrase;
}

/** A time as people write it here. */
export function time(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return text;
  return new Intl.DateTimeFormat(current, { dateStyle: "medium", timeStyle: "short" }).format(at);
}

/** A number as people write it here. */
export function number(value) {
  return new Intl.NumberFormat(current).format(value);
}
