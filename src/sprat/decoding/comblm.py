"""A mixture of two language models' next-token probabilities, with a gate that says whom to trust (arXiv 2305.16876).

A small model that knows a domain and a large one that writes well give p = share * p_large + (1 - share) * p_small.
The share is a number, or a gate fitted to texts: one number, one per token, or a net that sees how unsure both are
(entropy) or all that both say (full: both distributions over the vocabulary and the two entropies, as in the paper's
code where it is not told to take hidden states). `sprat.fit(mix, texts)` fits it: each text is read once by each part,
and only what the gate needs is kept. Checked against mixtures computed by hand and against numerical gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..core import Can, Request
from ..data import Dataset
from ..errors import BadInput, nearest
from ..shape import need
from ..whitebox.arrays import exp, host, is_torch, log_softmax, take
from ..whitebox.decoder import Decoder
from ..whitebox.pool import Step
from ..whitebox.scoring import read, windows
from .comblm_gates import KINDS, Cached, Gate, features, finite, fitted, most_places, per_place

FEWEST = 200  # tokens to fit on
Texts = Dataset | Sequence[str] | Sequence[tuple[Request | str, str]]


@dataclass(frozen=True, repr=False)
class Mix(Decoder):
    """share * p_large + (1 - share) * p_small; `gate` is the share in [0, 1], a fitted Gate, or one's kind to fit."""

    large: Any
    small: Any
    gate: float | str | Gate = 0.5
    name: str = field(default="", kw_only=True, repr=False)
    use = "mix"

    def __post_init__(self) -> None:
        for part in self.parts:
            need(part, Can.LOGITS, "mix")
        if isinstance(self.gate, str):
            if self.gate not in KINDS:
                raise BadInput(f"There is no gate '{self.gate}'.", hint=nearest(self.gate, ("mean", *KINDS)))
        elif not isinstance(self.gate, Gate) and not 0 <= self.gate <= 1:
            raise BadInput(f"The gate is {self.gate}.", hint="Needed: the large model's share, in [0, 1].")

    @property
    def parts(self) -> tuple[Decoder, ...]:
        """The large model and the small one."""
        return (self.large, self.small)

    @property
    def formula(self) -> str:
        """Such as `mix(big, small, 0.5)`."""
        said = f"{self.gate:g}" if isinstance(self.gate, (int, float)) else str(self.gate)
        return f"mix({self.large.formula}, {self.small.formula}, {said})"

    def scores(self, step: Step) -> Any:
        """The logarithm of the mixture; with one share per token, up to its sum's."""
        return _either(*self._shared(step))

    def terms(self, step: Step) -> list[tuple[Decoder, Any]]:
        """What each part adds to log p(token) - log p(reference), the reference being the large model's favourite.

        A logarithm of a sum is no sum: the split is that of logarithmic means, exact and symmetric in the parts. Part
        i adds share_i (p_i(token) - p_i(reference)) / L, where L is the logarithmic mean of p(token) and p(reference).
        It depends on the reference: between two other tokens, the difference of terms goes by way of it.
        """
        logs = self._shared(step)
        best = step.of(self.large).argmax(-1)
        whole = _either(*logs)
        ratio = finite(whole - _at(whole, best))  # log p(token) / p(reference)
        gap = exp(ratio) - 1
        close = abs(gap) < 1e-4
        factor = (ratio + close) / (gap + close)
        factor = factor * ~close + (1 - gap / 2) * close  # (log x) / (x - 1) near 1
        added = [(exp(one - _at(whole, best)) - exp(_at(one, best) - _at(whole, best))) * factor for one in logs]
        return [(self.large, added[0]), (self.small, added[1])]

    def _shared(self, step: Step) -> tuple[Any, Any]:
        """The logarithms of the two products that are added."""
        if isinstance(self.gate, str):
            raise BadInput(f"The {self.gate} gate of '{self.formula}' is not fitted.", hint="sprat.fit(model, texts)")
        large, small = log_softmax(step.of(self.large)), log_softmax(step.of(self.small))
        if not isinstance(self.gate, Gate):
            with np.errstate(divide="ignore"):
                return large + float(np.log(self.gate)), small + float(np.log1p(-self.gate))
        z = self.gate.logit(large, small)
        return large - _either(z * 0, -z), small - _either(z * 0, z)


def _at(x: Any, ids: Any) -> Any:
    """The entries of (..., n) at one id each, (..., 1)."""
    return x.gather(-1, ids[..., None]) if is_torch(x) else take(x, ids)[..., None]


