// Profiles: the apps that were registered at providers, each with its id, its secrets and what hangs on it.

import { h, name } from "../lib/dom.js";
import { number, t } from "../lib/i18n.js";
import { list, search } from "../lib/list.js";
import { ago, badge, empty, head, icon } from "../lib/parts.js";
import { to } from "../lib/router.js";
import { mayWrite } from "../lib/session.js";
import { profile } from "./profile.js";
import { profileForm } from "./profile_form.js";

export function view({ rest, query }) {
  const [id, what] = rest;
  if (id === "new") return profileForm({ query });
  if (id !== undefined && what === "edit") return profileForm({ id });
  if (id !== undefined) return profile({ id });
  return all(query);
}

function all(query) {
  const create = () => mayWrite() && h("a", { class: "button main", href: to("profiles", "new") }, icon("plus"), t("profiles.new"));
  const profiles = list({
    route: "profiles", query, title: t("nav.profiles"), seek: t("profiles.seek"), nouns: ["profiles", "connections"],
    load: search("/api/search/profiles"),
    filters: [{ name: "state", title: t("profiles.state"), choices: ["rejected", "expiring"].map((value) => ({ value, label: t(`profiles.state_${value}`) })) }],
    pins: [{ name: "provider", title: t("profiles.provider") }],
    columns: [
      { title: t("profiles.name"), head: true, cell: (item) => [h("a", { href: to("profiles", item.id) }, name(item.name)), h("small", {}, name(item.client_id))] },
      { title: t("profiles.provider"), cell: (item) => h("a", { href: to("providers", item.provider), class: "quiet" }, item.provider) },
      { title: t("profiles.state"), cell: state },
      { title: t("connections.owner"), cell: (item) => (item.owner ? name(item.owner) : "–") },
      { title: t("nav.connections"), kind: "number", cell: (item) => number(item.connections) },
      { title: t("nav.customers"), kind: "number", cell: (item) => number(item.customers) },
      { title: t("profiles.secret_age"), kind: "time", cell: (item) => ago(item.secret?.created_at) ?? "–" },
    ],
    empty: () => empty(t("profiles.empty"), t("profiles.empty_text"), create()),
  });
  return Object.assign(h("main", {}, head(t("nav.profiles"), t("profiles.lead"), create()), profiles), {
    update: ({ rest, query }) => (rest.length === 0 ? profiles.update(query) : false),
  });
}

/** What is to be known of a profile in a word or two. */
function state(item) {
  const soon = item.secret?.expires_at && new Date(item.secret.expires_at) - Date.now() < 30 * 86_400_000;
  return h("span", { class: "badges" },
    item.rejected_at ? badge(t("profiles.rejected"), "bad") : null,
    soon && badge(t("profiles.expires_soon"), "warn"),
    item.has_next && badge(t("profiles.has_next")),
    !item.rejected_at && !soon && !item.has_next && badge(t("profiles.fine"), "good"));
}
