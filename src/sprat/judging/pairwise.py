"""A model says which of two replies is better, asked in both orders; what flips with the order is a tie.

MT-bench's pairwise comparison with swapped positions (arXiv 2306.05685); several draws at a temperature above 0 and
their majority, as in self-consistency (arXiv 2203.11171). What it is asked is in signals/verdicts.py. Checked by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core import Model, Request
from ..errors import BadInput
from ..shape import name_of
from ..signals.verdicts import CRITERION, Verdict, pair_requests, pair_verdict

Tell = Callable[[str, int, int], None]
_AT_ONCE = 128  # pairs of one batch, so that progress can be told


class ComparesPairs(Protocol):
    """Whatever says which of two replies is better: a model asked twice, a small judge, the longer one."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def many(self, pairs: Sequence[tuple[Request, str, str]], tell: Tell | None = None) -> list[Verdict]:
        """A verdict for each (request, reply a, reply b)."""
        ...


@dataclass(frozen=True)
class PairwiseJudge:
    """Compares by asking a model in both orders, `draws` times each; one draw is at temperature 0."""

    model: Model
    criterion: str = CRITERION
    draws: int = 1
    temperature: float = 0.7

    @property
    def name(self) -> str:
        """Names the judging model."""
        return f"judge {name_of(self.model)}"

    def __call__(self, asked: Request | str, a: str, b: str) -> Verdict:
        """Which of two replies to a request is better."""
        return self.many([(Request.of(asked), a, b)])[0]

    def many(self, pairs: Sequence[tuple[Request, str, str]], tell: Tell | None = None) -> list[Verdict]:
        """A verdict for each (request, reply a, reply b); equal replies tie, and are not asked about."""
        made: list[Verdict] = []
        for start in range(0, len(pairs), _AT_ONCE):
            made += self._some(pairs[start : start + _AT_ONCE])
            if tell is not None:
                tell(self.name, len(made), len(pairs))
        return made

    def _some(self, pairs: Sequence[tuple[Request, str, str]]) -> list[Verdict]:
        asked = [pair_requests(request, a, b, self.criterion, self.draws, self.temperature) for request, a, b in pairs]
        unique = {r.key: r for row in asked for r in row}
        told = dict(zip(unique, self.model.batch(list(unique.values())), strict=True))
        return [pair_verdict([told[r.key] for r in row]) for row in asked]


def pairwise(model: Model, criterion: str | None = None, *, draws: int = 1, temperature: float = 0.7) -> PairwiseJudge:
    """A judge of two replies by this model; BadInput for fewer than one draw, or several without a temperature."""
    if draws < 1 or (draws > 1 and temperature <= 0):
        raise BadInput(
            f"A judge needs at least one draw, and several a temperature above 0; got {draws} at {temperature:g}."
        )
    if not hasattr(model, "batch"):
        raise BadInput(f"{model!r} is not a model that can be asked.", hint="Take sprat.openai(...) or sprat.local().")
    return PairwiseJudge(model, criterion or CRITERION, draws, temperature)
