// Providers: the catalogue that came along, and the operator's own before it.

import { call } from "../lib/api.js";
import { confirm } from "../lib/dialog.js";
import { h, name, plain } from "../lib/dom.js";
import { form } from "../lib/form.js";
import { t } from "../lib/i18n.js";
import { list, whole } from "../lib/list.js";
import { badge, block, card, codes, copyable, empty, facts, head, icon, outside, say } from "../lib/parts.js";
import { go, to } from "../lib/router.js";
import { mayWrite } from "../lib/session.js";
import { rotates } from "../lib/state.js";
import { about } from "./variables.js";

const PATH = "/api/providers";

export function view({ rest, query }) {
  const [slug, what] = rest;
  if (slug === "new") return make(query);
  if (slug !== undefined && what === "edit") return edit(slug);
  if (slug !== undefined) return one(slug);
  return all(query);
}

/** What is sought in the catalogue: it is here whole, and nobody else is asked. */
function fits(provider, { q, origin, category }) {
  if (origin && provider.origin !== origin) return false;
  if (category && !(provider.categories ?? []).includes(category)) return false;
  const words = (q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const text = [provider.slug, provider.name, ...(provider.hosts ?? []), ...(provider.categories ?? [])].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

async function all(query) {
  const known = await call("GET", PATH);
  const categories = [...new Set(known.flatMap((one) => one.categories ?? []))].sort();
  const add = () => mayWrite() && [
    h("a", { class: "button main", href: to("providers", "new") }, icon("plus"), t("providers.new")),
  ];
  const providers = list({
    route: "providers", query, title: t("nav.providers"), seek: t("providers.seek"), nouns: ["providers"],
    load: whole(PATH, fits),
    filters: [
      { name: "origin", title: t("providers.origin"), choices: ["built_in", "operator"].map((value) => ({ value, label: t(`providers.${value}`) })) },
      { name: "category", as: "select", title: t("providers.category"), choices: categories.map((value) => ({ value, label: value })) },
    ],
    columns: [
      { title: t("profiles.name"), head: true, cell: (item) => [h("a", { href: to("providers", item.slug) }, name(item.name)), h("small", {}, item.slug)] },
      { title: t("providers.category"), cell: (item) => plain(item.categories?.join(", ")) || "–" },
      { title: t("providers.abilities"), cell: abilities },
      { title: t("providers.origin"), cell: (item) => badge(t(`providers.${item.origin}`), item.origin === "operator" ? "good" : "") },
    ],
    empty: () => empty(t("providers.none"), t("providers.none_text"), add()),
  });
  return Object.assign(h("main", {}, head(t("nav.providers"), t("providers.lead"), add()), providers), {
    update: ({ rest, query }) => (rest.length === 0 ? providers.update(query) : false),
  });
}

/** What it can do beside the usual. */
function abilities(item) {
  const able = [["device_url", "device"], ["revoke_url", "revoke"], ["introspect_url", "introspect"], ["issuer", "issuer"]].filter(([field]) => item[field]).map(([, key]) => t(`providers.can_${key}`));
  if (item.rotates) able.push(t("providers.rotates"));
  return able.length > 0 ? h("span", { class: "badges" }, able.map((one) => badge(one))) : "–";
}

async function one(slug) {
  const path = `${PATH}/${encodeURIComponent(slug)}`;
  const first = await call("GET", path);
  return h("main", {}, block({ nouns: ["providers"], first, load: () => call("GET", path), draw: (now) => draw(now, path) }));
}

function draw(provider, path) {
  const own = provider.origin === "operator";
  const url = (value) => value && copyable(value);
  const { origin, ...definition } = provider;
  return [
    head(name(provider.name), [provider.slug, " · ", t(`providers.${origin}`)], mayWrite() && [
      h("a", { class: "button main", href: to("profiles", "new", { provider: provider.slug }) }, icon("plus"), t("providers.register")),
      h("a", { class: "button", href: to("providers", provider.slug, "edit") }, t(own ? "profiles.edit" : "providers.override")),
      own && h("button", { class: "danger", "data-delete": true, onclick: () => remove(provider, path) }, t("profiles.delete")),
    ], { href: to("providers"), label: t("nav.providers") }),
    h("div", { class: "columns-2" },
      h("div", { class: "stack" },
        card(t("providers.endpoints"), facts([
          [t("providers.authorize_url"), url(provider.authorize_url)],
          [t("providers.token_url"), url(provider.token_url)],
          [t("providers.refresh_url"), url(provider.refresh_url)],
          [t("providers.revoke_url"), url(provider.revoke_url)],
          [t("providers.device_url"), url(provider.device_url)],
          [t("providers.introspect_url"), url(provider.introspect_url)],
          [t("providers.issuer"), url(provider.issuer)],
          [t("providers.api"), url(provider.api?.base_url)],
        ])),
        Object.keys(provider.variables ?? {}).length > 0 && card(t("profiles.variables"), facts(Object.entries(provider.variables).map(([key, variable]) => [about(provider, key).title, [h("code", {}, `{${key}}`), " ", about(provider, key).help, variable.default !== undefined && h("small", {}, t("providers.default"), " ", h("code", {}, variable.default))]]))),
      ),
      h("div", { class: "stack" },
        card(t("audit.detail"), facts([
          [t("profiles.docs_title"), provider.docs && outside(provider.docs, t("profiles.docs"))],
          [t("providers.category"), plain(provider.categories?.join(", "))],
          [t("providers.client_auth"), h("code", {}, provider.client_auth)],
          [t("connections.scopes"), codes(provider.default_scopes)],
          [t("providers.unechoed"), codes(provider.unechoed_scopes)],
          [t("connections.token_refresh_token"), rotates(provider.rotates)],
          [t("refresh_scope.title"), t(`refresh_scope.${provider.refresh_scope ?? "none"}`)],
        ])),
        card(null, h("details", {}, h("summary", {}, t("providers.definition")), h("pre", { tabindex: "0" }, plain(JSON.stringify(definition, null, 2))))),
      )),
  ];
}

async function remove(provider, path) {
  const done = await confirm({
    title: [t("providers.delete_title"), " ", name(provider.name)], text: t("providers.delete_text"), label: t("profiles.delete"),
    act: () => confirmed((origins) => call("DELETE", origins.length > 0 ? `${path}?${new URLSearchParams(origins.map((origin) => ["confirm_origins", origin]))}` : path)),
  });
  if (done) { say(t("providers.deleted")); go(to("providers")); }
}

/**
 * Sends a change of a definition: `send(origins)` with the origins that were confirmed, none at first. Where secrets would go
 * to other origins it asks for a confirmation, and sends the change again.
 */
async function confirmed(send) {
  try {
    return await send([]);
  } catch (refusal) {
    const change = refusal.body;
    if (change?.error !== "origin_change_unconfirmed") throw refusal;
    let saved;
    const agreed = await confirm({
      title: t("providers.origins_title"), label: t("providers.origins_confirm"),
      text: t("providers.origins_text", { profiles: change.profiles, connections: change.connections }),
      depends: [...change.old_origins.map((origin) => t("providers.origins_old", { origin })), ...change.new_origins.map((origin) => t("providers.origins_new", { origin }))],
      act: async () => { saved = await send(change.new_origins); },
    });
    if (!agreed) throw refusal;
    return saved;
  }
}

/** Saves a definition, an object or JSON text. */
const save = (method, path, body) => confirmed((origins) => {
  if (origins.length === 0) return typeof body === "string" ? call(method, path, body, { type: "application/json" }) : call(method, path, body);
  return call(method, path, { ...(typeof body === "string" ? JSON.parse(body) : body), confirm_origins: origins });
});

/** A new one: by its issuer, which tells the rest; by hand; or as the JSON that it is kept as. */
function make(query) {
  const is = (...some) => (values) => some.includes(values.way);
  const hand = is("hand");
  const element = form({
    label: t("providers.add"), more: h("a", { class: "button", href: to("providers") }, t("dialog.cancel")),
    fields: [
      { name: "way", kind: "choice", label: t("providers.way"), value: ["issuer", "hand", "json"].includes(query.way) ? query.way : "issuer", choices: ["issuer", "hand", "json"].map((value) => ({ value, label: t(`providers.way_${value}`), hint: t(`providers.way_${value}_hint`) })) },
      { name: "name", label: t("profiles.name"), when: is("issuer", "hand") },
      { name: "slug", label: t("providers.slug"), mono: true, hint: t("providers.slug_hint"), when: is("issuer", "hand") },
      { name: "issuer", kind: "url", label: t("providers.issuer"), mono: true, hint: t("providers.issuer_hint"), when: is("issuer"), placeholder: "https://login.example.com" },
      { name: "authorize_url", kind: "url", label: t("providers.authorize_url"), mono: true, when: hand, placeholder: "https://example.com/oauth/authorize" },
      { name: "token_url", kind: "url", label: t("providers.token_url"), mono: true, when: hand, placeholder: "https://example.com/oauth/token" },
      { name: "revoke_url", kind: "url", required: false, label: t("providers.revoke_url"), mono: true, when: hand },
      { name: "device_url", kind: "url", required: false, label: t("providers.device_url"), mono: true, when: hand },
      { name: "client_auth", kind: "select", label: t("providers.client_auth"), value: "client_secret_basic", choices: ["client_secret_basic", "client_secret_post", "none"].map((value) => ({ value })), when: hand },
      { name: "scopes", path: "default_scopes", required: false, label: t("connections.scopes"), mono: true, hint: t("providers.scopes_hint"), when: is("issuer", "hand") },
      { name: "unechoed", path: "unechoed_scopes", required: false, label: t("providers.unechoed"), mono: true, hint: t("providers.unechoed_hint"), when: hand },
      { name: "rotates", kind: "select", required: false, label: t("connections.token_refresh_token"), hint: t("profiles.assumed_text"), choices: [["", undefined], ["true", true], ["false", false]].map(([value, it]) => ({ value, label: rotates(it) })), when: hand },
      { name: "refresh_scope", kind: "select", required: false, label: t("refresh_scope.title"), choices: ["none", "granted", "requested"].map((value) => ({ value, label: t(`refresh_scope.${value}`) })), when: hand },
      { name: "api", path: "api", kind: "url", required: false, label: t("providers.api"), mono: true, hint: t("providers.api_hint"), when: hand },
      { name: "docs", kind: "url", required: false, label: t("profiles.docs"), mono: true, when: hand },
      { name: "json", kind: "area", rows: 16, mono: true, label: t("providers.definition"), when: is("json"), path: "*" },
    ],
    submit: async (values) => {
      const saved = await save("POST", PATH, values.way === "json" ? values.json : definition(values));
      element.clean();
      say(t("providers.added"));
      go(to("providers", saved.slug));
    },
  });
  return h("main", {}, head(t("providers.new"), t("providers.new_lead"), [], { href: to("providers"), label: t("nav.providers") }), h("div", { class: "card" }, element));
}

/** What was filled in, as the API has it. */
function definition({ name, slug, ...rest }) {
  const made = { slug, name };
  for (const field of ["issuer", "authorize_url", "token_url", "revoke_url", "device_url", "client_auth", "docs"]) if (rest[field]) made[field] = rest[field].trim();
  for (const [field, text] of [["default_scopes", rest.scopes], ["unechoed_scopes", rest.unechoed]]) {
    const scopes = (text ?? "").split(/[\s,]+/).filter(Boolean);
    if (scopes.length > 0) made[field] = scopes;
  }
  if (rest.rotates) made.rotates = rest.rotates === "true";
  if (rest.refresh_scope && rest.refresh_scope !== "none") made.refresh_scope = rest.refresh_scope;
  if (rest.api) made.api = { base_url: rest.api.trim() };
  return made;
}

/** One of the operator's own is changed; one that came along is copied first, and the copy goes before it. */
async function edit(slug) {
  const path = `${PATH}/${encodeURIComponent(slug)}`;
  const { origin, ...definition } = await call("GET", path);
  const own = origin === "operator";
  const element = form({
    label: t("profiles.save"), more: h("a", { class: "button", href: to("providers", slug) }, t("dialog.cancel")),
    fields: [{ name: "json", kind: "area", rows: 24, mono: true, label: t("providers.definition"), hint: t("providers.definition_hint"), value: JSON.stringify(definition, null, 2), path: "*" }],
    submit: async ({ json }) => {
      const saved = await save(own ? "PUT" : "POST", own ? path : PATH, json);
      element.clean();
      say(t("profiles.saved"));
      go(to("providers", saved.slug));
    },
  });
  return h("main", {}, head([t(own ? "profiles.edit" : "providers.override"), " ", name(definition.name)], own ? null : t("providers.override_text"), [], { href: to("providers", slug), label: name(definition.name) }), h("div", { class: "card" }, element));
}

