"""Trains the small inference model: decomposable attention (arXiv 1606.01933) over the embedded encoder's words.

    python recipes/nli/train_nli.py --data $SPRAT_DATA [--epochs 5] [--out src/sprat/nli/weights/small.npz]

About five minutes of CPU on one core. What it scores on what was held out is worth.py's to say.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nli_pairs import Row, held_out, training
from torch import nn

from sprat.nli.words import MARKS, Page, read

F = nn.functional


class Network(nn.Module):
    """The same sums as sprat.nli.embedded, which names the parts."""

    def __init__(self, width: int, inner: int, wide: int) -> None:
        super().__init__()
        self.embed = nn.Linear(width, inner, bias=False)
        self.around = nn.Linear(5 * inner + MARKS, inner)
        self.attend = nn.Linear(inner, inner)
        self.bonus = nn.Parameter(torch.tensor([2.0, 1.0]))
        self.own = nn.Linear(inner + MARKS, wide)
        self.aligned = nn.Linear(inner + MARKS, wide, bias=False)
        self.both = nn.Linear(2 * inner + 4, wide, bias=False)
        self.hidden = nn.Linear(4 * wide + 2, wide)
        self.out = nn.Linear(wide, 3)
        self.drop = nn.Dropout(0.2)

    def encode(self, words: Any, marks: Any, mask: Any) -> tuple[Any, Any]:
        e = self.embed(self.drop(words)) * mask[..., None]
        pad = F.pad(e, (0, 0, 2, 2))
        near = torch.cat([pad[:, i : i + e.shape[1]] for i in range(5)] + [marks], -1)
        h = e + torch.relu(self.around(near))
        return h, torch.relu(self.attend(self.drop(h)))

    def forward(self, p: Any, q: Any) -> Any:
        (wp, mp, kp, ip, sp), (wq, mq, kq, iq, sq) = p, q
        hp, ap = self.encode(wp, mp, kp)
        hq, aq = self.encode(wq, mq, kq)
        same = (ip[:, :, None] == iq[:, None, :]).float()
        stem = (sp[:, :, None] == sq[:, None, :]).float()
        scores = ap @ aq.mT / ap.shape[-1] ** 0.5 + self.bonus[0] * same + self.bonus[1] * stem
        cosine = wp @ wq.mT
        pooled = []
        for h, m, k, ho, mo, ko, s, x in (
            (hq, mq, kq, hp, mp, kp, scores.mT, torch.stack([same, stem, cosine], 1).mT),
            (hp, mp, kp, hq, mq, kq, scores, torch.stack([same, stem, cosine], 1)),
        ):
            s = s.masked_fill(ko[:, None, :] == 0, -1e4)
            weight = torch.softmax(s, -1)
            x = x.masked_fill(ko[:, None, None, :] == 0, -1.0).amax(-1).permute(0, 2, 1)
            other, marked = weight @ ho, weight @ mo
            rel = torch.cat([h * other, (h - other).abs(), x, weight.amax(-1, keepdim=True)], -1)
            g = torch.relu(
                self.own(torch.cat([h, m], -1))
                + self.aligned(torch.cat([other, marked], -1))
                + self.both(self.drop(rel))
            )
            g = g * k[..., None]
            pooled += [g.sum(1) / k.sum(1, keepdim=True), g.amax(1)]
        lengths = torch.stack([torch.log(k.sum(1)) for k in (kp, kq)], -1)
        return self.out(self.drop(torch.relu(self.hidden(self.drop(torch.cat([*pooled, lengths], -1))))))


def batch(page: Page, vectors: torch.Tensor, places: list[int]) -> tuple[torch.Tensor, ...]:
    """The texts at these places, padded: vectors, marks, mask, forms, stems."""
    texts = [page.texts[i] for i in places]
    longest = max(len(t.forms) for t in texts)
    forms = np.full((len(texts), longest), -1)
    stems = np.full((len(texts), longest), -1)
    marks = np.zeros((len(texts), longest, MARKS), np.float32)
    for i, t in enumerate(texts):
        n = len(t.forms)
        forms[i, :n], stems[i, :n], marks[i, :n] = t.forms, t.stems, t.marks
    mask = torch.from_numpy((forms >= 0).astype(np.float32))
    return (
        vectors[torch.from_numpy(np.maximum(forms, 0))] * mask[..., None],
        torch.from_numpy(marks),
        mask,
        torch.from_numpy(forms),
        torch.from_numpy(stems),
    )


def batches(rows: list[Row], page: Page, size: int, rng: np.random.Generator) -> list[list[int]]:
    """Places of rows of like length, in random order."""
    n = len(rows)
    length = [len(page.texts[i].forms) + len(page.texts[n + i].forms) for i in range(n)]
    order = sorted(range(n), key=lambda i: length[i] * rng.uniform(0.85, 1.15))
    made = [order[at : at + size] for at in range(0, n, size)]
    rng.shuffle(made)  # type: ignore[arg-type]
    return made


def loss_of(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Cross-entropy; "not entailment" is the sum of the other two. Labels are smoothed by .05."""
    logp = torch.log_softmax(logits, -1)
    smooth = 0.95
    three = -(smooth * logp.gather(1, labels.clamp(max=2)[:, None])[:, 0] + (1 - smooth) * logp.mean(1))
    against = -torch.logsumexp(logp[:, 1:], -1)
    return (torch.where(labels == 3, against, three) * weights).sum() / weights.sum()


