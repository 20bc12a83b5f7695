// The variables of a provider's addresses, such as a domain or a tenant, as fields of a form.

import { t, variable as inWords } from "../lib/i18n.js";
import { foreign } from "../lib/told.js";

const PREFIX = "variable_";

/** What a variable is called and what it is for, in the page's language where it has the words. */
export function about(provider, key) {
  const { title, help } = provider.variables[key];
  const words = inWords(provider, key, { title, help });
  return { title: words.title ?? title, help: words.help ?? (help ? foreign(help) : null) };
}

/** The fields. `known`: something has values for them already, which count where all are left empty. */
export function variableFields(provider, { known = false } = {}) {
  return Object.entries(provider?.variables ?? {}).map(([key, variable]) => ({
    name: `${PREFIX}${key}`, path: `variables.${key}`, label: about(provider, key).title, mono: true,
    hint: (variable.help || variable.prefix || variable.suffix) && [about(provider, key).help, (variable.prefix || variable.suffix) && ` ${t("variables.form", { form: `${variable.prefix ?? ""}…${variable.suffix ?? ""}` })}`].filter(Boolean),
    value: known ? "" : variable.default, required: !known && variable.default === undefined,
  }));
}

/** Their values, those that are given. */
export function variablesOf(provider, values) {
  return Object.fromEntries(Object.keys(provider?.variables ?? {}).map((key) => [key, values[`${PREFIX}${key}`]?.trim()]).filter(([, value]) => value));
}
