"""Gives recorded replies a score: as recorded, by comparing with the target, by a judge, or by agreement with a model.

`choose` says which grader fits the data, and why. Graders: GRADERS. Checked on hand cases, GSM8K and MMLU-Pro.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..answers import final_answer
from ..core import Reply
from ..data import Dataset, Example
from ..errors import BadInput, nearest
from .choice import letter, same_choice
from .exact import exact, normalised, token_f1
from .number import final_number, same_number

Score = Callable[[Example, str], float]


class Grader(Protocol):
    """Whatever gives the replies of a dataset their scores."""

    @property
    def name(self) -> str:
        """What the report calls it."""
        ...

    def graded(self, data: Dataset) -> Dataset:
        """The dataset with `reply.score` set; notes say what was done."""
        ...


@dataclass(frozen=True)
class Recorded:
    """Scores as they stand in the data; raises BadInput where there are none."""

    name: str = "recorded"

    def graded(self, data: Dataset) -> Dataset:
        """The data as they are, with a note on replies without a score."""
        calls = [c.reply for e in data for c in e.calls]
        missing = sum(r.score is None for r in calls)
        if missing == len(calls):
            raise BadInput("These data hold no scores.", hint="Grade them: --grade exact, number, choice, agreement.")
        return _noted(data, f"{missing:,} of {len(calls):,} replies have no recorded score." if missing else "")


@dataclass(frozen=True)
class ByText:
    """Scores in [0, 1] from a reply's text and its example; an answered call without text counts as wrong.

    `against` says that a target is needed. Calls that failed or were cancelled get no score.
    """

    name: str
    score: Score
    against: bool = True

    def graded(self, data: Dataset) -> Dataset:
        """The dataset with every reply graded; raises BadInput where a model has no text, or no row a target."""
        if self.against and not any(e.target is not None for e in data):
            raise BadInput(f"The grader '{self.name}' compares with targets, but these data have none.",
                           hint="Name their column (--columns target=COLUMN), or --grade agreement.")  # fmt: skip
        for model in data.models:
            if not any(c.reply.text for e in data for c in e.calls if c.model == model):
                raise BadInput(f"No reply of '{model}' has a text, so it can't be graded by '{self.name}'.",
                               hint="Record replies, or use the recorded scores.")  # fmt: skip
        empty = 0

        def one(example: Example, reply: Reply) -> Reply:
            nonlocal empty
            if not reply.ok or (self.against and example.target is None):
                return replace(reply, score=None)
            empty += not reply.text
            return replace(reply, score=float(self.score(example, reply.text)) if reply.text else 0.0)

        done = each(data, one)
        untargeted = sum(e.target is None for e in data) if self.against else 0
        notes = [
            f"Graded by '{self.name}'.",
            f"{empty:,} empty replies count as wrong." if empty else "",
            f"{untargeted:,} rows without a target have no score." if untargeted else "",
        ]
        return _noted(replace(done, bounds=(0.0, 1.0), quality=self.name), *notes)


NOT_CORRECTNESS = "not correctness"  # how a quality ends that is agreement with a model


@dataclass(frozen=True)
class Agreement:
    """1 where a reply settles on what the model `large` settles on; for data that have no targets.

    Where the large model writes prose (most answers over six words), token F1 with its reply instead. This measures
    agreement and says so: a large model's errors count as right.
    """

    large: str

    @property
    def name(self) -> str:
        """Names the model agreed with."""
        return f"agreement with {self.large}"

    def graded(self, data: Dataset) -> Dataset:
        """The dataset with every reply compared with the large model's; raises BadInput where it has none."""
        data.require([self.large])
        told = [r for r in data.replies(self.large) if r is not None and r.ok]
        if not any(r.text or r.tool_calls for r in told):
            raise BadInput(f"No reply of '{self.large}' has a text to agree with.", hint="Record its replies.")
        short = sum(len(final_answer(r).split()) <= 6 for r in told) >= 0.8 * len(told)

        def one(example: Example, reply: Reply) -> Reply:
            wanted = example.reply(self.large)
            if wanted is None or not wanted.ok or not reply.ok:
                return replace(reply, score=None)
            if short or wanted.tool_calls or reply.tool_calls:
                return replace(reply, score=float(final_answer(reply) == final_answer(wanted)))
            return replace(reply, score=token_f1(reply.text or "", wanted.text or ""))

        how = "the same final answer" if short else "token F1, for its answers are prose"
        quality = f"agreement with {self.large}, {NOT_CORRECTNESS}"
        done = replace(each(data, one), bounds=(0.0, 1.0), quality=quality)
        return _noted(done, f"Quality is {quality} ({how}).")


