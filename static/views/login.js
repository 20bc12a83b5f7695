// Name and password, and the code of a second factor where one is set up: as a view, and as a dialog over another one.

import { Refusal, call } from "../lib/api.js";
import { open } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { form } from "../lib/form.js";
import { t } from "../lib/i18n.js";

/** Whether the server wants the code of a second factor, or another one than that which was given. */
function wantsCode(error) {
  return error instanceof Refusal && error.status === 401 && error.errors.code !== undefined;
}

/** `entered(user)`: what to do with whoever comes in; `user`: who has to come back; `more`: another way out. */
function fields(entered, user, more) {
  let coded = false;
  const element = form({
    guard: false, more,
    fields: [
      { name: "name", label: t("profiles.name"), autocomplete: "username", value: user?.name },
      { name: "password", kind: "password", label: t("login.password"), autocomplete: "current-password" },
      { name: "code", label: t("login.code"), hint: t("login.code_hint"), autocomplete: "one-time-code", when: () => coded },
    ],
    label: t("login.title"),
    submit: async ({ name, password, code }) => {
      const body = { name, password, ...(coded ? { code: code.replace(/[\s-]/g, "") } : {}) };
      let entering;
      try {
        entering = await call("POST", "/session", body, { alone: true });
      } catch (error) {
        if (!wantsCode(error) || coded) throw error;
        coded = true;
        element.set("code", "");
        element.querySelector("[name=code]").focus();
        return;
      }
      await entered(entering);
    },
    explain: (error) => {
      if (wantsCode(error)) return t("login.code_wrong");
      return error instanceof Refusal && error.status === 401 ? t("login.wrong") : null;
    },
  });
  return element;
}

/** The view. */
export function login({ entered }) {
  return h("main", { class: "narrow" },
    h("h1", {}, t("login.title")),
    h("div", { class: "card" }, fields(entered)),
    h("div", { class: "below" },
      h("p", {}, t("login.no_account")),
      h("pre", { tabindex: "0" }, h("code", {}, "grantry admin setup-link")),
    ),
  );
}

/**
 * Over what was being done: answers the user, or nothing where the dialog is left. `hold(close)`: how to close it with a user
 * who came in elsewhere.
 */
export function loginAgain(user, hold) {
  return open({
    title: t("login.ended_title"),
    content: (close) => {
      hold(close);
      return [
        h("p", { class: "note" }, t("login.ended")),
        fields((entering) => close(entering), user, h("button", { onclick: () => close() }, t("login.not_now"))),
      ];
    },
  });
}
