"""The rungs of a ladder of checks that ask something: an inference model, a checker, or a language model.

Inference sentence by sentence as SummaC's zero shot (arXiv 2111.09525), and FActScore's question (arXiv 2305.14251).
The numbers are read by a head that the ladder fits (check_ladder.py). Checked by hand; measured in
benchmarks/summedits.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from ..core import Can, Request, ask, together
from ..errors import BadInput
from ..sentences import sentences
from ..shape import leaves
from ..words import stem
from .answers import Look, Meaning
from .checks import Check, Floats, Looking, Spent, here
from .corpus import Passage
from .facts import content_words
from .support import Claim, chance, prompt
from .surface import Alignment, Unigram


@dataclass(frozen=True)
class Inference:
    """What `nli` says of each sentence of the claim, given the sentences of the document that are most like it.

    SummaC's zero shot reads all sentences of the document; here the `nearest` by shared stems, alone and with the next
    one, so that a long document does not cost more (None: all of them).
    """

    nli: Any
    nearest: int | None = 4
    name: ClassVar[str] = "nli"
    names: ClassVar[tuple[str, ...]] = (
        "entailed, worst", "entailed, mean", "contradicted, worst", "contradicted, mean", "entailed less contradicted",
    )  # fmt: skip

    async def read(self, checks: Sequence[Check]) -> tuple[Floats, list[Spent]]:
        """The numbers; costs a pair for every sentence of the claim and premise."""
        return await ask(here(self), Looking(tuple(checks)))

    def features(self, checks: Sequence[Check]) -> Floats:
        """The numbers (n, 5); as nothing entailed where the document is empty."""
        jobs = [
            [[(p, s) for p in self._near(s, _premises(c.document))] for s in sentences(c.claim) or [c.claim]]
            for c in checks
        ]
        pairs = list(dict.fromkeys(pair for job in jobs for column in job for pair in column))
        told = np.asarray(self.nli.probabilities(pairs), np.float64).reshape(-1, 3) if pairs else np.zeros((0, 3))
        known = dict(zip(pairs, told, strict=True))
        rows = [_by_pairs([np.array([known[p] for p in column]) for column in job]) for job in jobs]
        return np.array(rows).reshape(-1, len(self.names))

    def _near(self, sentence: str, held: Sequence[str]) -> Sequence[str]:
        if self.nearest is None or len(held) <= self.nearest:
            return held
        said = {stem(m[0], light=True) for m in content_words(sentence)}
        order = sorted(range(len(held)), key=lambda i: (-len(said & _stems(held[i])), i))
        return [held[i] for i in sorted(order[: self.nearest])]


@lru_cache(maxsize=1 << 14)
def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(m[0], light=True) for m in content_words(text))


@lru_cache(maxsize=256)
def _premises(document: str) -> tuple[str, ...]:
    """The document's sentences, and each with the next one: what is said is often said in two."""
    each = sentences(document)
    return (*each, *(f"{a} {b}" for a, b in pairwise(each)))


def _by_pairs(columns: Sequence[Floats]) -> list[float]:
    """Of each sentence's probabilities (m, 3), m may be 0."""
    entailed = [float(c[:, 0].max()) if len(c) else 0.0 for c in columns]
    # Sentences about something else contradict most things: what counts is the least contradiction by any.
    against = [float(c[:, 2].min()) if len(c) else 0.0 for c in columns]
    gap = min(e - c for e, c in zip(entailed, against, strict=True))
    return [min(entailed), float(np.mean(entailed)), max(against), float(np.mean(against)), gap]


@dataclass(frozen=True)
class Checking:
    """What a checker of sprat.nli says (SummaC, AlignScore's or MiniCheck's way): the text's support, and the least."""

    checker: Any
    names: ClassVar[tuple[str, ...]] = ("support", "support of the worst sentence")

    @property
    def name(self) -> str:
        """The checker's own name."""
        return str(self.checker.name)

    async def read(self, checks: Sequence[Check]) -> tuple[Floats, list[Spent]]:
        """The numbers; costs what the checker's model does."""
        return await ask(here(self), Looking(tuple(checks)))

    def features(self, checks: Sequence[Check]) -> Floats:
        """The numbers (n, 2); 0 where the checker has no answer."""
        found = self.checker.check([(c.document, c.claim) for c in checks])
        rows = [[f.support, min((s.support for s in f.sentences), default=0.0)] for f in found]
        return np.nan_to_num(np.array(rows, np.float64).reshape(-1, 2))


@dataclass(frozen=True)
class Asked:
    """A model asked "True or False?", small or large: the chance of True, from its probabilities or from its words."""

    model: Any
    names: ClassVar[tuple[str, ...]] = ("says true",)

    @property
    def name(self) -> str:
        """The model's own name."""
        return str(getattr(self.model, "name", "") or getattr(self.model, "use", "model"))

    async def read(self, checks: Sequence[Check]) -> tuple[Floats, list[Spent]]:
        """The chance of True (n, 1), one half where it failed to answer; dollars as the model's replies say."""
        told = getattr(self.model, "can", Can.TEXT) >= Can.LOGPROBS
        options = {"temperature": 0, "max_tokens": 16} | ({"logprobs": True, "top_logprobs": 20} if told else {})
        texts = [prompt(Claim(c.claim, (Passage(c.document),) if c.document else ())) for c in checks]
        asked = [Request(({"role": "user", "content": t},), options, thread="") for t in texts]
        heard = await together([ask(self.model, q, "true or false") for q in asked]) if asked else []
        rows = np.array([[chance(r) if r.ok else 0.5] for r in heard]).reshape(-1, 1)
        return rows, [Spent(r.cost, 0.0) for r in heard]


def priced(model: Any) -> bool:
    """Whether every endpoint inside a model says what a call costs, by its price or a fixed cost."""
    return all(getattr(leaf, "price", None) or getattr(leaf, "cost", None) is not None for leaf in leaves(model))


def rung(word: Any) -> Any:
    """A rung by its word (unigram, alignment, nli, look, meaning), a rung as it is, or a model to be asked."""
    if isinstance(word, str):
        made: dict[str, Any] = {"unigram": Unigram, "alignment": Alignment, "look": Look, "meaning": Meaning}
        if word in made:
            return made[word]()
        if word == "nli":
            from ..nli import small

            return Inference(small())
        raise BadInput(f"There is no rung '{word}'.", hint="Give unigram, alignment, nli, look, meaning, or a model.")
    if hasattr(word, "read") and hasattr(word, "names"):
        return word
    if hasattr(word, "probabilities"):
        return Inference(word)
    if hasattr(word, "check"):
        return Checking(word)
    return Asked(word)
