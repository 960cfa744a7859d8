"""The ladder of checks on SummEdits: balanced accuracy by rung and as a whole, and whether the risk is kept.

Each domain is judged by a ladder fitted on the other seven (heads, calibration, thresholds and cuts), with whole
domains out of fold. Beside it the majority, and the lexical baselines of benchmarks/summedits.py. Intervals are
bootstraps over documents; what stays in doubt after the last rung is what a language model would be asked about.

    python benchmarks/check_ladder.py --data $SPRAT_DATA [--kept FOLDER] [--encoder MINILM_FOLDER] [--write]

With --kept, what each rung reads and each way finds is kept in FOLDER, so that a run that was stopped goes on.
--encoder adds a row for that encoder's tokens.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import summedits
from measured import header, table, write

from sprat.drivers import drive
from sprat.factuality.check_ladder import VERBATIM, Labelled, Ladder, ladder
from sprat.factuality.checks import Check, Spent
from sprat.factuality.rungs import Inference
from sprat.factuality.surface import Alignment, Unigram
from sprat.measure.calibration import auroc, ece
from sprat.measure.resampling import wilson
from sprat.nli import small

SEED = 0
RISKS = (0.1, 0.2, 0.3)


@dataclass(frozen=True, eq=False)
class Kept:
    """A rung whose numbers were read before, with the CPU-seconds that each check took."""

    name: str
    names: tuple[str, ...]
    rows: dict[tuple[str, str], np.ndarray]
    seconds: float

    async def read(self, checks: Sequence[Check]) -> tuple[np.ndarray, list[Spent]]:
        """The kept numbers."""
        found = np.array([self.rows[c.document, c.claim] for c in checks]).reshape(-1, len(self.names))
        return found, [Spent(0.0, self.seconds)] * len(checks)


def kept(rung: Any, rows: summedits.Rows, folder: Path | None, name: str = "") -> Kept:
    """Read every check once, or take what is in the folder."""
    path = None if folder is None else folder / f"{name or rung.name}.npz"
    if path is not None and path.exists():
        with np.load(path) as held:
            told, seconds = held["told"], float(held["seconds"])
    else:
        told, spent = drive(rung.read([Check(s, d) for d, s in rows.pairs]))
        seconds = spent[0].seconds
        if path is not None:
            folder.mkdir(parents=True, exist_ok=True)
            np.savez(path, told=told, seconds=seconds)
    print(name or rung.name, f"{1000 * seconds:.2f} CPU-s per 1,000 checks", flush=True)
    return Kept(name or rung.name, rung.names, dict(zip(rows.pairs, told, strict=True)), seconds)


def fitted(made: Ladder, rows: summedits.Rows, away: str) -> Ladder:
    """The ladder as the other seven domains teach it, with whole domains out of fold."""
    here = np.flatnonzero(rows.domain != away)
    told = [Labelled(rows.pairs[i][1], rows.pairs[i][0], bool(rows.consistent[i]), str(rows.domain[i])) for i in here]
    return made.fit(told, SEED)


def judged(made: Ladder, rows: summedits.Rows) -> dict[str, Any]:
    """Every domain by a ladder of the others: verdicts, doubts, where each check stopped, the ledger's sums."""
    said, doubt = np.zeros(len(rows.pairs)), np.zeros(len(rows.pairs))
    sure = np.zeros(len(rows.pairs), bool)
    booked: dict[str, np.ndarray] = {r.name: np.zeros(3) for r in made.rungs}
    for domain in np.unique(rows.domain):
        at = np.flatnonzero(rows.domain == domain)
        found = fitted(made, rows, domain).check([rows.pairs[i][1] for i in at], [rows.pairs[i][0] for i in at])
        said[at] = [not f.unsupported for f in found.findings]
        doubt[at] = [f.doubt for f in found.findings]
        sure[at] = [f.sure for f in found.findings]
        for line in found.ledger:
            booked.setdefault(line.rung, np.zeros(3))
            booked[line.rung] += (line.came, line.stopped, line.seconds)
    rng = np.random.default_rng(SEED)
    domains = sorted(set(rows.domain.tolist()))
    draws = {d: summedits._resampled(rows, said, d, rng) for d in domains}
    each: dict[str, Any] = {}
    for d in domains:
        here = rows.domain == d
        low, high = np.nanquantile(draws[d], [0.025, 0.975]).tolist()
        each[d] = {"value": summedits.balanced(said[here], rows.consistent[here]), "low": low, "high": high}
    means = np.nanmean([draws[d] for d in domains], axis=0)
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    mean = {"value": float(np.mean([each[d]["value"] for d in domains])), "low": low, "high": high}
    areas = [auroc(1 - doubt[rows.domain == d], rows.consistent[rows.domain == d]) for d in domains]
    wrong = said[sure] != rows.consistent[sure]
    return {
        "mean of domains": mean,
        "domains": each,
        "auroc": float(np.mean(areas)),
        "ece": ece(1 - doubt, rows.consistent),
        "stopped": int(sure.sum()),
        "wrong": int(wrong.sum()),
        "right of the rest": summedits.balanced(said[~sure], rows.consistent[~sure]) if (~sure).any() else None,
        "ledger": {name: line.tolist() for name, line in booked.items()},
    }


