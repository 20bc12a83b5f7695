// The variables of a provider's addresses, such as a domain or a tenant, as fields of a form.

import { t } from "../lib/i18n.js";

const PREFIX = "variable_";

/** The fields. `known`: something has values for them already, which count where all are left empty. */
export function variableFields(provider, { known = false } = {}) {
  return Object.entries(provider?.variables ?? {}).map(([key, variable]) => ({
    name: `${PREFIX}${key}`, path: `variables.${key}`, label: variable.title, mono: true,
    hint: [variable.help, variable.prefix || variable.suffix ? ` ${t("variables.form", { form: `${variable.prefix ?? ""}…${variable.suffix ?? ""}` })}` : ""].join(""),
    value: known ? "" : variable.default, required: !known && variable.default === undefined,
  }));
}

/** Their values, those that are given. */
export function variablesOf(provider, values) {
  return Object.fromEntries(Object.keys(provider?.variables ?? {}).map((key) => [key, values[`${PREFIX}${key}`]?.trim()]).filter(([, value]) => value));
}
