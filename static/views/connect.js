// Connecting an account, step by step: through which profile, what for, in which way; then it waits until it is done.

import { at, call } from "../lib/api.js";
import { h, name, plain, swap } from "../lib/dom.js";
import { form } from "../lib/form.js";
import { t } from "../lib/i18n.js";
import { list, search } from "../lib/list.js";
import { watch } from "../lib/live.js";
import { ago, badge, card, copy, empty, faint, head, icon } from "../lib/parts.js";
import { to } from "../lib/router.js";
import { reason } from "../lib/state.js";
import { warnings } from "../lib/told.js";
import { variableFields, variablesOf } from "./variables.js";

const CONNECTION = "/api/connections";
/** How often it looks whether the account is there, in milliseconds: the stream of changes is faster, where there is one. */
const LOOK = 3000;

export async function view({ query }) {
  if (query.connection_id) return again(query);
  if (query.profile_id) return begin(await call("GET", `/api/custom_oauth_profiles/${encodeURIComponent(query.profile_id)}`), null);
  return choose(query);
}

/** The same account again, or another one for a connection that is there. */
async function again(query) {
  const known = await call("GET", `${CONNECTION}/${encodeURIComponent(query.connection_id)}`);
  const id = query.profile_id ?? known.custom_oauth_profile_id;
  if (!id) return choose(query);
  return begin(await call("GET", `/api/custom_oauth_profiles/${id}`), known);
}

function steps(at) {
  return h("ol", { class: "steps", "aria-label": t("connect.steps") }, ["profile", "settings", "account"].map((step, index) => h("li", { "aria-current": index === at ? "step" : null, class: index < at ? "done" : "" }, t(`connect.step_${step}`))));
}

/** First step: which profile. */
function choose(query) {
  const profiles = list({
    route: "connect", query, title: t("nav.profiles"), seek: t("profiles.seek"), nouns: ["profiles"], load: (sought) => search("/api/search/profiles")({ q: sought.q, after: sought.after }),
    pins: [],
    columns: [
      { title: t("profiles.name"), head: true, cell: (item) => [h("a", { href: to("connect", { profile_id: item.id, connection_id: query.connection_id }), "data-choose": item.id }, name(item.name)), h("small", {}, name(item.client_id))] },
      { title: t("profiles.provider"), cell: (item) => item.provider },
      { title: t("profiles.state"), cell: (item) => (item.rejected_at ? badge(t("profiles.rejected"), "bad") : badge(t("profiles.fine"), "good")) },
    ],
    empty: () => empty(t("profiles.empty"), t("profiles.empty_text"), h("a", { class: "button main", href: to("profiles", "new") }, icon("plus"), t("profiles.new"))),
  });
  return Object.assign(h("main", {}, head(t("connect.title"), t("connect.choose"), [], { href: to("connections"), label: t("nav.connections") }), steps(0), profiles), {
    update: ({ query }) => (query.profile_id || query.connection_id ? false : profiles.update(query)),
  });
}

