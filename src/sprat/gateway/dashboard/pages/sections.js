// The sections between the chart and the decisions: promise, models, latency, budgets, where small failed.
import { ago, date, duration, el, money, number, percent, table } from "./write.js";

const range = (rate) => (rate[1] === null ? null : `${percent(rate[1], false)} to ${percent(rate[2])}`);
const rated = (rate) => (rate ? [percent(rate[0]), el("small", {}, range(rate) ?? "too few threads")] : "unknown");
const code = (words) => el("code", {}, words);

// A level between nothing and all, with the interval where there is one.
function level(part, low, high, words) {
  const at = (v) => 100 * Math.max(0, Math.min(1, v));
  const shapes = [el("rect", { class: "track", width: 100, height: 8 }), el("rect", { class: words === "alarm" ? "level high" : "level", width: at(part), height: 8 })];
  if (low !== null && low !== undefined) shapes.push(el("line", { class: "whisker", x1: at(low), x2: at(high), y1: 4, y2: 4, "vector-effect": "non-scaling-stroke" }));
  return el("svg", { viewBox: "0 0 100 8", width: "100%", height: 8, preserveAspectRatio: "none", "aria-hidden": "true" }, shapes);
}

function evidence(what, wealth, alarm) {
  if (wealth === null || wealth === undefined) return null;
  const part = Math.log(Math.max(1, wealth)) / Math.log(alarm);
  const shown = wealth < 1000 ? Number(wealth.toPrecision(3)) : wealth.toExponential(1);
  const words = el("p", {}, el("span", {}, what), el("span", {}, `${shown}, alarm at ${Number(alarm.toPrecision(3))}`));
  return el("div", { class: "evidence" }, words, level(part, null, null, part >= 1 ? "alarm" : ""));
}

const watched = (p) => Boolean(p) && (p.loss_watched !== false || Boolean(p.drift_alarm));

export function state(found) {
  const p = found.promise;
  if (!watched(p) || p.superseded) return ["quiet", "The promise is not watched"];
  if (p.trouble) return ["refused", "The watch over the promise has stopped"];
  if (p.state === "broken") return ["refused", "The promise is broken: the reference answers"];
  if (p.state === "suspended") return ["refused", "The promise is suspended"];
  return p.loss_watched === false ? ["quiet", "The loss is not watched; no alarm from the requests"] : ["shown", "The promise holds"];
}

export function promise(found) {
  const p = found.promise;
  const claim = Object.entries(found.certificate ?? {});
  const certificate = claim.length
    ? el("details", {}, el("summary", {}, "The certificate"), el("dl", { class: "card" }, claim.map(([k, v]) => [el("dt", {}, k), el("dd", {}, String(v))])))
    : el("p", {}, "No certificate covers what is served: this file was not written by ", code("sprat study"), ".");
  if (!watched(p)) {
    const why = typeof p?.watched === "string" ? sentence(p.watched) : "Not watched: nothing compares the replies with the reference's while they are served.";
    const todo = claim.length ? ["What the certificate says was shown on the study's rows; whether it still holds for today's requests is not known."] : ["Run ", code("sprat study"), " on your own rows and serve the serve.toml that it writes; the promise in it is then watched."];
    return [el("p", { class: "quiet" }, why), el("p", {}, todo), certificate];
  }
  const rows = [["since", `${date(p.since)} (${ago(p.since, found.at)})`]];
  if (p.loss_watched !== false) rows.push([p.state === "broken" ? "pairs since the alarm" : "pairs compared", number(p.pairs)]);
  if (typeof p.watched === "string" && p.loss_watched !== false) rows.push(["what is watched", p.watched]);
  if (p.requests) rows.push(["requests looked at for drift", number(p.requests)]);
  if (known(p.mean_loss)) rows.push(["mean loss of these pairs", `${signed(p.mean_loss)} (the promise: at most 0)${p.kept ? `: ${p.kept}` : ""}`]);
  if (p.share && p.loss_watched !== false) rows.push(["share that is shadowed", percent(p.share)]);
  if (p.watching) rows.push(["cost of watching", `${money(p.watching.spent)} this ${p.watching.per}${p.watching.budget ? ` of ${p.watching.budget}` : ""}`]);
  if (p.uncertified) rows.push(["answered uncertified", `${number(p.uncertified)} requests: a budget allowed it`]);
  if (p.lost) rows.push(["shadowed, but no pair", `${number(p.lost)} (the reference failed, or the client left)`]);
  if (p.marks_waiting) rows.push(["pairs that wait for you", [el("a", { href: "/sprat/marks" }, `mark ${number(p.marks_waiting)}`), p.behind_marks ? `; ${number(p.behind_marks)} more wait behind them` : ""]]);
  if (p.state === "broken") rows.push(["what restores it", restores(p)]);
  const holding = p.state === "holding";
  return [
    el("p", { class: state(found)[0] }, p.trouble ? `The watch has stopped: ${p.trouble}.` : p.sentence),
    p.superseded ? el("p", { class: "refused" }, "Another gateway on this store serves another promise; this one is not watched.") : null,
    holding && p.loss_watched !== false ? evidence("Evidence that the loss is above the promised one", p.loss_wealth, p.loss_alarm) : null,
    holding ? evidence("Evidence that the requests have changed", p.drift_wealth, p.drift_alarm) : null,
    el("dl", { class: "card" }, rows.map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)])),
    el("p", { class: "note" }, `Evidence is a bet's wealth. While the promise holds, ${p.delta ? `with probability ${percent(1 - p.delta)} ` : ""}it never reaches its alarm, however long one looks. The bars are logarithmic.`),
    certificate,
  ];
}

