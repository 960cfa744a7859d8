// Pairs that wait for a person, one at a time; each mark has a key.
import { date, el, fill, number } from "./write.js";

const token = document.querySelector('meta[name="token"]').content;
const $ = (id) => document.getElementById(id);
const TWO = [["b", "Both are good", "1,1"], ["1", "Only the first", "1,0"], ["2", "Only the second", "0,1"], ["n", "Neither", "0,0"], ["s", "Can't say", ""]];
const ONE = [["g", "Good", "1"], ["n", "Not good", "0"], ["s", "Can't say", ""]];
let pairs = [];
let busy = false;

async function read(init) {
  const answer = await fetch("/sprat/api/marks", init);
  if (answer.status === 401) return location.assign("/sprat/login");
  const found = await answer.json();
  if (!answer.ok && answer.status !== 409) throw new Error(found.error?.message ?? `HTTP ${answer.status}`);
  return answer.status === 409 ? read() : found; // somebody else was quicker: what waits now
}

async function ask(init, said) {
  busy = true;
  try {
    const found = await read(init);
    if (!found) return;
    pairs = found.pairs;
    const n = found.waiting;
    fill($("waiting"), [n ? `${number(n)} pair${n === 1 ? " waits" : "s wait"} for a person's marks.` : "No pair waits for marks."]);
    $("announce").textContent = `${said ?? ""} ${$("waiting").textContent}`;
    show();
  } catch (error) {
    fill($("waiting"), [el("span", { class: "bad" }, error.name === "TypeError" ? "The gateway can't be reached; nothing was marked." : error.message)]);
  } finally {
    busy = false;
  }
}

const choices = (pair) => (pair.replies.length === 1 ? ONE : TWO);

function mark(scores, words) {
  if (busy || !pairs.length) return;
  const body = new URLSearchParams({ token, pair: pairs[0].id, scores });
  ask({ method: "POST", body }, `${words}.`);
}

function show() {
  const [pair] = pairs;
  if (!pair) {
    const back = el("p", {}, "New ones come as requests are shadowed. ", el("a", { href: "/sprat/" }, "Back to the overview"));
    return fill($("pair"), [back]);
  }
  const names = pair.replies.length === 1 ? ["Both replied alike"] : ["First reply", "Second reply"];
  const replies = pair.replies.map((text, i) => el("section", { "aria-label": names[i] }, el("h2", {}, names[i]), el("pre", { tabindex: "0" }, text || "(an empty reply)")));
  const buttons = choices(pair).map(([key, words, scores]) => el("button", { type: "button", "aria-keyshortcuts": key, onclick: () => mark(scores, words) }, `${words} `, el("kbd", {}, key.toUpperCase())));
  fill($("pair"), [
    el("p", { class: "note" }, `asked ${date(pair.at)}`),
    el("section", { "aria-label": "Question", class: "replies" }, el("h2", {}, "Question"), el("pre", { tabindex: "0" }, pair.question)),
    el("div", { class: "two replies" }, replies),
    el("div", { class: "choices", role: "group", "aria-label": "Your mark" }, buttons),
  ]);
  scrollTo({ top: 0 });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || !pairs.length) return;
  const found = choices(pairs[0]).find(([key]) => key === event.key.toLowerCase());
  if (found) mark(found[2], found[1]);
});

ask();
