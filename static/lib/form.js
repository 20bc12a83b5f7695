// Forms: a label for each field, what is wrong beside the field it is wrong with, and one place for the rest.

import { Lost, Refusal } from "./api.js";
import { documentControl } from "./document.js";
import { busy, h, id as fresh, plain as plainText, swap } from "./dom.js";
import { fault, find, said, t } from "./i18n.js";

/** A sentence for a failure, in the page's language. */
export function sentence(error) {
  if (error instanceof Lost) return t("error.lost");
  if (!(error instanceof Refusal)) throw error;
  if (error.status === 429) return t("error.too_many", { seconds: error.retryAfter });
  if (error.code === "cross_site_request" || (error.status === 403 && error.message.startsWith("Forbidden"))) return t("error.foreign");
  if (error.forbidden) return t("error.forbidden");
  if (error.ended) return t("error.ended");
  const known = error.code ? find(`error.${error.code}`) ?? (error.status === 503 ? t("error.busy") : null) : said(error.message);
  if (known) return known;
  const fields = Object.entries(error.errors);
  if (fields.length > 0) return fields.map(([path, phrases]) => `${path}: ${phrases.map(fault).join(" ")}`).join(" ");
  return t("error.other", { message: error.message });
}

/**
 * The controls by kind. Each is `{element, input, value(), set(value)}`: what stands in the form, what gets the focus, what
 * is in it and how to put something there.
 */
const KINDS = {
  text: (spec, about) => line(spec, about, "text"),
  email: (spec, about) => line(spec, about, "email"),
  url: (spec, about) => line(spec, about, "url"),
  date: (spec, about) => line(spec, about, "date"),
  number(spec, about) {
    const control = line(spec, about, "number", { min: spec.min, max: spec.max, step: spec.step ?? 1, inputmode: "numeric" });
    const { input } = control;
    control.value = () => (input.value.trim() === "" ? null : Number(input.value));
    return control;
  },
  /** A password of a person, which a browser may keep. */
  password(spec, about) {
    const control = line(spec, about, "password");
    const { input } = control;
    control.element = h("div", { class: "secret" }, input, reveal(input, () => input.type === "text", (shown) => { input.type = shown ? "text" : "password"; }));
    return control;
  },
  /** A secret that is nobody's password: it is not seen, and no browser offers to keep it. */
  secret(spec, about) {
    const control = line(spec, about, "text");
    const { input } = control;
    input.classList.add("masked", "mono");
    control.element = h("div", { class: "secret" }, input, reveal(input, () => !input.classList.contains("masked"), (shown) => input.classList.toggle("masked", !shown)));
    return control;
  },
  area(spec, about) {
    const input = h("textarea", { ...about, rows: spec.rows ?? 4, spellcheck: "false", class: spec.mono && "mono" });
    return plain(input);
  },
  select(spec, about) {
    const input = h("select", about, spec.choices.map(option));
    return plain(input);
  },
  checkbox(spec, about) {
    const input = h("input", { ...about, type: "checkbox" });
    const element = h("label", { class: "check" }, input, h("span", {}, spec.label));
    return { element, input, value: () => input.checked, set: (value) => { input.checked = Boolean(value); } };
  },
  /** Several of a few: its value is a list. */
  checks(spec, about) {
    const boxes = spec.choices.map((choice) => {
      const input = h("input", { type: "checkbox", value: choice.value, name: spec.name });
      return { input, element: h("label", { class: "check" }, input, h("span", {}, choice.label, choice.hint && h("small", {}, choice.hint))) };
    });
    const element = h("div", { class: "checks", role: "group", "aria-labelledby": `${about.id}-label`, "aria-describedby": about["aria-describedby"], tabindex: "-1" },
      boxes.map((box) => box.element));
    return {
      element, input: boxes[0]?.input ?? element, group: true,
      value: () => boxes.filter((box) => box.input.checked).map((box) => box.input.value),
      set: (values) => { for (const { input } of boxes) input.checked = (values ?? []).includes(input.value); },
    };
  },
  /** One of a few, each with words of its own. */
  choice(spec, about) {
    const boxes = spec.choices.map((choice) => {
      const input = h("input", { type: "radio", value: choice.value, name: about.id });
      return { input, element: h("label", { class: "check" }, input, h("span", {}, choice.label, choice.hint && h("small", {}, choice.hint))) };
    });
    const element = h("div", { class: "checks", role: "radiogroup", "aria-labelledby": `${about.id}-label`, "aria-describedby": about["aria-describedby"] },
      boxes.map((box) => box.element));
    return {
      element, input: boxes[0].input, group: true,
      value: () => boxes.find((box) => box.input.checked)?.input.value ?? "",
      set: (value) => { for (const { input } of boxes) input.checked = input.value === value; },
    };
  },
  /** A JSON document: see `document.js`. */
  document: documentControl,
};