/** Second step: what for, and in which way. `known`: the connection that there is. */
async function begin(profile, known) {
  const [provider, customers] = await Promise.all([
    call("GET", `/api/providers/${encodeURIComponent(profile.provider)}`).catch(() => ({ name: profile.provider })),
    known ? { items: [], total: 0 } : call("GET", at("/api/search/customers", { limit: 100 })).catch(() => ({ items: [], total: 0 })),
  ]);
  const ways = [
    provider.authorize_url !== undefined || !provider.token_url ? "link" : null,
    provider.device_url !== undefined ? "device" : null,
    "client_credentials", "import",
  ].filter(Boolean);
  const is = (...some) => (values) => some.includes(values.way);
  const asks = is("link", "device", "client_credentials");
  const element = form({
    label: t("connect.go"),
    more: h("a", { class: "button", href: known ? to("connections", known.id) : to("connect") }, t("dialog.cancel")),
    fields: [
      { name: "way", kind: "choice", label: t("connect.way"), value: ways[0], choices: ways.map((value) => ({ value, label: t(`connect.way_${value}`), hint: t(`connect.way_${value}_hint`) })) },
      known && provider.variables && faint(t("connect.variables_kept")),
      ...variableFields(provider, { known: known !== null }),
      { name: "scopes", kind: "area", rows: Math.min(Math.max(3, (known?.scopes ?? provider.default_scopes ?? []).length), 10), mono: true, required: false, label: t("connections.scopes"), hint: t("connect.scopes_hint"), value: (known?.scopes ?? provider.default_scopes ?? []).join("\n"), when: asks },
      { name: "refresh_token", kind: "secret", label: t("connections.token_refresh_token"), when: is("import") },
      { name: "access_token", kind: "secret", required: false, label: t("connections.token_access_token"), hint: t("connect.access_token_hint"), when: is("import") },
      { name: "expires_in", kind: "number", min: 0, required: false, label: t("connect.expires_in"), hint: t("connect.expires_in_hint"), when: is("import") },
      !known && { name: "name", label: t("profiles.name"), required: false, hint: t("connect.name_hint"), half: true },
      !known && { name: "owner", label: t("connections.owner"), required: false, hint: t("connect.owner_hint"), half: true },
      !known && { name: "external_id", label: t("connections.external_id"), required: false, hint: t("connections.external_id_hint"), half: true },
      !known && customers.items.length > 0 && (customers.total > customers.items.length
        ? { name: "customer", kind: "number", path: "customer_id", label: t("profiles.customer_id"), required: false, half: true }
        : { name: "customer", kind: "select", path: "customer_id", label: t("profiles.customer"), required: false, half: true, choices: [{ value: "", label: t("connect.no_customer") }, ...customers.items.map((one) => ({ value: String(one.id), label: plain(one.name) }))] }),
      known?.account && { name: "other_account", kind: "checkbox", label: t("connect.other_account"), hint: [t("connect.other_account_hint"), " ", name(known.account.label ?? known.account.id)] },
    ],
    submit: async (values) => {
      const variables = variablesOf(provider, values);
      const body = {
        custom_oauth_profile_id: profile.id, connection_id: known?.id, name: values.name || undefined, owner: values.owner || undefined,
        external_id: values.external_id || undefined, customer_id: values.customer ? Number(values.customer) : undefined,
        scopes: scopes(values.scopes, provider, known), other_account: values.other_account || undefined,
        variables: Object.keys(variables).length > 0 ? variables : undefined,
      };
      if (values.way === "import") Object.assign(body, { refresh_token: values.refresh_token, access_token: values.access_token || undefined, expires_in: values.expires_in ?? undefined, scopes: undefined });
      const answer = await call("POST", { link: "/api/connect", device: "/api/connect/device", client_credentials: "/api/connect/client_credentials", import: "/api/connections/import" }[values.way], body);
      element.clean();
      third(values.way, answer, known);
    },
  });
  const title = known ? [t("connect.again_title"), " ", name(known.name)] : t("connect.title");
  const line = [t("connect.through"), " ", h("a", { href: to("profiles", profile.id) }, name(profile.name)), " · ", name(provider.name), ...(known ? [] : [" · ", h("a", { href: to("connect") }, t("connect.other_profile"))])];
  const where = h("div", {}, h("div", { class: "card" }, element));
  const main = h("main", {}, head(title, line, [], known ? { href: to("connections", known.id), label: name(known.name) } : { href: to("connect"), label: t("connect.step_profile") }), h("div", {}, steps(1)), where);

  const third = (way, answer, known) => {
    swap(main.children[1], steps(2));
    swap(where, way === "link" || way === "device" ? waiting(way, answer, known) : connected(answer));
    where.querySelector("h2")?.focus();
  };
  return main;
}

