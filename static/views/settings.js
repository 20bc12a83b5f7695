// The server itself: backups, a look at everything, keys, and what is configured and where that comes from.

import { Refusal, call } from "../lib/api.js";
import { confirm } from "../lib/dialog.js";
import { h, name, plain, swap } from "../lib/dom.js";
import { sentence } from "../lib/form.js";
import { number, size, t, word } from "../lib/i18n.js";
import { table } from "../lib/list.js";
import { action, ago, badge, block, card, copyable, facts, faint, head, icon, say } from "../lib/parts.js";
import { help, quoted, told } from "../lib/told.js";

const BACKUPS = "/api/backups";
const KEYS = "/api/keys";

export async function view() {
  const about = await call("GET", "/api/settings");
  const checked = h("div", { class: "checked", "aria-live": "polite" });
  return h("main", {}, head(t("nav.settings"), t("settings.lead")),
    h("div", { class: "columns-2" },
      h("div", { class: "stack" },
        card(t("settings.backups"), block({ lines: 4, load: () => call("GET", BACKUPS), draw: backups })),
        card(t("settings.doctor"), faint(t("settings.doctor_text")),
          h("div", { class: "actions" }, action([icon("check"), t("settings.doctor_run")], () => examine(checked), { "data-doctor": true })), checked)),
      h("div", { class: "stack" },
        card(t("audit.detail"), facts([
          [t("settings.version"), about.version],
          ["SQLite", about.sqlite],
          [t("settings.started"), ago(about.started_at)],
          [t("settings.data"), h("code", {}, about.data)],
          [t("settings.public_url"), copyable(about.public_url, t("settings.public_url"))],
        ])),
        card(t("profiles.redirect_uri"), faint(t("profiles.redirect_uri_text")), facts([
          [t("profiles.callback_oauth"), copyable(about.redirect_uris.oauth, t("profiles.callback_oauth"))],
          [t("profiles.callback_flow"), copyable(about.redirect_uris.flow, t("profiles.callback_flow"))],
        ])),
        card(t("settings.keys"), faint(t("settings.keys_text")), keys()))),
    h("section", { class: "below-it", "aria-label": t("settings.settings") }, h("h2", {}, t("settings.settings")), faint(t("settings.settings_text")), all(about.settings)));
}

/** What is in force of each setting, those that somebody has set first. */
function all(settings) {
  const own = (one) => one.source !== "default";
  return table({
    title: t("settings.settings"), items: [...settings.filter(own), ...settings.filter((one) => !own(one))],
    columns: [
      { title: t("profiles.name"), head: true, cell: (item) => [h("code", {}, item.name), h("small", {}, help(item))] },
      { title: t("settings.value"), cell: (item) => (item.value === null ? "–" : h("code", {}, plain(item.value))) },
      { title: t("settings.source"), cell: (item) => [badge(word(`source.${item.source}`, item.source), own(item) ? "good" : ""), own(item) && item.default !== null && h("small", {}, t("settings.instead"), " ", h("code", {}, plain(item.default)))] },
    ],
  });
}

function backups(found, again) {
  const items = found.backups;
  return [
    facts([
      [t("settings.directory"), h("code", {}, plain(found.directory))],
      [t("settings.schedule"), found.every_hours ? t("settings.every", { n: found.every_hours, keep: found.keep }) : t("settings.no_schedule")],
      [t("settings.next"), ago(found.next_at)],
    ]),
    found.last_failure && h("p", { class: "alert" }, t("settings.failed"), " ", ago(found.last_failure.at), ": ", quoted(found.last_failure.message)),
    items.length === 0 && h("p", { class: "note warn" }, h("strong", {}, t("overview.no_backup")), h("br"), t("overview.backup_text")),
    h("div", { class: "actions" }, action([icon("plus"), t("settings.create")], async () => { await call("POST", BACKUPS); say(t("profiles.saved")); await again(); }, { class: "main", "data-create": true, "data-key": "create" })),
    items.length > 0 && h("ul", { class: "plain-list" }, items.map((one) => backup(one, again))),
    h("details", {}, h("summary", {}, t("settings.restore")), h("p", {}, t("settings.restore_text")),
      h("pre", { tabindex: "0" }, `grantry backup restore ${items[0]?.name ? `${found.directory}/${items[0].name}` : "BACKUP"}`)),
  ];
}

