// One's own account: the second factor, the sessions, the password.

import { call } from "../lib/api.js";
import { ask, open, showOnce } from "../lib/dialog.js";
import { h, name, svg } from "../lib/dom.js";
import { form } from "../lib/form.js";
import { t, word } from "../lib/i18n.js";
import { action, ago, badge, block, card, copyable, faint, head, say } from "../lib/parts.js";
import { become, who } from "../lib/session.js";

const FACTOR = "/api/users/me/second_factor";

/** Whose password it is, for what keeps passwords. */
function username() {
  return h("input", { type: "text", hidden: true, readonly: true, autocomplete: "username", value: who().name });
}

export async function view() {
  const load = () => call("GET", "/session");
  const first = await load();
  const factor = block({ nouns: ["users"], first, load, draw: (user, again) => { become(user); return secondFactor(user, again); } });
  const sessions = block({
    lines: 3, load: () => call("GET", "/api/sessions"),
    draw: (all, again) => [
      h("ul", { class: "plain-list" }, all.map((one) => h("li", { class: "between" },
        h("span", {}, one.address ? h("code", {}, one.address) : t("account.somewhere"), " ", one.current && badge(t("account.current"), "good"),
          h("small", {}, t("account.since"), " ", ago(one.created_at), " · ", t("account.seen"), " ", ago(one.last_seen_at))),
        !one.current && action(t("account.end"), async () => { await call("DELETE", `/api/sessions/${one.id}`); say(t("profiles.saved")); await again(); }, { class: "small", "data-end": one.id, "data-key": one.id })))),
      all.length > 1 && h("div", { class: "actions" }, action(t("account.end_others"), async () => { await call("DELETE", "/api/sessions?except=current"); say(t("profiles.saved")); await again(); }, { class: "small danger", "data-end-others": true })),
    ],
  });
  return h("main", {}, head(t("nav.account"), [name(first.name), " · ", word(`role.${first.role}`, first.role)]),
    h("div", { class: "columns-2" },
      h("div", { class: "stack" }, card(t("users.factor"), factor), card(t("login.password"), changePassword(sessions))),
      card(t("account.sessions"), faint(t("account.sessions_text")), sessions)));
}

function secondFactor(user, again) {
  const on = user.second_factor;
  return [
    h("p", {}, badge(t(on ? "users.factor_on" : "users.factor_off"), on ? "good" : ""), " ", t(on ? "account.factor_on" : "account.factor_off")),
    h("div", { class: "actions" }, on
      ? [h("button", { class: "small", "data-codes": true, onclick: renewCodes }, t("account.codes_renew")),
        h("button", { class: "small danger", "data-factor-off": true, onclick: () => remove(again) }, t("users.factor_remove"))]
      : action(t("account.factor_begin"), () => begin(again), { class: "main", "data-factor-on": true })),
  ];
}

async function begin(again) {
  const { secret, url, qr_code: code } = await call("POST", FACTOR);
  const codes = await open({
    title: t("account.factor_title"), firm: true,
    content: (close) => [
      h("p", {}, t(code ? "account.factor_scan" : "account.factor_type")), code && qr(code),
      h("details", { open: !code }, h("summary", {}, t("account.factor_by_hand")), h("p", {}, t("account.factor_secret"), copyable(secret, t("account.factor_secret"))), h("p", {}, t("account.factor_url"), copyable(url, t("account.factor_url")))),
      form({
        guard: false, label: t("account.factor_confirm"), more: h("button", { onclick: () => close() }, t("dialog.cancel")),
        fields: [{ name: "code", label: t("login.code"), autocomplete: "one-time-code", hint: t("account.factor_code") }],
        submit: async ({ code }) => close((await call("PUT", FACTOR, { code: code.replace(/\s/g, "") })).recovery_codes),
      }),
    ],
  });
  if (codes) await showCodes(codes);
  await again();
}

/** The code as a drawing, dark on light whatever the page wears. */
function qr({ size, path }) {
  return h("p", { class: "qr" }, svg("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": t("account.factor_qr") }, svg("path", { d: path })));
}

function showCodes(codes) {
  return showOnce({ title: t("account.codes"), text: t("account.codes_text"), values: [{ label: t("account.codes_label"), value: codes.join("\n") }] });
}

async function renewCodes() {
  const done = await ask({
    title: t("account.codes_renew"), lead: t("account.codes_renew_text"), label: t("account.codes_renew"),
    fields: [username(), { name: "password", kind: "password", label: t("login.password"), autocomplete: "current-password" }],
    submit: ({ password }) => call("POST", `${FACTOR}/recovery_codes`, { password }),
  });
  if (done) await showCodes(done.recovery_codes);
}

async function remove(again) {
  const done = await ask({
    title: t("users.factor_remove"), lead: t("account.factor_remove_text"), label: t("users.factor_remove"), danger: true,
    fields: [username(), { name: "password", kind: "password", label: t("login.password"), autocomplete: "current-password" }],
    submit: (values) => call("DELETE", FACTOR, values),
  });
  if (done) { say(t("profiles.saved")); again(); }
}

function changePassword(sessions) {
  const element = form({
    label: t("account.password_change"),
    fields: [
      username(),
      { name: "old", path: "old_password", kind: "password", label: t("account.password_old"), autocomplete: "current-password" },
      { name: "password", kind: "password", label: t("account.password_new"), autocomplete: "new-password", hint: t("setup.password_hint") },
    ],
    submit: async ({ old, password }) => {
      await call("PUT", "/api/users/me/password", { old_password: old, password });
      element.set("old", "");
      element.set("password", "");
      say(t("profiles.saved"));
      sessions.again();
    },
  });
  return element;
}
