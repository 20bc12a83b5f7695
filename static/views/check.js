// What a check of a profile found, for people: the verdict first, each finding with what it means, and what was said.

import { h } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { badge, copyable, faint, icon } from "../lib/parts.js";
import { told } from "../lib/told.js";

const TONES = { accepted: "good", rejected: "bad", redirect_uri: "bad", unknown: "warn", unreachable: "bad", misconfigured: "bad" };
const SEVERITIES = { ok: "good", warning: "warn", error: "bad" };

export function checkResult({ verdict, findings, sent, received, redirect_uri: redirectUri }) {
  return h("section", { class: "card check-result", "aria-label": t("check.title"), "data-verdict": verdict },
    h("h2", {}, t("check.title"), " ", badge(t(`check.${verdict}`), TONES[verdict])),
    h("p", {}, t(`check.${verdict}_text`)),
    verdict === "redirect_uri" && h("p", {}, copyable(redirectUri, t("profiles.redirect_uri"))),
    h("ul", { class: "plain-list findings" }, findings.map((finding) => h("li", { class: SEVERITIES[finding.severity] },
      icon(finding.severity === "ok" ? "check" : "alert"),
      h("div", { "data-code": finding.code }, told(finding), h("span", { class: "unseen" }, ` (${t(`check.${finding.severity}`)})`))))),
    sent.length > 0 && h("details", {}, h("summary", {}, t("check.exchange")), faint(t("check.exchange_text")),
      sent.map((request, at) => exchange(request, received[at]))),
  );
}

function exchange(request, answer) {
  const fields = Object.entries(request.fields ?? {}).map(([key, value]) => `${key}=${value}`);
  const headers = (all) => Object.entries(all ?? {}).map(([key, value]) => `${key}: ${value}`);
  const asked = [`${request.method} ${request.url}`, ...headers(request.headers), ...(fields.length > 0 ? ["", ...fields] : [])].join("\n");
  const said = answer?.status ? [String(answer.status), ...headers(answer.headers), "", answer.body ?? ""].join("\n") : answer?.trouble ?? "";
  return [h("pre", { class: "wrap", tabindex: "0" }, asked), h("pre", { class: "wrap answer", tabindex: "0" }, said)];
}
