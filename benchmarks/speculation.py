"""Speculation against transformers' assisted generation and against plain decoding: tokens per CPU-second, one thread.

    python benchmarks/speculation.py DATA STORIES [--repeats 5] [--tokens 128]

DATA is the project's data folder, STORIES what benchmarks/stories.py wrote: targets of 3.9 and 15 M parameters with one
text, a draft of one layer distilled for it, and the same tuned further. Ends are ignored: the aquarium's own replies of
2 to 10 characters end before a draft can pay, which is measured apart. Everything runs in turn in one process; a ratio
is that of paired runs, its interval that of the mean log ratio (Student's t, prompts times repeats). Assisted
generation gets its best of the settings in HF on other prompts first (num_assistant_tokens set on the draft's
generation_config, where it is not ignored); so do our fixed lengths.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import measured
import numpy as np
import scipy.stats
import torch
import transformers as hf

import sprat
from sprat.aquarium import marked_problems, problems
from sprat.core import Request
from sprat.decoding import lookup, speculate
from sprat.decoding.break_even import predict
from sprat.endpoints.transformers import transformers

SEED = 7
HF = [(n, s, t) for n in (2, 4, 8) for s, t in (("constant", 0.0), ("constant", 0.4), ("heuristic", 0.0))]
LENGTHS = (2, 3, 4, 6)


class Theirs:
    """transformers.generate on the models that our endpoints loaded, plain or assisted."""

    def __init__(self, target: Any, draft: Any, tokens: int) -> None:
        self.model, self.prompt, self.tokens = target.loaded.model.model, target.prompt, tokens
        self.draft = draft.loaded.model.model
        self.model.generation_config.eos_token_id = None

    def __call__(self, prompt: str, sampled: bool, setting: tuple[Any, ...] | None, seed: int) -> list[int]:
        options: dict[str, Any] = {"do_sample": sampled, "max_new_tokens": self.tokens, "pad_token_id": 0}
        if sampled:
            options |= {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
        if setting is not None:
            config = self.draft.generation_config
            config.num_assistant_tokens, config.num_assistant_tokens_schedule = setting[:2]
            config.assistant_confidence_threshold = setting[2]
            options["assistant_model"] = self.draft
        ids = torch.tensor([self.prompt(Request.of(prompt))])
        torch.manual_seed(seed)
        with torch.inference_mode():
            return self.model.generate(ids, **options)[0, ids.shape[1] :].tolist()


def timed(run: Callable[[], Any]) -> float:
    """CPU-seconds of a call."""
    began = time.process_time()
    run()
    return time.process_time() - began


def paired(runs: dict[str, Callable[[str, int], Any]], prompts: Sequence[str], repeats: int) -> dict[str, np.ndarray]:
    """CPU-seconds of every way, prompts times repeats, in turn; the order turns round from one to the next."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for name in runs:
        runs[name](prompts[0], 0)
    for at, (repeat, prompt) in enumerate(itertools.product(range(repeats), prompts)):
        names = list(runs) if at % 2 else list(runs)[::-1]
        for name in names:
            found[name].append(timed(lambda n=name, p=prompt, r=repeat: runs[n](p, r)))
    return {name: np.array(times) for name, times in found.items()}


def ratio(slow: np.ndarray, fast: np.ndarray) -> tuple[float, float, float]:
    """How many times faster, with a 95 % interval."""
    logs = np.log(slow / fast)
    middle, half = logs.mean(), scipy.stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5
    return float(np.exp(middle)), float(np.exp(middle - half)), float(np.exp(middle + half))


def shown(found: tuple[float, float, float]) -> str:
    """The ratio with its interval."""
    return f"{found[0]:.2f} [{found[1]:.2f}, {found[2]:.2f}]"


