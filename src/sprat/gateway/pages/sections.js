// The sections between the chart and the decisions: promise, models, latency, budgets, where small failed.
import { ago, date, duration, el, interval, money, number, percent, table } from "./write.js";

const range = (rate) => (rate[1] === null ? null : `${percent(rate[1], false)} to ${percent(rate[2])}`);
const rated = (rate) => (rate ? [percent(rate[0]), el("small", {}, range(rate) ?? "too few threads")] : "unknown");
const code = (words) => el("code", {}, words);

// A level between nothing and all, with the interval where there is one.
function level(part, low, high, words) {
  const at = (v) => 100 * Math.max(0, Math.min(1, v));
  const shapes = [el("rect", { class: "track", width: 100, height: 8 }), el("rect", { class: words === "alarm" ? "level high" : "level", width: at(part), height: 8 })];
  if (low !== null && low !== undefined) shapes.push(el("line", { class: "whisker", x1: at(low), x2: at(high), y1: 4, y2: 4 }));
  return el("svg", { viewBox: "0 0 100 8", width: "100%", height: 8, preserveAspectRatio: "none", "aria-hidden": "true" }, shapes);
}

function evidence(what, wealth, alarm) {
  if (wealth === null || wealth === undefined) return null;
  const part = Math.log(Math.max(1, wealth)) / Math.log(alarm);
  const shown = wealth < 1000 ? Number(wealth.toPrecision(3)) : wealth.toExponential(1);
  const words = el("p", {}, el("span", {}, what), el("span", {}, `${shown}, alarm at ${Number(alarm.toPrecision(3))}`));
  return el("div", { class: "evidence" }, words, level(part, null, null, part >= 1 ? "alarm" : ""));
}

export function promise(found) {
  const p = found.promise;
  const claim = Object.entries(found.certificate ?? {});
  const certificate = claim.length
    ? el("details", {}, el("summary", {}, "The certificate"), el("dl", { class: "card" }, claim.map(([k, v]) => [el("dt", {}, k), el("dd", {}, String(v))])))
    : el("p", {}, "No certificate covers what is served: this file was not written by ", code("sprat study"), ".");
  if (!p || p.watched === false) {
    const why = p?.sentence ?? "Not watched: nothing compares the replies with the reference's while they are served.";
    const todo = claim.length ? ["What the certificate says was shown on the study's rows; whether it still holds for today's requests is not known."] : ["Run ", code("sprat study"), " on your own rows and serve the serve.toml that it writes; the promise in it is then watched."];
    return [el("p", { class: "quiet" }, why), el("p", {}, todo), certificate];
  }
  const rows = [["since", `${date(p.since)} (${ago(p.since, found.at)})`], ["pairs compared", number(p.pairs)]];
  if (p.requests) rows.push(["requests looked at for drift", number(p.requests)]);
  if (p.mean_loss !== null && p.mean_loss !== undefined) rows.push(["mean loss of these pairs", Number(p.mean_loss.toPrecision(3))]);
  if (p.share) rows.push(["share that is shadowed", percent(p.share)]);
  if (p.delta) rows.push(["confidence", percent(1 - p.delta)]);
  if (p.marks_waiting) rows.push(["pairs that wait for a person", el("a", { href: "/sprat/marks" }, `mark ${number(p.marks_waiting)}`)]);
  if (p.state === "broken") rows.push(["what restores it", restores(p)]);
  return [
    el("p", { class: p.state === "holding" ? "shown" : "refused" }, p.sentence),
    p.state === "holding" ? evidence("Evidence that the loss is above the promised one", p.loss_wealth, p.loss_alarm) : null,
    p.state === "holding" ? evidence("Evidence that the requests have changed", p.drift_wealth, p.drift_alarm) : null,
    el("dl", { class: "card" }, rows.map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)])),
    el("p", { class: "note" }, "Evidence is a bet's wealth: while the promise holds it ever passes its alarm with no more than the stated probability. The bars are on a logarithmic scale."),
    certificate,
  ];
}

function restores(p) {
  if (p.restorable) return "the new pairs show that it holds again";
  if (p.pairs_needed === null || p.pairs_needed === undefined) return "as the new pairs look, no number of them: choose a safer setting";
  const marks = p.marks_needed === null || p.marks_needed === undefined ? "" : `, ${number(p.marks_needed)} of them marked by a person`;
  return `about ${number(p.pairs_needed)} more labelled pairs${marks}`;
}

export function models(found) {
  if (!found.models.length) return [el("p", {}, `Nobody has asked yet. Served are: ${found.served.join(", ")}.`)];
  const head = [["model"], ["share of requests", "share"], ["requests", "n extra"], ["spent", "n"], ["failed", "n"], ["p50", "n extra"], ["p95", "n"], ["first byte p50", "n extra"]];
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
  const of = (spent, budget) => [`${money(spent)} of ${money(budget)}`, level(spent / budget, null, null, spent >= budget ? "alarm" : "")];
  const made = [];
  if (found.budgets.length) {
    const head = [["for"], ["spent", "spend"], ["forecast", "n"], ["runs at"], ["price of a dollar", "n extra"]];
    const rows = found.budgets.map((b) => [`${b.scope} per ${b.per}`, of(b.spent, b.budget), money(b.forecast), [b.setting, b.certified === false ? el("small", { class: "bad" }, "not certified") : null], b.price === null || b.price === undefined ? "unknown" : Number(Number(b.price).toPrecision(3))]);
    made.push(table("Budgets that choose the setting", head, rows, { class: "wide" }));
  }
  const head = [["key"], ["spent", "spend"], ["requests", "n"], ["of unknown cost", "n extra"], ["state", "extra"]];
  const rows = found.keys.map((k) => ({ "data-key": k.id, cells: [[k.name, el("small", {}, k.shown)], k.budget ? [...of(k.dollars, k.budget), el("small", {}, `this ${k.per}`)] : [money(k.dollars), el("small", {}, `this ${k.per}, no budget`)], number(k.calls), number(k.unknown), k.state] }));
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
    : [el("p", {}, `No reply of a smaller model than ${found.reference} was labelled in this time. Labels come from the watch over the promise, or by hand: `, code("sprat logs label ID 0"), ".")];
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
    el("h3", {}, "Replies that were labelled low"),
    ...low,
    el("div", { class: "two" }, el("div", {}, el("h3", {}, "Escalations by reason"), ...escalations), el("div", {}, el("h3", {}, "Errors"), ...errors)),
  ];
}
