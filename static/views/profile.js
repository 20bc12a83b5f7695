// One profile: what to register at the provider, its secrets, whether they work, what hangs on it.

import { at, call, send } from "../lib/api.js";
import { ask, confirm } from "../lib/dialog.js";
import { h, name, plain, swap } from "../lib/dom.js";
import { sentence } from "../lib/form.js";
import { day, t } from "../lib/i18n.js";
import { action, ago, badge, block, card, copyable, facts, faint, head, icon, outside, say } from "../lib/parts.js";
import { go, to } from "../lib/router.js";
import { isAdmin, mayWrite } from "../lib/session.js";
import { reason, rotates, stateBadge } from "../lib/state.js";
import { checkResult } from "./check.js";
import { variableFields, variablesOf } from "./variables.js";

const PATH = "/api/custom_oauth_profiles";

export async function profile({ id }) {
  const path = `${PATH}/${encodeURIComponent(id)}`;
  const load = async () => {
    const [seen, registration] = await Promise.all([send("GET", path), call("GET", `${path}/registration`)]);
    return { profile: seen.body.result, etag: seen.etag, registration };
  };
  const first = await load();
  const provider = await call("GET", `/api/providers/${encodeURIComponent(first.profile.provider)}`).catch(() => null);
  const checked = h("div", { class: "checked", "aria-live": "polite" });
  return h("main", {}, block({
    nouns: ["profiles", "connections", "customers"], first, load,
    draw: (now, again) => draw({ ...now, path, provider, checked, again }),
  }));
}

function draw({ profile, etag, registration, path, provider, checked, again }) {
  const may = mayWrite();
  const link = provider ? h("a", { href: to("providers", profile.provider) }, name(provider.name)) : profile.provider;
  return [
    head(name(profile.name), [link, " · ", t("profiles.number", { id: String(profile.id) })], may && [
      action([icon("check"), t("profiles.check")], () => check({ path, provider, checked }), { "data-check": true, "data-key": "check" }),
      h("a", { class: "button", href: to("connect", { profile_id: profile.id }) }, icon("connections"), t("connect.title")),
      h("a", { class: "button", href: to("profiles", profile.id, "edit") }, t("profiles.edit")),
      h("button", { class: "danger", "data-delete": true, "data-key": "delete", onclick: () => remove({ profile, etag, path }) }, t("profiles.delete")),
    ], { href: to("profiles"), label: t("nav.profiles") }),
    registration.rejected && h("div", { class: "alert", role: "status" },
      h("h2", {}, t("profiles.rejected_title")),
      h("p", {}, t("profiles.rejected_text", { why: reason(registration.rejected.why) }), " · ", ago(registration.rejected.at)),
      h("p", {}, t("profiles.rejected_do"))),
    checked,
    h("div", { class: "columns-2" },
      h("div", { class: "stack" }, registered({ profile, registration, provider, path, may, again }), secrets({ registration, path, may, again }), refreshes({ profile, registration, path, may, again })),
      h("div", { class: "stack" }, connections(profile), customers({ profile, path, may, again }))),
  ];
}

/** What stands at the provider. */
function registered({ profile, registration, provider, path, may, again }) {
  return card(t("profiles.registration"),
    facts([
      [t("profiles.client_id"), copyable(profile.data.client_id, t("profiles.client_id"))],
      [t("profiles.redirect_uri"), [copyable(registration.redirect_uri, t("profiles.redirect_uri")), h("small", {}, t("profiles.redirect_uri_text"))]],
      registration.takes_token && [t("profiles.token"), registration.has_token ? badge(t("profiles.token_there"), "good") : badge(t("profiles.token_missing"), "warn")],
      registration.parameters?.length > 0 && [t("profiles.parameters"), registration.parameters.map((one) => one.name ?? one).join(", ")],
      provider?.docs && [t("profiles.docs_title"), outside(provider.docs, t("profiles.docs"))],
      [t("profiles.created"), ago(profile.created_at)],
      [t("profiles.updated"), ago(profile.updated_at)],
    ]),
    may && h("div", { class: "actions" }, h("button", { class: "small", "data-callback": true, "data-key": "callback", onclick: () => callback({ registration, path, again }) }, t("profiles.callback_change"))),
  );
}

