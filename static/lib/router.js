// Routes behind the #: `#/profiles?page=2` is {name: "profiles", rest: [], query: {page: "2"}}.

/** The route in the address bar. */
export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name = "", ...rest] = path.split("/").map(decoded);
  return { name, rest, query: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

/** Goes to a route; the back button comes back here. */
export function go(route) {
  if (location.hash === `#/${route}`) changed();
  else location.hash = `#/${route}`;
}

/** Goes to a route and leaves no trace of this one: neither in the address bar nor behind the back button. */
export function replace(route) {
  history.replaceState(null, "", `/#/${route}`);
  changed();
}

let changed = () => {};

/** Calls `listener` whenever the route is another one. */
export function onRoute(listener) {
  changed = listener;
  addEventListener("hashchange", listener);
}
