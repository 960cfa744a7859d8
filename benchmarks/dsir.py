"""DSIR beside the authors' data-selection: the same draw, documents a CPU-second, and what it finds in the toy Pile.

    python benchmarks/dsir.py --peer PYTHON [--write]

PYTHON is that of an environment with data-selection 1.0.3 and nltk. Speed is from file to file in one process on each
side (fit, weights, draw, rows written), in turn, three times; the median of CPU time counts. Documents are texts of six
kinds in pieces of 4,000 characters; the target is every twentieth of the encyclopaedia's and those are not in the raw
file. In the toy Pile the target is half of one domain's documents, drawn at random, and the raw data are all others;
as many are kept as the other half has. Settings are the defaults; nothing was chosen on these data.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from measured import RESULTS, header, table

from sprat.curate import Settings, dsir, select
from sprat.curate.ngrams import hasher
from sprat.measure.resampling import bootstrap

DATA = Path(os.environ.get("SPRAT_DATA", "."))
KINDS = ("wikitext2_valid", "web_noisy_ewt", "tech_peps", "gutenberg", "code_python", "legal_licences")
SIZE, LEAST = 4000, 30
PEER = """
import json, sys, time, tempfile, numpy as np
from pathlib import Path
from data_selection import HashedNgramDSIR
from data_selection.hashed_ngram_dsir import get_ngram_counts
raw, target, (keep, seed, top) = sys.argv[1], json.loads(sys.argv[2]), map(int, sys.argv[3:6])
get_ngram_counts("It is warm.")
with tempfile.TemporaryDirectory() as folder:
    started = time.process_time()
    d = HashedNgramDSIR([raw], target, cache_dir=folder + "/c", num_proc=1, separate_targets=len(target) > 1)
    d.fit_importance_estimator(num_tokens_to_fit="all")
    d.compute_importance_weights()
    np.random.seed(seed)
    d.resample(folder + "/out", keep, cache_dir=folder + "/r", top_k=top)
    spent = time.process_time() - started
    weights = np.load(d.log_importance_weights_dir / "0.npy")
    lines = Path(folder + "/out/0.jsonl").read_text().splitlines()
texts = [json.loads(line)["text"] for line in open(raw)]
started = time.process_time()
for t in texts:
    get_ngram_counts(t)
features = time.process_time() - started
chosen = [json.loads(line)["id"] for line in lines]
json.dump({"seconds": spent, "features": features, "weights": weights.tolist(), "chosen": chosen}, sys.stdout)
"""


def rows(name: str) -> list[dict[str, Any]]:
    """A set's rows."""
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def pieces(name: str, each: int) -> list[str]:
    """At most `each` pieces of SIZE characters of a set's texts."""
    whole = "\n".join(r.get("text") or "" for r in rows(f"text_domains/{name}"))
    return [whole[i : i + SIZE] for i in range(0, min(len(whole), SIZE * each), SIZE)]


