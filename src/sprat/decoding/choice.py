"""Answer with the most probable of a closed set of answers, each read whole: no token is drawn, none is out of the set.

Scores are sums of log-probabilities ("sum"), per token or per character ("token", "character": arXiv 2005.14165,
section 2.4, and what evaluation harnesses call acc and acc_norm), or how much likelier the question makes the answer
("pmi": domain-conditional PMI, arXiv 2104.08315). Checked against every option scored alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Can, Request
from ..errors import BadInput, SpratError, nearest
from ..shape import need
from ..whitebox.arrays import host, log_softmax, softmax, take
from ..whitebox.decoder import Decoder, WayOfWriting
from ..whitebox.loop import Job, Written, not_finite
from ..whitebox.pool import Pool
from ..whitebox.sampling import draw
from ..whitebox.scoring import ENTRIES

Floats = NDArray[np.float64]
BY = ("sum", "token", "character", "pmi")


@dataclass(frozen=True, repr=False)
class Choice(WayOfWriting):
    """A decoder that says one of `options`, or of the request's option "choices"; greedily, or drawn at a temperature.

    `ends`: that the answer ends after the option counts too (so "1" and "12" compare fairly). The reply's
    `decoded.told["choices"]` is the distribution over the options, `told["scores"]` the score of each in nats; its
    top_logprobs are of the tokens that some option allows.
    """

    model: Any
    options: tuple[str, ...] = ()
    by: str = "sum"
    ends: bool = True
    domain: str = "Answer:"
    name: str = field(default="", kw_only=True, repr=False)
    use = "choose"

    def __post_init__(self) -> None:
        need(self.model, Can.LOGITS, self.use)
        object.__setattr__(self, "options", tuple(self.options))
        if self.options:
            checked(self.options)
        if self.by not in BY:
            raise BadInput(f"Options can't be compared by '{self.by}'.", hint=nearest(self.by, BY))

    @property
    def written_with(self) -> Decoder:
        """The decoder that it writes with."""
        return self.model

    def write(self, jobs: Sequence[Job]) -> Iterator[Written]:
        """Write every job's option, all its tokens at once."""
        plans: list[tuple[int, _Plan]] = []
        for i, job in enumerate(jobs):
            try:
                asked = job.request.options.get("choices")
                plans.append((i, _Plan(self, job, self.options if asked is None else checked(asked))))
            except SpratError as error:
                yield Written(i, error=error)
        at_once = min(leaf.at_once for leaf in self.leaves)
        general: dict[tuple[str, ...], Floats] = {}
        group: list[tuple[int, _Plan]] = []
        for i, plan in plans:
            if self.by == "pmi" and plan.options not in general:
                bare = Request(({"role": "user", "content": self.domain},), plan.job.request.options)
                general[plan.options] = read(self.model, [(bare, plan)], at_once)[0][0]
                plan.extra = plan.tokens
            if group and sum(len(p.paths) for _, p in group) + len(plan.paths) > at_once:
                yield from self._answers(group, general, at_once)
                group = []
            group.append((i, plan))
        if group:
            yield from self._answers(group, general, at_once)

    def _answers(
        self, group: list[tuple[int, _Plan]], general: Mapping[tuple[str, ...], Floats], at_once: int
    ) -> Iterator[Written]:
        try:
            found = read(self.model, [(plan.job.request, plan) for _, plan in group], at_once)
        except SpratError as error:
            if len(group) == 1:
                yield Written(group[0][0], error=error)
            else:  # one that can't be read fails alone
                for one in group:
                    yield from self._answers([one], general, at_once)
            return
        for (i, plan), (sums, known) in zip(group, found, strict=True):
            if bool(np.isnan(sums).any()):
                yield Written(i, error=not_finite(self.model, 1))
            else:
                yield plan.answer(i, sums, known, general.get(plan.options))


