// Words, numbers and elements. Text is only ever set as text: nothing that comes from outside can become markup.

const SVG = "http://www.w3.org/2000/svg";
const whole = new Intl.NumberFormat("en");

export const number = (v) => (v === null || v === undefined ? "unknown" : whole.format(v));

export function money(v) {
  if (v === null || v === undefined) return "unknown";
  const size = Math.abs(v);
  const sign = v < 0 ? "−" : "";
  if (size === 0) return "$0";
  if (size >= 1000) return `${sign}$${whole.format(Math.round(size))}`;
  return size >= 0.1 ? `${sign}$${size.toFixed(2)}` : `${sign}$${Number(size.toPrecision(3)).toFixed(Math.min(9, 2 - Math.floor(Math.log10(size))))}`;
}

export function percent(v, unit = true) {
  if (v === null || v === undefined) return "unknown";
  const p = 100 * v;
  const shown = p === 0 || Math.abs(p) >= 9.95 ? p.toFixed(0) : p.toFixed(Math.abs(p) < 0.1 ? 2 : 1);
  return `${shown.replace("-", "−")}${unit ? "\u00a0%" : ""}`;
}

export const interval = (rate) => (rate[1] === null ? "no interval: too few threads" : `95 % interval ${percent(rate[1], false)} to ${percent(rate[2])}`);

export function duration(v) {
  if (v === null || v === undefined) return "unknown";
  return v >= 1 ? `${v.toFixed(2)} s` : `${Number((v * 1000).toPrecision(3))} ms`;
}

const times = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const days = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

export const clock = (at) => times.format(new Date(at * 1000));
export const date = (at) => days.format(new Date(at * 1000));

export function ago(at, now) {
  const s = Math.max(0, now - at);
  if (s < 90) return `${Math.round(s)} seconds ago`;
  if (s < 5400) return `${Math.round(s / 60)} minutes ago`;
  return s < 172800 ? `${Math.round(s / 3600)} hours ago` : `${Math.round(s / 86400)} days ago`;
}

const SHAPES = new Set(["svg", "rect", "line", "text", "g", "path", "title", "circle"]);

export function el(name, attributes = {}, ...children) {
  const made = SHAPES.has(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(9).filter((c) => c !== null && c !== undefined && c !== false));
  return made;
}

// Make an element's children like these, changing as little as can be: no flicker, and focus stays where it is.
export function fill(into, children) {
  const wanted = el("div", {}, ...children);
  patch(into, wanted);
}

function patch(old, fresh) {
  const keyed = new Map([...old.children].filter((c) => c.dataset.key).map((c) => [c.dataset.key, c]));
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    let same = next.nodeType === 1 && next.dataset.key ? keyed.get(next.dataset.key) : at;
    if (same && next.nodeType === 1 && !next.dataset.key && same.dataset?.key) same = null;
    if (!same || same.nodeName !== next.nodeName) {
      old.insertBefore(next, at);
      continue;
    }
    if (same !== at) old.insertBefore(same, at);
    else at = at.nextSibling;
    if (next.nodeType === 3) {
      if (same.data !== next.data) same.data = next.data;
      continue;
    }
    attributes(same, next);
    patch(same, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function attributes(old, fresh) {
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const on of ["onclick", "onkeydown", "onpointermove", "onpointerleave", "onfocus", "onblur"]) if (old[on] !== fresh[on]) old[on] = fresh[on];
}

// A table from a head of [words, class] and rows of cells.
export function table(caption, head, rows, attributes = {}) {
  const top = head.map(([words, kind]) => el("th", { scope: "col", class: kind }, words));
  const body = rows.map((row) => {
    const { cells, ...own } = Array.isArray(row) ? { cells: row } : row;
    return el("tr", own, cells.map((c, i) => el(i ? "td" : "th", { class: head[i][1], scope: i ? null : "row" }, c)));
  });
  const made = el("table", attributes, caption ? el("caption", {}, caption) : null, el("thead", {}, el("tr", {}, top)), el("tbody", {}, body));
  return el("div", { class: "box" }, made);
}
