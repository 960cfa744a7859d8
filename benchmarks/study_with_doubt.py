"""Are cascades that judge by doubt as good as those that read the answer's features? GSM8K and MMLU-Pro, with the cost.

The small model's recorded reply is judged by its features (answer_features), by how far peers' replies say the same
(agreement, likeness of meaning, BERTScore, unigram self-check; one recorded reply per peer), by the best single one of
these calibrated with reconfidencing, and by all together (stacked). On each random half one of the ways is chosen out
of fold on the fit rows; the other half measures. Differences to the features are paired, row by row.

Run: SPRAT_DATA=... python benchmarks/study_with_doubt.py [--splits 3] [--seed 0] [--only gsm8k] [--write]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gsm8k_cascade
import mmlu_pro_agreement
import numpy as np
from measured import dollars, header, judge, over_splits, shown, table, trusts, write

from sprat import signals
from sprat.core import Reply, Request, Signal, Usage
from sprat.data import Call, Dataset, Lessons
from sprat.endpoints.toy import toy
from sprat.energy import meter
from sprat.signals import reply_features
from sprat.splits import folds, split
from sprat.study import metrics

SIX, CHECKED = "gpt3-6b", "gpt3-6b with verifier"
PEER_PRICE = (0.18, 0.18)  # dollars per million tokens, as a host's for 8B
ALONE, FEATURES, ALL = "answer features, no peer", "answer features, peers too", "features and all doubts stacked"
OLD, NEW = "chosen among the features", "chosen among all"
TIMES = 500
SOME = 3000


_kept: dict[tuple[int, str, str], float] = {}


@dataclass(frozen=True, repr=False, eq=False)
class Kept(Signal):
    """A signal whose trusts are kept: many ways read the same doubts. Emptied before anything is weighed."""

    signal: Any
    use = "kept"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The inner signal's."""
        key = id(self.signal), request.key, (reply.text or "") if reply else ""
        if key not in _kept:
            _kept[key] = await self.signal.trust(request, reply)
        return _kept[key]


@dataclass(frozen=True)
class Task:
    """Rows, a small and a large model, and the peers; `spoken` are those of them whose whole reply is recorded."""

    name: str
    data: Dataset
    small: str
    large: str
    peers: tuple[str, ...]
    spoken: tuple[str, ...]
    kind: Any

    def ways(self) -> dict[str, Any]:
        """Every way of judging a reply, by name."""
        peers, spoken = [toy(p) for p in self.peers], [toy(p) for p in self.spoken]
        whole = {"kind": self.kind, "label": "gain"}
        doubts = [*(signals.agreement(p) for p in peers), signals.sample_agreement(*spoken, samples=0, how="likeness"),
                  signals.bertscore(*spoken), signals.self_check(*spoken, samples=0)]  # fmt: skip
        doubts = [Kept(d) for d in doubts]
        features = signals.answer_features(*peers, **whole)
        quick = signals.answer_features(*peers, kind="logistic", label="gain")
        return {
            ALONE: signals.answer_features(**whole),
            FEATURES: features,
            "agreement of the peers": signals.agreement(*peers),
            "likeness to the peers": doubts[-3],
            "BERTScore with the peers": doubts[-2],
            "self-check by the peers": doubts[-1],
            "agreement, reconfidenced": signals.calibrated(
                signals.agreement(*peers), by="reconfidence", label="no worse"
            ),
            "features, reconfidenced": signals.calibrated(quick, by="reconfidence", label="no worse"),
            "doubts stacked": signals.stacked(*doubts, **whole),
            "features and self-check stacked": signals.stacked(features, doubts[-1], **whole),
            ALL: signals.stacked(features, *doubts, **whole),
        }

    def asked(self, way: str) -> tuple[str, ...]:
        """The peers that a way asks for every reply."""
        if way == ALONE:
            return ()
        return self.spoken if way.endswith("the peers") and not way.startswith("agreement") else self.peers