class _Plan:
    """The options of one job as ids; `paths` are those that are not the beginning of another, read in one block."""

    def __init__(self, choice: Choice, job: Job, options: tuple[str, ...]) -> None:
        self.choice, self.job, self.options = choice, job, options
        vocabulary = choice.base.vocabulary
        if not options:
            raise BadInput("There is nothing to choose from.", hint='Pass options, or the request option "choices".')
        self.stops = sorted(vocabulary.ends) if choice.ends else []
        self.ids = [tuple(vocabulary.encode(option)) for option in options]
        if not all(self.ids):
            raise BadInput("An option has no tokens.", hint="Leave it out.")
        for option, ids in zip(options, self.ids, strict=True):
            if self.ids.count(ids) > 1:
                raise BadInput(f"The option {option!r} has the tokens of another.", hint="Leave one out.")
        self.paths = [a for a in self.ids if not any(b[: len(a)] == a for b in self.ids if b != a)]
        # Where each option is read: the row of a path that it begins.
        self.rows = [next(r for r, path in enumerate(self.paths) if path[: len(a)] == a) for a in self.ids]
        self.extra = 0
        self.asked: frozenset[str] = frozenset()  # the leaves that were looked at

    @property
    def tokens(self) -> int:
        """Tokens that reading all options takes, the prompt aside."""
        return sum(len(path) for path in self.paths)

    def answer(self, i: int, sums: Floats, known: dict[tuple[int, ...], float], general: Floats | None) -> Written:
        """The chosen option's tokens, with the distribution in the job's `told`."""
        job, by = self.job, self.choice.by
        scores = sums
        if by == "token":
            scores = sums / [len(ids) + bool(self.stops) for ids in self.ids]
        elif by == "character":
            scores = sums / [len(option) for option in self.options]
        elif general is not None:
            scores = sums - general
        if not np.isfinite(scores).any():
            return Written(i, error=BadInput("Every option has probability 0.", hint="Are they what the model writes?"))
        chances: Floats = softmax(scores)
        best = int(scores.argmax())
        if not job.sampling.greedy:
            uniform = job.draws(self.choice, self.choice.base.prompt(job.request)).random()
            best = int(draw(softmax(scores / job.sampling.temperature)[None], [uniform])[0])
        job.told["choices"] = dict(zip(self.options, chances.tolist(), strict=True))
        job.told["scores"] = dict(zip(self.options, scores.tolist(), strict=True))
        job.told["fed"] = dict.fromkeys(self.asked, self.tokens + self.extra)
        ids = (*self.ids[best], *self.stops[:1])
        logprobs = tuple(known[ids[: n + 1]] for n in range(len(ids)))
        tops = tuple(self._allowed(ids[:n], known) for n in range(len(ids))) if job.top_logprobs else ()
        return Written(i, ids, logprobs, tops, "stop" if self.stops else "length")

    def _allowed(self, before: tuple[int, ...], known: dict[tuple[int, ...], float]) -> tuple[tuple[int, float], ...]:
        """The likeliest tokens that some option allows next."""
        allowed = {path[-1]: value for path, value in known.items() if path[:-1] == before}
        return tuple(sorted(allowed.items(), key=lambda pair: (-pair[1], pair[0]))[: self.job.top_logprobs])


def checked(options: Any) -> tuple[str, ...]:
    """The options; BadInput for what is not a list of different, non-empty texts."""
    if isinstance(options, str) or not isinstance(options, Sequence):
        raise BadInput("Choices must be a list of texts.", hint='Such as ["yes", "no"].')
    made: tuple[Any, ...] = tuple(options)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if not made or not all(isinstance(one, str) and one for one in made) or len(set(made)) < len(made):
        raise BadInput("Choices must be different, non-empty texts.", hint='Such as ["yes", "no"].')
    return made