def write(path: Path, texts: list[str]) -> str:
    """Texts as JSON lines with their number as id."""
    path.write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(texts)))
    return str(path)


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation of weights (n,)."""
    first, second = (np.argsort(np.argsort(v)) for v in (a, b))
    return float(np.corrcoef(first, second)[0, 1])


def theirs(python: str, raw: str, targets: list[str], keep: int, seed: int, top: bool) -> dict[str, Any]:
    """What data-selection draws, and the CPU seconds it took."""
    given = [python, "-c", PEER, raw, json.dumps(targets), str(keep), str(seed), str(int(top))]
    said = subprocess.run(given, capture_output=True, text=True, check=True)
    return json.loads(said.stdout.strip().splitlines()[-1])


def ours(raw: str, targets: list[str], keep: int, seed: int, top: bool, hash: str, out: Path) -> dict[str, Any]:
    """What sprat draws from and to the same files in this process."""
    hasher.cache_clear()
    named = {str(i): [t] for i, t in enumerate(targets)}
    started = time.process_time()
    found = select([raw], named, out, keep, settings=Settings(hash, seed=seed, top=top), workers=1)
    spent = time.process_time() - started
    chosen = [json.loads(line)["id"] for line in out.read_text().splitlines()]
    return {"seconds": spent, "weights": found.drawn.log_weights.squeeze(), "chosen": chosen}


def features(texts: list[str], hash: str) -> float:
    """CPU seconds of hashing the n-grams alone."""
    hasher.cache_clear()
    of = hasher(hash, 10_000, 2)
    started = time.process_time()
    for i in range(0, len(texts), 500):
        of(texts[i : i + 500])
    return time.process_time() - started


def speed(peer: str, rounds: int, each: int) -> list[str]:
    """The same draw, and its rate."""
    by_kind = {n: pieces(n, each) for n in KINDS}
    target = by_kind["wikitext2_valid"][::20]
    other = by_kind["legal_licences"][::20]
    texts = [t for n, some in by_kind.items() for i, t in enumerate(some) if i % 20 or n not in (KINDS[0], KINDS[-1])]
    random.Random(0).shuffle(texts)
    keep = len(texts) // 10
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        raw, towards = write(at / "raw.jsonl", texts), [write(at / "a.jsonl", target)]
        two = [*towards, write(at / "b.jsonl", other)]
        runs: dict[str, list[dict[str, Any]]] = {"data-selection": [], "sha256": [], "fast": []}
        alone: dict[str, list[float]] = {"sha256": [], "fast": []}
        ours(raw, towards, keep, 7, False, "fast", at / "out.jsonl")  # what is imported late is imported
        for _ in range(rounds):
            runs["data-selection"].append(theirs(peer, raw, towards, keep, 7, False))
            for hash in ("sha256", "fast"):
                runs[hash].append(ours(raw, towards, keep, 7, False, hash, at / "out.jsonl"))
                alone[hash].append(features(texts, hash))
        same: list[dict[str, str]] = []
        for what, targets, seed, top in (
            ("sampled, seed 7", towards, 7, False),
            ("sampled, seed 8", towards, 8, False),
            ("top", towards, 0, True),
            ("two targets by quota", two, 7, False),
        ):
            a = theirs(peer, raw, targets, keep, seed, top)
            b = ours(raw, targets, keep, seed, top, "sha256", at / "out.jsonl")
            equal = np.array_equal(np.array(a["weights"]), b["weights"])
            off = float(np.abs(np.array(a["weights"]) - b["weights"]).max())
            same.append(
                {
                    "draw": what,
                    "same documents": f"{len(set(a['chosen']) & set(b['chosen'])):,} of {keep:,}",
                    "same order in the file": "yes" if a["chosen"] == b["chosen"] else "no",
                    "weights": "the same bits" if equal else f"differ by at most {off:.1e}",
                }
            )
    base = median(r["seconds"] for r in runs["data-selection"])
    base_alone = median(r["features"] for r in runs["data-selection"])
    n = len(texts)
    told = [{"": "data-selection", "docs/CPU-s": f"{n / base:,.0f}", "n-grams alone": f"{n / base_alone:,.0f}"}]
    for hash in ("sha256", "fast"):
        own, own_alone = median(r["seconds"] for r in runs[hash]), median(alone[hash])
        pairs = zip(runs["data-selection"], runs[hash], strict=True)
        ratios = [t["seconds"] / o["seconds"] for t, o in pairs]
        told.append(
            {
                "": hash,
                "docs/CPU-s": f"{n / own:,.0f} ({base / own:.1f}x; in pairs {min(ratios):.1f} to {max(ratios):.1f}x)",
                "n-grams alone": f"{n / own_alone:,.0f} ({base_alone / own_alone:.1f}x)",
            }
        )
    exact, fast = runs["sha256"][0], runs["fast"][0]
    shared = len(set(exact["chosen"]) & set(fast["chosen"]))
    return [
        f"{n:,} documents of {mean(map(len, texts)):,.0f} characters, a target of {len(target)}, {keep} drawn.",
        "data-selection reads the n-grams of each document twice, sprat once, and keeps them on disk.",
        "",
        *table(told),
        "Against data-selection with the same seed (`np.random.seed`), sha256:",
        "",
        *table(same),
        f"fast against sha256: rank correlation of the weights {spearman(exact['weights'], fast['weights']):.4f}; "
        f"{shared} of {keep} drawn are the same under the same noise.",
        "",
    ]


def toy_pile(splits: int) -> list[str]:
    """Precision of the draw, by domain and way of drawing."""
    documents = [(r["contents"], r["metadata"]["pile_set_name"]) for r in rows("toy_pile/toy_pile_data")]
    of = hasher("sha256", 10_000, 2)
    domains = [d for d, n in Counter(d for _, d in documents).most_common() if n >= LEAST]
    ways = {
        "sha256": Settings(),
        "sha256, top": Settings(top=True),
        "fast": Settings("fast"),
    }
    told: list[dict[str, str]] = []
    means: dict[str, list[float]] = {w: [] for w in (*ways, "random")}
    for domain in domains:
        found: dict[str, list[float]] = {w: [] for w in means}
        sizes: list[int] = []
        for split in range(splits):
            inside = [i for i, (_, d) in enumerate(documents) if d == domain]
            random.Random(split).shuffle(inside)
            target = set(inside[: len(inside) // 2])
            raw = [i for i in range(len(documents)) if i not in target]
            long = {i for i in raw if of([documents[i][0]]).tokens[0] >= 100}
            there = long & set(inside)
            sizes.append(len(there))
            for way, settings in ways.items():
                draw = dsir(
                    [documents[i][0] for i in raw],
                    [documents[i][0] for i in sorted(target)],
                    len(there),
                    settings=Settings(settings.hash, top=settings.top, seed=split),
                )
                found[way].append(mean(documents[raw[j]][1] == domain for j in draw.chosen.tolist()))
            found["random"].append(len(there) / len(long))
        row = {"domain": domain, "sought": f"{mean(sizes):.1f}"}
        for way, values in found.items():
            low, high = np.quantile(values, [0.025, 0.975])
            row[way] = f"{mean(values):.3f}" + (f" [{low:.2f}, {high:.2f}]" if way != "random" else "")
            means[way].append(mean(values))
        told.append(row)
    last = {"domain": "mean", "sought": ""}
    for way, values in means.items():
        e = bootstrap(np.mean, np.array(values))
        last[way] = f"{e.value:.3f} [{e.low:.2f}, {e.high:.2f}]"
    told.append(last)
    return [
        f"Toy Pile, {len(domains)} domains of at least {LEAST} documents: share of the draw that is of the target's "
        f"domain, as many drawn as there are; mean over {splits} splits [2.5 to 97.5 % of them], of the mean by "
        "bootstrap over domains; random is the share among what could be drawn.",
        "",
        *table(told),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True, help="the Python of an environment with data-selection and nltk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--each", type=int, default=120, help="pieces of each kind of text")
    parser.add_argument("--splits", type=int, default=5, help="of each domain of the toy Pile; 0 leaves it out")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    started = time.monotonic()
    told = speed(given.peer, given.rounds, given.each) + (toy_pile(given.splits) if given.splits else [])
    print("\n".join(told))
    if given.write:
        how = f"--rounds {given.rounds} --each {given.each} --splits {given.splits}"
        about = header(f"python benchmarks/dsir.py --peer PYTHON {how}", 0, time.monotonic() - started)
        (RESULTS / "dsir.md").write_text(
            "\n".join(["# DSIR beside data-selection 1.0.3", "", json.dumps(about), "", *told])
        )


if __name__ == "__main__":
    main()
