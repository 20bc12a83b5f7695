// Routes behind the #: `#/profiles/7?q=acme` is {name: "profiles", rest: ["7"], query: {q: "acme"}}.

/** The route in the address bar. */
export function here() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name = "", ...rest] = path.split("/").map(decoded);
  return { name, rest: rest.filter((part) => part !== ""), query: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

/** The address of a route, for a link: `to("profiles", id)`, `to("profiles", {q})`. */
export function to(...parts) {
  const query = typeof parts.at(-1) === "object" ? parts.pop() : {};
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = given.length > 0 ? `?${new URLSearchParams(given)}` : "";
  return `#/${parts.map((part) => encodeURIComponent(part)).join("/")}${search}`;
}

/** Goes to the address of a route; the back button comes back here. */
export function go(address) {
  if (location.hash === address) changed();
  else location.hash = address;
}

/** Goes to the address of a route and leaves no trace of this one: neither in the address bar nor behind the back button. */
export function replace(address) {
  history.replaceState(null, "", `/${address}`);
  changed();
}

let changed = () => {};

/** Calls `listener` whenever the route is another one. */
export function onRoute(listener) {
  changed = listener;
  addEventListener("hashchange", listener);
}
