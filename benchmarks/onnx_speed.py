"""Greedy tokens per CPU-second on one thread: own loop on onnxruntime, own loop on torch, transformers.generate.

    OMP_NUM_THREADS=1 SPRAT_DATA=... python benchmarks/onnx_speed.py

All in float32 (mackerel's checkpoint is bfloat16). Every way must write the same tokens, else the row says how many
rows do. The ways take turns, and ratios are of turns side by side; the interval is a bootstrap's over the turns. The
second table is the choice of engine: the same exported file, read by plain onnxruntime as sprat does it and by
onnxruntime-genai's Generator. Plain onnxruntime is what sprat uses, also where it is the slower one for a single row:
the Generator (0.18) takes no second append and no rewind but to 0 with several rows, so it has no batches for us.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime_genai as genai
import torch
from measured import header, table, write
from transformers import AutoModelForCausalLM

from sprat.core import Request
from sprat.endpoints.onnx import Onnx
from sprat.endpoints.transformers import Transformers
from sprat.whitebox.loop import Job, plain
from sprat.whitebox.onnx_export import checked, export
from sprat.whitebox.onnx_session import OnnxModel

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "whitebox"))
from onnx_models import random_llama

SEED, TURNS, TOKENS, SIZES = 0, 15, 90, (1, 8)
ENGINE = (
    "sprat uses plain onnxruntime: the Generator, with several rows, takes no second append and no rewind but to 0. "
    "Below 1, the Generator is the faster one for a single row."
)
WAYS = ("own loop, onnx", "own loop, torch", "generate")


def prompts(n: int) -> list[str]:
    """Sums of equally many characters, so that generate needs no padding."""
    rng = np.random.default_rng(SEED)
    return [f"{a}+{b}=" for a, b in rng.integers(10, 100, (n, 2))]


def own(decoder: Any, asked: list[str]) -> list[list[int]]:
    """What sprat's loop writes."""
    said: list[list[int]] = [[] for _ in asked]
    for written in plain(decoder, [Job(Request.of(a), max_tokens=TOKENS, ignore_end=True) for a in asked]):
        if written.error:
            raise written.error
        said[written.job].extend(written.ids)
    return said


def generate(model: Any, ids: torch.Tensor) -> list[list[int]]:
    """What transformers writes."""
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=TOKENS)
    return out[:, ids.shape[1] :].tolist()


