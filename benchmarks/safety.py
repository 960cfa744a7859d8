"""What the safety scorers are worth, on rows that taught them nothing: order, calibration, groups, cost.

    python benchmarks/safety.py --injections FOLDER --write

Toxicity is measured on held-out tweets of Davidson et al., ordinary texts, and pages made of both; private information
on sentences whose template was not learnt; injections on families that were not learnt, and, with --injections, on two
public sets: BIPIA's test attacks (MIT, arXiv 2312.14197) and CyberSecEval 2's (MIT, arXiv 2404.13161). FOLDER holds
bipia/ and cyberseceval/ with these repositories' files; without it these rows are left out. Beside each stands the
majority (a constant) and a list of words or patterns. --write also writes src/sprat/safety/weights/worth.json.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measured import RESULTS, header, table, write

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes" / "safety"))

import injection as attacks
import pii as private
import toxicity as toxic
from learn import curve
from sets import Row, objects, ordinary, pages, part, tweets

from sprat import safety
from sprat.errors import BadInput
from sprat.measure.audit import Audit, audit
from sprat.measure.resampling import Estimate, bootstraps, wilson
from sprat.safety.features import plain
from sprat.safety.linear import EMBEDDED
from sprat.safety.patterns import patterns
from sprat.safety.private import FORMED, PRIVATE, SURE, UNSEEN
from sprat.safety.tagger import read_chain

SHOWN = ("AUROC", "average precision", "ECE, 15 bins of equal mass", "Brier", "false alarms", "misses")
TITLES = {"toxicity": "## Toxicity", "pii": "## Private information", "injection": "## Prompt injection"}
LISTED = 100  # words of toxicity's list
# What a careful operator would look for.
PHRASES = re.compile(
    r"(ignore|disregard|forget|overlook)\W+(\w+\W+){0,4}(instruction|rule|direction|prompt|guideline|told)|"
    r"system prompt|"
    r"developer mode|jailbreak|\bDAN\b|do anything now|you are now|pretend (to be|you)|no restrictions|"
    r"\[/?(system|inst)\]|<\|?(im_start|system)|###\s*instruction",
    re.I,
)


def number(e: Estimate) -> str:
    """A number with its interval."""
    return f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"


def line(rows: str, way: str, found: Audit) -> dict[str, str]:
    """A table's line of an audit; what a constant can't have is left out."""
    return {"rows": rows, "way": way, "n (unsafe)": f"{found.rows:,} ({found.unsafe:,})"} | {
        k: number(found.measures[k]) for k in SHOWN
    }


def kept(found: Audit) -> dict[str, Any]:
    """The same for JSON: [value, low, high]."""
    return {"rows": found.rows, "unsafe": found.unsafe} | {
        k: [round(x, 4) for x in e[:3]] for k, e in found.measures.items()
    }


def beside(
    rows: str, p: np.ndarray, y: np.ndarray, listed: np.ndarray, of: str, units: Sequence[object], groups: Any = ()
) -> tuple[list[dict[str, str]], Audit]:
    """The scorer's, the list's and the majority's lines, and the scorer's audit."""
    found = audit(p, y, groups, units=units, scorer=of)
    most = np.full(len(y), float(y.mean()))
    lines = [line(rows, of, found), line(rows, "list of words or patterns", audit(listed, y, units=units))]
    return [*lines, line(rows, "majority", audit(most, y, units=units))], found


def rate(flagged: np.ndarray) -> str:
    """A share of rows with its interval."""
    return f"{number(Estimate(flagged.mean(), *wilson(flagged.mean(), n := len(flagged)), n))} of {n:,}"


def groups_table(found: Audit) -> list[dict[str, str]]:
    """The groups' rates; those with too few rows in one line."""
    told = [g for g in found.groups if g.rate and g.others and g.p is not None]
    return [
        {"group": g.group, "rate": g.which, "rows": f"{g.rows:,}", "here": number(g.rate), "others": number(g.others),
         "p, over all groups": f"{g.p:.3f}{' **differs**' if g.differs else ''}"}
        for g in told if g.rate and g.others
    ]  # fmt: skip


