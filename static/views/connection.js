// One connection: whose it is, whether it works, what happened, and what can be done.

import { at, call } from "../lib/api.js";
import { ask, confirm } from "../lib/dialog.js";
import { h, name, plain } from "../lib/dom.js";
import { number, t, time, word } from "../lib/i18n.js";
import { table } from "../lib/list.js";
import { action, ago, badge, block, card, codes, facts, faint, head, icon, say } from "../lib/parts.js";
import { go, to } from "../lib/router.js";
import { mayWrite } from "../lib/session.js";
import { reason, stateBadge, stateOf } from "../lib/state.js";
import { cause, quoted, warning, warnings } from "../lib/told.js";

export async function connection({ id }) {
  const path = `/api/connections/${encodeURIComponent(id)}`;
  const load = () => call("GET", path);
  const first = await load();
  const profile = first.custom_oauth_profile_id
    ? await call("GET", `/api/custom_oauth_profiles/${first.custom_oauth_profile_id}`).catch(() => null) : null;
  const events = history(path);
  return h("main", {}, block({
    nouns: ["connections"], first, load,
    draw: (now, again) => draw({ connection: now, profile, path, events, again: () => Promise.all([again(), events.again()]) }),
  }));
}

function draw({ connection, profile, path, events, again }) {
  const may = mayWrite();
  const grant = connection.grant;
  const revoked = connection.revocations ?? [];
  return [
    head(name(connection.name), [connection.provider, " · ", t("profiles.number", { id: String(connection.id) })], may && [
      grant?.refreshable && action(t("connections.refresh"), async () => {
        try {
          // It answers what it knows then, whether the provider gave a new token or not.
          const { last_refresh: last } = (await call("POST", `${path}/refresh`)).grant;
          if (last.ok) say(t("connections.refreshed"));
          else say([t("connections.not_renewed"), " ", why(last)], "bad");
        } finally {
          await again();
        }
      }, { "data-refresh": true, "data-key": "refresh" }),
      h("a", { class: "button", href: to("connect", { connection_id: connection.id }) }, icon("connections"), t(grant ? "connections.reconnect" : "connections.connect")),
      h("button", { "data-edit": true, "data-key": "edit", onclick: () => edit({ connection, path, again }) }, t("profiles.edit")),
      grant && h("button", { class: "danger", "data-disconnect": true, "data-key": "disconnect", onclick: () => disconnect({ connection, path, again }) }, t("connections.disconnect")),
      h("button", { class: "danger", "data-delete": true, "data-key": "delete", onclick: () => remove({ connection, path }) }, t("profiles.delete")),
    ], { href: to("connections"), label: t("nav.connections") }),
    verdict(connection),
    connection.warnings?.length > 0 && card(t("connections.warnings"), warnings(connection.warnings)),
    h("div", { class: "columns-2" },
      h("div", { class: "stack" },
        card(t("connections.account"), facts([
          [t("connections.account"), connection.account ? [name(connection.account.label ?? connection.account.id), connection.account.label && h("small", {}, name(connection.account.id))] : t("connections.no_account")],
          [t("connections.owner"), connection.owner && name(connection.owner)],
          [t("connections.profile_id"), connection.custom_oauth_profile_id && h("a", { href: to("profiles", connection.custom_oauth_profile_id) }, profile ? name(profile.name) : t("profiles.number", { id: String(connection.custom_oauth_profile_id) }))],
          [t("connections.customer_id"), connection.customer_id && String(connection.customer_id)],
          [t("connections.external_id"), connection.external_id && name(connection.external_id)],
          [t("connections.scopes"), scopes(connection)],
          [t("connections.created"), ago(connection.created_at)],
        ])),
        grant && card(t("connections.grant"), facts([
          [t("connections.grant_type"), word(`grant.${grant.type}`, grant.type)],
          [t("connections.granted"), ago(grant.granted_at)],
          [t("connections.token_expires"), grant.expires_at ? ago(grant.expires_at) : t("connections.token_no_expiry")],
          [t("connections.last_refresh"), grant.last_refresh?.at ? [ago(grant.last_refresh.at), " ", badge(why(grant.last_refresh), grant.last_refresh.ok ? "good" : "bad")] : t("connections.not_refreshed")],
          [t("connections.next_refresh"), grant.refreshable ? ago(grant.next_refresh_at) ?? "–" : t("connections.not_refreshable")],
          [t("connections.refresh_expires"), ago(grant.refresh_token_expires_at)],
          grant.failures > 0 && [t("connections.failures"), number(grant.failures)],
          grant.clock_skew_ms !== null && Math.abs(grant.clock_skew_ms) > 5000 && [t("connections.skew"), t("connections.skew_text", { n: Math.round(grant.clock_skew_ms / 1000) })],
        ])),
      ),
      h("div", { class: "stack" },
        card(t("connections.history"), events),
        handOuts(connection.hand_outs),
        revoked.length > 0 && card(t("connections.revocations"), h("ul", { class: "plain-list" }, revoked.map((one) => h("li", {},
          word(`connections.token_${one.token}`, one.token), " ", badge(one.settled_at ? reason(one.result) : t("connections.revoking", { n: one.attempts }), one.settled_at && one.result === "revoked" ? "good" : "warn"), " ", ago(one.settled_at))))),
      )),
  ];
}

