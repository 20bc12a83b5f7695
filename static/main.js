// The page: which view is shown, who is logged in, what stands around the view.

import { Lost, Refusal, call, lost, onConnection, onEnded } from "./lib/api.js";
import { confirm } from "./lib/dialog.js";
import { begin, h, name, plain, swap } from "./lib/dom.js";
import { capture, sentence, typed } from "./lib/form.js";
import { LANGUAGES, language, speak, t, word } from "./lib/i18n.js";
import { hush, listen, lookAgain } from "./lib/live.js";
import { icon, say } from "./lib/parts.js";
import { go, here, onRoute, replace, to } from "./lib/router.js";
import { become } from "./lib/session.js";
import { THEMES, choose, theme, wear } from "./lib/theme.js";
import { FIRST, GROUPS, VIEWS } from "./views/index.js";
import { login, loginAgain } from "./views/login.js";
import { setup } from "./views/setup.js";

wear();

/**
 * Says that there may be a session, and whose: the cookie itself is out of reach of scripts. It spares a visitor a refusal,
 * and tells the other tabs.
 */
const MAY_BE_IN = "grantry.session";
const memory = {
  get: () => { try { return localStorage.getItem(MAY_BE_IN) !== null; } catch { return true; } },
  set: (who) => { try { who ? localStorage.setItem(MAY_BE_IN, who.id) : localStorage.removeItem(MAY_BE_IN); } catch { /* then it asks */ } },
};

let user = null;
/** Counts what was shown, so that a slow answer does not come over a later view. */
let shown = 0;
/** Whether the view on the screen could not be fetched. */
let failed = false;
/** The address of the view on the screen. */
let shownAt = null;

const skip = h("a", { class: "skip", href: "#content", onclick: (event) => { event.preventDefault(); begin(view); } });
const bar = h("header", { class: "bar" });
const side = h("div", { class: "side", id: "navigation", popover: "auto" });
const notices = h("div", { class: "notices", role: "status", "aria-live": "polite" });
let view = h("main", {});
document.body.replaceChildren(skip, bar, side, notices, view);

// A drawer is closed by whatever leads away; its button tells which way it is.
side.addEventListener("click", (event) => { if (event.target.closest("a")) closeSide(); });
side.addEventListener("toggle", (event) => {
  bar.querySelector("[data-menu]")?.setAttribute("aria-expanded", String(event.newState === "open"));
  if (event.newState === "open") (side.querySelector("[aria-current]") ?? side.querySelector("a"))?.focus();
});
function closeSide() {
  if (side.matches(":popover-open")) side.hidePopover();
}

/** Who is logged in is another one. */
function set(who) {
  user = who;
  become(who);
  memory.set(who);
}

function entered(who) {
  set(who);
  const { name: route } = here();
  // A link that was used leaves no trace in the history; any other route is where the reader wanted to go.
  if (route === "setup" || route === "login" || route === "") replace(to(FIRST));
  else show();
}

function left() {
  set(null);
  hush();
}

async function logOut() {
  if (!(await mayLeave())) return;
  try {
    await call("DELETE", "/session", undefined, { alone: true });
    left();
    view = swapMain(h("main", {}));
    go(to("login"));
  } catch (error) {
    // That the server does not answer is said already.
    if (!(error instanceof Lost)) say(sentence(error), "bad");
  }
}

let comingBack = null;
/** Closes the dialog that asks for a login, with the user who is there after all. */
let comeIn = null;

/** The session is over: whoever was here logs in over the view, and what was typed is there still. */
function comeBack() {
  if (user === null) return Promise.resolve(false);
  const before = user;
  comingBack ??= (async () => {
    hush();
    closeSide();
    const who = await loginAgain(before, (close) => { comeIn = close; });
    comingBack = null;
    if (!who) {
      swap(notices, h("p", {}, t("login.ended"), " ", h("button", { class: "small", onclick: comeBack }, t("login.title"))));
      return false;
    }
    if (who.id !== before.id) return another(who);
    swap(notices);
    // The same value again would be no event for the other tabs, which may be asking too.
    memory.set(null);
    set(who);
    frame();
    listen(whoIsHere);
    lookAgain();
    return true;
  })();
  return comingBack;
}
onEnded(comeBack);

