// Asks the gateway every few seconds and puts what has changed onto the page.
import { ago, clock, duration, el, fill, interval, money, number, percent } from "./write.js";
import { onRead, spendChart, spendTable } from "./chart.js";
import { budgets, failures, latency, models, promise, state } from "./sections.js";
import { Decisions } from "./decisions.js";

const EVERY = 3000;
const $ = (id) => document.getElementById(id);
const decisions = new Decisions($("filter"), $("decisions-body"), $("card"));
let shown = null; // what was answered last
let asking = null;
let timer = 0;
let misses = 0;
let said = "";

const chosen = () => document.querySelector("#windows input:checked").value;

async function ask() {
  clearTimeout(timer);
  asking?.abort();
  const own = (asking = new AbortController());
  const late = setTimeout(() => own.abort(new Error("late")), 15000);
  try {
    const answer = await fetch(`/sprat/api/overview?window=${chosen()}`, { signal: own.signal });
    if (answer.status === 401) return location.assign("/sprat/login");
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error?.message ?? `HTTP ${answer.status}`);
    if (own !== asking) return;
    misses = 0;
    show(found);
    await decisions.refresh();
  } catch (error) {
    if (own !== asking) return;
    misses += 1;
    unreachable(error);
  } finally {
    clearTimeout(late);
  }
  plan();
}

function plan() {
  clearTimeout(timer);
  if (document.hidden) return;
  const rest = shown && shown.slices.read < shown.slices.of ? 300 : EVERY;
  timer = setTimeout(ask, misses ? Math.min(30000, EVERY * 2 ** (misses - 1)) : rest);
}

function unreachable(error) {
  const why = error.name === "TypeError" || error.name === "AbortError" ? "The gateway can't be reached" : error.message.replace(/\.$/, "");
  const since = shown ? ` What is shown is from ${clock(shown.at)}.` : "";
  $("dot").className = "dot off";
  fill($("alive"), [el("strong", { class: "bad" }, `${why}.`), since]);
  announce(`${why}.`);
}

function announce(text) {
  if (text !== said) $("announce").textContent = said = text;
}

function show(found) {
  shown = found;
  const alive = found.alive;
  $("dot").className = alive.ok ? "dot on" : "dot off";
  const work = `answering, ${number(alive.working)} in progress`;
  fill($("alive"), [alive.ok ? work : el("strong", { class: "bad" }, alive.said)]);
  verdict(found);
  facts(found);
  fill($("promise-body"), promise(found));
  fill($("chart"), spendChart(found, $("chart").clientWidth || 640));
  fill($("money-caption"), caption(found));
  table();
  fill($("models-body"), models(found));
  fill($("latency-body"), latency(found));
  fill($("budgets-body"), budgets(found));
  fill($("failures-body"), failures(found, (id, from) => decisions.open(id, from)));
  decisions.models(found.models.map((m) => m.model));
  const { read, of } = found.slices;
  const reading = read < of ? ` Still reading the history: ${read} of ${of} parts.` : "";
  fill($("asof"), [`as of ${clock(found.at)}.${reading}`]);
  const kept = found.first ? `The store's oldest exchange is from ${ago(found.first, found.at)}.` : "The store holds no exchanges yet.";
  fill($("foot"), [`${kept} Read again every ${EVERY / 1000} seconds while this page is in view.`]);
}

function verdict(found) {
  const [kind, words] = state(found);
  const saving = found.totals.saving;
  const over = { hour: "in the last hour", day: "in the last 24 hours", week: "in the last 7 days", month: "in the last 30 days" }[found.window];
  let rest = found.totals.requests ? `; what was saved ${over} is unknown` : `; nobody has asked ${over}`;
  if (saving && found.totals.compared) {
    const [v, low, high] = saving;
    const between = low === null ? "" : ` [${percent(low, false)}, ${percent(high, false)}]`;
    rest = v >= 0 ? `; ${percent(v)}${between} of the cost was saved ${over}` : `; it cost ${percent(-v)} more than ${found.reference} alone ${over}`;
  }
  $("verdict").className = kind;
  fill($("verdict"), [`${words}${rest}.`]);
  announce(found.alive.ok ? `${words}.` : `${words}. ${found.alive.said}`);
  document.title = kind === "refused" || !found.alive.ok ? "(!) sprat gateway" : "sprat gateway";
}

