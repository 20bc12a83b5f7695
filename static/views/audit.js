// The audit trail: who did what, when, from where; to read and to take away.

import { at, call } from "../lib/api.js";
import { h, name, plain, swap } from "../lib/dom.js";
import { t, word } from "../lib/i18n.js";
import { list, listing } from "../lib/list.js";
import { ago, empty, icon } from "../lib/parts.js";
import { to } from "../lib/router.js";

const DEEDS = ["created", "updated", "deleted", "assigned", "unassigned", "loaded", "connected", "disconnected", "link_made", "device_code_made", "refreshed", "token_handed_out", "revoked", "checked", "secret_verified", "secret_issued", "secret_revoked", "secret_promoted", "token_issued", "token_revoked", "logged_in", "logged_out", "session_ended", "setup_link_made", "origins_confirmed", "second_factor_begun", "second_factor_on", "second_factor_off", "recovery_codes_renewed", "password_refused", "code_refused", "rotated", "downloaded", "restored", "exported"];
const NOUNS = ["profile", "connection", "customer", "provider", "client_application", "api_token", "user", "webhook", "configurations", "revocation", "backup", "key", "database", "audit"];
/** Which view shows a thing, and whether the thing itself has an address there. */
const VIEWS = { profile: ["profiles", true], connection: ["connections", true], customer: ["customers", true], provider: ["providers", true], client_application: ["applications", true], api_token: ["tokens"], user: ["users"], webhook: ["webhooks", true] };

export function view({ query }) {
  const exports = h("div", { class: "actions" });
  const takeAway = ({ after, ...sought }) => swap(exports, ["csv", "jsonl"].map((format) =>
    h("a", { class: "button", href: at("/api/audit/export", { ...sought, format }), download: true, "data-export": format }, icon("save"), t(`audit.${format}`))));
  const entries = list({
    route: "audit", query, title: t("nav.audit"), seek: t("audit.seek"), nouns: ["audit"],
    load: ({ after, ...sought }) => { takeAway(sought); return call("GET", at("/api/audit", { ...sought, before: after, limit: 50 })); },
    filters: [
      { name: "deed", as: "select", title: t("audit.deed"), choices: DEEDS.map((value) => ({ value, label: word(`deed.${value}`, value) })) },
      { name: "noun", as: "select", title: t("audit.noun"), choices: NOUNS.map((value) => ({ value, label: word(`noun.${value}`, value) })) },
      { name: "since", as: "date", title: t("audit.since") },
      { name: "until", as: "date", title: t("audit.until") },
    ],
    pins: [{ name: "actor", title: t("audit.actor") }, { name: "noun_id", title: t("audit.noun_id") }],
    columns: [
      { title: t("audit.deed"), head: true, cell: (item) => [word(`deed.${item.deed}`, item.deed), h("small", {}, ago(item.at))] },
      { title: t("audit.actor"), cell: (item) => [h("a", { class: "quiet", href: to("audit", { actor: item.actor }) }, item.actor_name ? name(item.actor_name) : word(`actor.${item.actor}`, item.actor)), h("small", {}, item.actor_name && item.actor, " ", item.address && h("code", {}, item.address))] },
      { title: t("audit.noun"), cell: thing },
      { title: t("audit.detail"), cell: (item) => [details(item.detail), h("small", {}, t("audit.request"), " ", h("code", {}, item.request_id))] },
    ],
    empty: () => empty(t("audit.empty"), t("audit.empty_text")),
  });
  takeAway(query);
  return listing(t("nav.audit"), t("audit.lead"), exports, entries);
}

function thing({ noun, noun_id: id, deed }) {
  const [view, own] = VIEWS[noun] ?? [];
  const gone = deed === "deleted" || id === "0";
  return [h("a", { class: "quiet", href: to("audit", { noun, noun_id: id }) }, word(`noun.${noun}`, noun)), id !== "0" && [" ", view && own && !gone ? h("a", { href: to(view, id) }, plain(id)) : plain(id)]];
}

function details(detail) {
  const pairs = Object.entries(detail ?? {}).filter(([, value]) => value !== null);
  return pairs.length > 0 && h("span", { class: "badges" }, pairs.map(([key, value]) => h("code", { class: "badge wrap" }, `${key}: ${plain(typeof value === "object" ? JSON.stringify(value) : value)}`)));
}