/** Each scope on a line or between spaces; those that are asked for anyway need not be said. */
function scopes(text, provider, known) {
  if (text === undefined) return undefined;
  const given = text.split(/[\s,]+/).filter(Boolean);
  const usual = known?.scopes ?? provider.default_scopes ?? [];
  return given.length === 0 || given.join(" ") === usual.join(" ") ? undefined : given;
}

/** Third step: somebody says yes at the provider, here or elsewhere. It waits, and says which account it is. */
function waiting(way, answer, known) {
  const id = answer.connection_id;
  const state = h("p", { class: "waiting", role: "status" }, h("span", { class: "pulse", "aria-hidden": "true" }), t("connect.waiting"));
  const element = card(null,
    h("h2", { tabindex: "-1" }, t(`connect.${way}_title`)),
    warnings(answer.warnings),
    way === "link" ? link(answer) : device(answer),
    faint(t("connect.ends"), " ", ago(answer.expires_at)),
    state,
  );
  const box = h("div", {}, element);
  const before = known?.grant?.granted_at ?? null;
  let over = false;
  let looking = false;
  const end = (why, query = {}) => {
    over = true;
    swap(state, why, " ", h("a", { class: "button small", href: to("connect", query) }, t("connect.once_more")));
  };
  const look = async () => {
    if (over || looking || !box.isConnected) return;
    looking = true;
    try {
      // A session that is over is asked for by what somebody does, not every few seconds.
      const now = await call("GET", `${CONNECTION}/${id}`, undefined, { alone: true });
      if (now.grant && now.grant.granted_at !== before && now.authorization_status === "success") {
        over = true;
        swap(box, connected(now));
        box.querySelector("h2").focus();
      } else if (way === "device" && now.device?.status === "ended") end(t("connect.refused", { why: reason(now.device.result) }), { connection_id: id });
      else if (new Date(answer.expires_at) < Date.now()) end(t("connect.over"), { connection_id: id });
    } catch (error) {
      // A connection that nobody connected goes with its link or code. Whatever else it is: it looks again.
      if (error.status === 404) end(t("connect.over"));
    } finally {
      looking = false;
    }
  };
  watch(["connections"], box, look);
  const timer = setInterval(() => {
    // Before it was on the page it cannot have left it.
    if (over || (seen && !box.isConnected)) clearInterval(timer);
    seen ||= box.isConnected;
    look();
  }, LOOK);
  let seen = false;
  return box;
}

function link({ url }) {
  return [
    h("p", {}, t("connect.link_text")),
    h("div", { class: "actions" },
      h("a", { class: "button main", href: url, target: "_blank", rel: "noopener noreferrer", "data-open": true }, icon("open"), t("connect.open"), h("span", { class: "unseen" }, t("app.new_tab"))),
      copy(url, t("connect.link"))),
    h("p", {}, h("code", { class: "address" }, url)),
  ];
}

function device(answer) {
  return [
    h("p", {}, t("connect.device_text")),
    h("p", {}, h("a", { href: answer.verification_uri_complete ?? answer.verification_uri, target: "_blank", rel: "noopener noreferrer" }, answer.verification_uri, " ", icon("open"), h("span", { class: "unseen" }, t("app.new_tab")))),
    h("p", { class: "code" }, h("code", { "data-code": true }, answer.user_code), copy(answer.user_code, t("connect.code"))),
  ];
}

/** It is done. */
function connected(connection) {
  const account = connection.account ? connection.account.label ?? connection.account.id : null;
  return card(null,
    h("h2", { tabindex: "-1", "data-connected": true }, icon("check"), " ", t("connect.done")),
    h("p", {}, account ? [t("connect.done_account"), " ", h("strong", {}, name(account))] : t("connect.done_no_account")),
    warnings(connection.warnings),
    h("div", { class: "actions" },
      h("a", { class: "button main", href: to("connections", connection.id) }, t("connect.show")),
      h("a", { class: "button", href: to("connect") }, t("connect.another"))),
  );
}
