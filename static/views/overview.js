// What needs attention first, and what to do about it; then how much there is, and how the last days went.

import { call } from "../lib/api.js";
import { bars } from "../lib/chart.js";
import { h, name } from "../lib/dom.js";
import { day, number, t } from "../lib/i18n.js";
import { ago, block, card, faint, head, icon } from "../lib/parts.js";
import { to } from "../lib/router.js";
import { mayWrite } from "../lib/session.js";
import { reason } from "../lib/state.js";
import { has } from "./index.js";

const NOUNS = ["connections", "profiles", "customers", "client_applications", "providers", "webhooks", "api_tokens", "users"];

export function view() {
  const actions = mayWrite() && [
    h("a", { class: "button", href: to("profiles", "new") }, icon("plus"), t("profiles.new")),
    h("a", { class: "button main", href: to("connect") }, icon("connections"), t("connect.title")),
  ];
  return h("main", {}, head(t("nav.overview"), t("overview.lead"), actions),
    block({ nouns: NOUNS, lines: 8, load: () => call("GET", "/api/overview"), draw }));
}

function draw(found) {
  const { counts } = found;
  return [
    counts.connections.total === 0 && begin(counts.profiles),
    attention(found.attention),
    h("ul", { class: "tiles", "aria-label": t("overview.counts") }, tiles(counts)),
    card(null, bars({
      title: t("overview.refreshes"), days: found.refreshes,
      series: [{ key: "ok", label: t("history.ok"), tone: "good" }, { key: "failed", label: t("overview.failed"), tone: "bad" }],
    })),
    found.last_backup_at && faint(t("overview.last_backup"), " ", ago(found.last_backup_at)),
  ];
}

/** The way of somebody who has connected nothing yet. */
function begin(profiles) {
  const link = (next, href, label) => mayWrite() && h("a", { class: next ? "button main" : "button", href }, label);
  const step = (title, text, link) => h("li", {}, h("strong", {}, title), h("p", {}, text), link);
  return h("section", { class: "card empty", "aria-label": t("overview.begin") },
    h("h2", {}, t("overview.begin")),
    h("ol", {},
      step(t("overview.begin_app"), t("overview.begin_app_text"), link(profiles === 0, to("profiles", "new"), t("profiles.new"))),
      step(t("overview.begin_check"), t("overview.begin_check_text"), profiles > 0 && link(false, to("profiles"), t("nav.profiles"))),
      step(t("overview.begin_connect"), t("overview.begin_connect_text"), profiles > 0 && link(true, to("connect"), t("connect.title"))),
    ),
  );
}

function tiles(counts) {
  const tile = (view, title, value, more) => {
    const inside = [h("strong", {}, number(value)), h("span", {}, title), more && h("small", {}, more)];
    return h("li", {}, has(view) ? h("a", { class: "tile", href: to(view) }, inside) : h("div", { class: "tile" }, inside));
  };
  const { total, lost, never } = counts.connections;
  const of = [lost > 0 && t("overview.lost", { n: lost }), never > 0 && t("overview.never", { n: never })].filter(Boolean).join(" · ");
  return [
    tile("connections", t("nav.connections"), total, of),
    tile("profiles", t("nav.profiles"), counts.profiles),
    tile("customers", t("nav.customers"), counts.customers),
    tile("applications", t("nav.applications"), counts.client_applications),
    tile("providers", t("nav.providers"), counts.providers),
    tile("tokens", t("nav.tokens"), counts.api_tokens),
    tile("webhooks", t("nav.webhooks"), counts.webhooks),
    tile("users", t("nav.users"), counts.users),
  ];
}

function attention(items) {
  if (items.length === 0) {
    return h("section", { class: "card calm", "aria-label": t("overview.attention") }, icon("check"), h("div", {}, h("h2", {}, t("overview.calm")), faint(t("overview.calm_text"))));
  }
  return card(t("overview.attention"), h("ul", { class: "plain-list attention" }, items.map((item) => {
    const [tone, title, text, links] = KINDS[item.kind]?.(item) ?? ["warn", item.kind, "", []];
    return h("li", { class: tone }, icon("alert"), h("div", {}, h("h3", {}, title), h("p", {}, text), links.some(Boolean) && h("div", { class: "actions" }, links)));
  })));
}

const button = (href, ...label) => h("a", { class: "button small", href }, label);
const examples = (item, more) => (item.examples ?? []).map((one) => [h("a", { href: to("connections", one.id) }, name(one.name)), one.owner ? [" (", name(one.owner), ")"] : "", more?.(one)])
  .flatMap((one, at) => (at === 0 ? [one] : [", ", one]));

const KINDS = {
  app_secret_rejected: (item) => ["bad",
    [t("overview.app"), " ", name(item.profile.name)],
    [t("overview.app_text", { n: item.connections, why: reason(item.why ?? "") }), " · ", ago(item.since)],
    [button(to("profiles", item.profile.id), t("overview.app_do"))]],
  needs_reauthorization: (item) => ["bad", t("overview.reauthorize", { n: item.count }), [t("overview.reauthorize_text"), " ", examples(item)],
    [button(to("connections", { state: "lost" }), t("overview.show_all"))]],
  uncertain: (item) => ["warn", t("overview.uncertain", { n: item.count }), [t("overview.uncertain_text"), " ", examples(item)],
    [button(to("connections", { state: "uncertain" }), t("overview.show_all"))]],
  expiring: (item) => ["warn", t(item.count_is_at_least ? "overview.expiring_more" : "overview.expiring", { n: item.count }), expiring(item.examples ?? []), []],
  deliveries_dead: (item) => ["warn", t("overview.deliveries", { n: item.count }), t("overview.deliveries_text"),
    item.webhooks.map((one) => has("webhooks") && button(to("webhooks", one.id), name(one.url), ` (${number(one.count)})`))],
  no_backup: () => ["warn", t("overview.no_backup"), t("overview.backup_text"), [has("settings") && button(to("settings"), t("settings.create"))]],
  backup_old: (item) => ["warn", [t("overview.backup_old"), " ", ago(item.last_at)], t("overview.backup_text"), [has("settings") && button(to("settings"), t("settings.create"))]],
};

/** What ends soon, each with its day. */
function expiring(items) {
  return h("ul", { class: "short" }, items.map((one) => {
    const [label, href] = one.profile ? [one.profile.name, to("profiles", one.profile.id)]
      : one.connection ? [one.connection.name, to("connections", one.connection.id)]
        : one.api_token ? [one.api_token.name, has("tokens") && to("tokens")] : ["", null];
    return h("li", {}, one.what && `${t(`expiring.${one.what}`)} `, href ? h("a", { href }, name(label)) : name(label), one.expires_at && [": ", h("time", { datetime: one.expires_at }, day(one.expires_at)), " (", ago(one.expires_at), ")"]);
  }));
}
