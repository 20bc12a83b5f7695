// Says which scripts of a folder do not mean what those of the same name in another folder mean: whose syntax trees differ.
// Usage: node same.mjs FOLDER OTHER

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parse } from "acorn";

/** The tree without what depends on how it is written: places, and the marks around a text. */
function tree(file) {
  const parsed = parse(readFileSync(file, "utf8"), { ecmaVersion: "latest", sourceType: "module" });
  return JSON.stringify(parsed, (key, value) => (["start", "end", "raw"].includes(key) && typeof value !== "object" ? undefined : value));
}

const [folder, other] = process.argv.slice(2);
const scripts = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".js"));
for (const name of scripts) {
  if (tree(join(folder, name)) !== tree(join(other, name))) console.log(`${name} differs`);
}
console.log(`${scripts.length} scripts`);
