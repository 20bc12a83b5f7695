// Forms: a label for each field, what is wrong beside the field it is wrong with, and one place for the rest.

import { Lost, Refusal } from "./api.js";
import { h } from "./dom.js";
import { fault, t } from "./i18n.js";

/** A sentence for a failure, in the page's language. */
export function sentence(error) {
  if (error instanceof Lost) return t("error.lost");
  if (!(error instanceof Refusal)) throw error;
  if (error.status === 429) return t("error.too_many", { seconds: error.retryAfter });
  if (error.status === 403) return t(error.message.startsWith("Forbidden") ? "error.foreign" : "error.forbidden");
  return t("error.other", { message: error.message });
}

function field({ name, label, hint, type = "text", autocomplete }) {
  const input = h("input", {
    id: `field-${name}`, name, type, autocomplete, required: true, "aria-describedby": `hint-${name} fault-${name}`,
    autocapitalize: "none", spellcheck: "false",
  });
  const wrong = h("span", { class: "fault", id: `fault-${name}` });
  const element = h("div", { class: "field" },
    h("label", { for: input.id }, label),
    type === "password" ? h("div", { class: "secret" }, input, reveal(input)) : input,
    hint && h("span", { class: "hint", id: `hint-${name}` }, hint),
    wrong,
  );
  const mark = (phrases) => {
    wrong.textContent = phrases.map(fault).join(" ");
    if (phrases.length > 0) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  input.addEventListener("input", () => mark([]));
  return { name, input, element, mark };
}

function reveal(input) {
  const button = h("button", {
    type: "button", "aria-pressed": "false", "aria-controls": input.id,
    onclick: () => {
      const shown = input.type === "text";
      input.type = shown ? "password" : "text";
      button.setAttribute("aria-pressed", String(!shown));
      button.textContent = t(shown ? "form.show" : "form.hide");
    },
  }, t("form.show"));
  return button;
}

/**
 * A form. `submit(values)` does the work; when it throws a Refusal, what is wrong is shown. `explain(error)` may answer a
 * sentence of the view's own for a failure.
 */
export function form({ fields, label, submit, explain = () => null }) {
  const parts = fields.map(field);
  const alert = h("p", { class: "alert", role: "alert" });
  const button = h("button", { type: "submit", class: "main" }, label);

  const show = (error) => {
    const known = new Set(parts.map((part) => part.name));
    const errors = error instanceof Refusal ? error.errors : {};
    for (const part of parts) part.mark(errors[part.name] ?? []);
    const first = parts.find((part) => part.input.hasAttribute("aria-invalid"));
    const all = Object.keys(errors).length > 0 && Object.keys(errors).every((name) => known.has(name));
    alert.textContent = explain(error) ?? (all ? t("form.check") : sentence(error));
    (first ?? parts.at(-1)).input.focus();
  };

  return h("form", {
    novalidate: true,
    onsubmit: async (event) => {
      event.preventDefault();
      if (button.disabled) return;
      // What is empty is said here: no need to ask the server.
      const empty = parts.filter((part) => part.input.value.trim() === "");
      if (empty.length > 0) {
        const blank = Object.fromEntries(empty.map((part) => [part.name, ["can't be blank"]]));
        show(new Refusal(400, { errors: blank }, 0));
        return;
      }
      alert.textContent = "";
      button.disabled = true;
      try {
        await submit(Object.fromEntries(parts.map((part) => [part.name, part.input.value])));
      } catch (error) {
        show(error);
      } finally {
        button.disabled = false;
      }
    },
  }, alert, parts.map((part) => part.element), button);
}