function facts(found) {
  const { totals, spent, latency: l } = found;
  const unknown = (n, words) => (n ? `${number(n)} ${words}` : null);
  const most = (s) => (s.at_most ? ` (up to ${money(s.at_most)} more)` : "");
  const month = `${money(spent.month.dollars)} this month${spent.month.unknown ? ` and ${number(spent.month.unknown)} unknown${most(spent.month)}` : ""}`;
  const failed = totals.requests ? `${number(totals.failed)} failed: ${percent(totals.failures[0])}${totals.failures[1] === null ? "" : ` [${percent(totals.failures[1], false)}, ${percent(totals.failures[2], false)}]`}` : null;
  const rows = [
    [totals.compared ? percent(totals.saving[0]) : "unknown", totals.compared ? interval(totals.saving) : "no reply with both costs known", `of the cost saved against ${found.reference} alone`],
    [money(spent.day.dollars), [unknown(spent.day.unknown, `calls of unknown cost${most(spent.day)}`), month].filter(Boolean).join("; "), "spent today (UTC)"],
    [number(totals.requests), failed, "requests"],
    [duration(l.seconds?.[1]), l.first_byte ? `${duration(l.first_byte[1])} to the first byte` : null, "p95 to the reply's end"],
  ];
  fill($("facts"), rows.map(([figure, small, what]) => el("div", {}, el("dt", {}, what), el("dd", {}, figure, small ? el("small", {}, small) : null))));
}

function caption(found) {
  const t = found.totals;
  if (!t.requests) return ["Bars appear with the first request. Point an application at the base URL that ", el("code", {}, "sprat serve"), " printed."];
  const method = t.sampled_threads ? `from a sample of ${number(t.sampled_threads)} of about ${number(t.threads)} threads` : `over ${number(t.threads)} threads`;
  const parts = [`Spent ${money(t.dollars)}`];
  if (t.compared) parts.push(` and saved ${money(t.saved)} of ${money(t.reference)}, which is what ${found.reference} alone would have cost for as many tokens`);
  parts.push(". ");
  if (t.watching) parts.push(`In both is the cost of watching the promise, ${money(t.watching)}. `);
  if (t.unknown) parts.push(el("strong", {}, `${number(t.unknown)} of ${number(t.requests)} requests have an unknown cost and are in no sum. `));
  if (t.compared < t.requests - t.unknown) parts.push(`The saving is over the ${number(t.compared)} requests with both costs known. `);
  if (t.compared && t.saving[1] !== null) parts.push(`Its interval is the delta method's for a ratio of sums, ${method}.`);
  if (t.compared && t.saving[1] === null) parts.push("No interval yet: it takes ten threads.");
  return parts;
}

function table() {
  const at = $("money-table");
  if (at.open && shown) fill(at.querySelector(".box"), spendTable(shown));
}

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : ask()));
$("money-table").addEventListener("toggle", table);
$("windows").addEventListener("change", () => {
  const to = new URL(location.href);
  to.searchParams.set("window", chosen());
  history.replaceState(null, "", to);
  ask();
});
let width = 0;
new ResizeObserver(([entry]) => {
  if (shown && Math.abs(entry.contentRect.width - width) > 1) fill($("chart"), spendChart(shown, (width = entry.contentRect.width)));
}).observe($("chart"));

onRead((found) => fill($("chart"), spendChart(found, $("chart").clientWidth || 640)));

const given = new URL(location.href).searchParams.get("window");
const radio = [...document.querySelectorAll("#windows input")].find((i) => i.value === given);
if (radio) radio.checked = true;
ask();
