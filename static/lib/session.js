// Who is logged in, for views that show what may be done. What is refused is refused by the server.

let user = null;

/** The user, or nothing. */
export function who() {
  return user;
}

/** Says who it is now. */
export function become(someone) {
  user = someone;
}

/** Whether the user's role lets anything be changed. */
export function mayWrite() {
  return user !== null && user.role !== "viewer";
}

/** Whether the user is an administrator. */
export function isAdmin() {
  return user?.role === "admin";
}
