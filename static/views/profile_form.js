// A profile is made or changed. What is changed is changed in the version that was seen: who was overtaken is told.

import { call, send } from "../lib/api.js";
import { h, name, swap } from "../lib/dom.js";
import { form } from "../lib/form.js";
import { t } from "../lib/i18n.js";
import { copyable, faint, head, outside, say } from "../lib/parts.js";
import { go, to } from "../lib/router.js";
import { about } from "./variables.js";

const PATH = "/api/custom_oauth_profiles";

/** `id`: of the profile that is changed; without one it is a new one, for `query.provider` where that is given. */
export async function profileForm({ id, query = {} }) {
  const [seen, providers, redirectUri] = await Promise.all([
    id === undefined ? null : send("GET", `${PATH}/${encodeURIComponent(id)}`),
    call("GET", "/api/providers"),
    redirect(id),
  ]);
  const known = seen?.body.result;
  let etag = seen?.etag;
  const bySlug = new Map(providers.map((one) => [one.slug, one]));
  const hints = h("aside", { class: "card hints", "aria-live": "polite" });
  const notice = h("div", {});

  const element = form({
    label: t(known ? "profiles.save" : "profiles.create"),
    more: h("a", { class: "button", href: known ? to("profiles", id) : to("profiles") }, t("dialog.cancel")),
    changed: (values) => hint(values.provider),
    fields: [
      { name: "provider", kind: "select", label: t("profiles.provider"), value: known?.provider ?? query.provider ?? "", choices: choices(providers, known?.provider ?? query.provider), hint: known && known.shared_accounts_count + known.oem_customers_count > 0 ? t("profiles.provider_fixed") : null },
      { name: "name", label: t("profiles.name"), value: known?.name, hint: t("profiles.name_hint") },
      { name: "client_id", path: "data.client_id", label: t("profiles.client_id"), value: known?.data.client_id, mono: true, hint: t("profiles.client_id_hint") },
      { name: "client_secret", path: "data.client_secret", kind: "secret", label: t("profiles.client_secret"), hint: t(known ? "profiles.secret_again" : "profiles.client_secret_hint") },
      { name: "token", path: "data.token", kind: "secret", required: false, label: t("profiles.token"), hint: t(known ? "profiles.token_kept" : "profiles.token_hint"), when: (values) => bySlug.get(values.provider)?.takes_token === true },
    ],
    submit: async (values) => {
      const data = { client_id: values.client_id, client_secret: values.client_secret };
      if (values.token) data.token = values.token;
      const body = { name: values.name, provider: values.provider, data };
      const saved = known
        ? await call("PUT", `${PATH}/${known.id}`, body, { ifMatch: etag })
        : await call("POST", PATH, body);
      element.clean();
      say(t(known ? "profiles.saved" : "profiles.created"));
      go(to("profiles", saved.id));
    },
    explain: (error) => {
      if (error.status !== 412) return null;
      overtaken();
      return t("profiles.overtaken");
    },
  });

  /** Somebody was faster: what that one changed is shown, and what was typed here stays. */
  async function overtaken() {
    const now = await send("GET", `${PATH}/${known.id}`);
    const { result } = now.body;
    const changes = [["name", known.name, result.name], ["provider", known.provider, result.provider], ["client_id", known.data.client_id, result.data.client_id]].filter(([, before, after]) => before !== after);
    swap(notice, h("div", { class: "note warn", role: "alert", id: "overtaken" },
      h("h2", {}, t("profiles.overtaken_title")),
      changes.length > 0
        ? h("ul", {}, changes.map(([field, before, after]) => h("li", {}, t(`profiles.${field}`), ": ", h("del", {}, name(before)), " → ", h("ins", {}, name(after)))))
        : h("p", {}, t("profiles.overtaken_secret")),
      h("div", { class: "actions" },
        h("button", { "data-theirs": true, onclick: () => {
          etag = now.etag;
          for (const [field, , after] of changes) element.set(field, after);
          swap(notice);
        } }, t("profiles.take_theirs")),
        h("button", { "data-mine": true, onclick: () => { etag = now.etag; swap(notice); element.querySelector("[type=submit]").focus(); } }, t("profiles.keep_mine"))),
    ));
    Object.assign(known, { name: result.name, provider: result.provider, data: result.data });
  }

  function hint(slug) {
    const one = bySlug.get(slug);
    if (hints.dataset.slug === slug) return;
    hints.dataset.slug = slug ?? "";
    swap(hints,
      h("h2", {}, one ? t("profiles.at", { provider: one.name }) : t("profiles.at_none")),
      one?.docs && h("p", {}, outside(one.docs, t("profiles.docs"))),
      h("h3", {}, t("profiles.redirect_uri")),
      faint(t("profiles.redirect_uri_text")),
      copyable(redirectUri, t("profiles.redirect_uri")),
      one?.default_scopes?.length > 0 && [h("h3", {}, t("connections.scopes")), faint(t("profiles.scopes_text")), copyable(one.default_scopes.join(one.scope_separator ?? " "), t("connections.scopes"))],
      Object.keys(one?.variables ?? {}).length > 0 && [h("h3", {}, t("profiles.variables")), faint(t("profiles.variables_text")),
        h("dl", {}, Object.keys(one.variables).map((key) => about(one, key)).map(({ title, help }) => [h("dt", {}, title), h("dd", { class: "faint" }, help)]))],
    );
  }
  hint(element.values().provider);

  return h("main", {},
    head(known ? t("profiles.edit_title") : t("profiles.new"), known ? name(known.name) : t("profiles.new_lead"), [], known ? { href: to("profiles", id), label: name(known.name) } : { href: to("profiles"), label: t("nav.profiles") }),
    h("div", { class: "columns-2 wide-left" }, h("div", { class: "stack" }, notice, h("div", { class: "card" }, element)), hints),
  );
}

function choices(providers, chosen) {
  const sorted = [...providers].sort((a, b) => a.name.localeCompare(b.name));
  const all = sorted.map((one) => ({ value: one.slug, label: one.name }));
  if (chosen && !providers.some((one) => one.slug === chosen)) all.push({ value: chosen, label: chosen });
  return [{ value: "", label: t("profiles.choose") }, ...all];
}

/** The redirect URI to register: the profile's own, or what a new one gets. */
async function redirect(id) {
  if (id !== undefined) return (await call("GET", `${PATH}/${encodeURIComponent(id)}/registration`)).redirect_uri;
  return `${location.origin}/oauth/callback`;
}