def read(
    model: Decoder, asked: Sequence[tuple[Request, _Plan]], at_once: int
) -> list[tuple[Floats, dict[tuple[int, ...], float]]]:
    """For each request the options' sums of log-probabilities, and the log-probability of every token on the way.

    Each prompt is read once, the options as one block beside one another (`at_once` rows at most). Raises BadInput
    where an option doesn't fit after its prompt.
    """
    pool = Pool([model], [request for request, _ in asked], [plan.job.told for _, plan in asked])
    found: list[dict[tuple[int, ...], float]] = [{} for _ in asked]
    try:
        pool.scores(model)
        rows = [(i, path) for i, (_, plan) in enumerate(asked) for path in plan.paths]
        if len(rows) <= at_once:
            pool.select(np.array([i for i, _ in rows]))
            _block(pool, model, asked, rows, found)
        else:  # one request of many options: the same rows again and again
            pool.select(np.zeros(at_once, np.int64))
            for start in range(0, len(rows), at_once):
                some = rows[start : start + at_once]
                pool.rollback(len(pool.written))
                _block(pool, model, asked, some + [some[-1]] * (at_once - len(some)), found, again=True)
        for _, plan in asked:
            plan.asked = frozenset(pool.fed)
    finally:
        pool.close()
    return [(_sums(plan, known), known) for (_, plan), known in zip(asked, found, strict=True)]


def _block(
    pool: Pool,
    model: Decoder,
    asked: Sequence[tuple[Request, _Plan]],
    rows: Sequence[tuple[int, tuple[int, ...]]],
    found: list[dict[tuple[int, ...], float]],
    again: bool = False,
) -> None:
    """Read one path per row after the prompts; every known continuation's log-probability goes to `found`."""
    width, stops = max(len(path) for _, path in rows), asked[0][1].stops
    places = width + bool(stops)  # where something is asked: what follows the whole option, if ends count
    if places > int(pool.room.min()):
        raise BadInput(
            f"An option has {width} tokens; after its prompt {int(pool.room.min()) - bool(stops)} fit.",
            hint="Shorten it.",
        )
    ids = np.zeros((len(rows), width), np.int64)
    for line, (_, path) in zip(ids, rows, strict=True):
        line[: len(path)] = path
    block = max(1, ENTRIES // (len(rows) * pool.size))
    for at in range(0, places, block):
        end = min(places, at + block)
        if end > 1:
            pool.write(ids[:, max(0, at - 1) : end - 1])
        logprobs = log_softmax(pool.scores(model, end - at))
        inner = ids[:, at : min(end, width)]
        taken = host(take(logprobs[:, : inner.shape[1]], inner)).astype(np.float64)
        with np.errstate(invalid="ignore"):  # NaN is told of below
            ends: Floats = np.logaddexp.reduce(host(logprobs[:, :, stops]).astype(np.float64), axis=-1)
        for row, (i, path) in enumerate(rows):
            for n in range(at, min(end, len(path))):
                found[i][path[: n + 1]] = float(taken[row, n - at])
            for option in asked[i][1].ids if stops else ():
                if at <= len(option) < end and path[: len(option)] == option:
                    # That the reply ends here, whichever end token says so, stands under the first one's id.
                    found[i][*option, stops[0]] = float(ends[row, len(option) - at])
        if not again:
            pool.settle()


def _sums(plan: _Plan, known: dict[tuple[int, ...], float]) -> Floats:
    whole = [(*ids, *plan.stops[:1]) for ids in plan.ids]
    return np.array([sum(known[ids[: n + 1]] for n in range(len(ids))) for ids in whole])


def choose(
    model: Decoder,
    options: Sequence[str] = (),
    *,
    by: str = "sum",
    ends: bool = True,
    domain: str = "Answer:",
    name: str = "",
) -> Choice:
    """The most probable of `options` (or of the request's "choices") as the model's answer.

    `by` is "sum", "token", "character" or "pmi" (for which the options' probability after `domain` alone is taken
    off). Raises CannotDo for a model without logits, BadInput for options that are not different texts.
    """
    return Choice(model, tuple(options), by, ends, domain, name=name)
