"""Speculative decoding: a cheap draft writes ahead, the target reads a whole block at once and keeps what it would say.

Papers: arXiv 2211.17192 (Leviathan) and 2302.01318 (Chen); prompt lookup as in transformers. The target may be any
decoder, a composed one too. Greedy text is the plain loop's, up to ties in rounding; sampled text follows the target's
distribution. Checked by greedy identity, by chi-square tests with controls that fail (verify.py), and by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..core import Can
from ..errors import BadInput, CannotDo
from ..shape import need
from ..whitebox.decoder import Decoder, Leaf, WayOfWriting
from ..whitebox.loop import Job, Written, plain
from ..whitebox.vocabulary import common_size
from .acceptance import Counts, accept
from .pace import Pace, warn
from .rounds import written


@dataclass(frozen=True, repr=False)
class Speculate(WayOfWriting):
    """The target's text, drafted `length` tokens at a time; without a length it adapts, and stops where it loses."""

    target: Any
    draft: Any
    length: int | None = None
    name: str = field(default="", kw_only=True)
    pace: Pace = field(
        default_factory=Pace, kw_only=True, repr=False, compare=False, metadata={"stored": False}
    )  # what calls have found out about speed
    use = "speculate"

    def __post_init__(self) -> None:
        need(self.target, Can.LOGITS, "speculate")
        if not self.target.token_by_token:
            raise CannotDo(
                f"'{self.target.formula}' writes in a way of its own, which drafts would bypass.",
                hint="Speculate on what it writes with.",
            )
        if not isinstance(self.draft, Decoder) and not hasattr(self.draft, "begin"):
            raise CannotDo(
                f"speculate can't draft with {self.draft!r}.",
                hint="Give a decoder (sprat.local(...)), or sprat.lookup().",
            )
        if self.length is not None and self.length < 1:
            raise BadInput(f"length is {self.length}.", hint="Needed: at least 1, or None for one that adapts.")

    @property
    def written_with(self) -> Decoder:
        """The target: the draft has no say in the scores."""
        return self.target

    @property
    def paid(self) -> tuple[Leaf, ...]:
        """The leaves that work for a reply: the target's, then the draft's own."""
        drafts: tuple[Leaf, ...] = self.draft.leaves if isinstance(self.draft, Decoder) else ()
        return (*self.leaves, *(leaf for leaf in drafts if leaf not in self.leaves))

    @property
    def drafts_model(self) -> bool:
        """Whether the draft is a decoder."""
        return isinstance(self.draft, Decoder)

    @property
    def formula(self) -> str:
        """Such as `speculate(big, draft=small)`."""
        return f"{self.use}({self.target.formula}, draft={self.draft.formula})"

    @cached_property
    def kinship(self) -> str:
        """Whether the draft can write in the target's pool ("shared"), in one "apart", or only by "text"."""
        size = common_size(self.leaves)
        try:
            both = common_size(self.paid)
        except CannotDo:
            return "text"
        return "shared" if both == size else "apart"

    def write(self, jobs: Sequence[Job]) -> Iterator[Written]:
        """Rows one after another; without a length, several rows are decoded plainly in a batch, which gains more.

        Leaves `speculative_decoding` and `fed` in `job.told`.
        """
        self._warn_once()
        if self.length is None and len(jobs) > 1:
            for job in jobs:
                job.told["speculative_decoding"] = {**Counts().told(), "off": "a batch is decoded plainly"}
            yield from plain(self.target, jobs)
            return
        yield from written(self, jobs, accept)

    def _warn_once(self) -> None:
        """Say at the first use of a fixed length that the draft is as large as its target; without one, time tells."""
        if self.length is None or self.pace.warned or not isinstance(self.draft, Decoder):
            return
        self.pace.warned = True
        drafts, targets = ([leaf.parameters for leaf in of.leaves] for of in (self.draft, self.target))
        ours, theirs = sum(n or 0 for n in drafts), sum(n or 0 for n in targets)
        if None in drafts or None in targets or ours < theirs:
            return
        most = (self.length + 1) / (self.length * ours / theirs + 1)
        warn(
            f"The draft {self.draft.formula} has {ours:,} parameters, its target {theirs:,}: even if every token "
            f"stood, at most {most:.2f} times the plain speed is predicted (length {self.length}). "
            "A smaller draft is needed."
        )


def speculate(target: Any, draft: Any, length: int | None = None, *, name: str = "") -> Speculate:
    """The target's own text, sooner: `draft` (a decoder, or lookup()) writes ahead, the target checks it in blocks.

    `length` tokens are drafted at a time; None adapts to what is measured while writing, and stops drafting where it
    loses. With a length, equal seeds give equal sampled texts; without one the clock has a say in how the random
    numbers are used (never in their distribution). A draft of another vocabulary is translated. A reply's
    `decoded.told["speculative_decoding"]` has the acceptance. CannotDo for what gives no logits.
    """
    return Speculate(target, draft, length, name=name)
