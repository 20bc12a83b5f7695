// What the server tells in sentences of its own, said in the page's language where there are words for it.

import { h, plain } from "./dom.js";
import { fact, fault, find, number, size, span, t, time, word } from "./i18n.js";
import { ago, icon } from "./parts.js";

/**
 * `facts`: one for each sentence of `message`, `{case}` with what the sentence names. Where the table lacks one of them the
 * server's sentence stands.
 */
export function told({ facts = [], message }) {
  const sentences = facts.map((one) => find(`told.${one.case}`));
  if (facts.length === 0 || sentences.includes(undefined)) return foreign(message);
  return sentences.map((text, at) => filled(text, facts[at]));
}

/** A sentence with facts in its gaps. */
function filled(text, facts) {
  return text.split(/\{(\w+)\}/).map((part, odd) => (odd % 2 ? shown(part, facts[part] ?? "–") : part));
}

/** A warning of a connection, as a sentence. */
export function warning({ code, params }) {
  const text = find(`warning.${code}`);
  return text ? filled(text, { ...params, answer: params.provider_error ?? params.http_status ?? params.reason }) : foreign(code);
}

/** What should be known of a connection although its token is served; nothing where there are no warnings. */
export function warnings(all) {
  return all?.length > 0 && h("ul", { class: "plain-list findings" }, all.map((one) => h("li", { class: "warn", "data-warning": one.code },
    icon("alert"), h("div", {}, warning(one), h("small", {}, t("connections.since"), " ", ago(one.since))))));
}

/** Why a grant is lost. The provider's own words, in parentheses, are left out; nothing for a reason that has no words. */
export function cause(why) {
  const known = [[/^the provider rejected the grant( \(|\.$)/i, "grant_rejected"], [/^the provider refuses this grant \(/, "grant_refused"]].find(([form]) => form.test(why));
  return known ? t(`reason.${known[1]}`) : fact("why", why);
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
  if (name === "reason") return word(`reason.${value}`, value);
  if (typeof value === "number") return ["count", "seconds"].includes(name) ? number(value) : String(value);
  return fact(name, value) ?? quoted(value);
}