function backup(one, again) {
  const path = `${BACKUPS}/${encodeURIComponent(one.name)}`;
  const verified = h("div", { "aria-live": "polite" });
  const faults = (all) => h("ul", { class: "short" }, all.map((fault) => h("li", {}, told(fault))));
  return h("li", {},
    h("div", { class: "between" }, h("strong", {}, name(one.name)), one.faults ? badge(t("profiles.secret_unusable"), "bad") : ago(one.created_at)),
    one.faults ? faults(one.faults) : h("small", {}, [size(one.size), word(`occasion.${one.occasion}`, one.occasion), `${t("nav.connections")}: ${number(one.counts?.connections ?? 0)}`].join(" · "), " · ", t("settings.verified"), " ", ago(one.verified_at)),
    verified,
    h("div", { class: "actions" },
      action(t("settings.verify"), async () => {
        const { fit, faults: all } = await call("POST", `${path}/verify`);
        swap(verified, h("p", { class: fit ? "note" : "alert", "data-fit": String(fit) }, t(fit ? "settings.fit" : "settings.unfit_text"), !fit && faults(all)));
      }, { class: "small", "data-verify": one.name }),
      h("a", { class: "button small", href: path, download: `${one.name}.tar`, "aria-label": `${t("applications.download")}: ${plain(one.name)}` }, icon("save"), t("applications.download")),
      h("button", { class: "small danger", "data-delete": one.name, "aria-label": `${t("profiles.delete")}: ${plain(one.name)}`, onclick: async () => {
        const done = await confirm({ title: [t("profiles.delete"), ": ", name(one.name)], text: t("settings.delete_text"), label: t("profiles.delete"), act: () => call("DELETE", path) });
        if (done) { say(t("app.deleted")); again(); }
      } }, t("profiles.delete"))));
}

const TONES = { ok: "good", warning: "warn", error: "bad" };

async function examine(checked) {
  swap(checked, h("p", { class: "note" }, t("settings.doctor_running")));
  try {
    const { findings } = await call("GET", "/api/doctor");
    const worst = ["error", "warning", "ok"].find((level) => findings.some((one) => one.level === level)) ?? "ok";
    swap(checked, h("p", { class: "verdict-line", "data-worst": worst }, badge(t(`settings.doctor_${worst}`), TONES[worst])),
      h("ul", { class: "plain-list findings" }, findings.map((one) => h("li", { class: TONES[one.level] }, icon(one.level === "ok" ? "check" : "alert"),
        h("div", {}, h("strong", {}, word(`doctor.${one.code.toLowerCase().replaceAll("-", "_")}`, one.code)), h("span", { class: "unseen" }, ` (${t(`check.${one.level}`)})`), h("small", {}, told(one)))))));
  } catch (error) {
    swap(checked, h("p", { class: "alert", role: "alert" }, sentence(error)));
  }
}

/** Which keys there are; how far a change of keys is, where one is on its way. */
function keys() {
  const opened = h("div", { "aria-live": "polite" });
  let timer = null;
  const element = block({
    lines: 3,
    load: async () => {
      const [list, rotation] = await Promise.all([call("GET", KEYS), call("GET", `${KEYS}/rotation`).catch((error) => { if (error instanceof Refusal) return null; throw error; })]);
      return { list, rotation };
    },
    draw: ({ list, rotation }, again) => {
      clearTimeout(timer);
      if (rotation?.sealing) timer = setTimeout(() => element.isConnected && again(), 1500);
      return [
        h("ul", { class: "plain-list" }, list.map((one) => h("li", {},
          h("div", { class: "between" }, h("code", {}, one.id), one.active ? badge(t("settings.key_active"), "good") : badge(t(one.known ? "settings.key_old" : "settings.key_missing"), one.known ? "" : "bad")),
          h("div", { class: "between" }, h("small", {}, t("settings.key_values", { n: one.values })),
            rotation && one.known && !one.active && one.values === 0 && h("button", { class: "small danger", "data-forget": one.id, "data-key": `forget-${one.id}`, onclick: () => forget(one, again) }, t("settings.forget")))))),
        rotation?.sealing && h("p", { class: "note", "data-sealing": true }, t("settings.sealing", { n: rotation.sealed, left: rotation.left })),
        opened,
        h("div", { class: "actions" },
          action(t("settings.verify"), async () => {
            const { values, unopenable } = await call("POST", `${KEYS}/verify`);
            swap(opened, h("p", { class: unopenable.length === 0 ? "note" : "alert", "data-keys-verified": true },
              t(unopenable.length === 0 ? "settings.keys_good" : "settings.keys_bad", { n: values, bad: unopenable.length }), unopenable.length > 0 && h("code", {}, ` ${unopenable.slice(0, 20).map((one) => `${one.table} ${one.row}`).join(", ")}`)));
          }, { class: "small", "data-verify-keys": true, "data-key": "verify-keys" }),
          rotation && h("button", { class: "small", "data-rotate": true, "data-key": "rotate", onclick: async () => {
            const done = await confirm({ title: t("settings.rotate"), text: t("settings.rotate_text"), label: t("settings.rotate"), danger: false, act: () => call("POST", `${KEYS}/rotate`) });
            if (done) again();
          } }, t("settings.rotate"))),
      ];
    },
  });
  return element;
}

async function forget(one, again) {
  const done = await confirm({ title: [t("settings.forget"), ": ", one.id], text: t("settings.forget_text"), label: t("settings.forget"), act: () => call("DELETE", `${KEYS}/${encodeURIComponent(one.id)}`) });
  if (done) { say(t("profiles.saved")); again(); }
}
