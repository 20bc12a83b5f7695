// A document of OAuth configurations: what is wrong with it at its line, what it would add and change, and then the load.

import { Refusal, call } from "../lib/api.js";
import { h, name, swap } from "../lib/dom.js";
import { form } from "../lib/form.js";
import { t } from "../lib/i18n.js";
import { table } from "../lib/list.js";
import { action, badge, card, faint, head, icon } from "../lib/parts.js";
import { to } from "../lib/router.js";
import { mayWrite } from "../lib/session.js";

/** So many of a long list are shown. */
const MOST = 200;
const EXAMPLE = JSON.stringify({ google_gmail: { "Gmail-1": { CLIENT_ID: "…", CLIENT_SECRET: "…" } } }, null, 2);

export function view() {
  const told = h("div", { class: "stack", "aria-live": "polite" });
  const template = h("a", { class: "button", href: "/api/connector_template", download: "connectors.json" }, icon("save"), t("load.template"));
  if (!mayWrite()) return h("main", {}, head(t("load.title"), t("load.lead"), template), h("p", { class: "note" }, t("error.forbidden")));
  const element = form({
    label: t("load.preview"),
    fields: [{ name: "document", kind: "document", path: "*", label: t("load.document"), hint: t("load.document_hint"), placeholder: EXAMPLE }],
    changed: () => swap(told),
    submit: async ({ document }) => {
      const report = await load(document, "?dry_run=true");
      preview({ document, report, told, element });
      // It is not loaded yet, so it is not to be left behind unasked.
      return false;
    },
  });
  return h("main", {}, head(t("load.title"), t("load.lead"), template), h("div", { class: "stack" }, h("div", { class: "card" }, element), told));
}

async function load({ text, file }, query, onProgress) {
  try {
    return await call("POST", `/api/load${query}`, file ?? text, { type: "application/json", onProgress });
  } catch (error) {
    // No field is to blame for a fault of form, but a line of the document is.
    const whole = error instanceof Refusal && error.status === 400 && Object.keys(error.errors).length === 0;
    throw whole ? new Refusal(400, { message: error.message, errors: { "": [error.message] } }, 0) : error;
  }
}

function preview({ document, report, told, element }) {
  const many = report.added.length + report.updated.length;
  const title = h("h2", { tabindex: "-1" }, t(many > 0 ? "load.would" : "load.nothing"));
  const place = h("div", {});
  swap(told, h("section", { class: "card", "data-preview": true, "aria-label": t("load.preview") }, title, counts(report), listed(report),
    h("div", { class: "actions" },
      many > 0 && action(t("load.apply", { n: many }), async () => {
        const running = progress();
        swap(place, running);
        let report;
        try {
          report = await load(document, "", running.tell);
        } finally {
          running.remove();
        }
        element.clean();
        element.set("document", null);
        done(told, report);
      }, { class: "main", "data-apply": true }),
      h("button", { onclick: () => { swap(told); element.querySelector("textarea").focus(); } }, t("load.back"))), place));
  title.focus();
  title.scrollIntoView({ block: "nearest" });
}

/** That it runs, and how far it is as soon as the server has said so. */
function progress() {
  const bar = h("progress", { "aria-label": t("app.loading") });
  // A screen reader has the bar; each number would be read out.
  const text = h("p", { class: "faint", "aria-hidden": "true" }, t("app.loading"));
  const tell = ({ hashed, of }) => {
    bar.max = of;
    bar.value = hashed;
    text.textContent = t(hashed < of ? "load.hashing" : "load.writing", { n: hashed, of });
  };
  return Object.assign(h("div", { class: "running", "data-running": true }, bar, text), { tell });
}

function done(told, report) {
  const title = h("h2", { tabindex: "-1" }, icon("check"), " ", t("load.done"));
  swap(told, h("section", { class: "card", "data-loaded": true }, title, counts(report), listed(report),
    h("div", { class: "actions" }, h("a", { class: "button main", href: to("profiles") }, t("nav.profiles")))));
  title.focus();
}

function counts(report) {
  return h("p", { class: "badges" },
    badge(t("load.added", { n: report.added.length }), report.added.length > 0 ? "good" : ""),
    badge(t("load.updated", { n: report.updated.length }), report.updated.length > 0 ? "warn" : ""),
    badge(t("load.unchanged", { n: report.unchanged })));
}

function listed(report) {
  const items = [...report.added.map((one) => ({ ...one, is: "added" })), ...report.updated.map((one) => ({ ...one, is: "updated" }))];
  if (items.length === 0) return null;
  return [
    table({
      title: t("load.preview"), plain: true, items: items.slice(0, MOST),
      columns: [
        { title: t("profiles.name"), head: true, cell: (item) => h("a", { class: "quiet", href: to("profiles", { q: item.provider, provider: item.connector }) }, name(item.provider)) },
        { title: t("profiles.provider"), cell: (item) => h("a", { class: "quiet", href: to("providers", item.connector) }, item.connector) },
        { title: t("load.what"), cell: (item) => badge(t(`load.is_${item.is}`), item.is === "added" ? "good" : "warn") },
      ],
    }),
    items.length > MOST && faint(t("list.more", { n: MOST })),
  ];
}
