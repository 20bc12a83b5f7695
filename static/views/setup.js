// The first administrator, by the link that the server printed.

import { Refusal, call } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { form } from "../lib/form.js";
import { t } from "../lib/i18n.js";

/** `link`: the credential of the link, or nothing once it is known to be dead; `dead()`: what to do when it is. */
export function setup({ link, entered, dead }) {
  return link ? living(link, entered, dead) : gone();
}

function living(link, entered, dead) {
  return h("main", { class: "narrow" },
    h("h1", {}, t("setup.title")),
    h("p", { class: "lead" }, t("setup.lead")),
    h("div", { class: "card" }, form({
      guard: false,
      fields: [
        { name: "name", label: t("profiles.name"), autocomplete: "username" },
        { name: "email", kind: "email", label: t("setup.email"), autocomplete: "email" },
        { name: "password", kind: "password", label: t("login.password"), autocomplete: "new-password", hint: t("setup.password_hint") },
      ],
      label: t("setup.submit"),
      submit: async (values) => {
        try {
          entered(await call("POST", "/setup", { link, ...values }, { alone: true }));
        } catch (error) {
          if (!(error instanceof Refusal && error.status === 401)) throw error;
          dead();
        }
      },
    })),
  );
}

function gone() {
  return h("main", { class: "narrow" },
    h("h1", {}, t("setup.dead")),
    h("div", { class: "card" },
      h("p", {}, t("setup.dead_text")),
      h("pre", { tabindex: "0" }, h("code", {}, "grantry admin setup-link")),
    ),
    h("p", { class: "below" }, h("a", { href: "#/login" }, t("login.title"))),
  );
}
