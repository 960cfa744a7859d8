"""Verbalised confidence: ask the model, after its reply, for the probability that the reply is right.

"Just ask for calibration", arXiv 2305.14975, two stages, one guess. Such numbers are rough and often too high: put
`calibrated` around it. Checked on hand cases.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core import Model, Reply, Request, Signal, ask
from ..errors import CannotDo
from ..shape import Asks

PROMPT = (
    "Provide the probability that your answer is correct. Give ONLY the probability (0.0 to 1.0), no other words or "
    "explanation."
)
# A minus that no word or number stands before is a sign.
_NUMBER = re.compile(
    r"(?<![\d.,])(?<!(?<!\w)[-−])(\d+(?:[.,]\d+)?|[.,]\d+)\s*(%|percent|(?:/|out of)\s*(\d+)\b)?", re.IGNORECASE
)


def probability(text: str) -> float | None:
    """The probability that a text names first: "0.8", "0,8", "80%", "8/10", "3 out of 4"; None where there is none."""
    for number, unit, whole in _NUMBER.findall(text):
        value = float(number.replace(",", "."))
        by = float(whole) if whole else 100.0 if unit or 1 < value <= 100 else 1.0
        if by and value / by <= 1:
            return value / by
    return None


@dataclass(frozen=True, repr=False)
class Verbalized(Signal):
    """`model` says how likely the reply is right; one that says no number is not trusted (`unread`)."""

    model: Any
    unread: float = 0.0
    use = "verbalized"
    reads_reply = True
    level: ClassVar[str] = "answer"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The probability that it says, in [0, 1]."""
        if reply is None:
            raise CannotDo("verbalized asks about a reply; it was given none.", hint="Use it in a cascade.")
        said = {"role": "assistant", "content": reply.text or ""}
        messages = (*request.messages, said, {"role": "user", "content": PROMPT})
        asked = Request(messages, {"temperature": 0, "max_tokens": 16}, thread="", group=request.group)
        found = probability((await ask(self.model, asked, "verbalised confidence")).text or "")
        return self.unread if found is None else found

    def asks(self) -> list[Asks]:
        """The model once, about the reply."""
        return [Asks(self.model, replies=1, prompt=len(PROMPT) + 100, longest=16)]


def verbalized(model: Model, unread: float = 0.0) -> Verbalized:
    """Verbalised confidence by a model, most simply the one that replied."""
    return Verbalized(model, unread)
