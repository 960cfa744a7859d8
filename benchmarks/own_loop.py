"""The own decode loop against transformers.generate: tokens per CPU-second, greedy, one thread, the same tokens.

    python benchmarks/own_loop.py DATA [--repeats 10]

DATA is the project's data folder (models/aquarium/mackerel, models/stories260K). Both sides read the same ragged
prompts and write the same number of tokens, in turn, in one process; generate runs under inference_mode, its faster
way. By default the own loop also computes every token's log-probability, which generate does not: it is measured with
and without. Ratios are of paired runs; the interval is that of the mean log ratio (Student's t).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import measured
import numpy as np
import scipy.stats
import torch
import transformers

from sprat.core import Request
from sprat.whitebox.decoder import Leaf
from sprat.whitebox.loop import Job
from sprat.whitebox.torch_session import TorchModel

torch.set_num_threads(1)
BATCHES = (1, 8, 32)
OWN_FORWARD = {"mackerel (2.2 M)", "random 2 M"}  # also read without the lean forward
SIZES = {  # hidden, layers, heads, feed-forward, vocabulary: about 0.5, 2, 5 and 25 million parameters
    "random 0.5 M": (96, 3, 3, 256, 1024),
    "random 2 M": (192, 4, 6, 512, 1024),
    "random 5 M": (256, 5, 8, 688, 2048),
    "random 25 M": (512, 6, 8, 1376, 8192),
}


class Numbers:
    """A vocabulary of numbers: no text, no end."""

    def __init__(self, size: int) -> None:
        self.tokens = tuple(map(str, range(size)))
        self.ends: frozenset[int] = frozenset()


@dataclass(frozen=True, repr=False, eq=False)
class Bare(Leaf):
    """A model in memory, whose prompts are ids."""

    name: str
    model: Any
    words: Numbers

    @property
    def vocabulary(self) -> Any:
        return self.words

    def prompt(self, request: Request) -> list[int]:
        return [int(word) for word in request.text.split()]

    def open(self, batch: int) -> Any:
        return self.model.session(batch)


def random_llama(hidden: int, layers: int, heads: int, feed: int, vocabulary: int) -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=feed,
        max_position_embeddings=512,
    )
    return transformers.LlamaForCausalLM(config)


def random_others() -> dict[str, Any]:
    """Models of other makes, about 2 million parameters each."""
    torch.manual_seed(0)
    same = {"vocab_size": 1024, "hidden_size": 192, "num_hidden_layers": 4, "max_position_embeddings": 512}
    heads = {"num_attention_heads": 6, "num_key_value_heads": 2, "intermediate_size": 512}
    gemma = transformers.Gemma3TextConfig(**same, **heads, head_dim=32, sliding_window=64)
    return {
        "random Qwen2, 2 M": transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**same, **heads)),
        "random Gemma-3, 2 M": transformers.Gemma3ForCausalLM(gemma),
        "random GPT-2, 2 M": transformers.GPT2LMHeadModel(
            transformers.GPT2Config(vocab_size=1024, n_positions=512, n_embd=192, n_layer=4, n_head=6)
        ),
    }


def own(leaf: Bare, prompts: list[list[int]], n: int, logprobs: bool = True) -> list[list[int]]:
    said: list[list[int]] = [[] for _ in prompts]
    jobs = [Job(Request.of(" ".join(map(str, p))), max_tokens=n, logprobs=logprobs) for p in prompts]
    for written in leaf.write(jobs):
        said[written.job] += written.ids
    return said


def theirs(model: Any, prompts: list[list[int]], n: int) -> list[list[int]]:
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    with torch.inference_mode():
        out = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=n)
    return out[:, longest:].tolist()


def interval(ratios: list[float]) -> tuple[float, float, float]:
    """Geometric mean and its 95 % interval."""
    logs = np.log(ratios)
    half = scipy.stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    return tuple(float(np.exp(logs.mean() + d)) for d in (0.0, -half, half))


def compared(name: str, leaf: Bare, model: Any, batch: int, repeats: int, n: int) -> dict[str, Any]:
    """One row: tokens per CPU-second of generate, and the ratios of the own loop with and without log-probabilities."""
    rng = np.random.default_rng(batch)
    lengths = [12] if batch == 1 else rng.integers(4, 25, batch)
    prompts = [rng.integers(3, model.config.vocab_size, k).tolist() for k in lengths]
    sides = {
        "generate": lambda: theirs(model, prompts, n),
        "own": lambda: own(leaf, prompts, n),
        "without log-probabilities": lambda: own(leaf, prompts, n, logprobs=False),
    }
    texts = {side: run() for side, run in sides.items()}
    spent: dict[str, list[float]] = {side: [] for side in sides}
    for repeat in range(repeats):
        for side in list(sides)[:: 1 if repeat % 2 else -1]:
            began = time.process_time()
            sides[side]()
            spent[side].append(time.process_time() - began)
    row: dict[str, Any] = {"model": name, "batch": batch, "tokens": batch * n}
    for side in sides:
        row[f"{side}: tokens/CPU-s"] = batch * n / float(np.median(spent[side]))
        if side != "generate":
            row[side] = interval([a / b for a, b in zip(spent["generate"], spent[side], strict=True)])
            same = [a == b for a, b in zip(texts["generate"], texts[side], strict=True)]
            row[f"{side}: same"] = sum(same) / len(same)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=10)
    given = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    models: dict[str, Any] = {
        name: transformers.AutoModelForCausalLM.from_pretrained(given.data / "models" / where, dtype=torch.float32)
        for name, where in (("stories260K", "stories260K"), ("mackerel (2.2 M)", "aquarium/mackerel"))
    } | {name: random_llama(*size) for name, size in SIZES.items()}
    models |= random_others()
    began, rows = time.time(), []
    for name, model in models.items():
        model.eval().generation_config.eos_token_id = None
        model.generation_config.pad_token_id = 0
        forwards = {name: TorchModel(model)}
        if name in OWN_FORWARD:
            forwards[f"{name}, its own forward"] = TorchModel(model, lean=False)
        for label, opened in forwards.items():
            for batch in BATCHES:
                n = 24 if "25" in name else 64
                leaf = Bare(label, opened, Numbers(model.config.vocab_size))
                rows.append(compared(label, leaf, model, batch, given.repeats, n))
                print(rows[-1], file=sys.stderr, flush=True)

    def named(below: float, place: int) -> str:
        """The rows whose ratio, or whose interval's lower end, is below a number."""
        found = [f"{r['model']} x {r['batch']} ({r['own'][place]:.2f})" for r in rows if r["own"][place] < below]
        return "; ".join(found) or "none"

    command = f"python benchmarks/own_loop.py DATA --repeats {given.repeats}"
    record = {"about": measured.header(command, 0, time.time() - began), "rows": rows}
    shown = [
        {
            "model": row["model"],
            "batch": str(row["batch"]),
            "generate, tokens/CPU-s": f"{row['generate: tokens/CPU-s']:.0f}",
            "own loop": f"{row['own: tokens/CPU-s']:.0f}",
            "ratio": "{:.2f} [{:.2f}, {:.2f}]".format(*row["own"]),
            "without log-probabilities": "{:.2f} [{:.2f}, {:.2f}]".format(*row["without log-probabilities"]),
            "same texts": f"{row['own: same']:.0%}",
        }
        for row in rows
    ]
    measured.write(
        "own_loop",
        record,
        [
            "# The own decode loop against transformers.generate",
            f"torch {torch.__version__}, transformers {transformers.__version__}, float32, one thread, greedy, "
            "24 to 64 new tokens, no end token; batches of prompts of 4 to 24 tokens. Bar: at least 1.25 at 0.5-5 M "
            "parameters, never below 1.0, the same tokens. The own loop computes log-probabilities as well, generate "
            "does not; the second ratio leaves them out. Llama, Mistral and Qwen2 are read by the lean forward "
            "(whitebox/torch_lean.py), others by their own. The machine was shared while this ran: CPU time, paired "
            "runs.",
            "",
            *measured.table(shown),
            f"Below 1.25 (model x batch): {named(1.25, 0)}.",
            "",
            f"Below 1.0: {named(1.0, 0)}. Whose interval reaches below 1.0: {named(1.0, 1)}.",
        ],
    )


if __name__ == "__main__":
    main()
