// Name and password.

import { Refusal, call } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { form } from "../lib/form.js";
import { t } from "../lib/i18n.js";

/** `ended`: whether a session has just ended; `entered(user)`: what to do with whoever comes in. */
export function login({ ended, entered }) {
  return h("main", { class: "narrow" },
    h("h1", {}, t("login.title")),
    ended && h("p", { class: "note", role: "status" }, t("login.ended")),
    h("div", { class: "card" }, form({
      fields: [
        { name: "name", label: t("login.name"), autocomplete: "username" },
        { name: "password", label: t("login.password"), type: "password", autocomplete: "current-password" },
      ],
      label: t("login.submit"),
      submit: async (values) => entered(await call("POST", "/session", values)),
      explain: (error) => (error instanceof Refusal && error.status === 401 ? t("login.wrong") : null),
    })),
    h("div", { class: "below" },
      h("p", {}, t("login.no_account")),
      h("pre", { tabindex: "0" }, h("code", {}, "grantry admin setup-link")),
    ),
  );
}
