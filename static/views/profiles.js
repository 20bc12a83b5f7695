// Profiles: the apps that were registered at providers.

import { h, name } from "../lib/dom.js";
import { number, t } from "../lib/i18n.js";
import { list, search } from "../lib/list.js";
import { ago, empty, head } from "../lib/parts.js";

export function view({ query }) {
  const all = list({
    route: "profiles", query, title: t("profiles.title"), seek: t("profiles.seek"), nouns: ["profile", "connection"],
    load: search("/api/search/profiles"),
    columns: [
      { title: t("profiles.name"), head: true, cell: (item) => name(item.name) },
      { title: t("profiles.provider"), cell: (item) => item.provider },
      { title: t("profiles.client_id"), kind: "mono", cell: (item) => name(item.client_id) },
      { title: t("profiles.connections"), kind: "number", cell: (item) => number(item.connections) },
      { title: t("profiles.updated"), kind: "time", cell: (item) => ago(item.updated_at) },
    ],
    empty: () => empty(t("profiles.empty"), t("profiles.empty_text")),
  });
  return Object.assign(h("main", {}, head(t("profiles.title"), t("profiles.lead")), all), {
    update: ({ query }) => all.update(query),
  });
}
