// Connections: accounts, whether they work, and what is wrong where they do not.

import { h, name } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { list, search } from "../lib/list.js";
import { ago, empty, head, icon } from "../lib/parts.js";
import { to } from "../lib/router.js";
import { mayWrite } from "../lib/session.js";
import { STATES, reason, stateBadge, stateOf } from "../lib/state.js";
import { connection } from "./connection.js";

export function view({ rest, query }) {
  if (rest[0] !== undefined) return connection({ id: rest[0] });
  const connect = () => mayWrite() && h("a", { class: "button main", href: to("connect") }, icon("plus"), t("connect.title"));
  const connections = list({
    route: "connections", query, title: t("nav.connections"), seek: t("connections.seek"), nouns: ["connections", "profiles"],
    load: search("/api/search/connections"),
    filters: [{ name: "state", title: t("profiles.state"), choices: STATES.map((value) => ({ value, label: t(`state.${value}`) })) }],
    pins: ["provider", "profile_id", "customer_id", "owner"].map((pin) => ({ name: pin, title: t(`connections.${pin}`) })),
    columns: [
      { title: t("profiles.name"), head: true, cell: (item) => [h("a", { href: to("connections", item.id) }, name(item.name)), item.owner && h("small", {}, name(item.owner))] },
      { title: t("connections.account"), cell: (item) => (item.account ? name(item.account.label ?? item.account.id) : "–") },
      { title: t("connections.profile_id"), cell: (item) => [item.profile_name ? h("a", { href: to("profiles", item.custom_oauth_profile_id), class: "quiet" }, name(item.profile_name)) : "–", h("small", {}, item.provider)] },
      { title: t("profiles.state"), cell: (item) => [stateBadge(item), why(item)] },
      { title: t("connections.last_refresh"), kind: "time", cell: (item) => ago(item.last_refresh?.at) ?? "–" },
      { title: t("connections.next_refresh"), kind: "time", cell: (item) => ago(item.next_refresh_at) ?? "–" },
    ],
    empty: () => empty(t("connections.empty"), t("connections.empty_text"), connect()),
  });
  return Object.assign(h("main", {}, head(t("nav.connections"), t("connections.lead"), connect()), connections), {
    update: ({ rest, query }) => (rest.length === 0 ? connections.update(query) : false),
  });
}

/** Why, in a few words, where something is wrong. */
function why(item) {
  const state = stateOf(item);
  // The code where there is one: the sentence stands where the connection is at home.
  const code = state === "lost" ? item.last_refresh?.result ?? item.connection_lost_reason
    : state !== "ok" && state !== "never" && item.last_refresh?.ok === false ? item.last_refresh.result : null;
  return code ? h("small", {}, reason(code)) : null;
}