/** Somebody else came: nothing of what the one before saw or typed stays, and nothing that was begun goes on. */
function another(who) {
  set(who);
  for (const form of document.querySelectorAll("form[data-dirty]")) form.clean();
  document.body.replaceChildren();
  location.reload();
  return new Promise(() => {});
}

/**
 * Looks whose session it is: in another tab it may have ended, or somebody else may have begun one. Answers whether the
 * same user is here.
 */
async function whoIsHere() {
  if (user === null) return false;
  try {
    const who = await call("GET", "/session", undefined, { alone: comingBack !== null });
    if (comingBack !== null) comeIn(who);
    else if (who.id !== user?.id) another(who);
    else return true;
  } catch { /* said already */ }
  return false;
}
addEventListener("storage", (event) => { if (event.key === MAY_BE_IN) whoIsHere(); });
// A page that the back button brings back as it was left has heard nothing meanwhile.
addEventListener("pageshow", async (event) => {
  if (!event.persisted) return;
  hush();
  if (await whoIsHere()) {
    listen(whoIsHere);
    lookAgain();
  }
});

const buttons = {
  languages: () => h("div", { class: "switch", role: "group", "aria-label": t("app.languages") },
    Object.entries(LANGUAGES).map(([code, label]) => h("button", {
      type: "button", lang: code, "data-language": code, "aria-pressed": String(code === language()),
      onclick: async () => {
        try {
          await speak(code);
        } catch {
          lost();
          return;
        }
        await relabel();
        document.querySelector(`[data-language=${code}]`)?.focus();
      },
    }, label))),
  themes: () => h("div", { class: "switch", role: "group", "aria-label": t("app.themes") },
    THEMES.map((one) => h("button", {
      type: "button", "data-theme-choice": one, "aria-pressed": String(one === theme()), "aria-label": t(`app.theme_${one}`), title: t(`app.theme_${one}`),
      onclick: (event) => {
        choose(one);
        for (const button of event.currentTarget.parentElement.children) button.setAttribute("aria-pressed", String(button.dataset.themeChoice === one));
      },
    }, icon(one)))),
};

function brand() {
  return h("a", { class: "brand", href: user ? to(FIRST) : to("login") }, h("img", { src: "/icon.svg", alt: "" }), "Grantry");
}

function frame() {
  document.documentElement.lang = language();
  skip.textContent = t("app.skip");
  const route = here().name;
  document.body.classList.toggle("in", user !== null);
  if (user === null) {
    closeSide();
    swap(side);
    swap(bar, brand(), h("div", { class: "who" }, buttons.themes(), buttons.languages()));
    return;
  }
  const below = VIEWS.find((one) => one.name === route)?.under;
  const link = (one) => h("a", { href: to(one.name), "aria-current": route === one.name || below === one.name ? "page" : null }, icon(one.icon), t(one.title));
  const groups = [VIEWS.filter((one) => !one.group), ...GROUPS.map(([group]) => VIEWS.filter((one) => one.group === group))];
  const titles = [null, ...GROUPS.map(([, title]) => title)];
  const allowed = (one) => !one.under && (!one.admin || user.role === "admin");
  const open = side.matches(":popover-open");
  swap(bar, h("button", { class: "bare", popovertarget: "navigation", "data-menu": true, "aria-expanded": String(open), "aria-label": t("app.menu") }, icon("menu")), brand());
  swap(side,
    brand(),
    h("nav", { "aria-label": t("app.sections") }, groups.map((views, at) => {
      const shown = views.filter(allowed);
      return shown.length > 0 && [titles[at] && h("h2", {}, t(titles[at])), h("ul", {}, shown.map((one) => h("li", {}, link(one))))];
    })),
    h("div", { class: "who" },
      h("p", {}, name(user.name), h("span", { class: "faint" }, word(`role.${user.role}`, user.role))),
      h("div", { class: "switches" }, buttons.languages(), buttons.themes()),
      h("button", { class: "small", "data-logout": true, onclick: logOut }, icon("out"), t("login.out")),
    ),
  );
}

/** The same view in another language; what was typed stays. */
async function relabel() {
  const restore = capture(view);
  const open = side.matches(":popover-open");
  await show({ keepFocus: true, anew: true });
  restore(view);
  if (open && !side.matches(":popover-open")) side.showPopover();
}

function swapMain(next) {
  view.replaceWith(next);
  return next;
}

