// Users: people who log in here, with their roles and second factors.

import { call } from "../lib/api.js";
import { ask, confirm, showOnce } from "../lib/dialog.js";
import { h, name, plain } from "../lib/dom.js";
import { t, time } from "../lib/i18n.js";
import { list, listing, whole } from "../lib/list.js";
import { action, ago, badge, icon, say } from "../lib/parts.js";
import { to } from "../lib/router.js";
import { who } from "../lib/session.js";

const PATH = "/api/users";
const role = (value) => ({ name: "role", kind: "choice", label: t("users.role"), value, choices: ["admin", "operator", "viewer"].map((value) => ({ value, label: t(`role.${value}`), hint: t(`users.role_${value}`) })) });
const password = () => ({ name: "password", kind: "password", label: t("login.password"), autocomplete: "new-password", hint: t("setup.password_hint") });

export function view({ query }) {
  const users = list({
    route: "users", query, title: t("nav.users"), seek: t("users.seek"), nouns: ["users"],
    load: whole(PATH, (one, { q }) => `${one.name} ${one.email} ${one.role}`.toLowerCase().includes((q ?? "").toLowerCase())),
    columns: [
      { title: t("profiles.name"), head: true, cell: (item) => [name(item.name), item.id === who().id && [" ", badge(t("users.you"))], h("small", {}, name(item.email))] },
      { title: t("users.role"), cell: (item) => t(`role.${item.role}`) },
      { title: t("users.factor"), cell: (item) => badge(t(item.second_factor ? "users.factor_on" : "users.factor_off"), item.second_factor ? "good" : "") },
      { title: t("profiles.created"), kind: "time", cell: (item) => ago(item.created_at) },
      { title: t("tokens.doing"), kind: "actions", cell: (item) => doings(item, users) },
    ],
    empty: () => null,
  });
  const make = async () => {
    const done = await ask({
      title: t("users.new"), label: t("app.create"),
      fields: [{ name: "name", label: t("profiles.name"), autocomplete: "off" }, { name: "email", kind: "email", label: t("setup.email") }, role("operator"), password()],
      submit: (values) => call("POST", PATH, values),
    });
    if (done) { say(t("profiles.saved")); users.again(); }
  };
  return listing(t("nav.users"), t("users.lead"), [
    action(t("users.link"), async () => {
      const link = await call("POST", "/api/setup_links");
      await showOnce({ title: t("users.link"), text: t("users.link_text", { time: time(link.expires_at) }), values: [{ label: t("connect.link"), value: link.url }] });
    }, { "data-link": true }),
    h("button", { class: "main", "data-new": true, onclick: make }, icon("plus"), t("users.new")),
  ], users);
}

function doings(user, users) {
  if (user.id === who().id) return h("a", { class: "button small", href: to("account") }, t("nav.account"));
  const path = `${PATH}/${user.id}`;
  const button = (what, label, act, danger) => h("button", { class: danger ? "small danger" : "small", [`data-${what}`]: user.id, "data-key": `${what}-${user.id}`, "aria-label": `${label}: ${plain(user.name)}`, onclick: async () => {
    if (await act()) { say(t("profiles.saved")); users.again(); }
  } }, label);
  const title = (key) => [t(key), ": ", name(user.name)];
  return [
    button("role", t("users.change_role"), () => ask({ title: title("users.change_role"), lead: t("users.role_text"), label: t("profiles.save"), fields: [role(user.role)], submit: (values) => call("PUT", path, values) })),
    button("password", t("users.set_password"), () => ask({ title: title("users.set_password"), lead: t("users.password_text"), label: t("profiles.save"), fields: [h("input", { type: "text", hidden: true, readonly: true, autocomplete: "username", value: user.name }), password()], submit: (values) => call("PUT", path, values) })),
    user.second_factor && button("factor", t("users.factor_remove"), () => confirm({ title: title("users.factor_remove"), text: t("users.factor_text"), label: t("users.factor_remove"), act: () => call("DELETE", `${path}/second_factor`) }), true),
    button("delete", t("profiles.delete"), () => confirm({ title: title("profiles.delete"), text: t("users.delete_text"), label: t("profiles.delete"), act: () => call("DELETE", path) }), true),
  ];
}
