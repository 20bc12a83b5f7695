// Client applications: programs that use this server, each with its file, what it may do, and its secrets.

import { Refusal, call, send } from "../lib/api.js";
import { ask, confirm, showOnce } from "../lib/dialog.js";
import { h, name, plain, swap } from "../lib/dom.js";
import { form, sentence } from "../lib/form.js";
import { number, size, t } from "../lib/i18n.js";
import { list, listing, search } from "../lib/list.js";
import { action, ago, badge, block, card, copyable, empty, facts, faint, head, icon, say } from "../lib/parts.js";
import { go, to } from "../lib/router.js";
import { reachFields, reachOf, reachText, scopeBadges, scopeField } from "./reach.js";

const FILES = "/documents/api/1.2/config/clientApplications";
const PATH = "/api/client_applications";
const EXAMPLE = JSON.stringify({
  id: "crm",
  name: "CRM",
  actions: [{ id: "open", name: "Open", evaluate: "true", invoke: { method: "GET", url: "https://crm.example/{id}" } }],
}, null, 2);

export function view({ rest, query }) {
  const [id, what] = rest;
  if (id === "new") return make();
  if (id !== undefined && what === "file") return replaceFile(id);
  if (id !== undefined) return one(id);
  return all(query);
}

/** Calls of another dialect: it says in one sentence what is wrong with which part. */
async function documents(method, path, body) {
  try {
    return (await send(method, path, body)).body;
  } catch (error) {
    if (!(error instanceof Refusal) || !error.body?.errorMessage) throw error;
    const message = error.body.errorMessage;
    throw new Refusal(error.status, { message, errors: error.status === 400 ? faults(message) : error.status === 409 ? { name: ["has already been taken"] } : {} }, error.retryAfter);
  }
}

/** `$.actions[0].id: …; name: …`, taken apart. */
function faults(message) {
  const found = {};
  for (const part of message.split(/; (?=(?:\$|name|file|metadata|isEnabled)[^\s:]*: )/)) {
    const [, path, phrase] = /^((?:\$|name|file|metadata|isEnabled)[^\s:]*): (.*)$/s.exec(part) ?? [];
    if (path) (found[path === "file" ? "$" : path] ??= []).push(phrase);
  }
  return found;
}

/** The body of an upload; the file as it was given, byte for byte, where nobody has changed it here. */
function upload(metadata, document) {
  const body = new FormData();
  body.append("metadata", JSON.stringify(metadata));
  if (document) body.append("file", document.file ?? new Blob([document.text], { type: "application/json" }), document.file?.name ?? "clientconfig.json");
  return body;
}

function all(query) {
  const create = () => h("a", { class: "button main", href: to("applications", "new") }, icon("plus"), t("applications.new"));
  const applications = list({
    route: "applications", query, title: t("nav.applications"), seek: t("applications.seek"), nouns: ["client_applications"],
    load: search("/api/search/client_applications"),
    columns: [
      { title: t("profiles.name"), head: true, cell: (item) => [h("a", { href: to("applications", item.id) }, name(item.name)), h("small", {}, item.id)] },
      { title: t("profiles.state"), cell: (item) => state(item.is_enabled) },
      { title: t("connections.scopes"), cell: (item) => (item.scopes.length > 0 ? scopeBadges(item.scopes) : t("applications.no_scopes")) },
      { title: t("profiles.secrets"), kind: "number", cell: (item) => number(item.secrets) },
      { title: t("applications.file"), cell: (item) => [name(item.file_name), h("small", {}, size(item.size))] },
      { title: t("profiles.updated"), kind: "time", cell: (item) => ago(item.modified_at) },
    ],
    empty: () => empty(t("applications.empty"), t("applications.empty_text"), create()),
  });
  return listing(t("nav.applications"), t("applications.lead"), create(), applications);
}

function state(enabled) {
  return badge(t(enabled ? "applications.enabled" : "applications.disabled"), enabled ? "good" : "");
}

function fileField() {
  return { name: "document", kind: "document", path: "$", root: "$", label: t("applications.file"), hint: t("applications.file_hint"), placeholder: EXAMPLE };
}

