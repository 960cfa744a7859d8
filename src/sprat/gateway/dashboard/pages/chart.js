// Spend and saving by slices of time, as bars that the arrow keys read one by one.
import { date, el, money, number, table } from "./write.js";

const HEIGHT = 220;
const EDGE = { left: 58, right: 8, top: 10, bottom: 26 }; // left grows with the labels
let at = null; // which bar is read, by its time

const nice = (v) => {
  const size = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 2.5, 5, 10].map((k) => k * size).find((k) => k >= v);
};

const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

function words(found, s) {
  const when = `${date(s.at)}, ${span(found.step)}`;
  if (!s.read) return `${when}: not read yet`;
  if (!s.requests) return `${when}: no requests`;
  const saved = s.compared ? (s.saved >= 0 ? `, ${money(s.saved)} saved` : `, ${money(-s.saved)} beyond ${found.reference}'s cost`) : "";
  const unknown = s.unknown ? `, ${number(s.unknown)} of unknown cost` : "";
  const failed = s.failed ? `, ${number(s.failed)} failed` : "";
  return `${when}: ${money(s.dollars)} spent${saved}, ${number(s.requests)} request${s.requests === 1 ? "" : "s"}${unknown}${failed}`;
}

const span = (step) => ({ 60: "a minute", 900: "a quarter of an hour", 3600: "an hour", 21600: "six hours" })[step];

export function spendChart(found, width) {
  const series = found.series;
  if (!found.totals.requests && !found.totals.dollars && found.slices.read === found.slices.of) return [];
  const tall = HEIGHT - EDGE.top - EDGE.bottom;
  const most = Math.max(0, ...series.map((s) => Math.max(s.dollars, s.dollars + s.saved)));
  const tick = most > 0 ? nice(most / 3) : 1;
  const top = most > 0 ? tick * Math.ceil(most / tick) : 1;
  EDGE.left = 16 + 7.2 * Math.max(4, ...[tick, 2 * tick, top].map((v) => money(v).length));
  const wide = width - EDGE.left - EDGE.right;
  const x = (i) => EDGE.left + (i * wide) / series.length;
  const y = (v) => EDGE.top + tall * (1 - v / top);
  const bar = Math.max(1, wide / series.length - (wide / series.length > 4 ? 1 : 0));
  const shapes = [];
  for (let v = 0; most > 0 && v <= top * 1.001; v += tick) {
    shapes.push(el("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(v), y2: y(v) }));
    shapes.push(el("text", { x: EDGE.left - 8, y: y(v) + 4, "text-anchor": "end" }, money(v)));
  }
  series.forEach((s, i) => {
    const rect = (kind, from, to) => el("rect", { class: kind, x: x(i), width: bar, y: y(to), height: Math.max(0, y(from) - y(to)) });
    if (!s.read) shapes.push(el("rect", { class: "unread", x: x(i), width: wide / series.length, y: EDGE.top, height: tall }));
    if (s.saved >= 0) {
      if (s.dollars > 0) shapes.push(rect("spent", 0, s.dollars));
      if (s.saved > 0) shapes.push(rect("saved", s.dollars, s.dollars + s.saved));
    } else {
      shapes.push(rect("spent", 0, Math.max(0, s.dollars + s.saved)));
      shapes.push(rect("beyond", Math.max(0, s.dollars + s.saved), s.dollars));
    }
  });
  shapes.push(el("line", { class: "axis", x1: EDGE.left, x2: width - EDGE.right, y1: y(0), y2: y(0) }));
  shapes.push(...times(found, x, width));
  const read = Math.max(0, series.findIndex((s) => s.at === at));
  const on = at !== null && series[read]?.at === at;
  if (on) shapes.push(el("rect", { class: "cursor", fill: "none", x: x(read) - 1, y: EDGE.top, width: bar + 2, height: tall }));
  const now = on ? read : series.length - 1;
  const move = (to) => {
    at = series[Math.max(0, Math.min(series.length - 1, to))].at;
    redraw(found);
  };
  const svg = el(
    "svg",
    {
      viewBox: `0 0 ${width} ${HEIGHT}`,
      width,
      height: HEIGHT,
      role: "slider",
      tabindex: "0",
      "aria-label": "Spend and saving over time; arrow keys read the bars",
      "aria-valuemin": 1,
      "aria-valuemax": series.length,
      "aria-valuenow": now + 1,
      "aria-valuetext": series.length ? words(found, series[now]) : "nothing",
      onkeydown: (event) => {
        const to = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, PageDown: now - 12, PageUp: now + 12, Home: 0, End: series.length - 1 }[event.key];
        if (event.key === "Escape") at = null;
        else if (to === undefined) return;
        event.preventDefault();
        if (to === undefined) redraw(found);
        else move(to);
      },
      onpointermove: (event) => {
        const box = event.currentTarget.getBoundingClientRect();
        const i = Math.floor(((event.clientX - box.left - EDGE.left) / wide) * series.length);
        if (i >= 0 && i < series.length && series[i].at !== at) move(i);
      },
      onpointerleave: () => {
        at = null;
        redraw(found);
      },
    },
    shapes,
  );
  const beyond = series.some((s) => s.saved < 0);
  const legend = [["spent", "spent"], ["saved", `saved against ${found.reference} alone`], beyond ? ["beyond", `spent beyond ${found.reference}'s cost`] : null].filter(Boolean);
  const mark = (kind) => el("svg", { width: 10, height: 10, "aria-hidden": "true" }, el("rect", { class: kind, width: 10, height: 10 }));
  return [
    svg,
    el("p", { class: on ? "reading" : "reading note", "aria-hidden": "true" }, on ? words(found, series[read]) : most > 0 ? "Point at a bar, or focus the chart and use the arrow keys." : ""),
    el("ul", { class: "legend" }, legend.map(([kind, what]) => el("li", {}, mark(kind), what))),
  ];
}

let redraw = () => {};
export const onRead = (how) => (redraw = how);

function times(found, x, width) {
  const { series, step } = found;
  const every = { 60: 600, 900: 10800, 3600: 86400, 21600: 432000 }[step] * (width < 500 ? 2 : 1);
  const zone = new Date().getTimezoneOffset() * 60;
  const marks = [];
  series.forEach((s, i) => {
    if ((s.at - zone) % every !== 0 || x(i) > width - 30) return;
    const label = step >= 3600 ? day.format(new Date(s.at * 1000)) : hour.format(new Date(s.at * 1000));
    marks.push(el("line", { class: "axis", x1: x(i), x2: x(i), y1: HEIGHT - EDGE.bottom, y2: HEIGHT - EDGE.bottom + 4 }));
    marks.push(el("text", { x: x(i), y: HEIGHT - 8, "text-anchor": "middle" }, label));
  });
  return marks;
}

export function spendTable(found) {
  const rows = found.series
    .filter((s) => s.requests)
    .reverse()
    .map((s) => ({ "data-key": String(s.at), cells: [date(s.at), number(s.requests), money(s.dollars), s.compared ? money(s.saved) : "unknown", number(s.unknown), number(s.failed)] }));
  const head = [["from"], ["requests", "n"], ["spent", "n"], ["saved", "n"], ["of unknown cost", "n"], ["failed", "n"]];
  return rows.length ? [table(null, head, rows)] : [el("p", {}, "No requests in this time.")];
}