def each(data: Dataset, one: Callable[[Example, Reply], Reply]) -> Dataset:
    """The dataset with every recorded reply changed."""
    examples = (replace(e, calls=tuple(replace(c, reply=one(e, c.reply)) for c in e.calls)) for e in data)
    return replace(data, examples=tuple(examples))


def _noted(data: Dataset, *notes: str) -> Dataset:
    return replace(data, notes=(*data.notes, *(n for n in notes if n)))


def targets(example: Example) -> list[str]:
    """Every accepted answer of an example."""
    listed = example.meta.get("targets")
    return [str(t) for t in listed] if listed else [example.target or ""]


def choices(example: Example) -> Sequence[str]:
    """The choices of a multiple-choice question, where known."""
    return [str(c) for c in example.meta.get("choices") or ()]


def _best(compare: Callable[[str, str], float]) -> Score:
    return lambda example, text: max(compare(text, target) for target in targets(example))


def matching(pattern: str) -> ByText:
    """Grader: 1 where the reply matches a regular expression; "{target}" in it stands for the target's text."""
    uses_target = "{target}" in pattern
    try:
        re.compile(pattern.replace("{target}", "x"))
    except re.error as error:
        raise BadInput(f"'{pattern}' is no regular expression: {error}.") from error

    def score(example: Example, text: str) -> float:
        told = targets(example) if uses_target else [""]
        return float(any(re.search(pattern.replace("{target}", re.escape(t)), text) for t in told))

    return ByText(f"regex {pattern}", score, uses_target)


def calling(path: str) -> ByText:
    """Grader from a function named "module:function", called with (prompt, reply, target); it gives 0 to 1."""
    module, _, name = path.partition(":")
    try:
        function: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"The grader '{path}' can't be found: {error}.", hint="Write it as module:function.") from error

    def score(example: Example, text: str) -> float:
        try:
            found = float(function(example.request.text, text, example.target))
        except Exception as error:
            raise BadInput(f"The grader '{path}' failed on row '{example.id}': {error!r}.") from error
        if not 0 <= found <= 1:
            raise BadInput(f"The grader '{path}' gave {found:g} for row '{example.id}'.", hint="It must give 0 to 1.")
        return found

    return ByText(path, score, against=False)


def _number(tolerance: str) -> ByText:
    try:
        apart = float(tolerance or 0)
    except ValueError:
        raise BadInput(f"'{tolerance}' is no tolerance.", hint="Say number:0.01, in the answers' own unit.") from None
    return ByText("number", _best(lambda reply, target: same_number(reply, target, apart)))


def _choice(_: str) -> ByText:
    return ByText("choice", lambda e, text: max(same_choice(text, t, choices(e)) for t in targets(e)))


def _bertscore(rest: str) -> Grader:
    from .bertscore import ByBertScore  # which reads this module's targets

    encoder, _, layer = rest.rpartition("@") if "@" in rest else (rest, "", "")
    if layer and not layer.isdigit():
        raise BadInput(f"'{layer}' is no layer.", hint="Write bertscore:ENCODER@5.")
    return ByBertScore("f", encoder or "static", int(layer) if layer else None)


def _lexical(name: str) -> Callable[[str], Grader]:
    def made(part: str) -> Grader:
        from .lexical import lexical

        return ByText(f"{name}:{part}" if part else name, lexical(name, part, targets))

    return made