const known = (v) => v !== null && v !== undefined;
const signed = (v) => Number(v.toPrecision(3)).toString().replace("-", "−");
const sentence = (words) => words[0].toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? "" : ".");

function restores(p) {
  if (p.restorable) return "the new pairs show that it holds again";
  if (p.pairs_needed === null || p.pairs_needed === undefined) return "as the new pairs look, no number of them: choose a safer setting";
  const marks = p.marks_needed === null || p.marks_needed === undefined ? "" : `, ${number(p.marks_needed)} of them marked by a person`;
  return `about ${number(p.pairs_needed)} more labelled pairs${marks}`;
}

export function models(found) {
  if (!found.models.length) return [el("p", {}, `Nobody has asked yet. Served are: ${found.served.join(", ")}.`)];
  const head = [["model"], ["share of requests", "share"], ["requests", "n extra"], ["spent", "n"], ["failed", "n"], ["p50", "n extra"], ["p95", "n extra"], ["first byte p50", "n extra"]];
  const rows = found.models.map((m) => ({
    "data-key": `m${m.model}`,
    cells: [
      [m.model || "(none was asked)", m.is_reference ? el("small", {}, "the reference") : null],
      [percent(m.share[0]), el("small", {}, range(m.share) ?? "too few threads"), level(...m.share)],
      number(m.requests),
      [money(m.dollars), m.unknown ? el("small", {}, `${number(m.unknown)} unknown`) : null],
      m.failed ? rated(m.failures) : "0",
      duration(m.seconds?.[0]),
      duration(m.seconds?.[1]),
      duration(m.first_byte?.[0]),
    ],
  }));
  const note = "Under a share or a rate: its 95 % interval, by thread. A cascade that escalates is counted once, with the model that wrote the reply, and its cost holds both.";
  return [table(null, head, rows, { class: "wide" }), el("p", { class: "note" }, note)];
}

export function latency(found) {
  const l = found.latency;
  if (!l.seconds) return [el("p", {}, "Known with the first reply.")];
  const row = (what, q) => [what, ...(q ?? [null, null, null]).map(duration)];
  const head = [["of answered requests"], ["p50", "n"], ["p95", "n"], ["p99", "n"]];
  const note = l.sampled < l.of ? `From a random sample of ${number(l.sampled)} of ${number(l.of)} replies.` : `Of all ${number(l.of)} replies.`;
  return [table(null, head, [row("to the reply's end", l.seconds), row("to its first byte", l.first_byte)]), el("p", { class: "note" }, note)];
}

