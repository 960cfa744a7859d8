"""Make one of the aquarium's models: a tiny Llama on nine tasks with exact answers, from nothing, on a CPU.

Usage: python recipes/aquarium/train.py fry fry.safetensors
       python recipes/aquarium/train.py mackerel again.safetensors --start mackerel.safetensors --mix hard

The loss is on the answer alone. Each step's problems follow from the seed and the step's number, so a run that was
stopped goes on from its last checkpoint (beside the output) and ends where an unbroken one does.
Needs the extra 'torch'. Copy src/sprat/aquarium/weights/vocab.json beside the output to load it with TinyLlama.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

import sprat.aquarium
from sprat.aquarium.problems import Problem, draw_problem
from sprat.aquarium.vocabulary import Vocabulary, read_vocabulary

Draw = Callable[[random.Random, dict[str, float]], Problem]
VOCABULARY = Path(sprat.aquarium.__file__).with_name("weights") / "vocab.json"
MIXES = {"even": {}, "hard": {"add": 4.0, "sub": 4.0, "read": 4.0, "word": 4.0}}
BATCH, WARM_UP, NO_LOSS = 128, 100, -100
HALF_PAYS = 192  # below this width, bfloat16 took 5 to 50 % longer a step than float32 on one core


@dataclass(frozen=True)
class Size:
    """A model's width and depth, its steps and its highest learning rate."""

    hidden: int
    layers: int
    steps: int
    rate: float


SIZES = {
    "minnow": Size(32, 1, 600, 3e-3),
    "fry": Size(48, 2, 3000, 2e-3),
    "sprat": Size(96, 3, 3000, 2e-3),
    "mackerel": Size(192, 5, 3000, 1.2e-3),
}


def build(size: Size, tokens: int) -> LlamaForCausalLM:
    """A model of `size` with random weights."""
    heads = max(2, size.hidden // 32)
    config = LlamaConfig(
        vocab_size=tokens,
        hidden_size=size.hidden,
        intermediate_size=size.hidden * 8 // 3 // 32 * 32,
        num_hidden_layers=size.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def batch(
    seed: int, step: int, mix: dict[str, float], vocabulary: Vocabulary, draw: Draw = draw_problem
) -> tuple[torch.Tensor, torch.Tensor]:
    """The ids of a step's problems with their answers, and the labels: the answer and the end token."""
    rng = random.Random(f"{seed} {step}")
    asked = [draw(rng, mix) for _ in range(BATCH)]
    rows = [[*vocabulary.encode(one.prompt + one.answer), vocabulary.end] for one in asked]
    width = max(map(len, rows))
    ids = torch.tensor([row + [vocabulary.pad] * (width - len(row)) for row in rows])
    place = torch.arange(width)
    starts = torch.tensor([1 + len(one.prompt) for one in asked])[:, None]
    ends = torch.tensor([len(row) for row in rows])[:, None]
    return ids, ids.masked_fill((place < starts) | (place >= ends), NO_LOSS)


def rate(peak: float, step: int, steps: int) -> float:
    """The learning rate: a linear warm-up, then a cosine from the peak to a fiftieth of it."""
    return peak * min(1, (step + 1) / WARM_UP) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))


def export(model: LlamaForCausalLM, path: Path) -> None:
    """Write the weights in bfloat16 with the shape in the header, as sprat.aquarium reads them."""
    config = model.config
    shape = {
        "format": "pt",
        "layers": str(config.num_hidden_layers),
        "heads": str(config.num_attention_heads),
        "positions": str(config.max_position_embeddings),
        "rope_theta": str(config.rope_parameters["rope_theta"]),
        "norm_epsilon": str(config.rms_norm_eps),
    }
    weights = {name: weight.detach().bfloat16() for name, weight in model.named_parameters()}
    save_file(weights, path, metadata=shape)


def save_state(path: Path, model: LlamaForCausalLM, optimizer: torch.optim.AdamW, done: int) -> None:
    """Write what a stopped run needs to go on: weights, the optimizer's moments, the steps done."""
    state = {f"weight {name}": weight.detach() for name, weight in model.named_parameters()}
    for name, weight in model.named_parameters():
        state |= {f"{moment} {name}": optimizer.state[weight][moment] for moment in ("exp_avg", "exp_avg_sq")}
    save_file(state, path.with_suffix(".partial"), metadata={"done": str(done)})
    os.replace(path.with_suffix(".partial"), path)


def load_state(path: Path, model: LlamaForCausalLM, optimizer: torch.optim.AdamW) -> int:
    """Take up a stopped run; returns the steps done."""
    with safe_open(path, "pt") as file:
        done = int(file.metadata()["done"])
    state = load_file(path)
    for name, weight in model.named_parameters():
        weight.data.copy_(state[f"weight {name}"])
        moments = {moment: state[f"{moment} {name}"] for moment in ("exp_avg", "exp_avg_sq")}
        optimizer.state[weight] = {"step": torch.tensor(float(done)), **moments}
    return done


def train(
    size: Size,
    out: Path,
    steps: int,
    mix: dict[str, float],
    seed: int = 0,
    start: Path | None = None,
    save_every: int = 500,
    stop_at: int | None = None,
    peak: float | None = None,
    draw: Draw = draw_problem,
) -> None:
    """Train for `steps` steps and write `out`; a run stopped at `stop_at` is taken up by the same call without it.

    `peak` is the highest learning rate: by default the size's, or 8e-4 where weights to start from are given.
    """
    vocabulary = read_vocabulary(VOCABULARY)
    torch.manual_seed(seed)
    model = build(size, len(vocabulary.tokens))
    if start:
        model.load_state_dict(load_file(start), strict=False)
    peak = peak or (8e-4 if start else size.rate)
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=0.05, betas=(0.9, 0.98))
    state = out.with_suffix(".state")
    done = load_state(state, model, optimizer) if state.exists() else 0
    began, first, losses = time.monotonic(), done, 0.0
    for step in range(done, min(steps, stop_at or steps)):
        for group in optimizer.param_groups:
            group["lr"] = rate(peak, step, steps)
        ids, labels = batch(seed, step, mix, vocabulary, draw)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=size.hidden >= HALF_PAYS):
            loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses += loss.item()
        done = step + 1
        if done % 100 == 0:
            pace = (done - first) / (time.monotonic() - began)
            left = (steps - done) / pace / 60
            print(
                f"step {done} of {steps}, loss {losses / 100:.4f}, {pace:.1f} steps/s, {left:.1f} min left", flush=True
            )
            losses = 0.0
        if done % save_every == 0:
            save_state(state, model, optimizer, done)
    if done < steps:
        save_state(state, model, optimizer, done)
        return
    export(model, out)
    if not (out.parent / "vocab.json").exists():
        shutil.copy(VOCABULARY, out.parent / "vocab.json")
    state.unlink(missing_ok=True)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("out", type=Path, help="the .safetensors file to write")
    parser.add_argument("--steps", type=int, help="default: what the size is set to")
    parser.add_argument("--mix", choices=MIXES, default="even", help="hard: sums, differences, reading, word x 4")
    parser.add_argument("--start", type=Path, help="go on from these weights, at a lower learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-every", type=int, default=500, metavar="STEPS")
    given = parser.parse_args()
    size = SIZES[given.size]
    steps = given.steps or size.steps
    train(size, given.out, steps, MIXES[given.mix], given.seed, given.start, given.save_every)


if __name__ == "__main__":
    main()