/** What refreshes send, and what they do to refresh tokens. */
function refreshes({ profile, registration, path, may, again }) {
  const { rotation, refresh_scope: scope } = registration;
  return card(t("profiles.refreshes"),
    facts([
      [t("profiles.declared"), rotates(rotation.declared)],
      [t("profiles.observed"), rotation.observed ? [rotates(rotation.observed === "rotates"), " · ", ago(rotation.observed_at)] : t("connections.not_refreshed")],
      [t("profiles.assumed"), [rotates(rotation.assumed), h("small", {}, t("profiles.assumed_text"))]],
      [t("refresh_scope.title"), t(`refresh_scope.${scope ?? "default"}`)],
    ]),
    may && h("div", { class: "actions" },
      h("button", { class: "small", "data-refresh-scope": true, "data-key": "refresh-scope", onclick: async () => {
        const choices = ["default", "none", "granted", "requested"].map((value) => ({ value, label: t(`refresh_scope.${value}`) }));
        const done = await ask({
          title: t("refresh_scope.title"), lead: t("refresh_scope.text"), label: t("profiles.save"),
          fields: [{ name: "scope", path: "refresh_scope", kind: "choice", label: t("refresh_scope.title"), value: scope ?? "default", choices }],
          submit: (values) => call("PUT", `${path}/registration`, { refresh_scope: values.scope === "default" ? null : values.scope }),
        });
        if (done) { say(t("profiles.saved")); again(); }
      } }, t("refresh_scope.change")),
      isAdmin() && rotation.observed && h("button", { class: "small danger", "data-reset-rotation": true, "data-key": "reset-rotation", onclick: async () => {
        const done = await confirm({
          title: t("profiles.reset_title"), text: [t("profiles.reset_text"), t("profiles.reset_risk")], label: t("profiles.reset"),
          act: () => call("POST", `/api/v1/profiles/${profile.id}/reset-rotation`),
        });
        if (done) { say(t("profiles.reset_done")); again(); }
      } }, t("profiles.reset"))),
  );
}

async function callback({ registration, path, again }) {
  const done = await ask({
    title: t("profiles.callback_title"), lead: t("profiles.callback_text"), label: t("profiles.save"),
    fields: [{ name: "callback", kind: "choice", label: t("profiles.callback"), value: registration.callback, choices: ["oauth", "flow"].map((value) => ({ value, label: t(`profiles.callback_${value}`), hint: t(`profiles.callback_${value}_hint`) })) }],
    submit: (values) => call("PUT", `${path}/registration`, values),
  });
  if (done) { say(t("profiles.saved")); again(); }
}

/** Both secrets, never the secret itself. */
function secrets({ registration, path, may, again }) {
  const { secrets } = registration;
  const next = secrets.find((one) => one.kind === "next");
  const current = secrets.find((one) => one.kind === "current");
  const later = async (work, words) => { await work(); say(words); again(); };
  return card(t("profiles.secrets"),
    faint(t("profiles.secrets_text")),
    h("ul", { class: "plain-list" }, secrets.map((one) => h("li", {},
      h("h3", {}, t(`profiles.secret_${one.kind}`), " ", one.usable === false && badge(t("profiles.secret_unusable"), "bad")),
      facts([
        [t("profiles.secret_created"), ago(one.created_at)],
        [t("profiles.secret_used"), ago(one.last_used_at) ?? t("profiles.secret_never_used")],
        [t("profiles.secret_expires"), one.expires_at ? [day(one.expires_at), " (", ago(one.expires_at), ")"] : t("profiles.secret_no_expiry")],
      ])))),
    may && h("div", { class: "actions" },
      h("button", { class: "small", "data-next": true, "data-key": "next", onclick: () => setNext({ path, again, there: Boolean(next) }) }, t(next ? "profiles.next_replace" : "profiles.next_set")),
      next && h("button", { class: "small", "data-promote": true, "data-key": "promote", onclick: async () => {
        if (await confirm({ title: t("profiles.promote_title"), text: t("profiles.promote_text"), label: t("profiles.promote"), act: () => call("POST", `${path}/promote_secret`) })) { say(t("profiles.promoted")); again(); }
      } }, t("profiles.promote")),
      next && h("button", { class: "small danger", "data-next-remove": true, "data-key": "next-remove", onclick: async () => {
        if (await confirm({ title: t("profiles.next_remove_title"), text: t("profiles.next_remove_text"), label: t("profiles.next_remove"), act: () => call("PUT", `${path}/registration`, { next_client_secret: null }) })) { say(t("profiles.next_removed")); again(); }
      } }, t("profiles.next_remove")),
      h("button", { class: "small", "data-expiry": true, "data-key": "expiry", onclick: async () => {
        const done = await ask({
          title: t("profiles.expiry_title"), lead: t("profiles.expiry_text"), label: t("profiles.save"),
          fields: [
            { name: "current", kind: "date", required: false, path: "client_secret_expires_at", label: t("profiles.secret_current"), value: current?.expires_at?.slice(0, 10) },
            next && { name: "next", kind: "date", required: false, path: "next_client_secret_expires_at", label: t("profiles.secret_next"), value: next.expires_at?.slice(0, 10) },
          ],
          submit: (values) => call("PUT", `${path}/registration`, {
            client_secret_expires_at: instant(values.current), ...(next ? { next_client_secret_expires_at: instant(values.next) } : {}),
          }),
        });
        if (done) later(async () => {}, t("profiles.saved"));
      } }, t("profiles.expiry"))),
  );
}

/** The end of a day, as the API has times. */
function instant(day) {
  return day ? `${day}T23:59:59Z` : null;
}

async function setNext({ path, again, there }) {
  const done = await ask({
    title: t(there ? "profiles.next_replace" : "profiles.next_set"), lead: t("profiles.next_text"), label: t("profiles.next_keep"),
    fields: [
      { name: "secret", kind: "secret", path: "next_client_secret", label: t("profiles.secret_next") },
      { name: "expires", kind: "date", required: false, path: "next_client_secret_expires_at", label: t("profiles.secret_expires") },
    ],
    submit: (values) => call("PUT", `${path}/registration`, { next_client_secret: values.secret, ...(values.expires ? { next_client_secret_expires_at: instant(values.expires) } : {}) }),
  });
  if (done) { say(t("profiles.next_kept")); again(); }
}