def openings(data: Path, n: int) -> list[str]:
    """The first words of stories."""
    with gzip.open(data / "text_domains" / "tinystories.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in itertools.islice(lines, n)]
    texts = [next(v for v in row.values() if isinstance(v, str) and len(v) > 100) for row in rows]
    return [" ".join(text.split()[:8]) for text in texts]


def ours(model: Any, tokens: int, sampled: bool) -> Callable[[str, int], Any]:
    """A call of ours."""
    options = {"max_tokens": tokens, "ignore_eos": True, "temperature": float(sampled)}
    return lambda prompt, repeat: model(prompt, **options, seed=repeat)


def best(runs: dict[Any, Callable[[str, int], Any]], prompts: Sequence[str]) -> Any:
    """The key of the fastest on other prompts."""
    times = paired(runs, prompts, 1)
    return min(times, key=lambda key: float(times[key].sum()))


def against_assisted(target: Any, draft: Any, prompts: Sequence[str], asked: Any, sampled: bool) -> dict[str, Any]:
    """Ours against theirs, each at its best setting."""
    theirs, scouts, rest = Theirs(target, draft, asked.tokens), prompts[:2], prompts[2:]
    setting = best({s: (lambda p, r, s=s: theirs(p, sampled, s, r)) for s in HF}, scouts)
    length = best({k: ours(speculate(target, draft, k), asked.tokens, sampled) for k in LENGTHS}, scouts)
    fixed = speculate(target, draft, length)
    runs = {
        "plain": ours(target, asked.tokens, sampled),
        "fixed": ours(fixed, asked.tokens, sampled),
        "adaptive": ours(speculate(target, draft), asked.tokens, sampled),
        "generate": lambda p, r: theirs(p, sampled, None, r),
        "assisted": lambda p, r: theirs(p, sampled, setting, r),
    }
    times = paired(runs, rest, asked.repeats)
    told = [ours(fixed, asked.tokens, sampled)(p, 0).decoded.told["speculative_decoding"] for p in rest]
    row: dict[str, Any] = {
        "rates": {name: asked.tokens / float(t.mean()) for name, t in times.items()},
        "setting": setting,
        "length": length,
        "accepted": sum(t["num_accepted_tokens"] for t in told) / sum(t["num_draft_tokens"] for t in told),
        "fixed/assisted": ratio(times["assisted"], times["fixed"]),
        "adaptive/assisted": ratio(times["assisted"], times["adaptive"]),
        "fixed/plain": ratio(times["plain"], times["fixed"]),
        "adaptive/plain": ratio(times["plain"], times["adaptive"]),
    }
    if not sampled:
        mine, plain = ([list(ours(m, asked.tokens, False)(p, 0).decoded.ids) for p in rest] for m in (fixed, target))
        row["same as plain"] = float(np.mean([a == b for a, b in zip(mine, plain, strict=True)]))
        row["same as assisted"] = float(
            np.mean([a == theirs(p, False, setting, 0) for a, p in zip(mine, rest, strict=True)])
        )
    print(json.dumps(row, default=str), flush=True)
    return row


def call(model: Any, options: dict[str, Any]) -> Callable[[str, int], Any]:
    """A call with these options."""
    return lambda prompt, repeat: model(prompt, **options)


def composed(target: Any, draft: Any, prompts: Sequence[str], asked: Any, **options: Any) -> dict[str, Any]:
    """A composition: lock-step against speculation with one of its own parts, which is fed once."""
    options = {"max_tokens": asked.tokens, "ignore_eos": True} | options
    length = best({k: call(speculate(target, draft, k), options) for k in (*LENGTHS, 8)}, prompts[:2])
    fixed, adaptive = speculate(target, draft, length), speculate(target, draft)
    models = {"lock-step": target, "fixed": fixed, "adaptive": adaptive}
    times = paired({n: call(m, options) for n, m in models.items()}, prompts[2:], asked.repeats)
    replies = [(target(p, **options), fixed(p, **options)) for p in prompts]
    told = replies[-1][1].decoded.told
    row = {
        "fixed/lock-step": ratio(times["lock-step"], times["fixed"]),
        "adaptive/lock-step": ratio(times["lock-step"], times["adaptive"]),
        "length": length,
        "same": float(np.mean([a.decoded.ids == b.decoded.ids for a, b in replies])),
        "tokens": float(np.mean([len(a.decoded.ids) for a, _ in replies])),
        "fed": told["fed"],
        "acceptance": told["speculative_decoding"],
    }
    print(target.formula, json.dumps(row, default=str), flush=True)
    return row


def auto_off(pairs: dict[str, tuple[Any, Any, Sequence[str], dict[str, Any]]], repeats: int) -> dict[str, Any]:
    """Adaptive speculation where it should lose, after it has found that out, against the plain loop."""
    record: dict[str, Any] = {}
    for name, (target, draft, prompts, options) in pairs.items():
        fast = speculate(target, draft)
        quick, plain = call(fast, options), call(target, options)
        first = [timed(lambda p=p, run=quick: run(p, 0)) for p in prompts]
        also = [timed(lambda p=p, run=plain: run(p, 0)) for p in prompts]
        times = paired({"plain": plain, "adaptive": quick}, prompts, repeats)
        record[name] = {
            "first calls": sum(also) / sum(first),
            "later": ratio(times["plain"], times["adaptive"]),
            "total": float(times["plain"].sum() / times["adaptive"].sum()),
            "off": fast.pace.off,
        }
        print(name, record[name], flush=True)
    return record


def main() -> None:
    """Run everything and write the record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("stories", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    hf.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    began = time.time()
    wide, wider, small, tuned = (transformers(str(asked.stories / n)) for n in ("wide", "wider", "small", "tuned"))
    prompts = openings(asked.data, 8)
    record: dict[str, Any] = {"assisted": {}}
    for size, target in (("3.9 M", wide), ("15 M", wider)):
        for sampled in (False, True):
            name = f"{size}, {'sampled' if sampled else 'greedy'}"
            record["assisted"][name] = against_assisted(target, small, prompts, asked, sampled)
    record["composed, torch, 3.9 M"] = composed(wide + (tuned - small), tuned, prompts, asked)
    record["composed, torch, 15 M"] = composed(wider + (tuned - small), tuned, prompts, asked)
    mackerel, fry, mid, tuned_sprat = (sprat.tiny(n) for n in ("mackerel", "fry", "sprat", "sprat-tuned"))
    proxy = mackerel + (tuned_sprat - mid)
    marked = [p.prompt for p in marked_problems(60, seed=SEED)]
    long = [p for p in marked if p.startswith("sort")][:10]
    numbers = [p.prompt for p in problems(24, seed=SEED)]
    short = {"ignore_eos": False, "max_tokens": 32}
    record["composed, NumPy, its own short replies"] = composed(proxy, tuned_sprat, marked[:16], asked, **short)
    if len(long) > 4:
        record["composed, NumPy, sorting"] = composed(proxy, tuned_sprat, long, asked, **short)
    kept = {"max_tokens": asked.tokens, "ignore_eos": True}
    record["auto-off"] = auto_off(
        {
            "small target, wide draft (torch)": (small, wide, prompts[:6], kept),
            "wide target, lookup (torch)": (wide, lookup(), prompts[:6], kept),
            "mackerel, fry, past the reply's end (NumPy)": (
                mackerel,
                fry,
                numbers,
                {"max_tokens": 64, "ignore_eos": True},
            ),
            "fry, mackerel, past the reply's end (NumPy)": (
                fry,
                mackerel,
                numbers,
                {"max_tokens": 64, "ignore_eos": True},
            ),
            "mackerel, fry, its own short replies (NumPy)": (mackerel, fry, numbers, {}),
        },
        asked.repeats,
    )
    record["prediction"] = predicted(wider, small, prompts, asked)
    about = measured.header("python benchmarks/speculation.py DATA STORIES", SEED, time.time() - began)
    measured.write("speculation", {"about": about, **record}, said(record))


def predicted(target: Any, draft: Any, prompts: Sequence[str], asked: Any) -> dict[str, Any]:
    """What was predicted for three lengths, and what came of it."""
    found = predict(target, draft, prompts[:4], options={"max_tokens": asked.tokens, "ignore_eos": True})
    lengths = (2, 4, 8)
    models = {"plain": target} | {str(k): speculate(target, draft, k) for k in lengths}
    times = paired({n: ours(m, asked.tokens, False) for n, m in models.items()}, prompts[4:], asked.repeats)
    return {
        "prediction": found.row(),
        "measured": {str(k): ratio(times["plain"], times[str(k)]) for k in lengths},
    }


def said(record: dict[str, Any]) -> list[str]:
    """The page."""
    rows: list[dict[str, str]] = []
    for mode, row in record["assisted"].items():
        rates = {n: f"{r:.0f}" for n, r in row["rates"].items()}
        rows.append({"": mode, **rates, "ours, fixed / assisted": shown(row["fixed/assisted"]),
                     "adaptive / assisted": shown(row["adaptive/assisted"]),
                     "fixed / our plain": shown(row["fixed/plain"]),
                     "adaptive / our plain": shown(row["adaptive/plain"]),
                     "best of theirs": str(row["setting"]), "our length": str(row["length"]),
                     "accepted of drafted": f"{row['accepted']:.2f}"})  # fmt: skip
    rows_greedy = [r for r in record["assisted"].values() if "same as plain" in r]
    shares = [float(np.mean([r[name] for r in rows_greedy])) for name in ("same as plain", "same as assisted")]
    lines = [
        "# Speculation against assisted generation and plain decoding",
        "",
        "Targets: stories260K computed at 256 and 512 units (3.9 and 15 M parameters); draft: one layer of 64. "
        "Tokens per CPU-second, one thread. Bars: at least 1.0x assisted greedy, 1.5x sampled.",
        "",
        *measured.table(rows),
        f"Greedy texts equal to the plain loop's: {shares[0]:.0%}; to assisted generation's: {shares[1]:.0%}.",
        "",
    ]
    rows = [
        {"composition": name.removeprefix("composed, "), "fixed / lock-step": shown(row["fixed/lock-step"]),
         "adaptive / lock-step": shown(row["adaptive/lock-step"]), "length": str(row["length"]),
         "tokens per reply": f"{row['tokens']:.0f}", "same tokens": f"{row['same']:.0%}",
         "accepted of drafted": f"{row['acceptance']['draft_acceptance_rate'] or 0:.2f}"}
        for name, row in record.items() if name.startswith("composed")
    ]  # fmt: skip
    lines += ["Speculation on a proxy-tuned composition, base + (tuned - small), with the tuned part as draft "
              "(fed once). Bar: 1.3x.", "", *measured.table(rows)]  # fmt: skip
    rows = [
        {"pair": name, "adaptive / plain": shown(row["later"]), "of the total": f"{row['total']:.3f}",
         "first calls": f"{row['first calls']:.2f}", "off at the end": str(row["off"])}
        for name, row in record["auto-off"].items()
    ]  # fmt: skip
    lines += ["Adaptive speculation where it can't gain, against the plain loop, once it knows. Bar: never below 0.97.",
              "", *measured.table(rows)]  # fmt: skip
    found = record["prediction"]
    rows = [
        {"length": k, "predicted": shown((p[1], p[0], p[2])), "measured": shown(found["measured"][k])}
        for k in ("2", "4", "8")
        if (p := found["prediction"]["speedups"][int(k)])
    ]
    told = "What was predicted from about 50 passes, and what came of it, on other prompts."
    return [*lines, told, "", *measured.table(rows)]


if __name__ == "__main__":
    main()
