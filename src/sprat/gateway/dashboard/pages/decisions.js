// Recent decisions, their filter, and the card of one in a dialog.
import { clock, date, duration, el, fill, money, number, table } from "./write.js";

export class Decisions {
  constructor(form, body, dialog) {
    Object.assign(this, { form, body, dialog, rows: [], older: [], next: null, from: null, shown: "" });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => {
      clearTimeout(this.wait);
      this.wait = setTimeout(() => this.again(), 200);
    });
    dialog.addEventListener("close", () => this.closed());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, j: 1, k: -1 }[event.key];
      if (step && !event.altKey && !event.ctrlKey && !event.metaKey) this.step(step);
    });
  }

  models(names) {
    const select = this.form.elements.model;
    const known = [...select.options].map((o) => o.value);
    for (const name of names) if (!known.includes(name) && name) select.append(el("option", { value: name }, name));
  }

  async again() {
    this.older = [];
    await this.refresh();
  }

  async page(before) {
    const asked = new URLSearchParams(new FormData(this.form));
    if (before) asked.set("before", before);
    const answer = await fetch(`/sprat/api/decisions?${asked}`);
    if (!answer.ok) throw new Error((await answer.json()).error?.message ?? `HTTP ${answer.status}`);
    return answer.json();
  }

  async refresh() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const found = await this.page();
    if (turn !== this.turn) return;
    this.rows = found.decisions;
    if (!this.older.length) this.next = found.next;
    this.looked = found.looked;
    this.draw();
  }

  async more() {
    const found = await this.page(this.next);
    this.older.push(...found.decisions);
    this.next = found.next;
    this.draw();
  }

  all() {
    const seen = new Set();
    return [...this.rows, ...this.older].filter((d) => !seen.has(d.id) && seen.add(d.id));
  }

  draw() {
    const all = this.all();
    if (!all.length) {
      const filtered = [...new FormData(this.form).values()].some(Boolean);
      const words = filtered ? `Nothing like this among the newest ${number(this.looked)} requests.` : "No decisions yet: they appear with the first request.";
      return fill(this.body, [el("p", {}, words)]);
    }
    const head = [["when"], ["asked", "extra"], ["written by"], ["cost", "n"], ["reference", "n extra"], ["time", "n"], ["first byte", "n extra"], ["status", "n"]];
    const rows = all.map((d) => ({
      "data-key": d.id,
      class: d.status >= 400 ? "failed" : null,
      onclick: (event) => event.target.closest("button") || this.open(d.id, event.currentTarget.querySelector("button")),
      cells: [
        [el("button", { class: "open", type: "button", "aria-haspopup": "dialog", onclick: (event) => this.open(d.id, event.currentTarget) }, clock(d.at)), el("small", {}, date(d.at).slice(0, -7))],
        [d.asked, d.key ? el("small", {}, d.key) : null],
        [d.model || "(none)", d.error ? el("small", { class: "bad said" }, d.error.slice(0, 140)) : null],
        money(d.cost),
        money(d.reference_cost),
        duration(d.seconds),
        duration(d.first_byte),
        String(d.status),
      ],
    }));
    const button = this.next ? el("p", {}, el("button", { type: "button", onclick: () => this.more() }, "Show older ones")) : null;
    fill(this.body, [table(null, head, rows, { class: "wide" }), button]);
  }

  async open(id, from) {
    if (!this.dialog.open) this.from = from;
    const answer = await fetch(`/sprat/api/decision/${encodeURIComponent(id)}`);
    const found = await answer.json();
    this.shown = id;
    this.dialog.replaceChildren(...(answer.ok ? this.card(found) : this.missing(found)));
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.scrollTop = 0;
    this.dialog.querySelector("button").focus();
  }

  step(by) {
    const all = this.all();
    const i = all.findIndex((d) => d.id === this.shown);
    if (i >= 0 && all[i + by]) this.open(all[i + by].id);
  }

  closed() {
    const row = [...this.body.querySelectorAll("tr")].find((r) => r.dataset.key === this.shown);
    const back = this.from?.isConnected ? this.from : row?.querySelector("button");
    (back ?? this.body.querySelector("button"))?.focus();
    this.from = null;
  }

  top(words) {
    const close = el("button", { type: "button", onclick: () => this.dialog.close() }, "Close");
    return el("div", { class: "bar" }, el("h2", { id: "card-title" }, words), close);
  }

  missing(found) {
    return [this.top("Decision"), el("p", {}, found.error?.message ?? "It can't be shown.")];
  }

  card(d) {
    const rows = [
      ["when", date(d.at)],
      ["asked for", d.asked],
      ["decided by", [d.way, d.setting ? `, at the setting "${d.setting}"` : ""]],
      ["written by", d.model || "(none)"],
      ["cost", [money(d.cost), d.reference_cost === null ? "; the reference's is unknown" : `; the reference alone ${money(d.reference_cost)}`]],
      ["time", `${duration(d.seconds)}, first byte ${duration(d.first_byte)}`],
      ["tokens", d.input_tokens === null && d.output_tokens === null ? "unknown" : `${number(d.input_tokens)} read, ${number(d.output_tokens)} written`],
      ["status", d.error ? el("span", { class: "bad" }, `${d.status}: ${d.error}`) : `${d.status}${d.streamed ? ", streamed" : ""}, ${d.dialect}`],
      d.crafted ? ["looks crafted", el("span", { class: "bad" }, d.crafted)] : null,
      ["key", d.key || "(none)"],
      ["thread", el("code", {}, d.thread.length > 40 ? `${d.thread.slice(0, 40)}…` : d.thread)],
      d.propensity === null ? null : ["drawn with probability", Number(d.propensity.toPrecision(4))],
    ].filter(Boolean);
    const list = el("dl", { class: "card" }, rows.map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]));
    const labels = d.labels?.length ? table("Labels", [["by"], ["score", "n"], ["note", "said"]], d.labels.map((l) => [l.source, Number(l.score.toPrecision(3)), l.note])) : null;
    const drawing = d.drawing ? el("pre", { tabindex: "0", "aria-label": "The decision card" }, d.drawing) : el("p", {}, "No card was kept: no model gave a reply.");
    return [this.top(`Decision ${d.id}`), list, drawing, labels, ...this.said(d)].filter(Boolean);
  }

  said(d) {
    if (!d.request) return [];
    const text = (content) => (typeof content === "string" ? content : JSON.stringify(content, null, 1));
    const asked = (d.request.messages ?? []).map((m) => [el("h4", {}, m.role), el("pre", {}, text(m.content))]);
    return [el("details", {}, el("summary", {}, "Prompt and reply"), ...asked.flat(), el("h4", {}, "reply"), el("pre", {}, d.reply ? (d.reply.text ?? JSON.stringify(d.reply, null, 1)) : "not kept"))];
  }
}
