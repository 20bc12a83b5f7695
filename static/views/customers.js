// Customers: for whom accounts are connected, and which profiles are theirs.

import { at, call, send } from "../lib/api.js";
import { ask, confirm } from "../lib/dialog.js";
import { h, name, plain } from "../lib/dom.js";
import { number, t } from "../lib/i18n.js";
import { list, listing, search } from "../lib/list.js";
import { ago, block, card, empty, facts, faint, head, icon, say } from "../lib/parts.js";
import { go, to } from "../lib/router.js";
import { mayWrite } from "../lib/session.js";
import { stateBadge } from "../lib/state.js";

const PATH = "/api/managed_users";

export function view({ rest, query }) {
  if (rest[0] !== undefined) return one(rest[0], Math.max(1, Number.parseInt(query.page, 10) || 1));
  return all(query);
}

function all(query) {
  const create = () => mayWrite() && h("button", { class: "main", "data-new": true, onclick: () => edit({}) }, icon("plus"), t("customers.new"));
  const customers = list({
    route: "customers", query, title: t("nav.customers"), seek: t("customers.seek"), nouns: ["customers", "profiles", "connections"],
    load: search("/api/search/customers"),
    columns: [
      { title: t("profiles.name"), head: true, cell: (item) => [h("a", { href: to("customers", item.id) }, name(item.name)), item.external_id && h("small", {}, name(item.external_id))] },
      { title: t("customers.email"), cell: (item) => name(item.notification_email) },
      { title: t("nav.profiles"), cell: (item) => (item.profiles.length === 0 ? "–" : item.profiles.slice(0, 3).map((one, at) => [at > 0 && ", ", h("a", { class: "quiet", href: to("profiles", one.id) }, name(one.name))]).concat(item.profiles.length > 3 ? [" …"] : [])) },
      { title: t("nav.connections"), kind: "number", cell: (item) => (item.connections > 0 ? h("a", { href: to("connections", { customer_id: item.id }), class: "quiet" }, number(item.connections)) : number(0)) },
      { title: t("profiles.created"), kind: "time", cell: (item) => ago(item.created_at) },
    ],
    empty: () => empty(t("customers.empty"), t("customers.empty_text"), create()),
  });
  return listing(t("nav.customers"), t("customers.lead"), create(), customers);
}

async function edit({ customer, etag, again }) {
  const done = await ask({
    title: customer ? [t("profiles.edit"), ": ", name(customer.name)] : t("customers.new"), label: t(customer ? "profiles.save" : "app.create"),
    fields: [
      { name: "name", label: t("profiles.name"), value: customer?.name },
      { name: "email", path: "notification_email", kind: "email", label: t("customers.email"), value: customer?.notification_email, hint: t("customers.email_hint") },
      { name: "external", path: "external_id", label: t("connections.external_id"), hint: t("connections.external_id_hint"), required: false, value: customer?.external_id ?? "" },
    ],
    explain: (error) => (error.status === 412 ? t("customers.overtaken") : null),
    submit: ({ name, email, external }) => {
      const body = { name, notification_email: email, external_id: external || (customer ? null : undefined) };
      return customer ? call("PUT", `${PATH}/${customer.id}`, body, { ifMatch: etag }) : call("POST", PATH, body);
    },
  });
  if (!done) return again?.();
  say(t("profiles.saved"));
  if (customer) again();
  else go(to("customers", done.id));
}

/** How many of a customer's profiles are shown at a time. */
const PROFILES = 20;

async function one(id, page) {
  const path = `${PATH}/${encodeURIComponent(id)}`;
  const load = async () => {
    const { body: customer, etag } = await send("GET", path);
    const { result: profiles, count } = (await send("GET", at(`${path}/custom_oauth_profiles`, { page, per_page: PROFILES }))).body;
    return { customer, etag, profiles, count };
  };
  const first = await load();
  return h("main", {}, block({ nouns: ["customers", "profiles"], first, load, draw: (now, again) => draw({ ...now, page, again }) }));
}

/** The other pages of a customer's profiles. */
function pages({ customer, page, count }) {
  const last = Math.max(1, Math.ceil(count / PROFILES));
  if (last === 1 && page === 1) return null;
  const link = (number, label, more) => h("a", { class: "button small", href: to("customers", customer.id, { page: number > 1 ? number : "" }), ...more }, t(label));
  return h("nav", { class: "pages", "aria-label": t("list.pages") },
    page > 1 ? link(page > last ? 1 : page - 1, page > last ? "app.to_first" : "list.previous", { "data-previous": true }) : h("span", {}),
    h("span", { class: "faint" }, t("list.total", { n: count })),
    page < last ? link(page + 1, "list.next", { "data-next": true }) : h("span", {}));
}

