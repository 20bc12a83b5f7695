// The page: which view is shown, who is logged in, what stands around the view.

import { Lost, Refusal, call, onConnection } from "./lib/api.js";
import { begin, h, name } from "./lib/dom.js";
import { sentence } from "./lib/form.js";
import { LANGUAGES, language, speak, t } from "./lib/i18n.js";
import { go, here, onRoute, replace } from "./lib/router.js";
import { login } from "./views/login.js";
import { profiles } from "./views/profiles.js";
import { setup } from "./views/setup.js";

/** Says that there may be a session: the cookie itself is out of reach of scripts. It spares a visitor a refusal. */
const MAY_BE_IN = "grantry.session";
const memory = {
  get: () => { try { return localStorage.getItem(MAY_BE_IN) !== null; } catch { return true; } },
  set: (is) => { try { is ? localStorage.setItem(MAY_BE_IN, "1") : localStorage.removeItem(MAY_BE_IN); } catch { /* then it asks */ } },
};

let user = null;
let ended = false;
/** Counts what was shown, so that a slow answer does not come over a later view. */
let shown = 0;
/** Whether the view on the screen could not be fetched. */
let failed = false;

const bar = h("header", { class: "bar" });
const notices = h("div", { class: "notices", role: "status", "aria-live": "polite" });
let view = h("main", {});
document.body.replaceChildren(bar, notices, view);

function entered(who) {
  user = who;
  ended = false;
  memory.set(true);
  const { name: route } = here();
  // A link that was used leaves no trace in the history; any other route is where the reader wanted to go.
  if (route === "setup" || route === "login" || route === "") replace("profiles");
  else show();
}

function left(hasEnded) {
  user = null;
  ended = hasEnded;
  memory.set(false);
}

async function logOut() {
  try {
    await call("DELETE", "/session");
    left(false);
    go("login");
  } catch (error) {
    // That the server does not answer is said already.
    if (!(error instanceof Lost)) notices.replaceChildren(h("p", {}, sentence(error)));
  }
}

function frame() {
  document.documentElement.lang = language();
  const route = here().name;
  const languages = Object.entries(LANGUAGES).map(([code, label]) => h("button", {
    type: "button", lang: code, "data-language": code, "aria-pressed": String(code === language()),
    onclick: () => { speak(code); relabel(); bar.querySelector(`[data-language=${code}]`)?.focus(); },
  }, label));
  bar.replaceChildren(
    h("a", { class: "brand", href: user ? "#/profiles" : "#/login" }, h("img", { src: "/icon.svg", alt: "" }), "Grantry"),
    ...(user ? [h("nav", { "aria-label": t("app.sections") },
      h("a", { href: "#/profiles", "aria-current": route === "profiles" ? "page" : null }, t("profiles.title")))] : []),
    h("div", { class: "who" },
      h("div", { class: "languages", role: "group", "aria-label": t("app.languages") }, languages),
      ...(user ? [name(user.name), h("button", { type: "button", class: "small", onclick: logOut }, t("logout"))] : []),
    ),
  );
}

/** The same view in another language; what was typed stays. */
async function relabel() {
  const typed = [...view.querySelectorAll("input")].map((input) => [input.id, input.value]);
  await show({ keepFocus: true });
  for (const [id, value] of typed) {
    const input = document.getElementById(id);
    if (input) input.value = value;
  }
}

function put(next, { keepFocus } = {}) {
  view.replaceWith(next);
  view = next;
  document.title = t("app.title", { view: view.querySelector("h1")?.textContent ?? "" });
  if (keepFocus) return;
  scrollTo(0, 0);
  const first = view.querySelector("form input");
  if (first) first.focus();
  else begin(view);
}

async function show(options = {}) {
  const mine = ++shown;
  failed = false;
  frame();
  try {
    const next = await build();
    if (mine === shown && next) put(next, options);
  } catch (error) {
    if (mine !== shown) return;
    if (error instanceof Refusal && error.status === 401) {
      // The address stays: whoever logs in goes on there.
      left(true);
      await show(options);
      return;
    }
    // What is on the screen stays there until the server is back.
    failed = error instanceof Lost;
    if (failed) return;
    put(h("main", {}, h("h1", {}, "Grantry"), h("p", { class: "alert", role: "alert" }, sentence(error))), options);
  }
}

/** The same view with what the server has now. */
async function again() {
  await show({ keepFocus: true });
  view.querySelector("[data-again]")?.focus();
}

/** The view of the route, or nothing when another route was taken instead. */
async function build() {
  const { name: route, rest, query } = here();
  if (route === "setup") {
    return setup({ link: rest[0], entered, dead: () => replace("setup") });
  }
  if (user === null && memory.get()) {
    user = await call("GET", "/session");
    memory.set(true);
    frame();
  }
  if (user === null) return login({ ended, entered });
  if (route === "" || route === "login") {
    replace("profiles");
    return null;
  }
  if (route === "profiles") {
    const page = Math.max(1, Math.trunc(Number(query.page)) || 1);
    return profiles({ page: Math.min(page, 1e9), again });
  }
  return h("main", {},
    h("h1", {}, t("app.no_view")),
    h("p", {}, t("app.no_view_text")),
    h("p", {}, h("a", { href: "#/profiles" }, t("app.to_profiles"))),
  );
}

onRoute(() => show());
onConnection((isLost) => {
  notices.replaceChildren(...(isLost ? [h("p", {}, t("app.lost"))] : []));
  if (!isLost && failed) show();
});
show();
