// What the server tells in sentences of its own, said in the page's language where there are words for it.

import { h, plain } from "./dom.js";
import { fact, fault, find, number, size, span, time } from "./i18n.js";

/**
 * `facts`: one for each sentence of `message`, `{case}` with what the sentence names. Where the table lacks one of them the
 * server's sentence stands.
 */
export function told({ facts = [], message }) {
  const sentences = facts.map((one) => find(`told.${one.case}`));
  if (facts.length === 0 || sentences.includes(undefined)) return foreign(message);
  return sentences.map((text, at) => text.split(/\{(\w+)\}/).map((part, odd) => (odd % 2 ? shown(part, facts[at][part]) : part)));
}

/** Why a connection does not work, where the server says so in a sentence; nothing for any other words. */
export function cause(why) {
  const [, error] = /^the provider says (.+)$/.exec(why) ?? [];
  return error === undefined ? fact("why", why) : find("told.why_says") && told({ facts: [{ case: "why_says", error }] });
}

/** What a setting is for. */
export function help({ name, help }) {
  return find(`setting.${name}`) ?? foreign(help);
}

/** Words that are not the page's: in English, unless whoever gave them had others. */
export function foreign(text) {
  return h("span", { lang: "en" }, plain(text));
}

/** What somebody else says, such as a provider or the system: to be read as it stands. */
export function quoted(text) {
  return h("span", { translate: "no" }, plain(text));
}

/** A fact, by the end of its name. */
function shown(name, value) {
  if (Array.isArray(value)) return value.map((one, at) => [at > 0 && ", ", shown(name, one)]);
  if (value !== null && typeof value === "object") {
    const [first, ...rest] = Object.values(value);
    return quoted(`${first} (${rest.join(": ")})`);
  }
  if (name.endsWith("_ms")) return span(value);
  if (name.endsWith("_bytes")) return size(value);
  if (name.endsWith("_at")) return time(value);
  if (name === "fault") return fault(value);
  if (typeof value === "number") return ["count", "seconds"].includes(name) ? number(value) : String(value);
  return fact(name, value) ?? quoted(value);
}