/** In a sentence what the matter is, and what to do. */
function verdict(connection) {
  const state = stateOf(connection);
  const grant = connection.grant;
  const last = grant?.last_refresh?.ok === false ? grant.last_refresh : null;
  const lost = state === "lost" && connection.connection_lost_reason;
  const here = lost === "disconnected";
  const ours = lost ? cause(lost) ?? h("code", {}, plain(lost)) : last && why(last);
  const since = { lost: connection.connection_lost_at, uncertain: grant?.uncertain_since }[state];
  const tone = state === "ok" ? "good" : state === "never" ? "" : state === "lost" || state === "app" ? "bad" : "warn";
  return h("section", { class: `card verdict ${tone}`, "data-state": state, "aria-label": t("profiles.state") },
    h("div", { class: "between" }, stateBadge(connection), since && ago(since)),
    h("p", {}, t(here ? "state.here_text" : `state.${state}_text`)),
    !here && state !== "ok" && state !== "never" && [
      ours && faint(t("connections.said"), " ", ours, last?.detail && [" (", quoted(last.detail), ")"]),
      last && answered(last),
    ],
    mayWrite() && todo(state, connection),
  );
}

/** What came of a refresh: our own conclusion. */
function why({ result, reason: ours }) {
  return reason(ours ?? result);
}

/** What the provider answered to a refresh that failed, apart from our conclusion and word for word. */
function answered(last) {
  const said = [
    [t("connections.answer_error"), last.provider_error && h("code", { "data-provider-error": true }, plain(last.provider_error))],
    [t("connections.answer_text"), last.provider_error_description && quoted(last.provider_error_description)],
    [t("connections.answer_status"), last.http_status && String(last.http_status)],
    [t("connections.answer_type"), last.media_type && h("code", {}, plain(last.media_type))],
    [t("connections.answer_excerpt"), last.excerpt && h("pre", { class: "wrap", tabindex: "0" }, plain(last.excerpt))],
  ];
  return said.some(([, value]) => value) && h("div", { "data-answer": true }, h("h3", {}, t("connections.answer")), facts(said));
}

function todo(state, connection) {
  const reconnect = () => h("a", { class: "button small", href: to("connect", { connection_id: connection.id }) }, t(state === "never" ? "connections.connect" : "connections.reconnect"));
  const mend = () => connection.custom_oauth_profile_id && h("a", { class: "button small", href: to("profiles", connection.custom_oauth_profile_id) }, t("connections.to_profile"));
  const doing = { lost: reconnect, never: reconnect, uncertain: reconnect, app: mend }[state];
  return doing && h("div", { class: "actions" }, doing());
}

function scopes(connection) {
  return codes((connection.grant?.scope?.split(/[\s,]+/) ?? connection.scopes ?? []).filter(Boolean));
}

