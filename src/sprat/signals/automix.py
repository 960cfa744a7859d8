"""AutoMix: the small model checks its own answer against the context, and a meta-verifier reads how often it agrees.

Few-shot self-verification, k draws, v = the share of "Correct"; then either v itself (a threshold on it), or the
single-step POMDP of the paper (arXiv 2310.12963), which may keep an answer of low v: where both models fail, asking the
large one is money lost. Checked against beliefs computed by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core import Model, Reply, Request, Signal, ask, content_text, together
from ..data import Lessons
from ..errors import BadInput
from ..shape import Asks
from .learning import judged, observe, unfitted

Floats = NDArray[np.float64]
Meta = Literal["threshold", "pomdp"]

_TASK = "Is the generated answer right, going by the context and the question? Give reasons, then decide."
_SHOTS = (
    ("The ferry to Lunna leaves at 7:40 and 16:15; on Sundays only the later one runs.", "When does the Sunday ferry "
     "to Lunna leave?", "16:15", "On Sundays only the later ferry runs, and that one leaves at 16:15.", "Correct"),
    ("Bracken Mill was built in 1832 by Ada Holt and burned down in 1871.", "Who built Bracken Mill?", "Thomas Reed",
     "The context names Ada Holt as the builder; Thomas Reed does not appear.", "Incorrect"),
    ("Each crate holds 24 jars. The shop ordered three crates and returned one.", "How many jars did the shop keep?",
     "72", "Two crates were kept, which is 48 jars; 72 is the number that was ordered.", "Incorrect"),
)  # fmt: skip
_DECISION = re.compile(r"answer is\W{0,3}\s*(in)?correct", re.IGNORECASE)


def context_of(request: Request) -> tuple[str, str]:
    """Context and question: the earlier messages and the last; where there is one alone, what its last blank line
    divides."""
    last = max((i for i, m in enumerate(request.messages) if m.get("role") == "user"), default=0)
    before = "\n".join(t for m in request.messages[:last] if (t := content_text(m.get("content"))))
    if before:
        return before, request.text
    context, _, question = request.text.strip().rpartition("\n\n")
    return context.strip(), question.strip()


def check_prompt(context: str, question: str, answer: str) -> str:
    """The few-shot prompt that asks whether the answer follows."""

    def shown(context: str, question: str, answer: str) -> str:
        given = f"Context: {context}\n\n" if context else ""
        return f"{given}Question: {question}\n\nAI Generated Answer: {answer}\n\nInstruction: {_TASK}\n\nEvaluation:"

    shots = [f"{shown(*s[:3])} {s[3]}\n\nVerification Decision: The AI generated answer is {s[4]}." for s in _SHOTS]
    return "\n\n---\n\n".join([*shots, shown(context, question, answer.strip())])


def share_correct(checks: list[Reply]) -> float:
    """The share of "correct" among all checks; one that does not decide says nothing for the reply."""
    found = [marks[-1] for r in checks if r.ok and (marks := _DECISION.findall(r.text or ""))]
    return sum(not wrong for wrong in found) / max(1, len(checks))


@dataclass(frozen=True, repr=False, eq=False)
class AutoMix(Signal):
    """`k` checks by `model` at `temperature`; `weight` is quality points per dollar, for the POMDP.

    Learned: `worth` (4, 2), the two models' mean scores in the states neither, large, small or both right; `prior`
    (4,) of the states; `seen` (4, k + 1), how likely each confidence 0/k ... k/k is in a state; `dollars`, the large
    model's mean cost.
    """

    model: Any
    k: int = 8
    temperature: float = 1.0
    meta: Meta = "threshold"
    weight: float = 0.0
    parts: Callable[[Request], tuple[str, str]] = context_of
    worth: Floats | None = field(default=None, repr=False)
    prior: Floats | None = field(default=None, repr=False)
    seen: Floats | None = field(default=None, repr=False)
    dollars: float = 0.0
    use = "automix"
    reads_reply = True

    async def confidence(self, request: Request, reply: Reply) -> float:
        """v in [0, 1], from k live checks by the model."""
        prompt = check_prompt(*self.parts(request), reply.text or "")
        check = Request(({"role": "user", "content": prompt},), thread="", group=request.group)
        drawn = [check.drawn(i, temperature=self.temperature) for i in range(self.k)]
        return share_correct(await together([ask(self.model, d, "self-verification") for d in drawn]))

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """v; for the POMDP (1 + the value of reporting - that of escalating) / 2, so at_least=0.5 is its rule."""
        if reply is None or (self.meta == "pomdp" and self.worth is None):
            raise unfitted(self.use)
        v = await self.confidence(request, reply)
        if self.meta == "threshold" or self.worth is None:
            return v
        small, large = self.belief(v) @ self.worth
        return float(np.clip((1 + small - large + self.weight * self.dollars) / 2, 0.0, 1.0))

    def asks(self) -> list[Asks]:
        """The model `k` times about the reply; no limit is set on what it writes, so as if it were 4,096 tokens."""
        return [Asks(self.model, self.k, replies=1, prompt=len(check_prompt("", "", "").encode()), longest=4096)]

    def belief(self, v: float) -> Floats:
        """How likely each state is (4,) when the confidence is v."""
        if self.seen is None or self.prior is None:
            raise unfitted(self.use)
        joint = self.prior * self.seen[:, round(v * self.k)]
        return joint / joint.sum()

    def fit(self, lessons: Lessons) -> AutoMix:
        """Learn the POMDP from the first and the last model; its checks are answered by the recording or made live.

        The threshold has nothing to learn. Raises BadInput where costs are weighed and not known.
        """
        if self.meta == "threshold":
            return self
        requests, replies, _, rows = judged(self.use, lessons, "gain")
        asked = [self.confidence(q, r) for q, r in zip(requests, replies, strict=True)]
        v = np.array(observe(asked, lessons), np.float64)
        scores = lessons.scores[rows][:, [0, -1]]
        state: NDArray[np.int64] = (scores >= 0.5).astype(np.int64) @ np.array([2, 1])
        worth = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
        for s in np.unique(state):
            worth[s] = scores[state == s].mean(axis=0)
        dollars = float(lessons.costs[rows, -1].mean()) if self.weight else 0.0
        if not np.isfinite(dollars):
            raise BadInput("automix weighs costs, and the large model's are not known on every row.",
                           hint="Give its price, or weight=0.")  # fmt: skip
        prior = (np.bincount(state, minlength=4) + 0.5) / (len(state) + 2)
        return replace(self, worth=worth, prior=prior, seen=densities(v, state, self.k), dollars=dollars)


def densities(v: Floats, state: NDArray[np.int64], k: int) -> Floats:
    """A Gaussian kernel estimate, for each state, of the confidences i / k: rows (4, k + 1) that sum to 1.

    Bandwidth by Scott's rule, at least a quarter of a step; a state that was not seen is flat.
    """
    grid, found = np.arange(k + 1) / k, np.full((4, k + 1), 1 / (k + 1))
    for s in np.unique(state):
        own = v[state == s]
        wide = max(0.25 / k, float(own.std()) * len(own) ** -0.2)
        kernel = np.exp(-0.5 * ((grid[:, None] - own) / wide) ** 2).sum(axis=1)
        # What was never seen in a state is not impossible in it: half a row is spread evenly.
        found[s] = (len(own) * kernel / kernel.sum() + 0.5 / (k + 1)) / (len(own) + 0.5)
    return found


def automix(
    model: Model, k: int = 8, temperature: float = 1.0, meta: Meta = "threshold", weight: float = 0.0
) -> AutoMix:
    """AutoMix with the small model as its own verifier; raises BadInput for k < 1 or an unknown meta-verifier."""
    if k < 1 or meta not in ("threshold", "pomdp"):
        raise BadInput(f"automix takes k of at least 1, and threshold or pomdp; got {k} and {meta!r}.")
    return AutoMix(model, k, temperature, meta, weight)