GRADERS: dict[str, Callable[[str], Grader]] = {
    "recorded": lambda _: Recorded(),
    "exact": lambda _: ByText("exact", _best(exact)),
    "choice": _choice,
    "number": _number,
    "f1": lambda _: ByText("f1", _best(token_f1)),
    "regex": matching,
    "agreement": Agreement,
    "bertscore": _bertscore,
    **{name: _lexical(name) for name in ("bleu", "chrf", "chrf++", "rouge1", "rouge2", "rougeL")},
}


def grader(by: str) -> Grader:
    """A grader by name: "exact", "number:0.01", "regex:PATTERN", "agreement:LARGE", or "module:function".

    "bertscore" may name encoder and layer: "bertscore:ENCODER@LAYER". A judge is made from a model: see judge.py.
    Raises BadInput that names the nearest.
    """
    name, _, rest = by.partition(":")
    if name in GRADERS:
        if name in ("regex", "agreement") and not rest:
            raise BadInput(
                f"The grader '{name}' needs more.", hint=f"Write {name}:{'PATTERN' if name == 'regex' else 'MODEL'}."
            )
        return GRADERS[name](rest)
    if rest:
        return calling(by)
    raise BadInput(f"There is no grader '{by}'.", hint=nearest(by, [*GRADERS, "judge", "module:function"]))


def grade(data: Dataset, by: str | Grader) -> Dataset:
    """The dataset with every reply's score set by a grader, given by name or made; raises BadInput."""
    return (grader(by) if isinstance(by, str) else by).graded(data)


@dataclass(frozen=True)
class Chosen:
    """A grader, and why it fits."""

    by: str
    why: str


def choose(data: Dataset, large: str | None = None) -> Chosen:
    """Which grader fits: recorded scores if any; else by the targets' form; else agreement with the large model.

    `large` is the model to agree with, by default the one with the dearest recorded calls. Raises BadInput where
    nothing fits.
    """
    replies = [c.reply for e in data for c in e.calls]
    scored = sum(r.score is not None for r in replies)
    if scored:
        return Chosen("recorded", f"{scored:,} of {len(replies):,} replies have a recorded score")
    wanted = [(e, e.target) for e in data if e.target is not None]
    if wanted:
        return _by_form(wanted)
    if large is None:
        spent = {m: [r.cost for r in data.replies(m) if r and r.cost is not None] for m in data.models}
        means = {m: sum(costs) / len(costs) for m, costs in spent.items() if costs}
        if len(means) < 2 or len(means) < len(data.models):
            raise BadInput("These data have neither scores nor targets.",
                           hint="Say which model to agree with (--large), or grade by a judge.")  # fmt: skip
        large = max(means, key=lambda m: means[m])
    return Chosen(f"agreement:{large}", "there are neither scores nor targets, so all that can be seen is agreement")


def _by_form(wanted: Sequence[tuple[Example, str]]) -> Chosen:
    def share(fits: Callable[[Example, str], object]) -> float:
        return sum(bool(fits(e, t)) for e, t in wanted) / len(wanted)

    lettered = share(lambda e, t: len(t.strip("() .")) == 1 and t.strip("() .").isalpha() and letter(t, choices(e)))
    asked = share(lambda e, _: choices(e) or re.search(r"(?m)^\(?A[).:]", e.request.text))
    if asked > 0.9 and (lettered > 0.9 or share(lambda e, t: letter(t, choices(e))) > 0.9):
        return Chosen("choice", "the targets are choices of multiple-choice questions")
    numeric = share(lambda _, t: "####" in t or (final_number(t) is not None and len(t.split()) <= 3))
    if numeric > 0.9 and share(lambda _, t: "####" in t or not re.search(r"[^\W\d_]{4,}", t)) > 0.9:
        return Chosen("number", "the targets are numbers")
    if share(lambda _, t: len(normalised(t).split()) <= 5) > 0.9:
        return Chosen("exact", "the targets are a few words each; choose f1 where replies are sentences")
    return Chosen("f1", "the targets are longer texts")