export function budgets(found) {
  const unsure = (most) => (most ? el("small", {}, `up to ${money(most)} more`) : null);
  const of = (spent, most, budget) => [`${money(spent)} of ${money(budget)}`, level((spent + most) / budget, null, null, spent + most >= budget ? "alarm" : ""), unsure(most)];
  const made = [];
  if (found.budgets.length) {
    const head = [["for"], ["spent", "spend"], ["forecast", "n"], ["runs at"], ["harm worth a dollar", "n extra"]];
    const rows = found.budgets.map((b) => [[b.scope === "all" ? "all keys" : b.scope, el("small", {}, `per ${b.per}`)], of(b.spent, b.at_most ?? 0, b.budget), [money(b.forecast), b.forecast > b.budget ? el("small", { class: "bad" }, "above it") : null], [b.setting ?? "no setting: a cap alone", b.setting && b.certified === false ? el("small", { class: "bad" }, "not certified") : null], b.price === null || b.price === undefined ? "unknown" : Number(Number(b.price).toPrecision(3))]);
    made.push(table("Budgets that choose the setting", head, rows, { class: "wide" }));
  }
  const head = [["key"], ["spent", "spend"], ["requests", "n"], ["of unknown cost", "n extra"], ["state", "extra"]];
  const rows = found.keys.map((k) => ({ "data-key": k.id, cells: [[k.name, el("small", {}, k.shown)], k.budget ? [...of(k.dollars, k.at_most, k.budget), el("small", {}, `this ${k.per}`)] : [money(k.dollars), el("small", {}, `this ${k.per}, no budget`)], number(k.calls), number(k.unknown), k.state] }));
  if (rows.length) made.push(table("Keys, each with its hard cap; days and months are UTC", head, rows, { class: "wide" }));
  if (!found.keys.some((k) => k.budget) && !found.budgets.length) made.push(el("p", {}, "Nothing limits the spend. Give a key a hard cap: ", code("sprat keys create --name NAME --budget 50/month"), "."));
  return made;
}

export function failures(found, open) {
  const f = found.failures;
  const link = (id) => el("button", { class: "open", type: "button", onclick: (event) => open(id, event.currentTarget) }, "card");
  const low = f.labels.length
    ? [
        table(null, [["model"], ["labelled", "n"], ["low", "n"], ["rate", "n"]], f.labels.map((r) => [r.model, number(r.labelled), number(r.low), rated(r.rate)])),
        f.low.length ? table("The newest low ones", [["when"], ["model"], ["score", "n"], ["by", "extra"], ["card"]], f.low.map((r) => ({ "data-key": r.id + r.source, cells: [date(r.at), r.model, Number(r.score.toPrecision(3)), [r.source, r.note ? el("small", {}, r.note) : null], link(r.id)] }))) : null,
      ]
    : [el("p", {}, `No reply of a smaller model than ${found.reference} was labelled in this time. Labels come from the watch over the promise: from its judge, and from the marks of a person.`)];
  const better = f.pairs;
  const lost = better.pairs
    ? [
        el("p", {}, `Of ${number(better.pairs)} shadowed pairs the reference's reply was better in ${number(better.lost)} (${percent(better.rate[0])}, ${range(better.rate)}), the policy's in ${number(better.won)}.`),
        better.newest.length ? table("The newest lost", [["when"], ["reference", "n"], ["policy", "n"], ["card"]], better.newest.map((r) => ({ "data-key": `p${r.id}`, cells: [date(r.at), Number(r.reference.toPrecision(3)), Number(r.policy.toPrecision(3)), link(r.id)] }))) : null,
      ]
    : [el("p", {}, "No request was shadowed in this time.")];
  const escalations = f.escalations.length
    ? [
        el("p", { class: "note" }, `${number(f.escalated)} of the newest ${number(f.decisions)} requests; numbers are left out of the reasons.`),
        table(null, [["taken over by"], ["because", "said"], ["requests", "n"]], f.escalations.map((e) => [e.to, e.reason, number(e.requests)])),
      ]
    : [el("p", {}, f.decisions ? `None of the newest ${number(f.decisions)} requests was handed on to a larger model.` : "Known with the first request.")];
  const errors = f.errors.length
    ? [table(null, [["model"], ["status", "n"], ["error", "said"], ["requests", "n"]], f.errors.map((e) => [e.model || "(none)", e.status, e.error || "no words", number(e.requests)]))]
    : [el("p", {}, "No request failed.")];
  return [
    el("div", { class: "two" }, el("div", {}, el("h3", {}, "Replies that were labelled low"), ...low), el("div", {}, el("h3", {}, "Shadowed pairs that were lost"), ...lost)),
    el("div", { class: "two" }, el("div", {}, el("h3", {}, "Escalations by reason"), ...escalations), el("div", {}, el("h3", {}, "Errors"), ...errors)),
  ];
}
