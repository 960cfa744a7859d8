"""Models with long replies for the benchmarks of speculation, made from stories260K in some CPU minutes.

    python benchmarks/stories.py DATA FOLDER

`small` is one layer of the same width, distilled from stories260K on its own samples (KL, arXiv 1503.02531); `tuned` is
small tuned further on written stories, so that stories260K + (tuned - small) is a proxy-tuned composition; `wide`
and `wider` are stories260K among zeros: the same text to rounding, computed at 256 and 512 units (3.9 and 15 M
parameters).
"""

from __future__ import annotations

import argparse
import copy
import gzip
import itertools
import json
import os
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

SEED, ROWS, LENGTH = 5, 640, 160


def widened(teacher: Any, by: int) -> Any:
    """The same function, `by` times as wide: what is added is zero, and the norms' scales make up for it."""
    config = copy.deepcopy(teacher.config)
    for name in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"):
        setattr(config, name, getattr(config, name) * by)
    config.rms_norm_eps /= by
    wide = LlamaForCausalLM(config)
    old, new = teacher.state_dict(), wide.state_dict()
    for name, value in new.items():
        value.zero_()
        seen = old[name] * by**-0.5 if "norm" in name else old[name]
        value[tuple(slice(n) for n in seen.shape)] = seen
    wide.load_state_dict(new)
    return wide.eval()


def sampled(teacher: Any) -> torch.Tensor:
    """Texts that the teacher draws, (ROWS, LENGTH)."""
    torch.manual_seed(SEED)
    start = torch.full((ROWS // 4, 1), teacher.config.bos_token_id)
    options = {"do_sample": True, "top_k": 0, "max_length": LENGTH, "min_length": LENGTH, "pad_token_id": 2}
    return torch.cat([teacher.generate(start, **options) for _ in range(4)])


def distilled(teacher: Any, texts: torch.Tensor, steps: int = 1200) -> Any:
    """One layer that says what the teacher says; it begins as the teacher's embedding and first layer."""
    config = copy.deepcopy(teacher.config)
    config.num_hidden_layers = 1
    small = LlamaForCausalLM(config)
    small.load_state_dict({k: v for k, v in teacher.state_dict().items() if k in small.state_dict()})
    with torch.no_grad():
        wanted = torch.cat([teacher(block).logits.log_softmax(-1).half() for block in texts.split(32)])

    def loss(rows: torch.Tensor) -> torch.Tensor:
        said = small(texts[rows]).logits.log_softmax(-1)
        return (wanted[rows].float().exp() * (wanted[rows].float() - said)).sum(-1).mean()

    return trained(small, loss, steps, 3e-3, "distilled")


def tuned_on(small: Any, texts: torch.Tensor, steps: int = 250) -> Any:
    """The small model tuned on other texts."""
    model = copy.deepcopy(small)
    return trained(model, lambda rows: model(texts[rows], labels=texts[rows]).loss, steps, 1e-3, "tuned")


def trained(model: Any, loss: Any, steps: int, rate: float, name: str) -> Any:
    """AdamW with a cosine, sixteen rows a step."""
    torch.manual_seed(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        found = loss(torch.randint(ROWS, (16,)))
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(name, step, f"{float(found):.3f}", flush=True)
    return model.eval()


def stories(data: Path, tokenizer: Any) -> torch.Tensor:
    """Stories that people had written, the benchmark's own openings left out, (ROWS, LENGTH)."""
    with gzip.open(data / "text_domains" / "tinystories.jsonl.gz", "rt") as lines:
        rows = (json.loads(line) for line in itertools.islice(lines, 100, 900))
        text = " ".join(next(v for v in row.values() if isinstance(v, str) and len(v) > 200) for row in rows)
    ids = tokenizer(text[: ROWS * LENGTH * 4], add_special_tokens=False).input_ids[: ROWS * (LENGTH - 1)]
    body = torch.tensor(ids).view(ROWS, LENGTH - 1)
    return torch.cat([torch.full((ROWS, 1), 1), body], 1)


def make(data: Path, folder: Path) -> None:
    """Write the four models, each with the tokenizer."""
    source = data / "models" / "stories260K"
    teacher: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(source)
    wide, wider = widened(teacher, 4), widened(teacher, 8)
    texts = sampled(teacher)
    with torch.no_grad():
        off = float((wide(texts[:4]).logits - teacher(texts[:4]).logits).abs().max())
    print("wide differs from stories260K by", off)
    small = distilled(teacher, texts)
    for name, model in {
        "wide": wide,
        "wider": wider,
        "small": small,
        "tuned": tuned_on(small, stories(data, tokenizer)),
    }.items():
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    make(asked.data, asked.folder)
