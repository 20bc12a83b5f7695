// Webhooks: addresses that want to hear of events, and how it went.

import { at, call } from "../lib/api.js";
import { confirm, showOnce } from "../lib/dialog.js";
import { h, name, swap } from "../lib/dom.js";
import { form, sentence } from "../lib/form.js";
import { number, t, word } from "../lib/i18n.js";
import { list, listing, whole } from "../lib/list.js";
import { action, ago, badge, block, card, copyable, empty, facts, head, icon, say } from "../lib/parts.js";
import { go, to } from "../lib/router.js";
import { reason } from "../lib/state.js";

const PATH = "/api/webhooks";
const EVENTS = ["connected", "needs_reauthorization", "app_secret_rejected", "healed", "disconnected", "warning"];
const STATUSES = ["dead", "waiting", "delivered"];
const TONES = { dead: "bad", waiting: "warn", delivered: "good" };
const PAGE = 20;

export async function view({ rest, query }) {
  const [id, what] = rest;
  if (id === "new") return edit();
  if (id !== undefined && what === "edit") return edit(await call("GET", `${PATH}/${encodeURIComponent(id)}`));
  if (id !== undefined) return one(id, query);
  return all(query);
}

function all(query) {
  const create = () => h("a", { class: "button main", href: to("webhooks", "new") }, icon("plus"), t("webhooks.new"));
  const webhooks = list({
    route: "webhooks", query, title: t("nav.webhooks"), nouns: ["webhooks"], load: whole(PATH),
    columns: [
      { title: t("webhooks.url"), head: true, cell: (item) => h("a", { href: to("webhooks", item.id) }, name(item.url)) },
      { title: t("webhooks.events"), cell: events },
      { title: t("profiles.state"), cell: (item) => state(item) },
      { title: t("webhooks.waiting"), kind: "number", cell: (item) => number(item.waiting) },
      { title: t("webhooks.dead"), kind: "number", cell: (item) => (item.dead > 0 ? h("a", { href: to("webhooks", item.id, { status: "dead" }) }, number(item.dead)) : number(0)) },
    ],
    empty: () => empty(t("webhooks.empty"), t("webhooks.empty_text"), create()),
  });
  return listing(t("nav.webhooks"), t("webhooks.lead"), create(), webhooks);
}

const event = (kind) => word(`history.${kind === "needs_reauthorization" ? "lost" : kind}`, kind);
const state = ({ enabled }) => badge(t(enabled ? "applications.enabled" : "applications.disabled"), enabled ? "good" : "");

function events({ events }) {
  return events.length === 0 || events.length === EVENTS.length ? t("list.all") : h("span", { class: "badges" }, events.map((kind) => badge(event(kind))));
}

function edit(known) {
  const back = known ? to("webhooks", known.id) : to("webhooks");
  const element = form({
    label: t(known ? "profiles.save" : "app.create"), more: h("a", { class: "button", href: back }, t("dialog.cancel")),
    fields: [
      { name: "url", kind: "url", label: t("webhooks.url"), mono: true, value: known?.url, placeholder: "https://hooks.example.com/grantry" },
      { name: "events", kind: "checks", required: false, label: t("webhooks.events"), hint: t("webhooks.events_hint"), value: known?.events ?? [], choices: EVENTS.map((value) => ({ value, label: event(value) })) },
      { name: "enabled", kind: "checkbox", label: t("webhooks.enable"), value: known?.enabled ?? true },
    ],
    submit: async (values) => {
      const { secret, id } = await (known ? call("PUT", `${PATH}/${known.id}`, values) : call("POST", PATH, values));
      element.clean();
      if (secret) await shown(secret);
      else say(t("profiles.saved"));
      go(to("webhooks", id));
    },
  });
  return h("main", {}, head(t(known ? "profiles.edit" : "webhooks.new"), known ? name(known.url) : t("webhooks.new_lead"), [], { href: back, label: t("nav.webhooks") }), h("div", { class: "card" }, element));
}

const shown = (secret) => showOnce({ title: t("webhooks.secret"), text: t("webhooks.secret_text"), values: [{ label: t("webhooks.secret"), value: secret }] });

async function one(id, query) {
  const path = `${PATH}/${encodeURIComponent(id)}`;
  const load = () => call("GET", path);
  const first = await load();
  const tried = h("div", { class: "checked", "aria-live": "polite" });
  const main = h("main", {}, block({ nouns: ["webhooks"], first, load, draw: (webhook, again) => draw({ webhook, path, tried, again }) }));
  const part = deliveries(path, id, query);
  main.append(part);
  return Object.assign(main, { update: ({ rest, query }) => (rest[0] === id && rest.length === 1 ? part.update(query) : false) });
}