def predict(network: Network, rows: list[Row]) -> np.ndarray:
    """Probabilities (n, 3)."""
    page = read([r.premise for r in rows] + [r.hypothesis for r in rows])
    vectors, out = torch.from_numpy(page.vectors), np.zeros((len(rows), 3))
    network.eval()
    with torch.inference_mode():
        for part in batches(rows, page, 64, np.random.default_rng(0)):
            put = [batch(page, vectors, places) for places in (part, [len(rows) + i for i in part])]
            out[part] = torch.softmax(network(*put), -1).numpy()
    return out


def accuracy(found: np.ndarray, rows: list[Row]) -> float:
    labels = np.array([r.label for r in rows])
    two = labels == 3
    right = np.where(two.any(), (found[:, 0] > 0.5) == (labels == 0), found.argmax(1) == labels)
    return float(right.mean())


def arrays_of(network: Network) -> dict[str, np.ndarray]:
    """The network's arrays as they are shipped."""
    return {k: v.detach().numpy().astype(np.float16) for k, v in network.state_dict().items()}


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("src/sprat/nli/weights/small.npz"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--inner", type=int, default=64)
    parser.add_argument("--wide", type=int, default=96)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--sets", default="")
    parser.add_argument("--hypothesis-only", action="store_true")
    given = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    rows = training(given.data)
    if given.sets:
        rows = [r for r in rows if r.source in given.sets.split(",")]
    if given.hypothesis_only:
        rows = [Row("", r.hypothesis, r.label, r.weight, r.source) for r in rows]
    held = held_out(given.data)
    if given.hypothesis_only:
        held = {k: [Row("", r.hypothesis, r.label, r.weight, r.source) for r in v] for k, v in held.items()}
    page = read([r.premise for r in rows] + [r.hypothesis for r in rows])
    vectors = torch.from_numpy(page.vectors)
    network = Network(page.vectors.shape[1], given.inner, given.wide)
    steps = given.epochs * -(-len(rows) // 48)
    optimiser = torch.optim.AdamW(network.parameters(), given.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, given.rate, total_steps=steps, pct_start=0.1)
    labels = torch.tensor([r.label for r in rows])
    weights = torch.tensor([r.weight for r in rows])
    began = time.time()
    for epoch in range(given.epochs):
        network.train()
        total = 0.0
        for part in batches(rows, page, 48, rng):
            put = [batch(page, vectors, places) for places in (part, [len(rows) + i for i in part])]
            loss = loss_of(network(*put), labels[part], weights[part])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(part)
        found = {k: round(accuracy(predict(network, v), v), 4) for k, v in held.items()}
        np.savez_compressed(given.out, **arrays_of(network))
        print(epoch, round(total / len(rows), 4), found, round(time.time() - began), flush=True)
    about = {"epochs": given.epochs, "rows": len(rows), "inner": given.inner, "wide": given.wide, "seed": 0}
    np.savez_compressed(given.out, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays_of(network))


if __name__ == "__main__":
    main()