function option({ value, label, choices }) {
  return choices ? h("optgroup", { label }, choices.map(option)) : h("option", { value }, plainText(label ?? value));
}

function plain(input) {
  return { element: input, input, value: () => input.value, set: (value) => { input.value = value ?? ""; } };
}

function line(spec, about, type, more = {}) {
  return plain(h("input", {
    ...about, ...more, type, autocomplete: spec.autocomplete ?? "off", placeholder: spec.placeholder, maxlength: spec.maxlength,
    autocapitalize: "none", spellcheck: "false", class: spec.mono && "mono",
  }));
}

function reveal(input, is, show) {
  const button = h("button", {
    type: "button", "aria-pressed": "false", "aria-controls": input.id,
    onclick: () => {
      const shown = !is();
      show(shown);
      button.setAttribute("aria-pressed", String(shown));
      button.textContent = t(shown ? "form.hide" : "form.show");
    },
  }, t("form.show"));
  return button;
}

/**
 * A field of a form:
 * `{name, label, kind = "text", value, hint, required = true, path = name, choices, rows, accept, mono, half, when}`.
 * `path` is what the server calls it in `errors`, `*` for one that has all of it in one text; `when(values)` says whether it is there at all; `hint` may be elements.
 */
function field(spec) {
  const { name, label, hint, kind = "text", required = true, path = name } = spec;
  const id = fresh("field");
  const hinted = hint ? `${id}-hint ` : "";
  const control = KINDS[kind](spec, { id, name, "aria-describedby": `${hinted}${id}-fault`, "aria-required": required && kind !== "checkbox" ? "true" : null });
  const wrong = h("span", { class: "fault", id: `${id}-fault`, "data-fault": name });
  const inside = kind === "checkbox";
  const titled = [label, !required && !inside && h("span", { class: "optional" }, t("form.optional"))];
  const element = h("div", { class: `field${spec.half ? " half" : ""}`, "data-field": name },
    !inside && (control.group ? h("span", { class: "label", id: `${id}-label` }, titled) : h("label", { for: id }, titled)),
    control.element,
    hint && h("span", { class: "hint", id: `${id}-hint` }, hint),
    wrong,
  );
  const mark = (phrases, pairs) => {
    wrong.textContent = control.show && pairs ? t("document.faults", { n: pairs.length }) : phrases.map(fault).join(" ");
    if (pairs) control.show?.(pairs.map(([path, phrase]) => [path, fault(phrase), phrase]));
    for (const input of control.element.matches("input, select, textarea") ? [control.element] : [control.input]) {
      if (phrases.length > 0) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    }
  };
  element.addEventListener("input", () => mark([]));
  element.addEventListener("change", () => mark([]));
  control.set(spec.value ?? (kind === "select" ? spec.choices[0]?.value ?? "" : ""));
  const blank = () => {
    if (control.blank) return control.blank();
    const value = control.value();
    return value === null || value === undefined || (typeof value === "string" && value.trim() === "") || (Array.isArray(value) && value.length === 0);
  };
  return {
    name, element, mark, input: control.input, value: control.value, set: control.set, when: spec.when,
    needs: () => required && kind !== "checkbox" && blank(),
    all: path === "*", listed: control.show !== undefined,
    owns: (error) => path === "*" || error === path || error.startsWith(`${path}.`) || error.startsWith(`${path}[`),
    wrong: () => wrong.textContent !== "",
  };
}

