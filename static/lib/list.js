// Lists that the server searches, filters and pages: what is sought stands in the address, so that it can be kept and sent.

import { at, call, send } from "./api.js";
import { h, name, plain as plainText, swap } from "./dom.js";
import { t } from "./i18n.js";
import { block, head, icon } from "./parts.js";
import { go, to } from "./router.js";

/** What was before a page, by its address: the server's cursors lead forward only. */
const before = new Map();

/** How long somebody who types is waited for, in milliseconds. */
const TYPING = 250;

/** Loads from a call that answers `{items, next, total}`. */
export function search(path, fixed = {}) {
  return (query) => call("GET", at(path, { limit: 50, ...query, ...fixed }));
}

/** Loads from a call that answers all there is; `match(item, query)` says whether one is sought. */
export function whole(path, match = () => true, pick = (body) => body.result) {
  return async (query) => {
    const items = pick((await send("GET", path)).body).filter((item) => match(item, query));
    return { items, next: null, total: items.length };
  };
}

/**
 * A list. `route`: its route, as `to` takes it; `title`: what it is a list of; `load(query)` answers `{items, next, total}`;
 * `columns`: `[{name, title, cell(item), kind, head}]`, `kind` being `number`, `time`, `mono` or `actions`, `head` the one
 * that names the row; `seek`: the label of the field that searches, or nothing; `filters`:
 * `[{name, title, choices: [{value, label}], as: "chips" | "select" | "date"}]`; `empty()`: what stands where there is nothing at
 * all; `nouns`: see `watch`; `pins`: `[{name, title, show(value)}]`,
 * what may be sought by a link from elsewhere, and is taken away here.
 */
export function list({ route, title, load, columns, seek, filters = [], pins = [], empty, nouns = [], query, narrow = false }) {
  let now = { ...query };
  const names = ["q", ...[...filters, ...pins].map((filter) => filter.name)];
  const sought = () => Object.fromEntries(names.filter((name) => now[name]).map((name) => [name, now[name]]));
  const address = (query) => to(...[route].flat(), query);

  const field = seek && h("input", {
    type: "search", "aria-label": seek, placeholder: seek, value: now.q, autocapitalize: "none", spellcheck: "false", autocomplete: "off", maxlength: 255,
    oninput: () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { if (field.isConnected) become({ ...sought(), q: field.value.trim() }); }, TYPING);
    },
  });
  let waiting = null;

  /** What is sought changes: the address does too, without a step back for each letter. */
  const become = (query) => {
    history.replaceState(null, "", address(query));
    update(query);
  };

  const controls = filters.map((filter) => {
    const choose = (value) => go(address({ ...sought(), [filter.name]: value }));
    if (filter.as === "select") {
      const select = h("select", { "aria-label": filter.title, onchange: () => choose(select.value) },
        h("option", { value: "" }, `${filter.title}: ${t("list.all")}`), filter.choices.map(({ value, label }) => h("option", { value }, plainText(label))));
      const show = () => {
        const value = now[filter.name] ?? "";
        if (![...select.options].some((option) => option.value === value)) select.append(h("option", { value }, plainText(value)));
        select.value = value;
      };
      return { element: select, show };
    }
    if (filter.as === "date") {
      const day = h("input", { type: "date", onchange: () => choose(day.value) });
      return { element: h("label", { class: "day" }, filter.title, day), show: () => { day.value = now[filter.name] ?? ""; } };
    }
    const all = [{ value: "", label: t("list.all") }, ...filter.choices];
    const chips = all.map(({ value, label }) => h("button", { class: "chip", "data-key": `${filter.name}-${value}`, onclick: () => choose(value) }, label));
    return {
      element: h("div", { class: "chips", role: "group", "aria-label": filter.title }, chips),
      show: () => chips.forEach((chip, at) => chip.setAttribute("aria-pressed", String(all[at].value === (now[filter.name] ?? "")))),
    };
  });
  const pinned = h("div", { class: "chips" });
  const showControls = () => {
    swap(pinned, pins.filter((pin) => now[pin.name]).map((pin) => h("a", { class: "button chip", href: address({ ...sought(), [pin.name]: "" }), "aria-label": t("list.unpin", { what: `${pin.title}: ${plainText(pin.show?.(now[pin.name]) ?? now[pin.name])}` }) },
      `${pin.title}: `, name(pin.show?.(now[pin.name]) ?? now[pin.name]), icon("close"))));
    for (const control of controls) control.show();
    if (field && document.activeElement !== field) field.value = now.q ?? "";
  };

  // What was sought belongs to what was found: nothing found is not nothing there.
  const body = block({
    nouns, lines: 8,
    load: async () => { const sought = now; return { sought, page: await load(sought) }; },
    draw: ({ page }) => draw(page),
  });
  const draw = (page) => {
    const filtered = names.some((name) => now[name]);
    if (page.items.length === 0 && !filtered && !now.after) return empty();
    if (page.items.length === 0) return nothing(filtered);
    return [table({ title, columns, items: page.items }), pages(page)];
  };
  const nothing = (filtered) => h("div", { class: "card empty" },
    h("h2", {}, t(filtered ? "list.none" : "list.beyond")),
    h("p", {}, h("a", { href: address({}) }, t(filtered ? "list.clear" : "app.to_first"))),
  );
  const pages = (page) => {
    const mine = address({ ...sought(), after: now.after });
    const next = page.next && address({ ...sought(), after: page.next });
    if (next) before.set(next, mine);
    const previous = now.after && (before.get(mine) ?? address(sought()));
    if (!previous && !next) return page.total === undefined ? null : h("p", { class: "pages" }, h("span", { class: "faint" }, total(page)));
    return h("nav", { class: "pages", "aria-label": t("list.pages") },
      previous ? h("a", { class: "button", href: previous }, t(before.has(mine) ? "list.previous" : "app.to_first")) : h("span", {}),
      page.total !== undefined && h("span", { class: "faint" }, total(page)),
      next ? h("a", { class: "button", href: next, "data-next": true }, t("list.next")) : h("span", {}),
    );
  };

  const update = (query) => {
    now = { ...query };
    showControls();
    return body.again();
  };
  showControls();
  const element = h("div", { class: narrow ? "list narrow" : "list" },
    (field || controls.length > 0 || pins.length > 0) && h("div", { class: "filters", role: "search" }, field && h("div", { class: "seek" }, icon("seek"), field), controls.map((control) => control.element), pinned),
    body,
  );
  return Object.assign(element, { again: body.again, update });
}

/** A view that is a list. */
export function listing(title, lead, actions, list) {
  return Object.assign(h("main", {}, head(title, lead, actions), list), { update: ({ rest, query }) => (rest.length === 0 ? list.update(query) : false) });
}

/** How many there are; where nobody counts further, at least how many. */
function total({ total: n, total_is_at_least: more }) {
  return more ? t("list.more", { n }) : t("list.total", { n });
}

/** A table; on a narrow screen each row becomes a small list with its own titles. */
export function table({ title, columns, items, plain = false }) {
  const cell = (item, column) => {
    const content = column.cell(item);
    if (column.head) return h("th", { scope: "row" }, content);
    return h("td", { class: column.kind ?? "", "data-title": column.title }, h("span", {}, content));
  };
  return h("div", { class: plain ? "table" : "card table", tabindex: "-1" }, h("table", {},
    h("caption", {}, title),
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: column.kind ?? "" },
      column.kind === "actions" ? h("span", { class: "unseen" }, column.title) : column.title)))),
    h("tbody", {}, items.map((item) => h("tr", {}, columns.map((column) => cell(item, column))))),
  ));
}