function make() {
  const element = form({
    label: t("app.create"), more: h("a", { class: "button", href: to("applications") }, t("dialog.cancel")),
    fields: [
      { name: "name", label: t("profiles.name"), hint: t("applications.name_hint") },
      fileField(),
      { name: "enabled", kind: "checkbox", label: t("webhooks.enable"), value: true },
    ],
    submit: async (values) => {
      const made = await documents("POST", FILES, upload({ name: values.name, isEnabled: values.enabled }, values.document));
      element.clean();
      say(t("profiles.saved"));
      go(to("applications", made.id));
    },
  });
  return h("main", {}, head(t("applications.new"), t("applications.new_lead"), [], { href: to("applications"), label: t("nav.applications") }), h("div", { class: "card" }, element));
}

async function replaceFile(id) {
  const path = `${FILES}/${encodeURIComponent(id)}`;
  const known = await documents("GET", path);
  const element = form({
    label: t("profiles.save"), more: h("a", { class: "button", href: to("applications", id) }, t("dialog.cancel")),
    fields: [fileField()],
    submit: async (values) => {
      await documents("PUT", path, upload({}, values.document));
      element.clean();
      say(t("profiles.saved"));
      go(to("applications", id));
    },
  });
  return h("main", {}, head(t("applications.replace"), name(known.name), [], { href: to("applications", id), label: name(known.name) }), h("div", { class: "card" }, element));
}

async function one(id) {
  const at = encodeURIComponent(id);
  const load = async () => {
    const [application, may, secrets] = await Promise.all([documents("GET", `${FILES}/${at}`), call("GET", `${PATH}/${at}/scopes`), call("GET", `${PATH}/${at}/secrets`)]);
    return { application, may, secrets };
  };
  const first = await load();
  return h("main", {}, block({ nouns: ["client_applications"], first, load, draw: (now, again) => draw({ ...now, at, again }) }));
}

function draw({ application, may, secrets, at, again }) {
  const enabled = application.isEnabled === "true";
  const files = `${FILES}/${at}`;
  const known = { name: application.name, scopes: may.scopes, connections: may.connections, owner: may.owner };
  return [
    head(name(application.name), null, [
      action(t(enabled ? "applications.disable" : "applications.enable"), async () => {
        if (!enabled) { await documents("PUT", files, upload({ isEnabled: true })); say(t("profiles.saved")); return again(); }
        const done = await confirm({
          title: [t("applications.disable"), ": ", name(application.name)], text: t("applications.disable_text"), label: t("applications.disable"),
          act: () => documents("PUT", files, upload({ isEnabled: false })),
        });
        if (done) { say(t("profiles.saved")); await again(); }
      }, { "data-enable": true, "data-key": "enable" }),
      h("button", { class: "danger", "data-delete": true, "data-key": "delete", onclick: () => remove({ application, secrets, files }) }, t("profiles.delete")),
    ], { href: to("applications"), label: t("nav.applications") }),
    h("div", { class: "columns-2" },
      h("div", { class: "stack" },
        card(t("audit.detail"), facts([
          [t("profiles.state"), state(enabled)],
          [t("profiles.client_id"), [copyable(application.id, t("profiles.client_id")), h("small", {}, t("applications.client_id_text"))]],
          [t("applications.token_url"), copyable(`${location.origin}/oauth/token`, t("applications.token_url"))],
          [t("profiles.created"), ago(application.createdTime)],
          [t("profiles.updated"), ago(application.modifiedTime)],
        ])),
        card(t("applications.file"), faint(t("applications.file_text")), content(files), h("div", { class: "actions" },
          h("a", { class: "button small", href: `${files}/data`, download: true, "data-download": true }, icon("save"), t("applications.download")),
          h("a", { class: "button small", href: to("applications", application.id, "file") }, t("applications.replace"))))),
      h("div", { class: "stack" },
        card(t("applications.may"),
          facts([[t("connections.scopes"), may.scopes.length > 0 ? scopeBadges(may.scopes) : t("applications.no_scopes")], [t("tokens.limits"), reachText(may)]]),
          h("div", { class: "actions" }, h("button", { class: "small", "data-scopes": true, "data-key": "scopes", onclick: () => grant({ known, at, again }) }, t("profiles.edit")))),
        card(t("profiles.secrets"),
          secrets.length === 0 ? faint(t("applications.no_secrets")) : h("ul", { class: "plain-list" }, secrets.map((one) => h("li", { class: "between" },
            h("span", {}, t("profiles.number", { id: String(one.id) }), h("small", {}, t("profiles.created"), " ", ago(one.created_at), " · ", t("profiles.secret_used"), ": ", ago(one.last_used_at) ?? t("profiles.secret_never_used"))),
            h("button", { class: "small danger", "data-revoke": one.id, "data-key": `revoke-${one.id}`, "aria-label": `${t("tokens.revoke")}: ${one.id}`, onclick: () => revoke({ one, application, at, again }) }, t("tokens.revoke"))))),
          h("div", { class: "actions" }, action(t("applications.issue"), async () => {
            const made = await call("POST", `${PATH}/${at}/secret`);
            await showOnce({ title: [t("profiles.client_secret"), ": ", name(application.name)], values: [{ label: t("profiles.client_id"), value: made.client_id }, { label: t("profiles.client_secret"), value: made.client_secret }] });
            await again();
          }, { class: "small", "data-issue": true, "data-key": "issue" }))))),
  ];
}

