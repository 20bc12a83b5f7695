// The list of profiles, by ascending id: the newer ones are on the later pages.

import { call } from "../lib/api.js";
import { h, name } from "../lib/dom.js";
import { number, t, time } from "../lib/i18n.js";

const PATH = "/api/custom_oauth_profiles";
const SIZE = 25;

/** `page`: from 1; `again()`: fetch the list once more. */
export async function profiles({ page, again }) {
  const list = await call("GET", `${PATH}?page=${page}&per_page=${SIZE}`);
  // The list does not say how long it is: the item behind the page tells whether there is another page.
  const more = list.length === SIZE && (await call("GET", `${PATH}?page=${page * SIZE + 1}&per_page=1`)).length > 0;
  return h("main", {},
    h("div", { class: "head" },
      h("div", {}, h("h1", {}, t("profiles.title")), h("span", { class: "faint" }, t("profiles.lead"))),
      h("button", { type: "button", "data-again": true, onclick: again }, t("profiles.refresh")),
    ),
    list.length > 0 ? table(list) : page > 1 ? beyond(page) : empty(),
    (page > 1 || more) && list.length > 0 && pages(page, more),
  );
}

function table(list) {
  const columns = [
    ["id", "number", (item) => String(item.id)],
    ["name", "", (item) => name(item.name)],
    ["provider", "provider", (item) => item.provider],
    ["client_id", "client-id", (item) => h("code", {}, name(item.data.client_id))],
    ["connections", "number", (item) => number(item.shared_accounts_count)],
    ["customers", "number", (item) => number(item.oem_customers_count)],
    ["updated", "time", (item) => h("time", { datetime: item.updated_at }, time(item.updated_at))],
  ];
  const cell = (item, [key, kind, content]) => {
    const title = t(`profiles.${key}`);
    if (key === "name") return h("th", { scope: "row" }, content(item));
    return h("td", { class: kind, "data-title": title }, h("span", {}, content(item)));
  };
  return h("div", { class: "card table" }, h("table", {},
    h("caption", {}, t("profiles.title")),
    h("thead", {}, h("tr", {}, columns.map(([key, kind]) => h("th", { scope: "col", class: kind }, t(`profiles.${key}`))))),
    h("tbody", {}, list.map((item) => h("tr", {}, columns.map((column) => cell(item, column))))),
  ));
}

function pages(page, more) {
  const link = (to, label) => h("a", { class: "button", href: `#/profiles?page=${to}` }, label);
  return h("nav", { class: "pages", "aria-label": t("profiles.pages") },
    page > 1 ? link(page - 1, t("profiles.older")) : h("span", {}),
    h("span", { class: "faint" }, t("profiles.page", { page: number(page) })),
    more ? link(page + 1, t("profiles.newer")) : h("span", {}),
  );
}

function beyond(page) {
  return h("div", { class: "card empty" },
    h("h2", {}, t("profiles.beyond", { page: number(page) })),
    h("p", {}, h("a", { href: "#/profiles" }, t("profiles.first_page"))),
  );
}

function empty() {
  const create = [
    `curl ${location.origin}${PATH} \\`,
    '  -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\',
    "  -d '{\"name\": \"My app\", \"provider\": \"hubspot\",",
    "       \"data\": {\"client_id\": \"…\", \"client_secret\": \"…\"}}'",
  ].join("\n");
  const command = (text) => h("pre", { tabindex: "0" }, h("code", {}, text));
  return h("div", { class: "card empty" },
    h("h2", {}, t("profiles.empty")),
    h("p", {}, t("profiles.empty_text")),
    h("ol", {},
      h("li", {}, t("profiles.empty_token"), command("TOKEN=$(grantry api-token create --name first-steps --scope profiles:write)")),
      h("li", {}, t("profiles.empty_create"), command(create)),
    ),
  );
}
