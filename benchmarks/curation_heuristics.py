"""Gopher, repetition, C4 and FineWeb rules beside datatrove's on the same texts: documents a CPU-second, agreement.

    python benchmarks/curation_heuristics.py --datatrove PYTHON [--write]

PYTHON is that of an environment with datatrove, spacy, nltk and regex. Both measure one text at a time in one thread,
in turn, five times; the median of CPU time counts. The spacy-compatible splitting was written with an eye on web
comments, encyclopaedia, speeches, technical texts and novels ("seen"); stories, code, licences, the toy Pile and web
articles were not looked at before.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from measured import RESULTS, header, table

from sprat.curate import c4, fineweb, gopher, repetition
from sprat.curate.rules import judge
from sprat.curate.words import DEFINITIONS

DATA = Path(os.environ.get("SPRAT_DATA", "."))
SEEN = ("web_noisy_ewt", "wikitext2_valid", "speeches_us_presidents", "tech_peps", "gutenberg")
RULES = {"gopher": [gopher.RULE], "repetition": [repetition.RULE], "c4": [c4.RULE], "fineweb": [fineweb.RULE]}
CHAIN = [repetition.RULE, gopher.RULE, c4.RULE]
SIZE = 4000
PEER = """
import json, sys, time
from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
texts = json.load(open(sys.argv[1]))
made = {"gopher": GopherQualityFilter(), "repetition": GopherRepetitionFilter(), "c4": C4QualityFilter(),
        "fineweb": FineWebQualityFilter()}
def seconds(chain, texts):
    started = time.process_time()
    for t in texts:
        document = Document(text=t, id="0")
        for f in chain:
            if f.filter(document) is not True:
                break
    return time.process_time() - started
for f in made.values():
    f.filter(Document(text="It is warm. " * 30, id="0"))
def one(f, t):
    try:
        return f.filter(Document(text=t, id="0")) is True
    except ZeroDivisionError:
        return False
out = {"kept": {n: [one(f, t) for t in texts["all"]] for n, f in made.items()}}
chains = {n: [f] for n, f in made.items()} | {"chain": [made["repetition"], made["gopher"], made["c4"]]}
out["seconds"] = {n: seconds(c, texts["timed"]) for n, c in chains.items()}
json.dump(out, sys.stdout)
"""


def texts(name: str, cut: bool = False) -> list[str]:
    """A set's texts; long ones cut into pieces of about 4,000 characters at a paragraph's end."""
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    whole = [r.get("text") or r.get("contents") or "" for r in rows]
    if not cut:
        return [t[: SIZE * 2] for t in whole if t.strip()]
    out: list[str] = []
    for t in whole:
        while len(t) > SIZE * 1.5:
            end = t.find("\n", SIZE)
            end = SIZE if end < 0 else end
            out.append(t[:end])
            t = t[end:].lstrip("\n")
        out.append(t)
    return [t for t in out if len(t) > 500]


def corpora() -> dict[str, list[str]]:
    """Texts by set, at most 400 of each, evenly drawn."""
    found = {n: texts(f"text_domains/{n}", n == "gutenberg") for n in SEEN}
    more = ("tinystories", "code_python", "legal_licences")
    found |= {n: texts(f"text_domains/{n}") for n in more}
    found["toy_pile"] = texts("toy_pile/toy_pile_data")
    pages = json.loads(gzip.decompress((DATA / "web_pages/ground-truth.json.gz").read_bytes()))
    found["web_articles"] = [p["articleBody"] for p in pages.values()]
    return {n: t[:: max(1, len(t) // 400)][:400] for n, t in found.items()}


def ours(chain: list[Any], given: list[str], words: str) -> float:
    """CPU seconds."""
    started = time.process_time()
    for t in given:
        judge(t, chain, words)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--datatrove", required=True, help="the Python of an environment with datatrove")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    started = time.monotonic()
    found = corpora()
    timed = [t for n in (*SEEN, "web_articles") for t in found[n] if 3000 <= len(t) <= 5000][:300]
    everything = [t for some in found.values() for t in some]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps({"all": everything, "timed": timed}))
        small = Path(folder) / "timed.json"
        small.write_text(json.dumps({"all": [], "timed": timed}))
        runs: list[dict[str, Any]] = []
        spent: dict[tuple[str, str], list[float]] = {}
        for i in range(given.rounds):
            said = subprocess.run(
                [given.datatrove, "-c", PEER, str(small if i else path)], capture_output=True, text=True, check=True
            )
            runs.append(json.loads(said.stdout.strip().splitlines()[-1]))
            for words in DEFINITIONS:
                for name, chain in (RULES | {"chain": CHAIN}).items():
                    spent.setdefault((words, name), []).append(ours(chain, timed, words))
    rows: list[dict[str, str]] = []
    for name in (*RULES, "chain"):
        peer = median(r["seconds"][name] for r in runs)
        row = {"rule": name, "datatrove, a CPU-second": f"{len(timed) / peer:,.0f}"}
        for words in DEFINITIONS:
            own = median(spent[words, name])
            row[words] = f"{len(timed) / own:,.0f} ({peer / own:.1f}x)"
        rows.append(row)
    kept = runs[0]["kept"]
    agreement: list[dict[str, str]] = []
    at = 0
    totals = {(w, n): [0, 0, 0] for w in DEFINITIONS for n in RULES}
    for name, some in found.items():
        row = {"texts": name + (" (seen)" if name in SEEN else ""), "n": f"{len(some)}"}
        for rule, chain in RULES.items():
            theirs = kept[rule][at : at + len(some)]
            for words in DEFINITIONS:
                same = sum(judge(t, chain, words).kept == k for t, k in zip(some, theirs, strict=True))
                row[f"{rule}, {'spacy' if words != 'whitespace' else 'whitespace'}"] = f"{same / len(some):.3f}"
                total = totals[words, rule]
                total[0] += same
                total[1] += len(some)
                if name not in SEEN:
                    total[2] += same
        at += len(some)
        agreement.append(row)
    unseen = sum(len(t) for n, t in found.items() if n not in SEEN)
    last = {"texts": "all not seen", "n": f"{unseen}"}
    for rule in RULES:
        for words in DEFINITIONS:
            label = f"{rule}, {'spacy' if words != 'whitespace' else 'whitespace'}"
            last[label] = f"{totals[words, rule][2] / unseen:.4f}"
    agreement.append(last)
    size = sum(map(len, timed)) / len(timed)
    told = [
        f"{len(timed)} documents of {size:,.0f} characters; all scores of every document are computed, where datatrove",
        "stops at the first rule that fails (in the chain).",
        "",
        *table(rows),
        "Agreement with datatrove on keep or drop, by definition of a word (datatrove's is spaCy's):",
        "",
        *table(agreement),
    ]
    print("\n".join(told))
    if given.write:
        about = header("python benchmarks/curation_heuristics.py --datatrove PYTHON", 0, time.monotonic() - started)
        text = ["# Curation's heuristics beside datatrove 0.10.1", "", json.dumps(about), "", *told]
        (RESULTS / "curation_heuristics.md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
