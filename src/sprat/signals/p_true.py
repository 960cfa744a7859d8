"""p(True): show a model the question, some brainstormed answers and one of them, and ask whether that one is true.

Kadavath et al., arXiv 2207.05221, with the prompt of Farquhar et al. (Nature 2024), without worked examples. The trust
is p(A) by p(A) + p(B), or by draws where a model gives text alone. Checked by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Any, ClassVar

from ..core import Can, Model, Reply, Request, Signal, ask, together
from ..errors import BadInput, CannotDo
from ..shape import Asks
from .agreement import opinions


def prompt(question: str, answer: str, brainstormed: list[str]) -> str:
    """What the model is asked."""
    ideas = "\n".join(" ".join(t.split()) for t in [*brainstormed, answer])
    return (
        f"Question: {question}\nBrainstormed Answers: {ideas}\nPossible answer: {answer.strip()}\n"
        "Is the possible answer:\nA) True\nB) False\nThe possible answer is:"
    )


def letter(text: str) -> str:
    """A or B, or "" where the text begins with neither."""
    told = text.strip().lstrip("(").upper()
    if told[:1] in ("A", "B") and not told[1:2].isalpha():
        return told[0]
    return "A" if told.startswith("TRUE") else "B" if told.startswith("FALSE") else ""


def chance(reply: Reply) -> float | None:
    """p(A) by p(A) + p(B) at the first token, from what the reply shows of it; None where it shows neither."""
    top = reply.top_logprobs[0] if reply.top_logprobs else {}
    if not top and reply.tokens and reply.logprobs:
        top = {reply.tokens[0]: reply.logprobs[0]}
    mass = {"A": 0.0, "B": 0.0}
    for token, logprob in top.items():
        if found := letter(token):
            mass[found] += exp(logprob)
    total = mass["A"] + mass["B"]
    if not total:
        return None
    # One letter alone was shown: all else counts as the other.
    return mass["A"] / total if min(mass.values()) > 0 else (mass["A"] if mass["A"] else 1 - mass["B"])


@dataclass(frozen=True, repr=False)
class PTrue(Signal):
    """`model` judges; `ideas` draws of it are brainstormed answers; `draws` verdicts where it gives text alone."""

    model: Any
    ideas: int = 0
    draws: int = 5
    temperature: float = 1.0
    use = "p_true"
    reads_reply = True
    level: ClassVar[str] = "answer"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """p(True) in [0, 1]; 0 where no verdict can be read: what is unknown is not trusted."""
        if reply is None:
            raise CannotDo("p_true judges a reply; it was given none.", hint="Use it in a cascade.")
        heard = await opinions((self.model,), request, self.ideas, self.temperature) if self.ideas else []
        text = prompt(request.text, reply.text or "", [r.text or "" for r in heard if r.ok])
        options = {"max_tokens": 2, "temperature": 0}
        asked = Request(({"role": "user", "content": text},), options, thread="", group=request.group)
        if getattr(self.model, "can", Can.TEXT) >= Can.LOGPROBS:
            one = await ask(self.model, Request.of(asked, logprobs=True, top_logprobs=20), "p(True)")
            found = chance(one)
            return 0.0 if found is None else found
        draws = [asked.drawn(i, temperature=self.temperature) for i in range(self.draws)]
        told = await together([ask(self.model, d, "p(True)") for d in draws])
        known = [v for r in told if r.ok and (v := letter(r.text or ""))]
        return sum(v == "A" for v in known) / len(known) if known else 0.0

    def asks(self) -> list[Asks]:
        """The model, for its ideas and for its verdicts."""
        verdicts = 1 if getattr(self.model, "can", Can.TEXT) >= Can.LOGPROBS else self.draws
        # The reply that is judged is shown twice.
        judged = Asks(self.model, verdicts, replies=2 + self.ideas, prompt=len(prompt("", "", [])), longest=2)
        return [Asks(self.model, self.ideas), judged] if self.ideas else [judged]


def p_true(model: Model, ideas: int = 0, draws: int = 5, temperature: float = 1.0) -> PTrue:
    """p(True) by a model; BadInput for ideas below 0 or fewer than one draw."""
    if ideas < 0 or draws < 1:
        raise BadInput(f"p_true takes ideas of at least 0 and draws of at least 1; got {ideas} and {draws}.")
    return PTrue(model, ideas, draws, temperature)
