// Elements from a description. Text is always text: nothing here, or anywhere in this page, parses HTML.

/**
 * Makes an element. `properties`: attributes by name, `on…` for listeners, `false` and `null` to leave one out.
 * Children are elements or text, in lists or not; `null` and `false` are left out.
 */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  // A button sends a form only where it says so.
  if (tag === "button") element.type = "button";
  return fill(element, properties, children);
}

/** The same for a part of a drawing. */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...present(children));
  return element;
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Puts other children into an element. */
export function swap(element, ...children) {
  element.replaceChildren(...present(children));
  return element;
}

/** Characters that turn the direction of writing, and could make a name look like another one. */
const TURNING = /[\u202a-\u202e\u2066-\u2069]/g;

/**
 * A name that somebody gave: whichever way its letters run, they do not turn what stands around it, and what is there
 * only to turn them is written out.
 */
export function name(text) {
  return h("bdi", {}, plain(text));
}

/** The same where no element can stand: in a title, or the name of a button. */
export function plain(text) {
  return String(text ?? "").replace(TURNING, (turning) => `\\u{${turning.codePointAt(0).toString(16)}}`);
}

/** Moves the focus to where a new view begins, so that a screen reader says what came. */
export function begin(view) {
  const title = view.querySelector("h1");
  if (!title) return;
  title.tabIndex = -1;
  title.focus({ preventScroll: true });
}

/**
 * Says of an element that it is at work, or that it is done; answers whether it was at work before. It keeps the focus: a
 * button that is disabled would lose it.
 */
export function busy(element, is) {
  const was = element.ariaDisabled === "true";
  for (const name of ["aria-disabled", "aria-busy"]) is ? element.setAttribute(name, "true") : element.removeAttribute(name);
  return was;
}

let made = 0;

/** An id that no other element has. */
export function id(hint) {
  made += 1;
  return `${hint}-${made}`;
}