def main() -> None:
    """Read, judge, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--encoder")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    began = time.process_time()
    rows = summedits.read(given.data)
    first = kept(Unigram(), rows, given.kept)
    second = kept(Alignment(), rows, given.kept)
    third = kept(Inference(small()), rows, given.kept)
    ways: dict[str, Ladder] = {
        # With a risk that nothing can show, no check stops early: each rung's worth by itself and on top of the others.
        "unigram alone": ladder(first, at_risk=1e-6),
        "alignment alone": ladder(second, at_risk=1e-6),
        "nli alone": ladder(third, at_risk=1e-6),
        "unigram, alignment": ladder(first, second, at_risk=1e-6),
        "unigram, alignment, nli": ladder(first, second, third, at_risk=1e-6),
    }
    if given.encoder:
        from sprat.similarity import HubTokens

        other = kept(Alignment(HubTokens(given.encoder)), rows, given.kept, "alignment MiniLM")
        ways["alignment by MiniLM alone"] = ladder(other, at_risk=1e-6)
    for risk in RISKS:
        ways[f"ladder at risk {risk}"] = ladder(first, second, third, at_risk=risk)
    found: dict[str, Any] = {}
    for name, made in ways.items():
        path = None if given.kept is None else given.kept / f"{name.replace(' ', '_').replace(',', '')}.json"
        if path is not None and path.exists():
            found[name] = json.loads(path.read_text())
            continue
        found[name] = judged(made, rows)
        if path is not None:
            path.write_text(json.dumps(found[name]))
        print(name, found[name]["mean of domains"], round(found[name]["auroc"], 3), found[name]["ledger"], flush=True)
    lexical = {n: summedits.judged(rows, lambda _, held=held: held) for n, held in _lexical(rows).items()}
    if given.write:
        costs = {k.name: 1000 * k.seconds for k in (first, second, third)}
        _write(found, lexical, costs, rows, time.process_time() - began)


def _lexical(rows: summedits.Rows) -> dict[str, np.ndarray]:
    return {"share of words found": summedits.unigram(rows.pairs), "ROUGE-2 precision": summedits.rouge(rows.pairs)}


def _interval(told: dict[str, float]) -> str:
    return f"{told['value']:.3f} [{told['low']:.3f}, {told['high']:.3f}]"


def _write(
    found: dict[str, Any], lexical: dict[str, Any], costs: dict[str, float], rows: summedits.Rows, seconds: float
) -> None:
    domains = sorted(set(rows.domain.tolist()))
    body = [
        {"way": "majority", "mean of domains": "0.500", "AUROC": "0.500", "ECE": ""} | dict.fromkeys(domains, "0.500")
    ]
    for name, told in lexical.items():
        row = {"way": f"{name} (baseline)", "mean of domains": _interval(told["mean of domains"]), "ECE": ""}
        row |= {"AUROC": f"{told['mean of domains']['auroc']:.3f}"}
        body.append(row | {d: f"{told[d]['value']:.3f}" for d in domains})
    for name, told in found.items():
        row = {"way": name, "mean of domains": _interval(told["mean of domains"])}
        row |= {"AUROC": f"{told['auroc']:.3f}", "ECE": f"{told['ece']:.3f}"}
        body.append(row | {d: f"{told['domains'][d]['value']:.3f}" for d in domains})
    risks: list[dict[str, str]] = []
    for risk in RISKS:
        told = found[f"ladder at risk {risk}"]
        n, wrong = told["stopped"], told["wrong"]
        low, high = wilson(wrong / n, n) if n else (0.0, 1.0)
        row = {"accepted risk": f"{risk:.0%}", "verdicts that stopped early": f"{n:,} of {len(rows.pairs):,}"}
        row |= {"of these wrong": f"{wrong / n:.1%} [{low:.1%}, {high:.1%}]" if n else "none stopped"}
        for name, (came, stopped, _) in told["ledger"].items():
            came = len(rows.pairs) if name == VERBATIM else came
            row[f"{name}: came, stopped"] = f"{came:,.0f}, {stopped:,.0f}"
        spent = sum(line[2] for line in told["ledger"].values())
        row["CPU-s per 1,000 checks"] = f"{1000 * spent / len(rows.pairs):.2f}"
        risks.append(row)
    rate = [{"rung": n, "CPU-s per 1,000 checks that come": f"{c:.2f}", "dollars": "0"} for n, c in costs.items()]
    text = [
        "# The ladder of checks on SummEdits",
        f"{len(rows.pairs):,} summaries of {len(set(rows.document.tolist()))} documents, {rows.consistent.mean():.1%} "
        "consistent. Balanced accuracy, each domain by a ladder fitted on the other seven; intervals",
        "are 95 %, over documents. Inference is nli.small(), which is weak; no language model was at hand.",
        "",
        *table(body),
        "## Does the risk hold on a domain that taught nothing?",
        "",
        "Intervals here are over checks, as if they were independent: those of one document are not.",
        "",
        *table(risks),
        "## What a rung costs",
        "",
        *table(rate),
    ]
    command = "python benchmarks/check_ladder.py --data $SPRAT_DATA --write"
    write("check_ladder", {"about": header(command, SEED, seconds), "ladders": found, "lexical": lexical}, text)


if __name__ == "__main__":
    sys.exit(main())
