// Elements from a description. Text is always text: nothing here, or anywhere in this page, parses HTML.

/**
 * Makes an element. `properties`: attributes by name, `on…` for listeners, `false` and `null` to leave one out.
 * Children are elements or text; `null` and `false` are left out.
 */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Characters that turn the direction of writing, and could make a name look like another one. */
const TURNING = /[\u202a-\u202e\u2066-\u2069]/g;

/**
 * A name that somebody gave: whichever way its letters run, they do not turn what stands around it, and what is there
 * only to turn them is written out.
 */
export function name(text) {
  return h("bdi", {}, text.replace(TURNING, (turning) => `\\u{${turning.codePointAt(0).toString(16)}}`));
}

/** Moves the focus to where a new view begins, so that a screen reader says what came. */
export function begin(view) {
  const title = view.querySelector("h1");
  if (!title) return;
  title.tabIndex = -1;
  title.focus({ preventScroll: true });
}
