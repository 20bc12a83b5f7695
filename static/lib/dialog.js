// Dialogs over the page: before something is lost, and where a secret is shown this once.

import { busy, h, id as fresh, swap } from "./dom.js";
import { form, sentence } from "./form.js";
import { t } from "./i18n.js";
import { copy } from "./parts.js";

/**
 * Opens a dialog; answers when it is closed, with what `close(value)` was given. `content(close)` answers its children;
 * `firm`: Escape does not close it. The focus goes back to where it was.
 */
export function open({ title, content, firm = false, wide = false, role }) {
  return new Promise((resolve) => {
    const heading = fresh("dialog");
    const before = document.activeElement;
    let answer;
    const close = (value) => { answer = value; dialog.close(); };
    const dialog = h("dialog", { "aria-labelledby": heading, class: wide && "wide", role },
      h("h2", { id: heading, tabindex: "-1" }, title), content(close));
    dialog.addEventListener("cancel", (event) => { if (firm) event.preventDefault(); });
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before?.isConnected) before.focus({ preventScroll: true });
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    // The first thing that has to be filled in; else where nothing is lost; else the heading.
    const inputs = [...dialog.querySelectorAll("form input, form textarea, form select")].filter((input) => !input.closest("[hidden]") && (input.type !== "radio" || input.checked));
    (inputs.find((input) => input.value === "" && input.ariaRequired) ?? inputs[0] ?? dialog.querySelector("[autofocus]") ?? dialog.querySelector("h2")).focus();
  });
}

/**
 * Asks before something is done that cannot be taken back. `text`: sentences that name what is lost; `depends`: what
 * depends on it, as a list. `act()` does it, or is nothing where it cannot be done; while it is refused the dialog stays and
 * says why. Answers whether it was done.
 */
export function confirm({ title, text = [], depends = [], label, act, danger = true }) {
  return open({
    title, role: "alertdialog",
    content: (close) => {
      const alert = h("div", { class: "alert", role: "alert" });
      const button = h("button", { class: danger ? "main danger" : "main", "data-confirm": true, onclick: async () => {
        if (busy(button, true)) return;
        swap(alert);
        try {
          await act();
          close(true);
        } catch (error) {
          swap(alert, sentence(error));
          busy(button, false);
        }
      } }, label);
      return [
        [text].flat().map((line) => h("p", {}, line)),
        depends.length > 0 && h("ul", { class: "depends" }, depends.map((line) => h("li", {}, line))),
        alert,
        h("div", { class: "actions" }, act && button, h("button", { autofocus: true, onclick: () => close(false) }, t(act ? "dialog.cancel" : "dialog.close"))),
      ];
    },
  });
}

/** Shows what is shown this once: `values` is a list of `{label, value}`. */
export function showOnce({ title, text, values }) {
  return open({
    title, firm: true,
    content: (close) => [
      h("p", { class: "note" }, text ?? t("dialog.once")),
      h("dl", { class: "once" }, values.map(({ label, value }) => [
        h("dt", {}, label), h("dd", {}, h("code", { "data-secret": true }, value), copy(value, label)),
      ])),
      h("div", { class: "actions" }, h("button", { class: "main", "data-close": true, onclick: () => close(true) }, t("dialog.kept"))),
    ],
  });
}

/** A form in a dialog: answers what its `submit` answered, or nothing where it was left. */
export function ask({ title, lead, label, fields, submit, ...more }) {
  return open({
    title, wide: more.wide,
    content: (close) => [
      lead && [lead].flat().map((line) => h("p", {}, line)),
      form({
        guard: false, ...more, fields, label,
        submit: async (values) => close((await submit(values)) ?? true),
        more: h("button", { onclick: () => close() }, t("dialog.cancel")),
      }),
    ],
  });
}