def reliability(found: Audit) -> list[str]:
    """The reliability curve: in ten bins of as many rows, what it says and how many are unsafe."""
    rows = [{"rows": f"{b.rows:,}", "says": f"{b.probability:.3f}", "unsafe": number(b.rate)} for b in found.bins]
    return ["Reliability (bins of as many rows; equal probabilities share one):", "", *table(rows)]


def too_few(found: Audit) -> str:
    """Which groups can't be judged."""
    few = [f"{g.group} ({g.which}, {g.rows})" for g in found.groups if g.rate is None and g.rows]
    return f"Too few rows (below 30): {', '.join(few)}." if few else ""


def seconds(score: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    """CPU-seconds for 1,000 of these texts."""
    score(texts[:20])
    began = time.process_time()
    score(texts)
    return (time.process_time() - began) * 1000 / len(texts)


def provoking(data: Path) -> list[str]:
    """The first turns of hh_harmless (MIT): people who try to make a model say what it should not."""
    with gzip.open(data / "hh_harmless" / "test.jsonl.gz", "rt", encoding="utf-8") as file:
        said = [json.loads(x)["chosen"] for x in file]
    return [x.split("\n\nAssistant:")[0].replace("\n\nHuman:", "").strip() for x in said]


def word_list(rows: Sequence[Row]) -> set[str]:
    """The words whose share of unsafe rows is largest (add-one smoothed log-odds), among those in ten rows or more."""
    counts: dict[str, list[int]] = {}
    for r in rows:
        for w in {plain(w) for w in re.findall(r"\w+", r.text)}:
            counts.setdefault(w, [0, 0])[r.unsafe] += 1
    odds = {w: (b + 1) / (a + 1) for w, (a, b) in counts.items() if a + b >= 10}
    return set(sorted(odds, key=lambda w: -odds[w])[:LISTED])


def measure_toxicity(data: Path, record: dict[str, Any], text: list[str]) -> None:
    """Held-out tweets, ordinary texts, pages."""
    rows = [*tweets(data), *ordinary(data)]
    test = [r for r in rows if part(r.unit) in toxic.TEST]
    listed = word_list([r for r in rows if part(r.unit) not in (*toxic.TEST, *toxic.CALIBRATE, *toxic.CHOOSE)])
    scorer = safety.toxicity()
    lines: list[dict[str, str]] = []
    sets = {
        "tweets": [r for r in test if r.source == "tweets"],
        "tweets and ordinary texts": test,
        "pages": pages(test, 1200, 7),
    }
    for name, chosen in sets.items():
        p = scorer.probabilities([r.text for r in chosen])
        y = np.array([r.unsafe for r in chosen], float)
        hit = np.array([bool(listed & {plain(w) for w in re.findall(r"\w+", r.text)}) for r in chosen], float)
        named = [safety.mentions(r.text) for r in chosen] if name == "tweets" else ()
        made, found = beside(name, p, y, hit, "toxicity", [r.unit for r in chosen], named)
        lines += made
        record[name] = kept(found)
        if name == "tweets":
            first = found
    plain_rows = [r for r in test if r.source == "ordinary"]
    harmless = provoking(data)
    flags = {"ordinary": scorer.probabilities([r.text for r in plain_rows]) >= 0.5}
    flags["hh"] = scorer.probabilities(harmless) >= 0.5
    record["groups"] = [{"group": g.group, "which": g.which, "rows": g.rows, "p": g.p,
                         "rate": g.rate and list(g.rate[:3])} for g in first.groups]  # fmt: skip
    record["seconds per 1,000"] = seconds(scorer.probabilities, [r.text for r in sets["tweets"][:1000]])
    text += [
        "## Toxicity", "", *table(lines),
        f"Flagged at .5: ordinary texts {rate(flags['ordinary'])}; first turns of hh_harmless, which people wrote to "
        f"provoke and nobody labelled, {rate(flags['hh'])}. {LISTED} words are listed. CPU-seconds for 1,000 tweets: "
        f"{record['seconds per 1,000']:.2f}.",
        "", *reliability(first),
        "By what a tweet names, and by words of a dialect (a crude proxy; nothing is known of the authors):", "",
        *table(groups_table(first)), too_few(first), "",
    ]  # fmt: skip


def span_counts(rows: Sequence[Any], found: Sequence[Any], kinds: Sequence[str]) -> np.ndarray:
    """The exact spans of each row that are right, that were found, and that there are, (n, 3)."""
    counts = np.zeros((len(rows), 3))
    for i, (row, spans) in enumerate(zip(rows, found, strict=True)):
        gold, got = ({s for s in of if s[2] in kinds} for of in (set(row.spans), set(spans)))
        counts[i] = len(gold & got), len(got), len(gold)
    return counts


def span_scores(rows: Sequence[Any], found: Sequence[Any], kinds: Sequence[str]) -> dict[str, Estimate]:
    """Precision, recall and F1 of exact spans, over sentences resampled by template.

    Where a kind stands in too few templates for that, over sentences, which makes the intervals too narrow.
    """
    counts = span_counts(rows, found, kinds)

    def over(hits: float, of: float) -> float:
        if not of:
            raise BadInput("The resample has no such span.")
        return float(hits / of)

    def precision(c: np.ndarray) -> float:
        return over(c[:, 0].sum(), c[:, 1].sum() or 1.0 * bool(c[:, 2].sum()))  # none found of some is 0

    def recall(c: np.ndarray) -> float:
        return over(c[:, 0].sum(), c[:, 2].sum())

    def f1(c: np.ndarray) -> float:
        return over(2 * c[:, 0].sum(), c[:, 1].sum() + c[:, 2].sum())

    of = {"precision": precision, "recall": recall, "F1": f1}
    try:
        return bootstraps(of, counts, units=[r.template for r in rows], times=500)
    except BadInput:
        held = counts[counts.sum(axis=1) > 0]
        return bootstraps(of, held, times=500)


def crossfit(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Probabilities by a curve that was fitted on the other folds."""
    p = np.empty(len(y))
    for f in np.unique(fold):
        z = x[fold == f] @ curve(x[fold != f], y[fold != f])
        p[fold == f] = 0.5 * (1 + np.tanh(0.5 * z))
    return p


def by_length(replies: Sequence[str], p: np.ndarray, record: dict[str, Any]) -> list[dict[str, str]]:
    """The share of ordinary replies that is flagged at .5, by their words; and where nobody can be named."""
    words = np.array([len(r.split()) for r in replies])
    named = np.array([bool(re.search(r"\d|@|\W[A-Z]", r.replace("\n", " "))) for r in replies])
    sets = {"all": words > 0, "1 to 9 words": words < 10, "10 to 29": (words >= 10) & (words < 30),
            "30 to 99": (words >= 30) & (words < 100), "100 and more": words >= 100,
            "no digit, and no capital after the first letter": ~named}  # fmt: skip
    lines = list[dict[str, str]]()
    for name, chosen in sets.items():
        flagged = p[chosen] >= 0.5
        told = (flagged.mean(), *wilson(float(flagged.mean()), len(flagged)))
        record[name] = {"rows": len(flagged), "flagged": [round(float(x), 4) for x in told]}
        lines.append({"replies": name, "flagged": rate(flagged)})
    return lines


def measure_pii(data: Path, work: Path, record: dict[str, Any], text: list[str]) -> None:
    """Sentences by taggers that saw no row of their template; ordinary replies that taught nothing."""
    rows, scorer = private.sentences(data), safety.pii()
    raw, spans, fold = private.crossed(rows, private.plain(data, private.TEACH), work)
    y = np.array([private.private(r) for r in rows], float)
    safe = private.raw(read_chain(scorer.weights), [r.text for r in private.plain(data, private.CALIBRATE)])
    seen, z = np.concatenate([raw[:, 0], [p for p, _ in safe]]), np.concatenate([y, np.zeros(len(safe))])
    folds = np.concatenate([fold, np.full(len(safe), -1)])
    p = np.empty(len(rows))
    for f in range(private.FOLDS):
        curved = private.bent(seen[folds != f], z[folds != f])
        p[fold == f] = 0.5 * (1 + np.tanh(0.5 * (private.on_logit(raw[fold == f, 0]) @ curved)))
    p = np.where(raw[:, 0] == SURE, SURE, np.where(raw[:, 1] > 0, p, np.minimum(p, UNSEEN)))
    said = objects(data / "dolly_3k" / "dolly_3k.jsonl.gz")
    replies = [o["output"] for i, o in enumerate(said) if part(f"dolly {i}", 4) in private.TEST and o["output"].strip()]
    ordinary_p = scorer.probabilities(replies)
    record["ordinary replies"] = {}
    flagged = by_length(replies, ordinary_p, record["ordinary replies"])
    formed = [[(f.start, f.end, f.kind) for f in patterns(r.text)] for r in rows]
    hit = np.array([any(k in PRIVATE for _, _, k in f) for f in formed], float)
    letters = [("letters beyond ASCII",) if re.search(r"[^\x00-\x7f]", r.text) else ("ASCII",) for r in rows]
    lines, found = beside("sentences, unseen templates", p, y, hit, "pii", [r.template for r in rows], letters)
    both = audit(
        np.concatenate([p, ordinary_p]), np.concatenate([y, np.zeros(len(replies))]),
        units=[*(r.template for r in rows), *(f"reply {i}" for i in range(len(replies)))], scorer="pii",
    )  # fmt: skip
    lines.append(line("the same and ordinary replies", "pii", both))
    record["sentences and ordinary replies"] = kept(both)
    record["sentences"] = kept(found)
    kinds = [*FORMED, *private.LEARNT]
    table_rows: list[dict[str, str]] = []
    record["spans"] = {}
    for kind in [*kinds, "US_DRIVER_LICENSE", "all private kinds"]:
        chosen = PRIVATE if kind == "all private kinds" else (kind,)
        count = sum(s[2] in chosen for r in rows for s in r.spans)
        if not count:
            continue
        ours = span_scores(rows, spans, chosen)
        right, got, gold = span_counts(rows, formed, chosen).sum(axis=0)
        record["spans"][kind] = {"spans": count} | {k: [round(x, 4) for x in e[:3]] for k, e in ours.items()}
        table_rows.append({"kind": kind, "spans": f"{count:,}"} | {k: number(e) for k, e in ours.items()}
                          | {"patterns alone, F1": f"{2 * right / (got + gold):.3f}"})  # fmt: skip
    record["seconds per 1,000"] = seconds(safety.pii().probabilities, [r.text for r in rows[:300]])
    text += [
        "## Private information", "", *table(lines),
        f"CPU-seconds for 1,000 sentences: {record['seconds per 1,000']:.2f}.", "",
        "Ordinary replies (Dolly's outputs that taught nothing) that are flagged at .5. Nobody marked them; some name "
        "people, in an encyclopaedia's way, so a flag there may be right by its letter. The last row names nobody:",
        "",
        *table(flagged), *reliability(found),
        "Spans, exactly as marked (a part of an address, or its city with it, is wrong); IBAN, IP and SSN stand in few "
        "templates, so theirs are intervals over sentences, too narrow:", "", *table(table_rows),
        "By the letters of a sentence, which are mostly those of its names:", "", *table(groups_table(found)),
    ]  # fmt: skip


def measure_injection(data: Path, folder: Path | None, record: dict[str, Any], text: list[str]) -> None:
    """Families and carriers that were not learnt; and public attacks."""
    found = attacks.cases(data, folder)
    x, fold = attacks.out_of_round(found)
    y = np.array([c.attack is not None for c in found], float)
    p = crossfit(x, y, fold)
    ours = np.array([not c.family.startswith("bipia") for c in found])
    chosen = [c for c, keep in zip(found, ours.tolist(), strict=True) if keep]
    hit = np.array([bool(PHRASES.search(c.text)) for c in chosen], float)
    groups = [(c.family,) for c in chosen]
    lines, told = beside("ours, unseen families", p[ours], y[ours], hit, "injection", [c.unit for c in chosen], groups)
    record["ours"] = kept(told)
    scorer = safety.injection()
    public = ""
    if folder is not None:
        rng = np.random.default_rng(1)
        cases = attacks.bipia(folder, "test", rng, each=3)
        tables = [json.loads(r)["context"] for r in (folder / "bipia" / "table_test.jsonl").read_text().splitlines()]
        cases += [attacks.Case(t, None, "bipia test", f"table {i}") for i, t in enumerate(tables[:150])]
        q = scorer.probabilities([c.text for c in cases])
        z = np.array([c.attack is not None for c in cases], float)
        seen = np.array([bool(PHRASES.search(c.text)) for c in cases], float)
        made, at = beside("BIPIA test: emails with an attack; emails, tables", q, z, seen, "injection",
                          [c.unit for c in cases])  # fmt: skip
        lines += made
        record["BIPIA"] = kept(at)
        asked = json.loads((folder / "cyberseceval" / "prompt_injection.json").read_text())
        first = provoking(data)[:1000]
        texts = [*(a["user_input"] for a in asked), *first]
        z = np.array([1.0] * len(asked) + [0.0] * len(first))
        q = scorer.probabilities(texts)
        seen = np.array([bool(PHRASES.search(t)) for t in texts], float)
        name = "CyberSecEval 2 attacks; first turns of hh_harmless"
        made, at = beside(name, q, z, seen, "injection", list(range(len(texts))))
        lines += made
        record["CyberSecEval 2"] = kept(at)
        by: dict[str, list[bool]] = {}
        for a, flag in zip(asked, (q[: len(asked)] >= 0.5).tolist(), strict=True):
            by.setdefault(a["injection_variant"], []).append(flag)
        found_by = ", ".join(f"{k} {sum(v)} of {len(v)}" for k, v in sorted(by.items(), key=lambda kv: -np.mean(kv[1])))
        public = f"CyberSecEval's attacks that are found at .5, by technique: {found_by}."
        record["techniques"] = {k: [sum(v), len(v)] for k, v in by.items()}
    record["seconds per 1,000"] = seconds(scorer.probabilities, [c.text for c in chosen[:1000]])
    text += [
        "## Prompt injection", "",
        "Our attacks are synthetic: templates written for the recipe, in ordinary texts. That unseen families of one "
        "hand are told apart does not show that an attacker's are; the two public sets show how far it reaches. How "
        "many attacks there are in any of these rows is ours, so a probability means little elsewhere.",
        "", *table(lines),
        public, f"CPU-seconds for 1,000 texts: {record['seconds per 1,000']:.2f}.", "", *reliability(told),
        "By family, each unseen: attacks' misses and look-alikes' false alarms:", "", *table(groups_table(told)),
        too_few(told), "",
    ]  # fmt: skip


def main() -> None:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--injections", type=Path)
    parser.add_argument("--work", type=Path, default=Path("/tmp/sprat-safety"), help="keeps the taggers' folds")
    parser.add_argument("--only", choices=tuple(TITLES), help="measure this one; the others are kept as they were")
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    data = Path(os.environ["SPRAT_DATA"])
    began = time.time()
    record: dict[str, Any] = {"toxicity": {}, "pii": {}, "injection": {}}
    text = [
        "# Safety scorers on rows that taught them nothing",
        "P(unsafe) of .5 and above is flagged: false alarms are the flagged among safe rows, misses the others among "
        "unsafe ones. Brackets are 95 % intervals over units (a tweet with its retweets, a template, a carrier). The "
        "width of windows, what toxicity is taught beside tweets, and the strength of the penalty of injections were "
        "settled with these rows in view, so these numbers are a little too good to be true.",
        "",
    ]
    measures = {
        "toxicity": partial(measure_toxicity, data),
        "pii": partial(measure_pii, data, told.work),
        "injection": partial(measure_injection, data, told.injections),
    }
    for kind, measured in measures.items():
        if told.only in (None, kind):
            measured(record[kind], text)
            record[kind]["measured"] = datetime.date.today().isoformat()
        else:
            held = json.loads((RESULTS / "safety.json").read_text())
            record[kind] = {"measured": held["about"]["date"]} | held[kind]
            _, _, rest = (RESULTS / "safety.md").read_text().partition(TITLES[kind])
            text += [*(TITLES[kind] + rest.split("\n## ")[0].rstrip()).split("\n"), ""]
    chosen = (" --injections FOLDER" if told.injections else "") + (f" --only {told.only}" if told.only else "")
    how = f"python benchmarks/safety.py{chosen} --write"
    record["about"] = header(how, 0, time.time() - began)
    print("\n".join(text))
    if told.write:
        write("safety", record, text)
        worth = {k: v for k, v in record.items() if k != "about"}
        (EMBEDDED / "worth.json").write_text(json.dumps(worth, indent=1) + "\n")


if __name__ == "__main__":
    main()
