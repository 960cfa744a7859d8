"""Trust a reply whose first words another model writes too, or that settles on the same short answer.

Agreement-based cascading (arXiv 2407.02348) asks for whole replies; comparing openings while both are written is
sprat's own. Checked against hand-counted words, and against its law: fed piece by piece its bounds end where the whole
replies' trust lies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..answers import final_answer, number_or_text
from ..core import Model, Piece, Reply, Request, Signal, ask
from ..errors import BadInput, CannotDo
from .running import Running

Same = Callable[[Reply], str]


@dataclass(frozen=True, repr=False)
class OpeningAgreement(Signal):
    """The share of the first `words` words, from the start, that both say; 1 where both end within and answer alike."""

    model: Any
    words: int = 12
    same: Same = final_answer
    use = "opening_agreement"
    reads_reply = True

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The share, in [0, 1]; asks the other model. Raises CannotDo where there is no reply."""
        if reply is None:
            raise CannotDo("opening_agreement compares a reply with another; it was given none.")
        other: Reply = await ask(self.model, request, "a second opinion")
        return self.agree(reply.text or "", other.text or "")

    def agree(self, one: str, other: str) -> float:
        """How far two whole replies agree."""
        read = [_words(text) for text in (one, other)]
        if all(len(found) <= self.words for found in read):
            answers = {self.same(Reply(text)) for text in (one, other)}
            if len(answers) == 1 and "" not in answers:
                return 1.0
        a, b = (found[: self.words] for found in read)
        return _shared(a, b) / max(len(a), len(b), 1)

    def running(self, request: Request) -> Running:
        """The same while both are written."""
        return _Both(self)


def _words(text: str) -> list[str]:
    """The words, numbers in one form, without case and the marks around them."""
    return [number_or_text(w.strip(".,;:!?*\"'()[]`")) for w in text.split()]


def _shared(a: list[str], b: list[str]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


class _Both:
    """Two replies as they are written. A word counts once it is whole: something follows it, or the reply has ended."""

    def __init__(self, rule: OpeningAgreement) -> None:
        self.rule, self.beside = rule, (rule.model,)
        self.texts, self.ended = ["", ""], [False, False]

    def take(self, which: int, piece: Piece | None) -> None:
        self.ended[which] = self.ended[which] or piece is None
        self.texts[which] += piece.text if piece is not None else ""

    def _begun(self, which: int) -> int:
        return len(self.texts[which].split())

    def _whole(self, which: int) -> list[str]:
        text, open_ = self.texts[which], not self.ended[which]
        found = _words(text)
        return (found[:-1] if open_ and text and not text[-1].isspace() else found)[: self.rule.words]

    def _over(self, which: int) -> bool:
        """Whether it has more words than are read, so that it can't end within."""
        return self._begun(which) > self.rule.words

    def wants(self) -> int:
        """The one that is behind, of those that have not shown all that counts."""
        left = [i for i in (0, 1) if not (self.ended[i] or self._over(i))]
        return min(left, key=self._begun, default=0)

    def within(self) -> tuple[float, float]:
        n = self.rule.words
        done = [self.ended[i] or self._over(i) for i in (0, 1)]
        if all(done):
            if not any(self._over(i) for i in (0, 1)):
                value = self.rule.agree(*self.texts)
            else:
                a, b = self._whole(0), self._whole(1)
                value = _shared(a, b) / max(len(a), len(b), 1)
            return value, value
        a, b = self._whole(0), self._whole(1)
        most = [min(self._begun(i), n) if self.ended[i] else n for i in (0, 1)]  # words that each can come to
        shared = _shared(a, b)
        low = shared / max(most)
        if not any(self._over(i) for i in (0, 1)):
            return low, 1.0  # both may yet end, and answer alike
        best = shared if shared < min(len(a), len(b)) else min(most)
        longest = max(min(self._begun(i), n) for i in (0, 1))
        return low, best / max(longest, best, 1)


def opening_agreement(model: Model, words: int = 12, same: Same = final_answer) -> OpeningAgreement:
    """Agreement with another model's opening words; raises BadInput for words < 1."""
    if words < 1:
        raise BadInput("opening_agreement needs at least one word.")
    return OpeningAgreement(model, words, same)
