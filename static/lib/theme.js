// Light or dark: as the system has it, or as somebody chose in this browser.

const KEPT = "grantry.theme";

/** The choices, in the order in which they stand. */
export const THEMES = ["system", "light", "dark"];

/** What is chosen. */
export function theme() {
  try {
    const kept = localStorage.getItem(KEPT);
    return THEMES.includes(kept) ? kept : "system";
  } catch {
    return document.documentElement.dataset.theme ?? "system";
  }
}

/** Puts the choice on the page. */
export function wear(chosen = theme()) {
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
}

/** Chooses, and remembers it. */
export function choose(chosen) {
  try { localStorage.setItem(KEPT, chosen); } catch { /* until the page is closed */ }
  wear(chosen);
}
