// A JSON document that somebody gives: pasted, typed, chosen or dropped. Each fault stands at its line.

import { h, name, plain, swap } from "./dom.js";
import { size, t } from "./i18n.js";

/** A file with more bytes than this is sent as it is, and not shown: a field with all of it would be slow. */
const MOST_SHOWN = 1024 * 1024;
/** So many characters of a key stand in the path of a fault. */
const MOST_KEY = 255;
const TOKEN = /"(?:[^"\\]|\\.)*"?|[{}[\],:]|\n|[^\s"{}[\],:]+/g;

/**
 * The line, from 1, of each path of a JSON text: keys behind a dot, places in a list in brackets, all below `root`. Where the
 * text is no JSON it knows less.
 */
export function lines(text, root = "") {
  const found = new Map([[root, 1]]);
  const open = [];
  let line = 1;
  const path = () => {
    const inside = open.at(-1);
    if (!inside) return root;
    if (inside.at !== null) return `${inside.path}[${inside.at}]`;
    return inside.path === "" ? inside.key ?? "" : `${inside.path}.${inside.key}`;
  };
  for (const [token] of text.matchAll(TOKEN)) {
    const inside = open.at(-1);
    if (token === "\n") line += 1;
    else if (token === "{" || token === "[") {
      const at = path();
      if (!found.has(at)) found.set(at, line);
      open.push({ path: at, key: null, at: token === "[" ? 0 : null });
    } else if (token === "}" || token === "]") open.pop();
    else if (token === "," && inside) {
      if (inside.at === null) inside.key = null;
      else inside.at += 1;
    } else if (token !== "," && token !== ":") {
      if (inside && inside.at === null && inside.key === null) inside.key = shown(token);
      if (!found.has(path())) found.set(path(), line);
    }
  }
  return found;
}

/** A key as the path of a fault has it. */
function shown(token) {
  let key = token;
  try { key = String(JSON.parse(token)); } catch { /* as it stands there */ }
  const letters = [...key];
  return letters.length > MOST_KEY ? `${letters.slice(0, MOST_KEY).join("")}…` : key;
}

/** The line of a path, or of what it would stand in. */
function lineOf(found, path) {
  for (let at = path; ; at = at.slice(0, Math.max(at.lastIndexOf("."), at.lastIndexOf("["), 0))) {
    if (found.has(at)) return found.get(at);
    if (at === "") return null;
  }
}

/** A fault of form says its line itself, in either language. */
const SAID = /(?:\bat line |行)(\d+)/;

/**
 * The control, for `form.js`. `spec`: `{rows, accept, root, placeholder}`; its value is `{text, file}`: the file as it was given,
 * where nobody has changed it since.
 */
export function documentControl(spec, about) {
  const numbers = h("pre", { class: "numbers", "aria-hidden": "true" }, "1");
  const input = h("textarea", { ...about, rows: spec.rows ?? 14, spellcheck: "false", autocapitalize: "none", autocomplete: "off", wrap: "off", class: "mono", placeholder: spec.placeholder });
  const picker = h("input", { type: "file", accept: spec.accept ?? ".json,application/json", class: "unseen", tabindex: "-1", "aria-hidden": "true", onchange: () => take(picker.files[0]) });
  const told = h("span", { class: "faint", "aria-live": "polite" });
  const list = h("ul", { class: "faults" });
  const editor = h("div", { class: "editor" }, numbers, input);
  let file = null;
  /** What the field showed of the file. */
  let whole = "";
  let bad = new Set();

  const count = () => {
    const many = input.value.split("\n").length;
    swap(numbers, Array.from({ length: many }, (_, at) => [at > 0 && "\n", bad.has(at + 1) ? h("b", {}, String(at + 1)) : String(at + 1)]));
    numbers.scrollTop = input.scrollTop;
  };
  const tell = () => swap(told, file ? [`${plain(file.name)}, ${size(file.size)}`, editor.hidden && ` · ${t("document.large")}`] : t("document.drop"));
  const show = (text, given) => {
    file = given;
    editor.hidden = given !== null && given.size > MOST_SHOWN;
    input.value = editor.hidden ? "" : text;
    whole = input.value;
    bad = new Set();
    swap(list);
    count();
    tell();
  };
  const take = async (given) => {
    if (!given) return;
    show(given.size > MOST_SHOWN ? "" : await given.text(), given);
    picker.value = "";
    input.dispatchEvent(new Event("input", { bubbles: true, cancelable: true }));
  };
  const go = (line) => {
    const rows = input.value.split("\n");
    const from = rows.slice(0, line - 1).reduce((sum, row) => sum + row.length + 1, 0);
    input.focus();
    input.setSelectionRange(from, from + (rows[line - 1]?.length ?? 0));
    input.scrollTop = Math.max(0, (line - 4) * (input.scrollHeight / Math.max(rows.length, 1)));
  };
  input.addEventListener("input", () => {
    // What is typed is no longer the file.
    if (file && input.value !== whole) { file = null; tell(); }
    if (bad.size > 0 || list.children.length > 0) { bad = new Set(); swap(list); }
    count();
  });
  input.addEventListener("scroll", () => { numbers.scrollTop = input.scrollTop; });

  const over = (is) => (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    element.toggleAttribute("data-over", is);
  };
  const element = h("div", { class: "document", ondragover: over(true), ondragleave: over(false), ondrop: (event) => {
    if (!event.dataTransfer?.files.length) return;
    over(false)(event);
    take(event.dataTransfer.files[0]);
  } }, h("div", { class: "actions" }, h("button", { class: "small", "data-pick": true, onclick: () => picker.click() }, t("document.choose")), picker, told), editor, list);
  show("", null);

  return {
    element, input,
    value: () => ({ text: input.value, file }),
    set: (value) => show(value?.text ?? "", value?.file ?? null),
    blank: () => file === null && input.value.trim() === "",
    /** `faults`: `[path, phrase, as the server says it]`; what is wrong stands below, and leads to its line. */
    show: async (faults) => {
      const text = editor.hidden ? await file.text() : input.value;
      const found = lines(text, spec.root ?? "");
      const placed = faults.map(([path, phrase, said]) => ({ path, phrase, line: Number(SAID.exec(said)?.[1]) || lineOf(found, path) }));
      placed.sort((a, b) => a.line - b.line);
      bad = new Set(placed.map((one) => one.line));
      swap(list, placed.map(({ path, phrase, line }) => h("li", {},
        editor.hidden ? h("span", {}, t("document.line", { n: line })) : h("button", { class: "small", onclick: () => go(line) }, t("document.line", { n: line })),
        h("span", {}, path !== "" && path !== spec.root && h("code", {}, name(path)), " ", phrase))));
      count();
    },
  };
}