/** So much of a file is shown; a page with all of a large one would be slow. */
const MOST_SHOWN = 100_000;

/** The file as it is kept, fetched whenever somebody wants to see it. */
function content(files) {
  const place = h("div", {});
  const show = async () => {
    if (!details.open) return;
    try {
      const { body } = await send("GET", `${files}/data`, undefined, { asText: true });
      swap(place, body.length > MOST_SHOWN && h("p", { class: "note" }, t("applications.beginning")), h("pre", { tabindex: "0", "data-file": true }, plain(body.slice(0, MOST_SHOWN))));
    } catch (error) {
      swap(place, h("p", { class: "alert", role: "alert" }, sentence(error)));
    }
  };
  const details = h("details", { ontoggle: show }, h("summary", { "data-show": true, "data-key": "file" }, t("applications.show")), place);
  return details;
}

async function grant({ known, at, again }) {
  const done = await ask({
    title: [t("applications.may"), ": ", name(known.name)], lead: t("applications.grant_text"), label: t("profiles.save"), wide: true,
    // Where the server knows no limits of that kind yet it says nothing of them.
    fields: [scopeField(known.scopes, { required: false }), ...("owner" in known && known.owner !== undefined ? reachFields(known) : [])],
    submit: (values) => call("PUT", `${PATH}/${at}/scopes`, { scopes: values.scopes, ...(values.owner === undefined ? {} : reachOf(values, known)) }),
  });
  if (done) { say(t("profiles.saved")); again(); }
}

async function revoke({ one, application, at, again }) {
  const done = await confirm({
    title: `${t("tokens.revoke")}: ${t("profiles.number", { id: String(one.id) })}`,
    text: [t("applications.revoke_text"), [t("profiles.secret_used"), ": ", ago(one.last_used_at) ?? t("profiles.secret_never_used")]],
    label: t("tokens.revoke"), act: () => call("DELETE", `${PATH}/${at}/secrets/${one.id}`),
  });
  if (done) { say(t("tokens.revoked")); again(); }
}

async function remove({ application, secrets, files }) {
  const used = secrets.map((one) => one.last_used_at).filter(Boolean).sort().at(-1);
  const done = await confirm({
    title: [t("profiles.delete"), ": ", name(application.name)], text: t("applications.delete_text"),
    depends: [secrets.length > 0 && t("applications.uses_secrets", { n: secrets.length }), used && [t("profiles.secret_used"), ": ", ago(used)]].filter(Boolean),
    label: t("profiles.delete"), act: () => documents("DELETE", files),
  });
  if (done) { say(t("app.deleted")); go(to("applications")); }
}