function draw({ webhook, path, tried, again }) {
  const remove = async () => {
    const done = await confirm({
      title: [t("profiles.delete"), ": ", name(webhook.url)], text: t("webhooks.delete_text"),
      depends: [webhook.waiting > 0 && t("webhooks.uses_waiting", { n: webhook.waiting }), webhook.dead > 0 && t("webhooks.uses_dead", { n: webhook.dead })].filter(Boolean),
      label: t("profiles.delete"), act: () => call("DELETE", path),
    });
    if (done) { say(t("app.deleted")); go(to("webhooks")); }
  };
  const renew = async () => {
    let secret;
    await confirm({ title: t("webhooks.renew"), text: t("webhooks.renew_text"), label: t("webhooks.renew"), act: async () => { ({ secret } = await call("POST", `${path}/secret`)); } });
    if (secret) await shown(secret);
  };
  const test = async () => {
    swap(tried, h("p", { class: "note" }, t("webhooks.testing")));
    try {
      const { delivered, result, milliseconds } = await call("POST", `${path}/test`);
      swap(tried, h("p", { class: delivered ? "note" : "alert", "data-delivered": String(delivered) }, t(delivered ? "webhooks.test_ok" : "webhooks.test_failed", { result: reason(result), n: milliseconds })));
    } catch (error) {
      swap(tried, h("p", { class: "alert", role: "alert" }, sentence(error)));
    }
  };
  return [
    head(name(webhook.url), t("profiles.number", { id: String(webhook.id) }), [
      action(t("webhooks.test"), test, { "data-test": true, "data-key": "test" }),
      h("a", { class: "button", href: to("webhooks", webhook.id, "edit") }, t("profiles.edit")),
      h("button", { "data-renew": true, "data-key": "renew", onclick: renew }, t("webhooks.renew")),
      h("button", { class: "danger", "data-delete": true, "data-key": "delete", onclick: remove }, t("profiles.delete")),
    ], { href: to("webhooks"), label: t("nav.webhooks") }),
    tried,
    card(null, facts([
      [t("webhooks.url"), copyable(webhook.url, t("webhooks.url"))],
      [t("webhooks.events"), events(webhook)],
      [t("profiles.state"), state(webhook)],
      [t("webhooks.waiting"), number(webhook.waiting)],
      [t("webhooks.dead"), number(webhook.dead)],
      [t("profiles.updated"), ago(webhook.updated_at)],
    ])),
  ];
}

/** What was sent, and whether it came; what was given up can be sent again. */
function deliveries(path, id, query) {
  const part = list({
    route: ["webhooks", id], query, title: t("webhooks.deliveries"), nouns: ["webhooks", "events"],
    load: async ({ status, after }) => {
      const items = await call("GET", at(`${path}/deliveries`, { status, before: after, limit: PAGE + 1 }));
      const page = items.slice(0, PAGE);
      return { items: page, next: items.length > PAGE ? String(page.at(-1).id) : null };
    },
    filters: [{ name: "status", title: t("profiles.state"), choices: STATUSES.map((value) => ({ value, label: t(`delivery.${value}`) })) }],
    columns: [
      { title: t("webhooks.event"), head: true, cell: (item) => [event(item.type), h("small", {}, t("profiles.number", { id: String(item.event_id) }))] },
      { title: t("profiles.state"), cell: (item) => badge(t(`delivery.${item.status}`), TONES[item.status]) },
      { title: t("webhooks.tries"), kind: "number", cell: (item) => number(item.attempts) },
      { title: t("webhooks.result"), cell: (item) => (item.result ? reason(item.result) : "–") },
      { title: t("webhooks.when"), kind: "time", cell: (item) => (item.settled_at ? ago(item.settled_at) : item.next_at ? [t("webhooks.next"), " ", ago(item.next_at)] : "–") },
      { title: t("tokens.doing"), kind: "actions", cell: (item) => item.status !== "delivered" && action(t("webhooks.retry"), async () => { await call("POST", `${path}/deliveries/${item.id}/retry`); say(t("profiles.saved")); await part.again(); }, { class: "small", "data-retry": item.id, "data-key": `retry-${item.id}` }) },
    ],
    empty: () => empty(t("webhooks.no_deliveries"), t("webhooks.no_deliveries_text")),
  });
  const section = h("section", { class: "below-it", "aria-label": t("webhooks.deliveries") }, h("h2", {}, t("webhooks.deliveries")), part);
  return Object.assign(section, { update: part.update });
}
