// What a credential may do, and to which connections: the same for API tokens and client applications.

import { h, name, plain } from "../lib/dom.js";
import { t, word } from "../lib/i18n.js";

const SCOPES = [
  "profiles:read", "profiles:write", "connections:read", "connections:write", "connections:token", "applications:read", "applications:write", "audit:read", "admin",
];

function label(scope) {
  return word(`scope.${scope.replace(":", "_")}`, scope);
}

/** The field for scopes. `admin`: whether everything may be given at once. */
export function scopeField(value, { required = true } = {}) {
  return { name: "scopes", kind: "checks", label: t("connections.scopes"), value, required, choices: SCOPES.map((scope) => ({ value: scope, label: h("code", {}, scope), hint: label(scope) })) };
}

/** Scopes, each with its meaning when pointed at. */
export function scopeBadges(scopes) {
  return h("span", { class: "badges" }, scopes.map((scope) => h("code", { class: "badge", title: label(scope) }, plain(scope))));
}

/** The fields that limit a credential to some connections. */
export function reachFields({ connections, owner } = {}) {
  return [
    { name: "owner", required: false, label: t("tokens.owner"), hint: t("tokens.owner_hint"), value: owner ?? "" },
    { name: "connections", kind: "area", rows: 2, mono: true, required: false, label: t("tokens.connections"), hint: t("tokens.connections_hint"), value: (connections ?? []).join(" ") },
  ];
}

/** What of it was filled in, as the API has it; `known`: what is in force, so that an empty field lifts a limit. */
export function reachOf(values, known = {}) {
  const ids = values.connections.split(/[\s,]+/).filter(Boolean).map((word) => (/^\d+$/.test(word) ? Number(word) : word));
  const owner = values.owner.trim();
  return {
    ...(ids.length > 0 ? { connections: ids } : known.connections ? { connections: null } : {}),
    ...(owner !== "" ? { owner } : known.owner ? { owner: null } : {}),
  };
}

/** The limits in words. */
export function reachText({ connections, owner }) {
  if (!connections && !owner) return t("tokens.everything");
  return [
    owner && [t("tokens.of_owner"), " ", name(owner)],
    connections && h("small", {}, t("tokens.of_connections", { n: connections.length }), " ", connections.length <= 8 ? h("code", {}, connections.join(", ")) : null),
  ];
}
