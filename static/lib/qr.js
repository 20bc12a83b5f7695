// A QR code (ISO/IEC 18004): bytes, error correction L, mask 0, versions 1 to 9. Enough for an address of 230 bytes.

import { h, svg } from "./dom.js";

/** By version: data bytes, bytes of error correction for each block, blocks. */
const SIZES = [[19, 7, 1], [34, 10, 1], [55, 15, 1], [80, 20, 1], [108, 26, 1], [136, 18, 2], [156, 20, 2], [194, 24, 2], [232, 30, 2]];
/** Level L and mask 0, with their own correction; and the versions that say which they are. */
const FORMAT = 0x77c4;
const VERSION = { 7: 0x07c94, 8: 0x085bc, 9: 0x09a99 };

/** Multiplies in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1. */
function times(a, b) {
  let product = 0;
  for (let bit = 7; bit >= 0; bit -= 1) product = (product << 1) ^ ((product >> 7) * 0x11d) ^ (((b >> bit) & 1) * a);
  return product;
}

/** The Reed-Solomon remainder of some bytes. */
function correction(data, degree) {
  const divisor = Array(degree).fill(0);
  divisor[degree - 1] = 1;
  for (let at = 0, root = 1; at < degree; at += 1, root = times(root, 2)) {
    for (let j = 0; j < degree; j += 1) divisor[j] = times(divisor[j], root) ^ (divisor[j + 1] ?? 0);
  }
  const rest = Array(degree).fill(0);
  for (const byte of data) {
    const factor = byte ^ rest.shift();
    rest.push(0);
    divisor.forEach((one, at) => { rest[at] ^= times(one, factor); });
  }
  return rest;
}

/** The modules, row by row, dark ones true; nothing where the text is too long. */
export function modules(text) {
  const bytes = new TextEncoder().encode(text);
  const version = SIZES.findIndex(([data]) => bytes.length + 2 <= data) + 1;
  if (version === 0) return null;
  const [capacity, degree, blocks] = SIZES[version - 1];

  // Mode 4, the length, the bytes, and what fills the rest; half a byte off.
  const data = [0x40 | (bytes.length >> 4)];
  let half = bytes.length & 15;
  for (const byte of bytes) {
    data.push((half << 4) | (byte >> 4));
    half = byte & 15;
  }
  data.push(half << 4);
  for (let at = 0; data.length < capacity; at += 1) data.push(at % 2 === 0 ? 0xec : 0x11);
  const length = capacity / blocks;
  const parts = Array.from({ length: blocks }, (_, at) => data.slice(at * length, (at + 1) * length));
  const corrections = parts.map((part) => correction(part, degree));
  const stream = [];
  for (const [all, many] of [[parts, length], [corrections, degree]]) for (let at = 0; at < many; at += 1) for (const part of all) stream.push(part[at]);

  const size = version * 4 + 17;
  const dark = Array.from({ length: size }, () => Array(size).fill(null));
  const set = (x, y, is) => { if (dark[y]?.[x] !== undefined) dark[y][x] = Boolean(is); };
  for (let at = 0; at < size; at += 1) { set(6, at, at % 2 === 0); set(at, 6, at % 2 === 0); }
  const last = size - 7;
  const places = version === 1 ? [] : version < 7 ? [6, last] : [6, (6 + last) / 2, last];
  const square = (x, y, radius, light) => {
    for (let dy = -radius; dy <= radius; dy += 1) for (let dx = -radius; dx <= radius; dx += 1) set(x + dx, y + dy, !light.includes(Math.max(Math.abs(dx), Math.abs(dy))));
  };
  for (const x of places) for (const y of places) if (!((x === 6 && (y === 6 || y === last)) || (x === last && y === 6))) square(x, y, 2, [1]);
  for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]]) square(x, y, 4, [2, 4]);
  for (let at = 0; at < 15; at += 1) {
    const bit = (FORMAT >> at) & 1;
    if (at < 8) { set(8, at < 6 ? at : at + 1, bit); set(size - 1 - at, 8, bit); }
    else { set(at === 8 ? 7 : 14 - at, 8, bit); set(8, size - 15 + at, bit); }
  }
  set(8, size - 8, true);
  for (let at = 0; version >= 7 && at < 18; at += 1) {
    const [a, b, bit] = [size - 11 + (at % 3), Math.floor(at / 3), (VERSION[version] >> at) & 1];
    set(a, b, bit);
    set(b, a, bit);
  }

  // Two columns at a time from the right, up and down, around what stands there.
  let at = 0;
  for (let right = size - 1; right >= 1; right -= right === 8 ? 3 : 2) {
    for (let step = 0; step < size; step += 1) {
      const y = ((right + 1) & 2) === 0 ? size - 1 - step : step;
      for (const x of [right, right - 1]) {
        if (dark[y][x] !== null) continue;
        const bit = at < stream.length * 8 && (stream[at >> 3] >> (7 - (at & 7))) & 1;
        dark[y][x] = Boolean(bit) !== ((x + y) % 2 === 0);
        at += 1;
      }
    }
  }
  return dark;
}

/** The code as a drawing, dark on light whatever the page wears; nothing where the text is too long. */
export function qr(text, label) {
  const dark = modules(text);
  if (!dark) return null;
  const size = dark.length + 8;
  const path = dark.flatMap((row, y) => row.flatMap((is, x) => (is ? [`M${x + 4} ${y + 4}h1v1h-1z`] : []))).join("");
  return h("p", { class: "qr" }, svg("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": label }, svg("path", { d: path })));
}