def gsm8k() -> list[Task]:
    """Mixtral before GPT-4 with two 6B peers; and the 6B with verifier before 175B with verifier, one peer."""
    told: dict[str, Any] = {}
    folder = Path(os.environ["SPRAT_DATA"]) / "routing_gsm8k" / "gsm8k_6b_vs_175b.jsonl.gz"
    with gzip.open(folder, "rt") as lines:
        told = {row["question"]: row for row in map(json.loads, lines)}
    names = {SIX: "6b_finetuning", CHECKED: "6b_verification", "gpt3-175b with verifier": "175b_verification"}
    prices = {SIX: PEER_PRICE, CHECKED: PEER_PRICE, "gpt3-175b with verifier": (0.88, 0.88)}

    def calls(question: str) -> tuple[Call, ...]:
        made: list[Call] = []
        for name, key in names.items():
            # These models end with "A: 18" where the others write "#### 18": one mark for all.
            said = told[question][key]["solution"].replace("\nA: ", "\n#### ")
            used = Usage(len(question) // 4, len(said) // 4)
            cost = (used.input_tokens * prices[name][0] + used.output_tokens * prices[name][1]) / 1e6  # type: ignore[operator]
            made.append(
                Call(name, Reply(said, name, usage=used, cost=cost, score=float(told[question][key]["is_correct"])))
            )
        return tuple(made)

    data = gsm8k_cascade.load()
    whole = replace(data, examples=tuple(replace(e, calls=(*e.calls, *calls(e.request.text))) for e in data))
    return [
        Task("GSM8K", whole, gsm8k_cascade.SMALL, gsm8k_cascade.LARGE, (SIX, CHECKED), (SIX, CHECKED), "logistic"),
        Task("GSM8K", whole, CHECKED, "gpt3-175b with verifier", (SIX,), (SIX,), "logistic"),
    ]


def mmlu_pro() -> list[Task]:
    """The three pairs of mmlu_pro_agreement.py; Llama's and Phi's replies whole, mathstral's letter."""
    data = mmlu_pro_agreement.load((mmlu_pro_agreement.LLAMA, mmlu_pro_agreement.PHI))
    rng = np.random.default_rng(0)
    data = data.take(np.sort(rng.choice(len(data), SOME, replace=False)))
    return [Task("MMLU-Pro", data, s, b, p, p[:1], "mean") for s, b, p in mmlu_pro_agreement.PAIRS]


def learnt(way: Any, lessons: Lessons) -> Any:
    """The way fitted, where it learns."""
    return way.fit(lessons) if hasattr(way, "fit") else way


def measure(task: Task, at: int, seed: int) -> dict[str, Any]:
    """One half: per way the measures, the paired differences to the features, and what judging adds."""
    models = (task.small, task.large)
    ways = task.ways()
    fit, held = (task.data.take(rows) for rows in split(task.data, (0.5, 0.5), seed + at))
    early = {n: metrics.apgr(out_of_fold(task, w, fit, seed + at), *fit.scores(models).T) for n, w in ways.items()}
    chosen = {OLD: max((ALONE, FEATURES), key=lambda n: early[n]), NEW: max(early, key=lambda n: early[n])}
    scores = held.scores(models)
    costs = {m: held.costs((m,))[:, 0] for m in (*models, *task.peers)}
    keeps: dict[str, np.ndarray] = {}
    added: dict[str, dict[str, Any]] = {}
    for name, way in ways.items():
        ready = learnt(way, lessons_of(task, fit))
        _kept.clear()
        reply_features._features.cache_clear()  # pyright: ignore[reportPrivateUsage]
        with meter() as m:
            keeps[name] = trusts(ready, held, task.small)
        added[name] = weighed(task, name, m, costs, len(held))
    keeps |= {kind: keeps[chosen[kind]] for kind in (OLD, NEW)}
    found: dict[str, Any] = {}
    for name, keep in keeps.items():
        paid = task.asked(chosen.get(name, name))
        extra = sum((costs[m] for m in paid), np.zeros(len(keep)))
        bill = dollars(keep, *scores.T, small_cost=costs[task.small], large_cost=costs[task.large],
                       always=extra, cascade=True)  # fmt: skip
        apart = {o: paired(keep, keeps[o], scores, held.units, seed) for o in (ALONE, FEATURES, OLD)}
        found[name] = {"measures": judge(keep, *scores.T) | bill, "less": apart, "added": added.get(name)}
    return {"rows": len(task.data), "chosen": chosen, "ways": found}


def out_of_fold(task: Task, way: Any, fit: Dataset, seed: int) -> np.ndarray:
    """The way's trusts on the fit rows, each half judged by what the other half taught."""
    keep = np.empty(len(fit))
    parts = folds(fit.units, 2, seed)
    for here, there in (parts, parts[::-1]):
        keep[here] = trusts(learnt(way, lessons_of(task, fit.take(there))), fit.take(here), task.small)
    return keep


def lessons_of(task: Task, data: Dataset) -> Lessons:
    """What these rows teach about the pair, with the peers' replies beside."""
    pair = (task.small, task.large)
    return Lessons.of(data, (*pair, *task.peers)).of_models(pair)


def weighed(task: Task, way: str, m: Any, costs: Any, n: int) -> dict[str, Any]:
    """What judging 1,000 replies takes: CPU seconds, this machine's joules, and dollars for the peers' replies."""
    peers = float(sum(costs[p].mean() for p in task.asked(way))) * 1000
    drawn = m.energy.times(1000 / n)
    return {"cpu_s": 1000 * m.cpu_seconds / n, "energy": drawn.summary(), "dollars": peers}


def paired(
    keep: np.ndarray, other: np.ndarray, scores: np.ndarray, units: Any, seed: int
) -> tuple[float, float, float]:
    """The difference of two APGRs on the same rows, with a 95 % bootstrap interval by unit."""
    _, which = np.unique(units, return_inverse=True)
    rows_of = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
    rng = np.random.default_rng(seed)
    drawn: list[float] = []
    for _ in range(TIMES):
        rows = np.concatenate([rows_of[u] for u in rng.integers(0, len(rows_of), len(rows_of))])
        if scores[rows, 1].mean() > scores[rows, 0].mean():
            drawn.append(metrics.apgr(keep[rows], *scores[rows].T) - metrics.apgr(other[rows], *scores[rows].T))
    value = metrics.apgr(keep, *scores.T) - metrics.apgr(other, *scores.T)
    return value, *(float(q) for q in np.quantile(drawn, (0.025, 0.975)))


def lines(halves: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The table's rows of one task."""
    made: list[dict[str, str]] = []
    for name in halves[0]["ways"]:
        each = [h["ways"][name] for h in halves]
        over = over_splits([e["measures"] for e in each])
        cost = each[0]["added"]
        made.append(
            {"way": name}
            | {k: shown(k, over[k]) for k in ("APGR", "CPT50", "CPT80", "$CPT50")}
            | {"less features, no peer": apart_of(each, ALONE) if name != ALONE else ""}
            | {"less features with peers": apart_of(each, OLD if name == NEW else FEATURES) if name != FEATURES else ""}
            | {"CPU s": f"{cost['cpu_s']:.2f}" if cost else "", "J": f"{cost['energy']['joules']:.1f}" if cost else ""}
            | {"$": f"{cost['dollars']:.3f}" if cost else ""}
        )
    return made


def apart_of(halves: list[dict[str, Any]], other: str) -> str:
    """A paired difference of APGRs with its interval, each the mean over the halves."""
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*np.mean([h["less"][other] for h in halves], axis=0))


def main() -> None:
    """Measure, print, and with --write record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=3, help="halves; 0 shows what is kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["gsm8k", "mmlu_pro"])
    parser.add_argument("--kept", type=Path, help="a file that keeps each half's findings, to go on after a stop")
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    kept: dict[str, list[Any]] = json.loads(told.kept.read_text()) if told.kept and told.kept.exists() else {}
    for made, name in ((gsm8k, "gsm8k"), (mmlu_pro, "mmlu_pro")):
        if told.only not in (None, name):
            continue
        for task in made():
            halves = kept.setdefault(f"{task.name}: {task.small} before {task.large}", [])
            while len(halves) < told.splits:
                began = time.perf_counter()
                halves.append(measure(task, len(halves), told.seed) | {"seconds": time.perf_counter() - began})
                print(f"{task.name}, {task.small}: half {len(halves)} of {told.splits}", file=sys.stderr, flush=True)
                if told.kept:
                    told.kept.write_text(json.dumps(kept))
    most = max((len(halves) for halves in kept.values()), default=told.splits)
    command = f"python benchmarks/study_with_doubt.py --splits {most} --seed {told.seed} --write"
    text = [
        "# Cascades that judge by doubt, beside those that read the answer's features",
        "Half of the rows teach, half measure, over random halves (equal questions stay together); mean",
        "[least, most] over the halves, which share rows. Differences of APGR are paired row by row; their interval is",
        "the mean over the halves of each half's 95 % bootstrap limits by question. CPT: per cent of calls sent on.",
        "$CPT: per cent of the large model's cost, with the small model's and the peers' calls on every row. CPU s, J",
        "and $: what judging 1,000 replies adds on the first half, dollars being the peers' replies; joules are CPU",
        "seconds times an assumed 5 W (2 to 12). One recorded reply per peer stands for a draw. The last two lines are",
        "chosen by APGR out of fold on the fit rows: between the two lines of features, and among all; their last",
        f"difference is to the former. Of MMLU-Pro {SOME:,} rows were drawn, for time. How the doubts stand beside the",
        "features was settled on other halves of GSM8K (seeds 100 to 102), self-check with the first half in view.",
        "",
    ]
    for key, halves in kept.items():
        if not halves:
            continue
        said = "; ".join(h["chosen"][NEW] for h in halves)
        text += [
            f"## {key}",
            "",
            f"{halves[0]['rows']} rows, {len(halves)} halves. Chosen among all: {said}.",
            "",
            *table(lines(halves)),
        ]
    print("\n".join(text))
    if told.write:
        seconds = sum(h["seconds"] for halves in kept.values() for h in halves)
        write("study_with_doubt", {"about": header(command, told.seed, seconds), "tasks": kept}, text)


if __name__ == "__main__":
    main()
