"""How often a semantic hit is false, at several thresholds, with and without the guards; and what a hit takes.

    SPRAT_DATA=... python benchmarks/gateway_cache.py            # the false hits; --short for a check
    SPRAT_DATA=... python benchmarks/gateway_cache.py --timing   # time per hit against an upstream; on a quiet machine

A cache is filled with one part of a data set's prompts; the other part's prompts come as requests. The nearest kept
prompt (the embedded encoder's cosine) is a hit at a threshold, and false where its answer is another: for banking77
and clinc150 another intent, for svamp (whose prompts are variations of one another) another number. Of gsm8k each
prompt comes again with one of its numbers changed, the hardest near-duplicate there is, and every hit is counted as
false; so it is of MMLU, whose answers are not in the data: for both that is an upper bound.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measured import header, table, write

from sprat.encoders import StaticEncoder
from sprat.gateway.caching.false_hits import clopper_pearson
from sprat.gateway.caching.guards import GUARDS

THRESHOLDS = (0.80, 0.85, 0.90, 0.93, 0.95, 0.97, 0.99)
SEED = 0
Pair = tuple[str, str]  # prompt, answer


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def banking(data: Path) -> tuple[list[Pair], list[Pair]]:
    return tuple(
        [(r["text"], r["label"]) for r in rows(data / "banking77" / f"{p}.jsonl.gz")] for p in ("train", "test")
    )  # type: ignore[return-value]


def clinc(data: Path) -> tuple[list[Pair], list[Pair]]:
    # What is out of scope has no intent in common with anything.
    found = []
    for part in ("train", "test"):
        texts = rows(data / "clinc150" / f"{part}.jsonl.gz")
        found.append([(r["text"], r["label"] if r["label"] != "oos" else f"oos {r['text']}") for r in texts])
    return found[0], found[1]


def gsm8k(data: Path) -> tuple[list[Pair], list[Pair]]:
    kept = [(r["question"], r["answer"].rsplit("#### ", 1)[-1]) for r in rows(data / "gsm8k" / "test.jsonl.gz")]
    draw = random.Random(SEED)
    asked: list[Pair] = []
    for question, _ in kept:
        numbers = list(re.finditer(r"\d+", question))
        if not numbers:
            continue
        one = draw.choice(numbers)
        other = str(int(one[0]) + draw.randint(1, 9))
        asked.append((question[: one.start()] + other + question[one.end() :], f"changed {other} {question}"))
    return kept, asked


def svamp(data: Path) -> tuple[list[Pair], list[Pair]]:
    found = [(f"{r['body']} {r['question']}", str(r["answer"])) for r in rows(data / "svamp" / "svamp.jsonl.gz")]
    random.Random(SEED).shuffle(found)
    return found[::2], found[1::2]


def mmlu(data: Path) -> tuple[list[Pair], list[Pair]]:
    prompts = sorted({r["prompt"] for r in rows(data / "routing_mmlu" / "mmlu.jsonl.gz")})
    random.Random(SEED).shuffle(prompts)
    found = [(p, p) for p in prompts]
    return found[::2], found[1::2]


SETS = {"banking77": banking, "clinc150": clinc, "gsm8k, a number changed": gsm8k, "svamp": svamp, "MMLU": mmlu}


def nearest(encoder: StaticEncoder, kept: list[Pair], asked: list[Pair]) -> list[list[tuple[float, int]]]:
    """Each request's eight closest kept prompts, as the gateway looks at them."""
    base, found = encoder.encode([p for p, _ in kept]), []
    rest = encoder.encode([p for p, _ in asked])
    for at in range(0, len(asked), 256):
        cosines = rest[at : at + 256] @ base.T
        top = np.argpartition(-cosines, min(8, cosines.shape[1] - 1), axis=1)[:, :8]
        for row, places in zip(cosines, top, strict=True):
            found.append(sorted(((float(row[i]), int(i)) for i in places), reverse=True))
    return found


def counted(kept: list[Pair], asked: list[Pair], close: Any, threshold: float, guards: tuple[str, ...]) -> list[int]:
    """Requests, hits and false hits."""
    hits = false = 0
    for (prompt, answer), places in zip(asked, close, strict=True):
        for cosine, i in places:
            if cosine < threshold:
                break
            if any(GUARDS[g](prompt, kept[i][0]) for g in guards):
                continue
            hits += 1
            false += kept[i][1] != answer
            break
    return [len(asked), hits, false]


def rate(n: int, hits: int, false: int) -> str:
    if not hits:
        return "no hit"
    low, high = clopper_pearson(false, hits)
    return f"{hits / n:.1%}; {false / hits:.1%} [{low:.1%}, {high:.1%}]"