function put(next, { keepFocus } = {}) {
  next.id = "content";
  view.leave?.();
  view = swapMain(next);
  title();
  if (keepFocus) return;
  scrollTo(0, 0);
  const first = view.classList.contains("narrow") ? view.querySelector("form input") : null;
  if (first) first.focus();
  else begin(view);
}

/** The title of the window is that of the view, which may come later. */
function title() {
  document.title = t("app.title", { view: plain(view.querySelector("h1")?.textContent ?? "") });
}
new MutationObserver(() => { if (view.querySelector("h1")) title(); }).observe(document.body, { childList: true, subtree: true });

async function show(options = {}) {
  const mine = ++shown;
  failed = false;
  const address = location.hash;
  frame();
  // What takes long shows that it is coming.
  const slow = setTimeout(() => { if (mine === shown && shownAt !== address) view.setAttribute("aria-busy", "true"); }, 150);
  try {
    const next = await build(options);
    if (mine !== shown) return;
    shownAt = address;
    if (next) put(next, options);
    if (user !== null) listen(whoIsHere);
  } catch (error) {
    if (mine !== shown) return;
    if (error instanceof Refusal && error.ended) {
      // What is typed stays, in the language that it was typed in.
      if (options.anew && typed(view)) return;
      // The address stays: whoever logs in goes on there.
      left();
      await show(options);
      return;
    }
    // What is on the screen stays there until the server is back.
    failed = error instanceof Lost;
    if (failed) return;
    put(h("main", {}, h("h1", {}, "Grantry"), h("p", { class: "alert", role: "alert" }, sentence(error))), options);
  } finally {
    clearTimeout(slow);
    view.removeAttribute("aria-busy");
  }
}

/** The view of the route, or nothing where the one on the screen goes on, or another route was taken instead. */
async function build({ anew = false }) {
  const { name: route, rest, query } = here();
  if (route === "setup") {
    return setup({ link: rest[0], entered, dead: () => replace(to("setup")) });
  }
  const found = VIEWS.find((one) => one.name === (route || FIRST));
  if (user === null && memory.get()) {
    // Its file is fetched meanwhile; that it does not come is said when it is needed.
    if (found) found.load().catch(() => {});
    set(await call("GET", "/session", undefined, { alone: true }));
    frame();
  }
  if (user === null) return login({ entered });
  if (route === "" || route === "login") {
    replace(to(FIRST));
    return null;
  }
  if (found && (!found.admin || user.role === "admin")) {
    if (!anew && view.dataset.view === route && view.lang === language() && view.update && (await view.update({ rest, query })) !== false) return null;
    const next = await (await loaded(found)).view({ rest, query });
    next.dataset.view = route;
    next.lang = language();
    return next;
  }
  return h("main", {},
    h("h1", {}, t("app.no_view")),
    h("p", { class: "lead" }, t("app.no_view_text")),
    h("p", {}, h("a", { class: "button", href: to(FIRST) }, t("app.to_first"))),
  );
}

/** The file of a view. One that does not come is a server that does not answer. */
async function loaded(one) {
  try {
    return await one.load();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    lost();
    throw new Lost();
  }
}

/** Asks before something that is typed is left behind. */
async function mayLeave() {
  if (!typed(view)) return true;
  const leaves = await confirm({ title: t("leave.title"), text: t("leave.text"), label: t("leave.leave"), act: async () => {} });
  if (leaves) for (const form of view.querySelectorAll("form[data-dirty]")) form.clean();
  return Boolean(leaves);
}

let asking = false;
onRoute(async () => {
  const wanted = location.hash;
  if (wanted === shownAt && asking) return;
  if (wanted !== shownAt && shownAt !== null && typed(view)) {
    if (asking) return;
    asking = true;
    history.pushState(null, "", shownAt);
    const leaves = await mayLeave();
    asking = false;
    if (!leaves) return;
    history.replaceState(null, "", wanted);
  }
  show();
});
addEventListener("beforeunload", (event) => { if (typed(view)) event.preventDefault(); });

onConnection((isLost) => {
  swap(notices, isLost && h("p", {}, t("app.lost")));
  if (isLost) return;
  if (failed) show();
  else lookAgain();
});

show().then(() => {
  // The files of the other views, when what was asked for is painted: they are there when the server is not.
  setTimeout(() => { for (const one of VIEWS) one.load().catch(() => { /* it is asked for again when it is needed */ }); }, 500);
});