def _either(a: Any, b: Any) -> Any:
    """log(e^a + e^b)."""
    return a.logaddexp(b) if is_torch(a) else np.logaddexp(a, b)


def mix(large: Decoder, small: Decoder, gate: float | str | Gate = 0.5, *, name: str = "") -> Mix:
    """A mixture of two decoders' probabilities: `gate` is the large one's share in [0, 1], or a kind of gate to fit.

    Kinds: "mean" (one half), "constant-scalar", "constant-vector", "entropy-scalar", "entropy-vector", "full-scalar",
    "full-vector". BadInput for another; CannotDo for a part that gives no logits.
    """
    return Mix(large, small, 0.5 if gate == "mean" else gate, name=name)


def fit(model: Mix, texts: Texts, gate: str = "", seed: int = 0) -> Mix:
    """The mixture with its gate fitted to texts, to (request, reply) pairs, or to a dataset's targets.

    `gate` names the kind where the model doesn't ("entropy-scalar" then). A fifth of the texts says when to stop.
    Each part reads each text once; a large vocabulary or long texts are thinned to what memory holds. Raises BadInput
    under 200 tokens.
    """
    kind = gate or (model.gate if isinstance(model.gate, str) else "")
    kind = kind or (model.gate.kind if isinstance(model.gate, Gate) else "entropy-scalar")
    if kind == "mean":
        return replace(model, gate=0.5)
    asked = Mix(model.large, model.small, kind, name=model.name)
    return replace(asked, gate=fitted(kind, cached(asked, texts, seed), seed))


def cached(model: Mix, texts: Texts, seed: int = 0) -> Cached:
    """What both parts say of the texts, as far as the model's kind of gate needs it; BadInput under 200 tokens."""
    kind = model.gate.kind if isinstance(model.gate, Gate) else str(model.gate)
    size = min(len(leaf.vocabulary.tokens) for leaf in model.leaves)
    requests, pieces, owners = _pieces(model, texts)
    order = np.random.default_rng(seed).permutation(max(owners, default=0) + 1)
    rank = np.argsort(order)[owners] if owners else np.zeros(0, np.int64)
    chosen: list[int] = []
    count, most = 0, most_places(kind, size)
    for i in np.argsort(rank, kind="stable").tolist():
        if count + len(pieces[i]) <= most:
            chosen.append(i)
            count += len(pieces[i])
    if count < FEWEST:
        raise BadInput(f"{count} tokens are too few to fit a gate to.", hint=f"Needed: {FEWEST}, better 10,000.")
    starts = np.cumsum([0, *(len(pieces[i]) for i in chosen)])
    inputs, kept, _ = per_place(kind, size)
    labels, ids = np.zeros((count, 2)), np.zeros(count, np.int64)
    seen_inputs = np.zeros((count, inputs), np.float32)
    chances = np.zeros((count, kept), np.float32)
    held = np.zeros(count, np.bool_)
    for place, i in enumerate(chosen):
        held[starts[place] : starts[place + 1]] = rank[i] % 5 == 4
    if not held.any():  # fewer than five texts
        held[-(count // 5) :] = True
    for seen in read(list(model.parts), [requests[i] for i in chosen], [pieces[i] for i in chosen]):
        large, small = (log_softmax(seen.step.of(part)) for part in model.parts)
        said = host(features(kind, large, small))
        both = np.stack([host(take(part, seen.ids)) for part in (large, small)], axis=-1)
        for row, number in enumerate(seen.rows.tolist()):
            n = int(seen.real[row].sum())
            where = slice(starts[number] + seen.start, starts[number] + seen.start + n)
            labels[where], ids[where], seen_inputs[where] = both[row, :n], seen.ids[row, :n], said[row, :n]
            if kept:
                chances[where] = np.concatenate([host(exp(part[row, :n])) for part in (large, small)], axis=-1)
    return Cached(np.maximum(labels, -80), ids, seen_inputs, chances, held)


def _pieces(model: Mix, texts: Texts) -> tuple[list[Request], list[list[int]], list[int]]:
    """Requests, the ids that follow, and the number of the text of each."""
    if isinstance(texts, Dataset):
        rows: list[Any] = [(e.request, e.target) for e in texts if e.target is not None]
    else:
        rows = list(texts)
    if rows and isinstance(rows[0], str):
        pieces, owners = windows([model], rows)
        return [Request.of("")] * len(pieces), pieces, owners
    vocabulary = model.base.vocabulary
    ends = sorted(vocabulary.ends)[:1]
    ids = [[*vocabulary.encode(reply), *ends] for _, reply in rows]
    return [Request.of(request) for request, _ in rows], ids, list(range(len(rows)))