def measured(data: Path, short: bool) -> tuple[dict[str, Any], list[str]]:
    encoder, record, lines = StaticEncoder(), {}, []
    for name, load in SETS.items():
        kept, asked = load(data)
        if short:
            kept, asked = kept[:500], asked[:500]
        close = nearest(encoder, kept, asked)
        shown: list[dict[str, str]] = []
        record[name] = {"kept": len(kept), "asked": len(asked), "at": {}}
        for threshold in THRESHOLDS:
            kinds = {"no guard": (), "all guards": tuple(GUARDS)} | {g: (g,) for g in GUARDS}
            found = {k: counted(kept, asked, close, threshold, g) for k, g in kinds.items()}
            record[name]["at"][f"{threshold:.2f}"] = found
            shown.append({"cosine": f"{threshold:.2f}"} | {k: rate(*v) for k, v in found.items()})
        lines += [f"## {name}: {len(kept):,} kept, {len(asked):,} asked", "", *table(shown)]
    return record, lines


def timing(short: bool) -> dict[str, Any]:
    """Milliseconds of an exact hit, a semantic hit, a miss and a request without cache, one after the other."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "gateway"))
    from http.client import HTTPConnection

    from running import Running

    from mock_server import MockServer
    from sprat import openai
    from sprat.gateway.caching.cache import CacheSettings
    from sprat.gateway.served import of

    n = 100 if short else 1000
    found: dict[str, list[float]] = {}
    with MockServer() as server:
        served = of(openai("mock", server.url))
        for _kind, settings in (("plain", None), ("cached", CacheSettings(semantic=0.9, verify=1e-9))):
            with Running(replace(served, cache=settings)) as gateway:
                connection = HTTPConnection("127.0.0.1", gateway.at)

                def ask(text: str, connection: HTTPConnection = connection) -> tuple[float, str]:
                    body = {"model": "auto", "messages": [{"role": "user", "content": text}], "temperature": 0}
                    began = time.perf_counter()
                    connection.request("POST", "/v1/chat/completions", json.dumps(body))
                    answer = connection.getresponse()
                    answer.read()
                    said = answer.getheader("x-sprat-cache", "none")
                    return 1000 * (time.perf_counter() - began), said.partition(";")[0]

                for i in range(n):
                    took, said = ask(f"Where is parcel {i} of {i * 7919 % 1000}?")
                    found.setdefault("upstream, no cache" if settings is None else f"{said} (asked)", []).append(took)
                if settings is None:
                    continue
                index = gateway.app.cached.semantic
                assert index is not None
                while not index.evidence.open:
                    index.evidence.add(False)
                for i in range(n):
                    took, said = ask(f"Where is parcel {i} of {i * 7919 % 1000}?")
                    found.setdefault(said, []).append(took)
                    took, said = ask(f"Where is the parcel {i} of {i * 7919 % 1000}?")
                    found.setdefault(said, []).append(took)
    return {
        k: {"n": len(v), "p50_ms": statistics.median(v), "p99_ms": sorted(v)[int(0.99 * len(v))]}
        for k, v in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="500 prompts of each set; nothing is written")
    parser.add_argument("--timing", action="store_true", help="measure time per hit instead")
    given = parser.parse_args()
    began = time.perf_counter()
    command = "python benchmarks/gateway_cache.py" + (" --timing" if given.timing else "")
    if given.timing:
        found = timing(given.short)
        rows_of = [
            {"answered by": k, "n": f"{v['n']:,}", "p50, ms": f"{v['p50_ms']:.2f}", "p99, ms": f"{v['p99_ms']:.2f}"}
            for k, v in found.items()
        ]
        lines = [
            "# What a hit of the gateway's cache takes",
            "One client, one request after the other, over HTTP; the mock upstream answers at once.",
            "",
            *table(rows_of),
        ]
        name = "gateway_cache_timing"
    else:
        found, lines = measured(Path(os.environ["SPRAT_DATA"]), given.short)
        top = ["# How often a semantic hit is false", __doc__.split("\n\n")[2].replace("\n", " ")]
        lines = [
            *top,
            "",
            "Each cell: share of requests with a hit; share of hits that are false, with its exact 95 % interval.",
            "",
            *lines,
        ]
        name = "gateway_cache"
    if given.short:
        print("\n".join(lines))
        return
    write(name, {"about": header(command, SEED, time.perf_counter() - began), "found": found}, lines)


if __name__ == "__main__":
    main()