/**
 * A form. `submit(values)` does the work, and answers `false` where what is typed is not done with; when it throws a Refusal,
 * what is wrong is shown. `explain(error)` may answer a
 * sentence of the view's own for a failure. `more`: what stands beside the button, such as a link to leave. Fields may be
 * elements, which stand between the others.
 *
 * The element has `values()`, `set(name, value)`, `refuse(error)`, `clean()`, and the attribute `data-dirty` while
 * something is typed in it that was not sent, unless `guard` is false.
 */
export function form({ fields, label, submit, explain = () => null, more = [], guard = true, danger = false, changed = () => {}, columns = false }) {
  const all = fields.filter(Boolean).map((spec) => (spec instanceof Element ? spec : field(spec)));
  const parts = all.filter((part) => !(part instanceof Element));
  const alert = h("div", { class: "alert", role: "alert" });
  const button = h("button", { type: "submit", class: danger ? "main danger" : "main" }, label);

  const values = () => Object.fromEntries(parts.map((part) => [part.name, part.value()]));
  const there = (part) => !part.element.hidden;
  const arrange = () => {
    const now = values();
    for (const part of parts) if (part.when) part.element.hidden = !part.when(now);
  };

  const refuse = (error) => {
    const errors = error instanceof Refusal ? error.errors : {};
    const paths = Object.keys(errors);
    for (const part of parts) {
      const pairs = paths.filter((path) => there(part) && part.owns(path)).flatMap((path) => errors[path].map((phrase) => [path, phrase]));
      part.mark(pairs.map(([path, phrase]) => (part.all ? `${path}: ${fault(phrase)}` : phrase)), part.listed && pairs.length > 0 ? pairs : null);
    }
    const first = parts.find((part) => part.wrong());
    const placed = paths.length > 0 && paths.every((path) => parts.some((part) => there(part) && part.owns(path)));
    const rest = paths.filter((path) => !parts.some((part) => there(part) && part.owns(path)));
    const own = explain(error);
    if (own !== null) swap(alert, own);
    else if (placed) swap(alert, t("form.check"));
    else if (first) swap(alert, rest.map((path) => h("p", {}, `${path}: ${errors[path].map(fault).join(" ")}`)));
    else swap(alert, sentence(error));
    (first ?? parts.filter(there).at(-1))?.input.focus();
    if (!first) alert.scrollIntoView?.({ block: "nearest" });
  };

  const element = h("form", {
    novalidate: true, class: columns && "columns",
    onsubmit: async (event) => {
      event.preventDefault();
      event.stopPropagation();
      if (button.ariaBusy) return;
      // What is empty is said here: no need to ask the server.
      const empty = parts.filter((part) => there(part) && part.needs());
      if (empty.length > 0) {
        for (const part of parts) part.mark(empty.includes(part) ? ["can't be blank"] : []);
        swap(alert, t("form.check"));
        empty[0].input.focus();
        return;
      }
      swap(alert);
      busy(button, true);
      try {
        const sent = await submit(Object.fromEntries(parts.filter(there).map((part) => [part.name, part.value()])));
        if (sent !== false) delete element.dataset.dirty;
      } catch (error) {
        refuse(error);
      } finally {
        busy(button, false);
      }
    },
    oninput: () => {
      if (guard) element.dataset.dirty = "";
      arrange();
      changed(values(), element);
    },
    onchange: () => { arrange(); changed(values(), element); },
  }, alert, all.map((part) => part.element ?? part), h("div", { class: "actions" }, button, more));
  arrange();
  return Object.assign(element, {
    values, refuse,
    set: (name, value) => { parts.find((part) => part.name === name)?.set(value); arrange(); },
    clean: () => { delete element.dataset.dirty; },
  });
}

/** Whether something that was not sent is typed below an element. */
export function typed(element) {
  return element.querySelector("form[data-dirty]") !== null || element.matches("form[data-dirty]");
}

/** What is typed in the forms below an element, to be put into the same forms later. */
export function capture(element) {
  const forms = [...element.querySelectorAll("form")].map((one) => ({ dirty: "dirty" in one.dataset, values: one.values?.() ?? {} }));
  return (later) => {
    [...later.querySelectorAll("form")].forEach((one, at) => {
      const kept = forms[at];
      if (!kept || !one.set) return;
      for (const [name, value] of Object.entries(kept.values)) one.set(name, value);
      if (kept.dirty) one.dataset.dirty = "";
    });
  };
}