/** Tries it at the provider; asks for the provider's variables where there are any. */
async function check({ path, provider, checked }) {
  const fields = variableFields(provider, { known: true });
  const run = async (variables) => {
    swap(checked, h("p", { class: "note" }, t("check.running")));
    try {
      swap(checked, checkResult(await call("POST", `${path}/check`, Object.keys(variables).length > 0 ? { variables } : undefined)));
    } catch (error) {
      swap(checked, h("p", { class: "alert", role: "alert" }, sentence(error)));
    }
    checked.scrollIntoView({ block: "nearest" });
  };
  if (fields.length === 0) return run({});
  let given = null;
  await ask({ title: t("check.title"), lead: t("check.variables"), label: t("profiles.check"), fields, submit: async (values) => { given = variablesOf(provider, values); } });
  return given && run(given);
}

function connections(profile) {
  return card(t("nav.connections"), block({
    nouns: ["connections"], lines: 3,
    load: () => call("GET", at("/api/search/connections", { profile_id: profile.id, limit: 5 })),
    draw: ({ items, total }) => (items.length === 0
      ? faint(t("profiles.no_connections"), " ", mayWrite() && h("a", { href: to("connect", { profile_id: profile.id }) }, t("connect.title")))
      : [h("ul", { class: "plain-list" }, items.map((item) => h("li", { class: "between" }, h("span", {}, h("a", { href: to("connections", item.id) }, name(item.name)), item.owner && h("small", {}, name(item.owner))), stateBadge(item)))),
        h("p", {}, h("a", { href: to("connections", { profile_id: profile.id }) }, t("profiles.all_connections", { n: total ?? items.length })))]),
  }));
}

function customers({ profile, path, may, again }) {
  return card(t("nav.customers"),
    faint(profile.oem_customers_count === 0 ? t("profiles.no_customers") : t("profiles.customers_text", { n: profile.oem_customers_count })),
    block({
      nouns: ["customers", "profiles"], lines: 2,
      load: async () => (profile.oem_customers_count === 0 ? [] : (await call("GET", at("/api/search/customers", { limit: 200 }))).items.filter((one) => one.profiles.some(({ id }) => id === profile.id))),
      draw: (items) => h("ul", { class: "plain-list" }, items.map((customer) => h("li", { class: "between" }, name(customer.name),
        may && h("button", { class: "small", "data-unassign": customer.id, onclick: () => unassign({ customer, profile, again }) }, t("profiles.unassign"))))),
    }),
    may && h("div", { class: "actions" }, h("button", { class: "small", "data-assign": true, "data-key": "assign", onclick: () => assign({ profile, again }) }, t("profiles.assign"))),
  );
}

async function assign({ profile, again }) {
  const { items, total } = await call("GET", at("/api/search/customers", { limit: 100 }));
  const done = await ask({
    title: t("profiles.assign_title"), lead: items.length === 0 ? t("profiles.assign_none") : t("profiles.assign_text"), label: t("profiles.assign"),
    fields: [total > items.length
      ? { name: "customer", label: t("profiles.customer_id"), hint: t("profiles.customer_id_hint") }
      : { name: "customer", kind: "select", label: t("profiles.customer"), choices: [{ value: "", label: t("profiles.choose") }, ...items.map((one) => ({ value: String(one.id), label: plain(one.name) }))] }],
    submit: ({ customer }) => call("POST", `/api/managed_users/${encodeURIComponent(customer)}/custom_oauth_profiles/${profile.id}/assign`),
  });
  if (done) { say(t("profiles.assigned")); again(); }
}

async function unassign({ customer, profile, again }) {
  const path = `/api/managed_users/${customer.id}/custom_oauth_profiles/${profile.id}/unassign`;
  const done = await confirm({
    title: t("profiles.unassign_title"), text: [t("profiles.unassign_text", { customer: plain(customer.name), profile: plain(profile.name) })],
    label: t("profiles.unassign"), act: () => call("DELETE", `${path}?force=true`),
  });
  if (done) { say(t("profiles.unassigned")); again(); }
}

async function remove({ profile, etag, path }) {
  const used = [
    profile.shared_accounts_count > 0 && h("a", { href: to("connections", { profile_id: profile.id }) }, t("profiles.uses_connections", { n: profile.shared_accounts_count })),
    profile.oem_customers_count > 0 && t("profiles.uses_customers", { n: profile.oem_customers_count }),
  ].filter(Boolean);
  const done = await confirm({
    title: [t("profiles.delete_title"), " ", name(profile.name)],
    text: used.length > 0 ? t("profiles.delete_used") : t("profiles.delete_text"),
    depends: used, label: t("profiles.delete"), act: used.length > 0 ? null : () => call("DELETE", path, undefined, { ifMatch: etag }),
  });
  if (done) { say(t("profiles.deleted")); go(to("profiles")); }
}
