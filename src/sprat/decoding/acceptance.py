"""The accept rule of speculative decoding (arXiv 2211.17192, 2302.01318), and its statistics as vLLM names them.

A drafted token x ~ q stands with probability min(1, p(x) / q(x)); the first that falls is drawn anew from
norm(max(0, p - q)), and when all stand, one more comes from p. The text then follows p exactly. Checked by hand, and by
chi-square tests with controls that fail (verify.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..whitebox.arrays import host, is_torch, join, like, take
from ..whitebox.sampling import draw


class Uniforms:
    """A generator's uniform numbers in their order; they may be looked at before they are used."""

    def __init__(self, draws: np.random.Generator) -> None:
        self.draws = draws
        self.ahead: list[float] = []

    def look(self, n: int) -> list[float]:
        """The next n numbers, which stay the next ones."""
        if n > len(self.ahead):
            self.ahead += self.draws.random(n - len(self.ahead)).tolist()
        return self.ahead[:n]

    def use(self, n: int) -> list[float]:
        """The next n numbers."""
        taken = self.look(n)
        del self.ahead[:n]
        return taken


Rule = Callable[[Any, "list[Any] | None", Sequence[int], Uniforms], "tuple[int, int]"]


def accept(p: Any, q: list[Any] | None, drafted: Sequence[int], uniforms: Uniforms) -> tuple[int, int]:
    """How many of the k drafted tokens stand, and the token that is written after them.

    p (k + 1, vocabulary) are the target's chances at each place, q the draft's (vocabulary,) at each drafted one, both
    after temperature and cuts. Without q the target draws its own tokens, one uniform number each, and compares: the
    text is then the very text of the plain loop.
    """
    k = len(drafted)
    if q is None or not k:
        own = draw(p, uniforms.look(k + 1)).tolist()
        stand = agreeing(own, drafted)
        uniforms.use(stand + 1)
        return stand, own[stand]
    mine = host(take(p[:k], drafted)).tolist()
    theirs = host(take(join([chances[None, None] for chances in q])[0], drafted)).tolist()
    tests = uniforms.use(k)
    stand = next((i for i in range(k) if tests[i] * theirs[i] >= mine[i]), k)
    left = p[k] if stand == k else residual(p[stand], q[stand])
    return stand, int(draw(left[None], uniforms.use(1))[0])


def residual(p: Any, q: Any) -> Any:
    """max(0, p - q), not normalised; p itself where rounding leaves nothing."""
    if is_torch(p) != is_torch(q) or (is_torch(p) and p.device != q.device):
        q = like(host(q), p)
    left = (p - q).clip(0)
    return left if float(left.sum()) > 0 else p


def agreeing(own: Sequence[int], drafted: Sequence[int]) -> int:
    """How many tokens agree before the first that does not."""
    return next((i for i, token in enumerate(drafted) if own[i] != token), len(drafted))


def padded(row: Any, width: int) -> Any:
    """Chances (vocabulary,) at another width: what is missing has none, what is too much is given up."""
    n = row.shape[-1]
    if n == width:
        return row
    if n > width:
        return row[..., :width] / row[..., :width].sum()
    zeros = like(np.zeros(width, host(row[:1]).dtype), row)
    zeros[:n] = row if not is_torch(row) else row.to(zeros.dtype)
    return zeros


class Counts:
    """What was drafted and what stood, per place in the draft."""

    def __init__(self) -> None:
        self.drafts = 0
        self.proposed: list[int] = []
        self.tested: list[int] = []
        self.stood: list[int] = []

    def add(self, proposed: int, stood: int) -> None:
        """One draft: a token is tested when all before it stood."""
        if not proposed:
            return
        self.drafts += 1
        for name, n in (("proposed", proposed), ("tested", min(proposed, stood + 1)), ("stood", stood)):
            counts: list[int] = getattr(self, name)
            counts += [0] * (proposed - len(counts))
            for place in range(n):
                counts[place] += 1

    def told(self) -> dict[str, Any]:
        """The numbers under vLLM's names; `acceptance_per_position` is among the drafts that reached so far.

        `alpha` is Leviathan's: the share that stood of the tokens that were tested.
        """
        drafted, stood = sum(self.proposed), sum(self.stood)
        return {
            "mean_acceptance_length": 1 + stood / self.drafts if self.drafts else 1.0,
            "draft_acceptance_rate": stood / drafted if drafted else None,
            "acceptance_per_position": [s / n for s, n in zip(self.stood, self.proposed, strict=True)],
            "num_drafts": self.drafts,
            "num_draft_tokens": drafted,
            "num_accepted_tokens": stood,
            "alpha": stood / sum(self.tested) if drafted else None,
        }
