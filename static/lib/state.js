// The state of a connection, in one word, in a sentence, and what to do about it.

import { fact, t, word } from "./i18n.js";
import { badge } from "./parts.js";

/** The states that a list can be searched for, worst first. */
export const STATES = ["wrong", "lost", "app", "uncertain", "provider", "network", "never", "ok"];

const TONES = { ok: "good", lost: "bad", app: "bad", uncertain: "warn", provider: "warn", network: "warn", never: "" };

/** The state of a connection, in a list or alone. */
export function stateOf(item) {
  const grant = item.grant ?? item;
  if (item.authorization_status === "failed" || item.connection_lost_at) return "lost";
  if (!item.authorization_status) return "never";
  const blame = grant.blame;
  if (blame === "app") return "app";
  if (grant.uncertain_since) return "uncertain";
  if (blame === "provider" || blame === "network") return blame;
  return "ok";
}

/** The same as a badge. */
export function stateBadge(item) {
  const state = stateOf(item);
  return badge(t(`state.${state}`), TONES[state]);
}

/** What a provider's error code, or a word or sentence of ours for a failure, means. */
export function reason(code) {
  const [, status] = /^http_(\d{3})$/.exec(code) ?? [];
  return status ? `HTTP ${status}` : fact("why", code) ?? word(`reason.${code}`, code);
}

/** Whether refreshes change the refresh token: yes, no, or not known. */
export function rotates(known) {
  return t(known === true ? "providers.rotates_text" : known === false ? "providers.stays_text" : "providers.rotates_unknown");
}