def turns(ways: dict[str, Callable[[], Any]], each: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Units of work per CPU-second of each way and turn, and what the last turn gave."""
    speeds: dict[str, list[float]] = {w: [] for w in ways}
    given: dict[str, Any] = {w: run() for w, run in ways.items()}
    for turn in range(TURNS):
        order = list(ways) if turn % 2 else list(ways)[::-1]
        for way in order:
            begun = time.process_time()
            given[way] = ways[way]()
            speeds[way].append(each / (time.process_time() - begun))
    return {w: np.array(s) for w, s in speeds.items()}, given


def ratio(a: np.ndarray, b: np.ndarray) -> list[float]:
    """The median of a / b over the turns, with its 95 % bootstrap interval."""
    rng, each = np.random.default_rng(SEED), a / b
    drawn = np.median(each[rng.integers(0, len(each), (2000, len(each)))], axis=1)
    return [float(np.median(each)), *(float(q) for q in np.quantile(drawn, (0.025, 0.975)))]


def told(found: list[float]) -> str:
    """The ratio and its interval."""
    return "{:.2f} [{:.2f}, {:.2f}]".format(*found)


def loops(name: str, source: Path, folder: Path, record: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The three ways on one model, alone and batched."""
    rows: list[dict[str, str]] = []
    onnx, own_torch = Onnx(f"{name}-onnx", str(folder), threads=1), Transformers(name, str(source), dtype="float32")
    model: Any = AutoModelForCausalLM.from_pretrained(str(source), dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    for size in SIZES:
        asked = prompts(size)
        ids = torch.tensor([onnx.prompt(Request.of(a)) for a in asked])
        ways: dict[str, Callable[[], Any]] = {
            WAYS[0]: lambda a=asked: own(onnx, a),
            WAYS[1]: lambda a=asked: own(own_torch, a),
            WAYS[2]: lambda i=ids: generate(model, i),
        }
        speeds, said = turns(ways, size * TOKENS)
        same = sum(a == b == c for a, b, c in zip(*(said[w] for w in WAYS), strict=True))
        found: dict[str, Any] = {
            "model": name,
            "rows": size,
            "tokens per CPU-second": {w: float(np.median(s)) for w, s in speeds.items()},
            "onnx/torch": ratio(speeds[WAYS[0]], speeds[WAYS[1]]),
            "onnx/generate": ratio(speeds[WAYS[0]], speeds[WAYS[2]]),
            "same tokens": same,
        }
        record.append(found)
        rows.append(
            {"model": name, "rows": str(size)}
            | {w: f"{np.median(s):.0f}" for w, s in speeds.items()}
            | {k: told(found[k]) for k in ("onnx/torch", "onnx/generate")}
            | {"same tokens": f"{same} of {size} rows"}
        )
    return rows


def engines(name: str, folder: Path, record: list[dict[str, Any]]) -> list[dict[str, str]]:
    """One step and one block of five with its rollback, after 20 tokens: our session and genai's Generator."""
    rng, model = np.random.default_rng(SEED), OnnxModel(folder, threads=1)
    text = rng.integers(3, 100, (1, 20))
    session = model.session(1)
    session.feed(text)
    generator = _generator(folder, text)
    times, rows = 100, list[dict[str, str]]()
    for n in (1, 5):
        block = rng.integers(3, 100, (1, n))

        def ours(block: Any = block, n: int = n) -> Any:
            for _ in range(times):
                given = session.feed(block)
                session.rollback(n)
            return given[0]

        def theirs(block: Any = block, n: int = n) -> Any:
            ids = block[0].astype(np.int32)
            for _ in range(times):
                generator.append_tokens(ids)
                given = generator.get_logits() if n == 1 else generator.get_output("logits")
                generator.rewind_to(20)
            return given[0]

        speeds, given = turns({"onnxruntime": ours, "onnxruntime-genai": theirs}, times)
        apart = float(np.abs(given["onnxruntime"] - given["onnxruntime-genai"][..., : model.vocabulary]).max())
        found = {w: 1e3 / float(np.median(s)) for w, s in speeds.items()}
        by = ratio(speeds["onnxruntime"], speeds["onnxruntime-genai"])
        record.append({"model": name, "block": n, "ms": found, "speed ratio": by, "logits apart": apart})
        rows.append(
            {"model": name, "tokens": str(n)}
            | {f"{w}, ms": f"{ms:.3f}" for w, ms in found.items()}
            | {"speed ratio": told(by), "logits apart": f"{apart:.1e}"}
        )
    return rows


def _generator(folder: Path, text: Any) -> Any:
    model = genai.Model(str(folder))
    params = genai.GeneratorParams(model)
    params.set_search_options(max_length=128)
    generator = genai.Generator(model, params)
    generator.append_tokens(text[0].astype(np.int32))
    return generator


def main() -> None:
    """Export, measure, write results/onnx_speed."""
    torch.set_num_threads(1)
    begun = time.perf_counter()
    record: dict[str, Any] = {"loops": [], "engines": [], "exports": []}
    first: list[dict[str, str]] = []
    second: list[dict[str, str]] = []
    exports: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as room:
        wide = {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 4, "head_dim": 64}
        sources = {
            "mackerel (2.2 M)": Path(os.environ["SPRAT_DATA"]) / "models" / "aquarium" / "mackerel",
            "random Llama (3.1 M)": random_llama(Path(room) / "random", **wide, initializer_range=0.05),
        }
        for name, source in sources.items():
            folder = export(source, Path(room) / f"{source.name}-onnx")
            measured = checked(folder)["measured"]
            record["exports"].append({"model": name, **measured})
            exports.append({"model": name} | {k: f"{v:.2g}" for k, v in measured.items()})
            first += loops(name, source, folder, record["loops"])
            second += engines(name, folder, record["engines"])
    record["about"] = header("python benchmarks/onnx_speed.py", SEED, time.perf_counter() - begun)
    said = (__doc__ or "").split("\n\n")
    text = ["# ONNX: speed", f"{said[0]} One CPU thread, {TOKENS} tokens, {TURNS} turns.", ""]
    text += [*table(first), "## The engine: one row, with rollback", "", ENGINE, "", *table(second)]
    text += ["## The exports against torch", "", *table(exports)]
    write("onnx_speed", record, text)


if __name__ == "__main__":
    main()