function draw({ customer, etag, profiles, count, page, again }) {
  const may = mayWrite();
  const path = `${PATH}/${customer.id}`;
  return [
    head(name(customer.name), t("profiles.number", { id: String(customer.id) }), may && [
      h("button", { "data-edit": true, "data-key": "edit", onclick: () => edit({ customer, etag, again }) }, t("profiles.edit")),
      h("button", { class: "danger", "data-delete": true, "data-key": "delete", onclick: () => remove({ customer, etag, profiles, count, path }) }, t("profiles.delete")),
    ], { href: to("customers"), label: t("nav.customers") }),
    h("div", { class: "columns-2" },
      h("div", { class: "stack" },
        card(t("audit.detail"), facts([
          [t("customers.email"), name(customer.notification_email)],
          [t("connections.external_id"), customer.external_id && name(customer.external_id)],
          [t("profiles.created"), ago(customer.created_at)],
          [t("profiles.updated"), ago(customer.updated_at)],
        ])),
        card(t("nav.profiles"), faint(t(count === 0 ? "customers.no_profiles" : profiles.length === 0 ? "list.beyond" : "customers.profiles_text")),
          profiles.length > 0 && h("ul", { class: "plain-list" }, profiles.map((profile) => h("li", { class: "between" },
            h("span", {}, h("a", { href: to("profiles", profile.id) }, name(profile.name)), h("small", {}, profile.provider)),
            may && h("button", { class: "small", "data-unassign": profile.id, "data-key": `unassign-${profile.id}`, "aria-label": `${t("profiles.unassign")}: ${plain(profile.name)}`, onclick: () => unassign({ customer, profile, path, again }) }, t("profiles.unassign"))))),
          pages({ customer, page, count }),
          may && h("div", { class: "actions" }, h("button", { class: "small", "data-assign": true, "data-key": "assign", onclick: () => assign({ customer, path, again }) }, t("customers.assign"))))),
      h("div", { class: "stack" }, card(t("nav.connections"), block({
        nouns: ["connections"], lines: 3,
        load: () => call("GET", at("/api/search/connections", { customer_id: customer.id, limit: 10 })),
        draw: ({ items, total }) => (items.length === 0 ? faint(t("connections.empty")) : [
          h("ul", { class: "plain-list" }, items.map((item) => h("li", { class: "between" }, h("span", {}, h("a", { href: to("connections", item.id) }, name(item.name)), h("small", {}, item.provider)), stateBadge(item)))),
          h("p", {}, h("a", { href: to("connections", { customer_id: customer.id }) }, t("profiles.all_connections", { n: total ?? items.length })))]),
      })))),
  ];
}

async function assign({ customer, path, again }) {
  const { items, total } = await call("GET", at("/api/search/profiles", { limit: 200 }));
  const done = await ask({
    title: [t("customers.assign"), ": ", name(customer.name)], lead: t(items.length === 0 ? "profiles.empty" : "profiles.assign_text"), label: t("customers.assign"),
    fields: [total > items.length
      ? { name: "profile", kind: "number", min: 1, label: t("customers.profile_id") }
      : { name: "profile", kind: "select", label: t("connections.profile_id"), choices: [{ value: "", label: t("profiles.choose") }, ...items.map((one) => ({ value: String(one.id), label: `${plain(one.name)} (${one.provider})` }))] }],
    submit: ({ profile }) => call("POST", `${path}/custom_oauth_profiles/${encodeURIComponent(profile)}/assign`),
  });
  if (done) { say(t("profiles.assigned")); again(); }
}

async function unassign({ customer, profile, path, again }) {
  // Whether connections use it decides whether it has to be forced: who presses the button has read how many.
  const { total } = await call("GET", at("/api/search/connections", { customer_id: customer.id, profile_id: profile.id, limit: 1 }));
  const done = await confirm({
    title: t("profiles.unassign_title"), text: t("profiles.unassign_text", { customer: plain(customer.name), profile: plain(profile.name) }),
    depends: total > 0 ? [h("a", { href: to("connections", { customer_id: customer.id, profile_id: profile.id }) }, t("profiles.uses_connections", { n: total }))] : [],
    label: t("profiles.unassign"), act: () => call("DELETE", at(`${path}/custom_oauth_profiles/${profile.id}/unassign`, { force: total > 0 ? "true" : "" })),
  });
  if (done) { say(t("profiles.unassigned")); again(); }
}

async function remove({ customer, etag, profiles, count, path }) {
  const { total } = await call("GET", at("/api/search/connections", { customer_id: customer.id, limit: 1 }));
  const done = await confirm({
    title: [t("profiles.delete"), ": ", name(customer.name)],
    text: t(total > 0 ? "profiles.delete_used" : "customers.delete_text"),
    depends: total > 0
      ? [h("a", { href: to("connections", { customer_id: customer.id }) }, t("profiles.uses_connections", { n: total }))]
      : [profiles.map((one) => [t("connections.profile_id"), ": ", name(one.name)]), count > profiles.length ? [[t("list.total", { n: count })]] : []].flat(),
    label: t("profiles.delete"), act: total > 0 ? null : () => call("DELETE", path, undefined, { ifMatch: etag }),
  });
  if (done) { say(t("app.deleted")); go(to("customers")); }
}
