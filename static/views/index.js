// Every view, in the order of the navigation: what its route is called, where its words are, and the file that makes it.
//
// A view's file exports `view(route)`, where `route` is `{rest, query}` (see `lib/router.js`); it answers, at once or
// later, a `main` element with one `h1`. The element may have:
//   update(route)  the same view with another query or another part of the path; answers `false` where it has to be made anew
//   leave()        called when another view comes
// What it shows is kept fresh by the blocks that it is made of (`lib/parts.js`).

/**
 * `name`: the first part of the route. `group`: navigation is divided by it. `under`: a view that stands in no navigation,
 * and the one below which it is. `admin`: only for administrators.
 */
export const VIEWS = [
  { name: "overview", icon: "overview", title: "nav.overview", load: () => import("./overview.js") },
  { name: "profiles", group: "oauth", icon: "profiles", title: "nav.profiles", load: () => import("./profiles.js") },
  { name: "connections", group: "oauth", icon: "connections", title: "nav.connections", load: () => import("./connections.js") },
  { name: "connect", under: "connections", load: () => import("./connect.js") },
  { name: "providers", group: "oauth", icon: "providers", title: "nav.providers", load: () => import("./providers.js") },
  { name: "load", group: "oauth", icon: "load", title: "load.title", load: () => import("./load.js") },
  { name: "customers", group: "programs", icon: "customers", title: "nav.customers", load: () => import("./customers.js") },
  { name: "applications", group: "programs", icon: "applications", title: "nav.applications", admin: true, load: () => import("./applications.js") },
  { name: "tokens", group: "programs", icon: "tokens", title: "nav.tokens", admin: true, load: () => import("./tokens.js") },
  { name: "users", group: "programs", icon: "users", title: "nav.users", admin: true, load: () => import("./users.js") },
  { name: "account", group: "programs", icon: "account", title: "nav.account", load: () => import("./account.js") },
  { name: "webhooks", group: "server", icon: "webhooks", title: "nav.webhooks", admin: true, load: () => import("./webhooks.js") },
  { name: "audit", group: "server", icon: "audit", title: "nav.audit", admin: true, load: () => import("./audit.js") },
  { name: "settings", group: "server", icon: "settings", title: "nav.settings", admin: true, load: () => import("./settings.js") },
];

/** Where one comes in. */
export const FIRST = "overview";

/** The groups, in order, and their titles. */
export const GROUPS = [["oauth", "nav.group_oauth"], ["programs", "nav.group_programs"], ["server", "nav.group_server"]];

/** Whether there is a view of this name. */
export function has(name) {
  return VIEWS.some((one) => one.name === name);
}
