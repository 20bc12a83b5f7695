// Bars, drawn by ourselves: two values a day, one on the other, and the same as a table for those who do not see them.

import { h, id as fresh, svg } from "./dom.js";
import { day, language, number, t } from "./i18n.js";

const WIDTH = 720, HEIGHT = 190, LEFT = 72, BOTTOM = 32, TOP = 20;

/** The next round number, of which the half is one too. */
function round(value) {
  const tens = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10].map((step) => step * tens).find((step) => step >= value && step % 2 === 0);
}

/**
 * A chart of days. `days`: `[{day, …}]`; `series`: `[{key, label, tone}]`, from the bottom up; `title`: what it shows.
 */
export function bars({ title, days, series }) {
  const top = round(Math.max(4, ...days.map((one) => series.reduce((sum, { key }) => sum + one[key], 0))));
  const height = HEIGHT - BOTTOM - TOP;
  const y = (value) => TOP + height - (value / top) * height;
  const step = (WIDTH - LEFT) / Math.max(days.length, 1);
  const heading = fresh("chart");
  const short = new Intl.NumberFormat(language(), { notation: "compact" });
  const lines = [0, top / 2, top].map((value) => [
    svg("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) }),
    svg("text", { class: "axis", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, short.format(value)),
  ]);
  const columns = days.map((one, at) => {
    let below = 0;
    const x = LEFT + at * step;
    const parts = series.map(({ key, label, tone }) => {
      const from = below;
      below += one[key];
      if (one[key] === 0) return null;
      // A value that is there can be seen, however small.
      const drawn = Math.max(y(from) - y(below), 2);
      return svg("rect", { class: `bar-${tone}`, x: x + step * 0.2, width: step * 0.6, y: y(from) - drawn, height: drawn, rx: 2 },
        svg("title", {}, `${day(one.day)}: ${number(one[key])} ${label}`));
    });
    return [parts, svg("text", { class: (days.length - at) % 2 ? "axis" : "axis other", x: x + step / 2, y: HEIGHT - 8, "text-anchor": "middle" }, day(one.day, { weekday: "short", day: "numeric" }))];
  });
  return h("figure", { class: "chart" },
    h("figcaption", { id: heading }, title),
    h("ul", { class: "legend", "aria-hidden": "true" }, series.map(({ label, tone }) => h("li", { class: `key-${tone}` }, label))),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-labelledby": heading }, ...lines.flat(), ...columns.flat(3).filter(Boolean)),
    h("div", { class: "unseen" }, h("table", {},
      h("caption", {}, title),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("chart.day")), series.map(({ label }) => h("th", { scope: "col" }, label)))),
      h("tbody", {}, days.map((one) => h("tr", {}, h("th", { scope: "row" }, day(one.day)), series.map(({ key }) => h("td", {}, number(one[key])))))),
    )),
  );
}