function handOuts(all) {
  return card(t("connections.hand_outs"),
    faint(all.count === 0 ? t("connections.no_hand_outs") : [t("connections.hand_outs_text", { n: all.count }), " ", ago(all.last_at)]),
    all.by.length > 0 && h("details", {}, h("summary", {}, t("connections.hand_outs_by")), table({
      title: t("connections.hand_outs"), plain: true, items: all.by,
      columns: [
        { title: t("connections.actor"), head: true, cell: (item) => name(item.actor) },
        { title: t("connections.hour"), cell: (item) => h("time", { datetime: item.hour }, time(item.hour)) },
        { title: t("connections.count"), kind: "number", cell: (item) => number(item.count) },
      ],
    })),
  );
}

/** What happened, the latest first; older things on demand. */
function history(path) {
  const older = [];
  let next = null;
  const element = block({
    nouns: ["connections"], lines: 4,
    load: () => call("GET", at(`${path}/history`, { limit: 15 })),
    draw: (page) => {
      if (older.length === 0) next = page.next;
      const items = [...page.items, ...older];
      if (items.length === 0) return faint(t("connections.no_history"));
      const list = h("ol", { class: "plain-list history" }, items.map(line));
      return [list, next && action(t("connections.older"), async () => {
        const more = await call("GET", at(`${path}/history`, { limit: 30, before: next }));
        older.push(...more.items);
        next = more.next;
        list.append(...more.items.map(line));
        if (!next) element.querySelector("[data-older]")?.remove();
      }, { class: "small", "data-older": true })];
    },
  });
  return element;
}

function line(item) {
  const { kind, ok, result, blame, detail } = item;
  const more = [blame && t(`blame.${blame}`), detail?.account && plain(detail.account), detail?.grant_type && word(`grant.${detail.grant_type}`, detail.grant_type), detail?.reason && (cause(detail.reason) ?? reason(detail.reason)), detail?.code && warning(detail)];
  return h("li", {},
    h("div", { class: "between" }, h("span", {}, word(`history.${kind}`, kind), " ", kind === "refresh" && badge(ok ? t("history.ok") : reason(result), ok ? "good" : "bad")), ago(item.at)),
    h("small", {}, more.filter(Boolean).map((one, at) => [at > 0 && " · ", one])));
}

async function edit({ connection, path, again }) {
  const done = await ask({
    title: t("connections.edit_title"), label: t("profiles.save"),
    fields: [
      { name: "name", label: t("profiles.name"), value: connection.name },
      { name: "external_id", label: t("connections.external_id"), hint: t("connections.external_id_hint"), value: connection.external_id ?? "", required: false },
    ],
    submit: (values) => call("PUT", path, { name: values.name, external_id: values.external_id || null }),
  });
  if (done) { say(t("profiles.saved")); again(); }
}

async function disconnect({ connection, path, again }) {
  const done = await confirm({
    title: [t("connections.disconnect_title"), " ", name(connection.name)], text: lost(connection, "connections.disconnect_text"), depends: depends(connection),
    label: t("connections.disconnect"), act: () => call("POST", `${path}/disconnect`),
  });
  if (done) { say(t("connections.disconnected")); again(); }
}

async function remove({ connection, path }) {
  const done = await confirm({
    title: [t("connections.delete_title"), " ", name(connection.name)], text: lost(connection, "connections.delete_text"), depends: depends(connection),
    label: t("profiles.delete"), act: () => call("DELETE", path),
  });
  if (done) { say(t("connections.deleted")); go(to("connections")); }
}

function lost(connection, key) {
  const { account } = connection;
  return [t(key), account && [t("connections.account_lost"), " ", name(account.label ?? account.id)]].filter(Boolean);
}

/** Who has taken tokens of it lately: they are those who will miss it. */
function depends(connection) {
  const actors = [...new Set(connection.hand_outs.by.map((one) => one.actor))].slice(0, 5);
  return actors.map((actor) => [name(actor), " ", t("connections.uses_it")]);
}
