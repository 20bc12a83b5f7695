// API tokens: credentials for programs and scripts. Each is shown once, when it is made.

import { call } from "../lib/api.js";
import { confirm, showOnce } from "../lib/dialog.js";
import { h, name, plain } from "../lib/dom.js";
import { form } from "../lib/form.js";
import { day, t } from "../lib/i18n.js";
import { list, listing } from "../lib/list.js";
import { ago, badge, empty, head, icon, say } from "../lib/parts.js";
import { go, to } from "../lib/router.js";
import { reachFields, reachOf, reachText, scopeBadges, scopeField } from "./reach.js";

const PATH = "/api/api_tokens";
const DAYS = ["30", "90", "365", "0"];
/** A token that ends within so many milliseconds ends soon. */
const SOON = 30 * 86_400_000;

export function view({ rest, query }) {
  if (rest[0] === "new") return make();
  return all(query);
}

function all(query) {
  const create = () => h("a", { class: "button main", href: to("tokens", "new") }, icon("plus"), t("tokens.new"));
  const tokens = list({
    route: "tokens", query, title: t("nav.tokens"), seek: t("tokens.seek"), nouns: ["api_tokens", "users"],
    load: async ({ q }) => {
      const [found, users] = await Promise.all([call("GET", PATH), call("GET", "/api/users")]);
      const words = (q ?? "").toLowerCase();
      const items = found.map((one) => ({ ...one, user: users.find((user) => user.id === one.user_id)?.name ?? null }))
        .filter((one) => [one.name, one.user ?? "", one.owner ?? "", ...one.scopes].join(" ").toLowerCase().includes(words));
      return { items, next: null, total: items.length };
    },
    columns: [
      { title: t("profiles.name"), head: true, cell: (item) => [name(item.name), item.user && h("small", {}, name(item.user))] },
      { title: t("connections.scopes"), cell: (item) => scopeBadges(item.scopes) },
      { title: t("tokens.limits"), cell: (item) => [reachText(item), item.addresses.length > 0 && h("small", {}, item.addresses.map((one) => [h("code", {}, one), " "]))] },
      { title: t("profiles.secret_expires"), kind: "time", cell: expiry },
      { title: t("profiles.secret_used"), kind: "time", cell: (item) => ago(item.last_used_at) ?? t("profiles.secret_never_used") },
      { title: t("tokens.doing"), kind: "actions", cell: (item) => h("button", { class: "small danger", "data-revoke": item.id, "data-key": `revoke-${item.id}`, "aria-label": `${t("tokens.revoke")}: ${plain(item.name)}`, onclick: () => revoke(item, tokens) }, t("tokens.revoke")) },
    ],
    empty: () => empty(t("tokens.empty"), t("tokens.empty_text"), create()),
  });
  return listing(t("nav.tokens"), t("tokens.lead"), create(), tokens);
}

function expiry({ expires_at: at }) {
  if (!at) return t("tokens.for_ever");
  const left = new Date(at) - Date.now();
  return left <= 0 ? badge(t("tokens.expired"), "bad") : [ago(at), left < SOON && [" ", badge(t("tokens.soon"), "warn")]];
}

async function revoke(token, tokens) {
  const done = await confirm({
    title: [t("tokens.revoke"), ": ", name(token.name)],
    text: [t("tokens.revoke_text"), [t("profiles.secret_used"), ": ", ago(token.last_used_at) ?? t("profiles.secret_never_used")]],
    label: t("tokens.revoke"), act: () => call("DELETE", `${PATH}/${token.id}`),
  });
  if (done) { say(t("tokens.revoked")); tokens.again(); }
}

function make() {
  const element = form({
    label: t("app.create"), more: h("a", { class: "button", href: to("tokens") }, t("dialog.cancel")),
    fields: [
      { name: "name", label: t("profiles.name"), },
      scopeField([]),
      { name: "days", path: "expiry", kind: "select", label: t("tokens.days"), value: "90", choices: [...DAYS.map((value) => ({ value, label: value === "0" ? t("tokens.for_ever") : t("tokens.in_days", { n: Number(value) }) })), { value: "other", label: t("tokens.other_days") }] },
      { name: "other", path: "days", kind: "number", min: 1, max: 3650, label: t("tokens.other_label"), when: ({ days }) => days === "other" },
      { name: "addresses", kind: "area", rows: 2, mono: true, required: false, label: t("tokens.addresses"), hint: t("tokens.addresses_hint"), placeholder: "10.1.0.0/16" },
      ...reachFields(),
    ],
    submit: async (values) => {
      const addresses = values.addresses.split(/[\s,]+/).filter(Boolean);
      const { token, ...made } = await call("POST", PATH, {
        name: values.name, scopes: values.scopes, days: values.days === "other" ? values.other : Number(values.days),
        ...(addresses.length > 0 ? { addresses } : {}), ...reachOf(values),
      });
      element.clean();
      await showOnce({
        title: [t("tokens.token"), ": ", name(made.name)],
        text: [t("dialog.once"), " ", t("profiles.secret_expires"), ": ", made.expires_at ? day(made.expires_at) : t("tokens.for_ever")],
        values: [{ label: t("tokens.token"), value: token }],
      });
      go(to("tokens"));
    },
  });
  return h("main", {}, head(t("tokens.new"), t("tokens.new_lead"), [], { href: to("tokens"), label: t("nav.tokens") }), h("div", { class: "card" }, element));
}
