"""A model as judge: it sees question, reply and target, not who replied, and gives 0 to 10 by a rubric.

After MT-bench's single-answer grading with a reference (arXiv 2306.05685). Several draws are averaged; `weighted` is
G-Eval's score (arXiv 2303.16634): the numbers 1 to 5, each by the probability that the model gives to its token, of
those that it shows. The score is an opinion, and called so. Checked by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..core import Can, Model, Reply, Request
from ..data import Dataset, Example
from ..errors import BadInput
from ..shape import name_of, need
from ..signals.verdicts import Grade, grade_of, grade_requests, question
from ..tree import money
from .grade import each

_FAMILY = re.compile(r"^(?:.*/)?([a-z]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Judge:
    """Grades by asking a model; every distinct (question, reply) is asked once, or `draws` times at `temperature`.

    One draw is at temperature 0. `rubric` says in a sentence or more what counts, unless correctness. `weighted` reads
    the probabilities of the numbers 1 to 5 in one call. `share_unread` is the share of grades without a readable score
    that is borne before grading is refused.
    """

    model: Model
    share_unread: float = 0.1
    rubric: str | None = None
    draws: int = 1
    temperature: float = 1.0
    weighted: bool = False

    @property
    def name(self) -> str:
        """Names the judging model."""
        return f"judge {name_of(self.model)}"

    def __call__(self, asked: Request | str, reply: str, target: str | None = None) -> Grade:
        """The grade of a reply to a request."""
        return self.many([(Example("", Request.of(asked), target), reply)])[0]

    def many(
        self, rows: Sequence[tuple[Example, str]], tell: Callable[[str, int, int], None] | None = None
    ) -> list[Grade]:
        """The grades of replies to examples; equal questions are asked once."""
        how = (self.rubric, self.draws, self.temperature, self.weighted)
        asked = [grade_requests(example, reply, *how) for example, reply in rows]
        unique = list({r.key: r for row in asked for r in row}.values())
        told: dict[str, Reply] = {}
        for start in range(0, len(unique), 256):
            some = unique[start : start + 256]
            told |= dict(zip((r.key for r in some), self.model.batch(some), strict=True))
            if tell is not None:
                tell(self.name, len(told), len(unique))
        return [grade_of([told[r.key] for r in row], self.weighted) for row in asked]

    def graded(self, data: Dataset) -> Dataset:
        """The dataset with scores in [0, 1], its notes telling what judging cost; raises BadInput."""
        rows = [(e, c.reply.text) for e in data for c in e.calls if c.reply.ok and c.reply.text]
        grades = self.many(rows)
        unique = {_key(e, text): g for (e, text), g in zip(rows, grades, strict=True)}
        unread = sum(g.score is None for g in unique.values())
        if unread > self.share_unread * len(unique):
            told = (r.error or r.text or "nothing" for g in unique.values() if g.score is None for r in g.asks)
            raise BadInput(
                f"{unread:,} of {len(unique):,} verdicts of {self.name} hold no score; one says: "
                f"{next(told, '')[:120]}",
                hint="Use a model that follows the rubric's last line.",
            )

        def one(example: Example, reply: Reply) -> Reply:
            if not reply.ok:
                return replace(reply, score=None)
            return replace(reply, score=unique[_key(example, reply.text)].score if reply.text else 0.0)

        asks = [r for g in unique.values() for r in g.asks]
        spent = [r.cost for r in asks]
        cost = None if any(c is None for c in spent) else sum(c for c in spent if c is not None)
        notes = [f"Graded by {self.name} in {len(asks):,} calls, {money(cost)}, which no model's cost includes."]
        if unread:
            notes.append(f"{unread:,} verdicts held no score and left their replies without one.")
        spreads = [g.spread for g in unique.values() if g.spread is not None]
        if spreads and not self.weighted:
            notes.append(f"Its {self.draws} draws of a reply lie {sum(spreads) / len(spreads):.3f} apart on average "
                         "(standard deviation).")  # fmt: skip
        masses = [g.mass for g in unique.values() if g.mass is not None]
        if masses:
            notes.append(f"It gave the numbers 1 to 5 {sum(masses) / len(masses):.1%} of its probability on average.")
        own = [m for m in data.models if _family(m) == _family(name_of(self.model))]
        if own:
            notes.append(f"Judges prefer replies of their own family; here that may favour {', '.join(own)}.")
        quality = f"score by {self.name}, an opinion, not correctness"
        return replace(each(data, one), bounds=(0.0, 1.0), quality=quality, notes=(*data.notes, *notes))


def graded(
    model: Model,
    rubric: str | None = None,
    *,
    draws: int = 1,
    temperature: float = 1.0,
    weighted: bool = False,
) -> Judge:
    """A grading judge; BadInput for fewer than one draw, CannotDo for `weighted` without log-probabilities."""
    if draws < 1 or (draws > 1 and (temperature <= 0 or weighted)):
        raise BadInput("A judge takes at least one draw; several need a temperature above 0 and are not weighted.")
    if weighted:
        need(model, Can.LOGPROBS, "graded(weighted=True)")
    return Judge(model, rubric=rubric, draws=draws, temperature=temperature, weighted=weighted)


def _key(example: Example, reply: str | None) -> str:
    return question(example, reply or "").key


def _family(name: str) -> str:
    found = _FAMILY.match(name)
    return found[1].lower() if found else name
