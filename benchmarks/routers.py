"""Measures every router of sprat.signals on recorded outcomes: APGR in and out of domain, time to fit, time per query.

Data: RouteLLM's recorded MMLU outcomes (arXiv 2406.18665), Mixtral-8x7B as the small model, gpt-4-1106 as the large.
Five random halves, and five times half of the subjects left out; what is chosen is chosen by cross-validation on the
fit rows (by subject where subjects are left out). Times are those of the router alone, its rows having been encoded.

    python benchmarks/routers.py --data $SPRAT_DATA [--minilm-rows rows.npy] [--encoders minilm static] [--splits 5]
    python benchmarks/routers.py --merge          (the tables of both encoders, from what was recorded)
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sprat import signals as s
from sprat.core import Request
from sprat.data import Lessons
from sprat.drivers import drive_many
from sprat.encoders import StaticEncoder
from sprat.study.metrics import apgr, bootstrap, cpt

ROOT = Path(__file__).resolve().parent / "results"
BARS = {("minilm", "random halves"): 0.635, ("static", "random halves"): 0.62,
        ("minilm", "subjects left out"): 0.58, ("static", "subjects left out"): 0.57}  # fmt: skip
CHOSEN = "chosen on fit rows"


class Kept:
    """An encoder that looks its rows up: encoding is timed apart."""

    def __init__(self, name: str, texts: Sequence[str], rows: np.ndarray) -> None:
        self.name, self.dim = name, rows.shape[1]
        self.rows = dict(zip(texts, rows, strict=True))

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self.rows[t] for t in texts])


def routers(e: Any) -> dict[str, Callable[[], Any]]:
    """Every router by name, unfitted."""
    return {
        "random": s.random,
        "length": s.length,
        "category": s.category,
        "known_groups(category)": lambda: s.known_groups(s.category(), encoder=e),
        "ridge_gain": lambda: s.ridge_gain(encoder=e),
        "knn": lambda: s.knn(encoder=e),
        "similarity_weighted": lambda: s.similarity_weighted(encoder=e),
        "matrix_factorization": lambda: s.matrix_factorization(encoder=e),
        "classifier": lambda: s.classifier(encoder=e),
        "hybrid": lambda: s.hybrid(encoder=e),
        "forc": lambda: s.forc(encoder=e),
        "zooter": lambda: s.zooter(encoder=e),
        "orchestra": lambda: s.orchestra(encoder=e),
        "routerdc": lambda: s.routerdc(encoder=e),
        "ensemble_router": lambda: s.ensemble_router(encoder=e),
    }


def candidates(e: Any) -> dict[str, Callable[[], Any]]:
    """What is chosen from on the fit rows."""
    stiff = lambda: s.ridge_gain(100.0, 10.0, e)  # noqa: E731
    named = ("length", "ridge_gain", "knn", "matrix_factorization", "zooter")
    return {k: v for k, v in routers(e).items() if k in named} | {
        "ridge_gain(100, look=10)": stiff,
        "ensemble_router": lambda: s.ensemble_router(encoder=e),
        "ensemble_router(stiff ridge, length)": lambda: s.ensemble_router(stiff(), s.length()),
        "ensemble_router(ridge, zooter, knn)": lambda: s.ensemble_router(
            s.ridge_gain(encoder=e), s.zooter(encoder=e), s.knn(encoder=e)
        ),
    }


def read(data: Path) -> tuple[Lessons, np.ndarray]:
    """All rows as lessons, and their subjects."""
    with gzip.open(data / "routing_mmlu/mmlu.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    asked = tuple(Request(({"role": "user", "content": r["prompt"]},), group=r["subject"]) for r in rows)
    scores = np.array([[r["mixtral_correct"], r["gpt4_correct"]] for r in rows], np.float64)
    models = ("mixtral-8x7b", "gpt-4-1106")
    replies = {m: (None,) * len(rows) for m in models}
    return Lessons(asked, models, scores, np.zeros_like(scores), replies, 7), np.array([r["subject"] for r in rows])


def split(subjects: np.ndarray, i: int, left_out: bool) -> tuple[np.ndarray, np.ndarray]:
    """Fit rows and measured rows."""
    rng = np.random.default_rng([7, i, left_out])
    if left_out:
        names = np.unique(subjects)
        inside = np.isin(subjects, rng.permutation(names)[: len(names) // 2])
        return np.flatnonzero(inside), np.flatnonzero(~inside)
    order = rng.permutation(len(subjects))
    return order[: len(order) // 2], order[len(order) // 2 :]


def trusts(router: Any, lessons: Lessons) -> np.ndarray:
    """The trust in every row."""
    return np.array(drive_many([router.trust(r) for r in lessons.requests]))


def choose(e: Any, lessons: Lessons, subjects: np.ndarray, left_out: bool, seed: int) -> str:
    """The candidate with the best mean APGR over three inner splits of the fit rows."""
    total: dict[str, float] = {}
    for k in range(3):
        inner, outer = split(subjects, 1000 + 10 * seed + k, left_out)
        for name, make in candidates(e).items():
            found = trusts(make().fit(lessons.take(inner)), held := lessons.take(outer))
            total[name] = total.get(name, 0.0) + apgr(found, held.scores[:, 0], held.scores[:, 1])
    return max(sorted(total), key=lambda n: total[n])


def measure(e: Any, lessons: Lessons, subjects: np.ndarray, left_out: bool, splits: int) -> list[dict[str, Any]]:
    """One row per router: APGR by split, interval, CPT50 and CPT80, seconds to fit, milliseconds per query."""
    found: dict[str, list[dict[str, Any]]] = {}
    for i in range(splits):
        inner, outer = split(subjects, i, left_out)
        taught, held = lessons.take(inner), lessons.take(outer)
        units = subjects[outer].tolist() if left_out else None
        chosen = choose(e, taught, subjects[inner], left_out, i)
        makers = routers(e) | {CHOSEN: candidates(e)[chosen]}
        for name, make in makers.items():
            began = time.perf_counter()
            fitted = make().fit(taught)
            ready = time.perf_counter()
            keep = trusts(fitted, held)
            done = time.perf_counter()
            small, large = held.scores[:, 0], held.scores[:, 1]
            about = bootstrap(apgr, keep, small, large, units=units, times=200, seed=i)
            found.setdefault(name, []).append({
                "apgr": about.value, "low": about.low, "high": about.high,
                "cpt50": cpt(keep, small, large, 0.5), "cpt80": cpt(keep, small, large, 0.8),
                "fit_seconds": ready - began, "ms": 1000 * (done - ready) / len(keep),
                **({"chosen": chosen} if name == CHOSEN else {}),
            })  # fmt: skip
        print(i, left_out, chosen, {k: round(v[-1]["apgr"], 3) for k, v in found.items()}, flush=True)
    rows = list[dict[str, Any]]()
    for name, parts in found.items():
        mean = {k: float(np.mean([p[k] for p in parts])) for k in parts[0] if k != "chosen"}
        each = {"values": [p["apgr"] for p in parts], "chosen": [p.get("chosen") for p in parts if "chosen" in p]}
        sd = float(np.std(each["values"], ddof=1)) if len(parts) > 1 else 0.0
        rows.append({"router": name, **mean, "sd": sd, **each})
    return rows


def fresh(rows: list[dict[str, Any]]) -> float:
    """The mean APGR of the router chosen on fit rows, over the splits that no choice of ours had seen."""
    return float(np.mean(next(r for r in rows if r["router"] == CHOSEN)["values"][3:]))


def page(record: dict[str, Any]) -> str:
    """The recorded results as Markdown."""
    lines = ["# Routers on the prompt alone (MMLU, Mixtral-8x7B -> gpt-4-1106)", ""]
    for encoder, part in sorted(record.items()):
        for setting, rows in part["results"].items():
            bar = BARS[encoder, setting]
            best = next(r for r in rows if r["router"] == CHOSEN)
            met = "met" if best["apgr"] >= bar else "**not met**"
            lines += [
                f"## {encoder}: {setting}", "",
                f"Bar for the router chosen on fit rows: {bar:.3f}, {met}. Chosen: {', '.join(best['chosen'])}.", "",
                "| router | APGR | sd of splits | 95 % interval | CPT50 | CPT80 | fit, s | ms / query |",
                "|---|---|---|---|---|---|---|---|",
            ]  # fmt: skip
            lines += [
                f"| {r['router']} | {r['apgr']:.3f} | {r['sd']:.3f} | {r['low']:.3f} to {r['high']:.3f} "
                f"| {100 * r['cpt50']:.1f} | {100 * r['cpt80']:.1f} | {r['fit_seconds']:.2f} | {r['ms']:.3f} |"
                for r in sorted(rows, key=lambda r: -r["apgr"])
            ]
            lines.append("")
        lines += [
            f"{part['date']}, commit {part['commit']}, {part['rows']} rows, {part['splits']} splits, {part['encoder']} "
            f"({part['encode_ms']}); {part['machine']}.", "",
        ]  # fmt: skip
    lines += [
        "Interval: bootstrap of the measured rows (of subjects, where these are left out), mean of the splits' ends; "
        "it does not count the choice of split. Times: one thread of a shared machine, rows already encoded, trust "
        "asked for all rows in lock step. A coin has .5; `category` cannot know a subject that was left out. "
        "The routers' defaults and the list to choose from were settled while looking at splits 0 to 2; splits 3 and 4 "
        "were first seen in this run, and are given apart: chosen on fit rows, "
        + ", ".join(f"{e} {k} {fresh(rows):.3f}" for e, p in sorted(record.items()) for k, rows in p["results"].items())
        + ".",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs the benchmark for some encoders, or merges what was recorded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SPRAT_DATA"))
    parser.add_argument("--minilm-rows", type=Path, default=os.environ.get("SPRAT_MINILM_ROWS"))
    parser.add_argument("--encoders", nargs="+", default=["minilm", "static"], choices=["minilm", "static"])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--merge", action="store_true", help="only write routers.md and routers.json again")
    args = parser.parse_args()
    ROOT.mkdir(exist_ok=True)
    if not args.merge:
        if args.data is None:
            parser.error("needs --data, or SPRAT_DATA: the folder that holds routing_mmlu/mmlu.jsonl.gz")
        lessons, subjects = read(Path(args.data))
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        for which in args.encoders:
            if which == "minilm" and args.minilm_rows is None:
                parser.error("minilm needs --minilm-rows: rows (n, 384) of all-MiniLM-L6-v2, in file order")
            began, static = time.perf_counter(), StaticEncoder()
            rows = static.encode(lessons.texts) if which == "static" else np.load(args.minilm_rows)
            per_text = 1000 * (time.perf_counter() - began) / len(lessons)
            encoder = Kept(which, lessons.texts, rows)
            results = {
                setting: measure(encoder, lessons, subjects, left_out, args.splits)
                for left_out, setting in ((False, "random halves"), (True, "subjects left out"))
            }
            record = {
                "date": datetime.date.today().isoformat(), "commit": commit.stdout.strip(), "rows": len(lessons),
                "splits": args.splits, "encoder": static.name if which == "static" else "all-MiniLM-L6-v2, 112 tokens",
                "encode_ms": f"{per_text:.2f} ms to encode a prompt" if which == "static" else "rows encoded before",
                "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
                f"numpy {np.__version__}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}",
                "results": results,
            }  # fmt: skip
            (ROOT / f"routers_{which}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    both = {w: json.loads(p.read_text()) for w in ("minilm", "static") if (p := ROOT / f"routers_{w}.json").exists()}
    (ROOT / "routers.json").write_text(json.dumps(both, indent=1) + "\n", encoding="utf-8")
    (ROOT / "routers.md").write_text(page(both), encoding="utf-8")


if __name__ == "__main__":
    main()
