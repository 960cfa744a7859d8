"""Are cascades that judge by doubt as good as those that read the answer's features? GSM8K and MMLU-Pro, with the cost.

The small model's recorded reply is judged by its features (answer_features), by how far peers' replies say the same
(agreement, likeness of meaning, BERTScore, unigram self-check; one recorded reply per peer), by the best single one of
these calibrated with reconfidencing, and by all together (stacked). On each random half one of the ways is chosen on a
part of the fit rows held back; the other half measures. Differences to the features are paired, row by row.

Run: SPRAT_DATA=... python benchmarks/study_with_doubt.py [--splits 3] [--seed 0] [--only gsm8k] [--write]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gsm8k_cascade
import mmlu_pro_agreement
import numpy as np
from measured import dollars, header, judge, over_splits, shown, table, trusts, write

from sprat import signals
from sprat.core import Reply, Usage
from sprat.data import Call, Dataset, Lessons
from sprat.endpoints.toy import toy
from sprat.energy import meter
from sprat.signals import reply_features
from sprat.splits import split
from sprat.study import metrics

SIX, CHECKED = "gpt3-6b", "gpt3-6b with verifier"
PEER_PRICE = (0.18, 0.18)  # dollars per million tokens, as a host's for 8B
FEATURES, CHOSEN = "answer features, peers too", "chosen on the fit rows"
TIMES = 500


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
        features = signals.answer_features(*peers, **whole)
        quick = signals.answer_features(*peers, kind="logistic", label="gain")
        return {
            "answer features, no peer": signals.answer_features(**whole),
            FEATURES: features,
            "agreement of the peers": signals.agreement(*peers),
            "likeness to the peers": doubts[-3],
            "BERTScore with the peers": doubts[-2],
            "self-check by the peers": doubts[-1],
            "agreement, reconfidenced": signals.calibrated(
                signals.agreement(*peers), by="reconfidence", label="no worse"
            ),
            "features, reconfidenced": signals.calibrated(quick, by="reconfidence", label="no worse"),
            "doubts stacked": signals.stacked(*doubts, reads=False, **whole),
            "doubts and reply stacked": signals.stacked(*doubts, **whole),
            "doubts, reply and features stacked": signals.stacked(*doubts, quick, **whole),
        }

    def asked(self, way: str) -> tuple[str, ...]:
        """The peers that a way asks for every reply."""
        if way == "answer features, no peer":
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
    return [Task("MMLU-Pro", data, s, b, p, p[:1], "mean") for s, b, p in mmlu_pro_agreement.PAIRS]


def learnt(way: Any, lessons: Lessons) -> Any:
    """The way fitted, where it learns."""
    return way.fit(lessons) if hasattr(way, "fit") else way


def measure(task: Task, splits: int, seed: int) -> dict[str, Any]:
    """Per way the measures over the splits, the paired differences to the features, and what judging adds."""
    models = (task.small, task.large)
    ways = task.ways()
    found: dict[str, list[dict[str, float]]] = {}
    apart: dict[str, list[tuple[float, float, float]]] = {}
    added: dict[str, dict[str, Any]] = {}
    chosen: list[str] = []
    for i in range(splits):
        fit, held = (task.data.take(rows) for rows in split(task.data, (0.5, 0.5), seed + i))
        teach, check = (fit.take(rows) for rows in split(fit, (0.7, 0.3), seed + i))
        early = {
            n: metrics.apgr(trusts(learnt(w, lessons_of(task, teach)), check, task.small), *check.scores(models).T)
            for n, w in ways.items()
            if not n.startswith("answer features")
        }
        chosen.append(max(early, key=lambda n: early[n]))
        scores = held.scores(models)
        costs = {m: held.costs((m,))[:, 0] for m in (*models, *task.peers)}
        keeps: dict[str, np.ndarray] = {}
        for name, way in ways.items():
            ready = learnt(way, lessons_of(task, fit))
            reply_features._features.cache_clear()  # pyright: ignore[reportPrivateUsage]
            with meter() as m:
                keeps[name] = trusts(ready, held, task.small)
            if i == 0:
                added[name] = weighed(task, name, m, costs, len(held))
        keeps[CHOSEN] = keeps[chosen[-1]]
        for name, keep in keeps.items():
            paid = task.asked(chosen[-1] if name == CHOSEN else name)
            extra = sum((costs[m] for m in paid), np.zeros(len(keep)))
            bill = dollars(keep, *scores.T, small_cost=costs[task.small], large_cost=costs[task.large],
                           always=extra, cascade=True)  # fmt: skip
            found.setdefault(name, []).append(judge(keep, *scores.T) | bill)
            apart.setdefault(name, []).append(paired(keep, keeps[FEATURES], scores, held.units, seed))
    return {
        "rows": len(task.data),
        "chosen": chosen,
        "ways": [{"way": n, **over_splits(v), "difference": apart[n], "added": added.get(n)} for n, v in found.items()],
    }


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


def lines(found: dict[str, Any]) -> list[dict[str, str]]:
    """The table's rows of one task."""
    made: list[dict[str, str]] = []
    for r in found["ways"]:
        mean = [float(np.mean([d[k] for d in r["difference"]])) for k in range(3)]
        cost = r["added"]
        made.append(
            {"way": r["way"]}
            | {k: shown(k, r[k]) for k in ("APGR", "CPT50", "CPT80", "$CPT50")}
            | {"less the features' APGR": "" if r["way"] == FEATURES else "{:+.3f} [{:+.3f}, {:+.3f}]".format(*mean)}
            | {"CPU s": f"{cost['cpu_s']:.2f}" if cost else "", "J": f"{cost['energy']['joules']:.1f}" if cost else ""}
            | {"$": f"{cost['dollars']:.3f}" if cost else ""}
        )
    return made


def main() -> None:
    """Measure, print, and with --write record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["gsm8k", "mmlu_pro"])
    parser.add_argument("--kept", type=Path, help="a file that keeps each task's findings, to go on after a stop")
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    began = time.perf_counter()
    kept: dict[str, Any] = json.loads(told.kept.read_text()) if told.kept and told.kept.exists() else {}
    seconds = float(kept.pop("seconds", 0.0))
    for made, name in ((gsm8k, "gsm8k"), (mmlu_pro, "mmlu_pro")):
        if told.only not in (None, name):
            continue
        for task in made():
            key = f"{task.name}: {task.small} before {task.large}"
            if key not in kept:
                kept[key] = measure(task, told.splits, told.seed)
                print(f"## {key}", "", *table(lines(kept[key])), sep="\n", flush=True)
                if told.kept:
                    told.kept.write_text(json.dumps({**kept, "seconds": seconds + time.perf_counter() - began}))
    command = f"python benchmarks/study_with_doubt.py --splits {told.splits} --seed {told.seed} --write"
    text = [
        "# Cascades that judge by doubt, beside those that read the answer's features",
        f"Half of the rows teach, half measure, {told.splits} random halves (rows with the same question stay together).",
        "Mean [least, most] over the halves, which share rows. The difference to the APGR of the features with the same",
        "peers is paired; its interval is the mean over the halves of each half's 95 % bootstrap limits by question. CPT:",
        "per cent of calls sent on; $CPT: per cent of the large model's cost, peers' calls on every row included. CPU s, J",
        "and $: what judging 1,000 replies adds, the peers' replies in dollars; joules are CPU seconds times an assumed 5 W",
        "(2 to 12). One recorded reply per peer stands for a draw. The chosen way is the one with the best APGR on 30 % of",
        "the fit rows, learnt on the other 70 %, then learnt anew on all of them.",
        "",
    ]
    for key, found in kept.items():
        text += [
            f"## {key}",
            "",
            f"{found['rows']} rows. Chosen: {'; '.join(found['chosen'])}.",
            "",
            *table(lines(found)),
        ]
    print("\n".join(text))
    if told.write:
        about = header(command, told.seed, seconds + time.perf_counter() - began)
        write("study_with_doubt", {"about": about, "tasks": kept}, text)


if __name__ == "__main__":
    main()
