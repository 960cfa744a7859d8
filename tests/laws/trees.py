"""Random compositions of toy models, and a driver that runs them by hand: what the laws are checked on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

from hypothesis import strategies as st

from sprat.combine import assign, best_of, cascade, fallback, route, vote
from sprat.core import Ask, Draft, Look, Piece, Reply, Request, Signal, Technique, Together, ask, together, watch
from sprat.endpoints.toy import Toy, toy
from sprat.errors import SpratError, Unreachable

WORDS = ("yes", "no", "a b c", "41", "la la", "")
DOLLARS = st.sampled_from([0.0, 0.25, 1.0, 8.5])  # binary fractions: sums are exact in any order


def number(*parts: object) -> float:
    """A value in [0, 1) that depends on nothing but its arguments."""
    return crc32(repr(parts).encode()) % 1000 / 1000


@dataclass(frozen=True, repr=False)
class Hunch(Signal):
    """Trust that depends on the texts alone, or on what a judge says of them."""

    seed: int = 0
    judge: Any = None
    use = "hunch"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        said = reply.text if reply else None
        if self.judge is not None:
            said = (await ask(self.judge, request.asking(f"{request.text}? {said}"), "judge")).text
        return number(self.seed, request.text, said)


@dataclass(frozen=True)
class Oracle:
    """One predicted score per model."""

    scores: tuple[float, ...]

    async def predict(self, request: Request) -> tuple[float, ...]:
        return self.scores


@dataclass(frozen=True, repr=False)
class Peek(Technique):
    """Looks at a few pieces of the first model's reply; takes it, or stops it and asks the second."""

    models: tuple[Any, ...]
    looks: int = 1
    take: str = "returned"
    use = "peek"

    async def answer(self, request: Request) -> Reply | Ask | Look:
        draft = watch(self.models[0], request, "peek")
        for _ in range(self.looks):
            await draft.next()
        if self.take == "returned":
            return draft.accept()
        if self.take == "awaited":
            return await draft.accept()
        if self.take == "stopped":
            await draft.stop()
        if self.take == "refused":
            await draft.accept()
        return ask(self.models[-1], request, "peeked")


@dataclass(frozen=True, repr=False)
class First(Technique):
    """Asks all at once until one has answered."""

    models: tuple[Any, ...]
    use = "first"

    async def answer(self, request: Request) -> Reply:
        replies = await together([ask(m, request) for m in self.models], until=lambda seen: bool(seen[0].ok))
        return next(r for r in replies if r.ok)


def _says(seed: int, words: tuple[str, ...]) -> Callable[[Request], str]:
    return lambda request: words[int(number(seed, request.text, request.sample) * len(words))]


def _guesses(n: int) -> tuple[float, ...]:
    return tuple(number("guess", n, i) for i in range(n))


def _fails(request: Request) -> str:
    raise Unreachable("no connection")


@st.composite
def toys(draw: Any, failing: bool = True) -> Toy:
    """A toy with its own name; its reply depends on prompt and draw, its cost may be unknown, it may always fail."""
    seed = draw(st.integers(0, 10**6))
    cost = draw(DOLLARS | st.none())
    says = _fails if failing and draw(st.integers(0, 6)) == 0 else _says(seed, WORDS)
    trusted = draw(st.sampled_from([None, -0.5])) if failing else -0.5
    seconds = draw(DOLLARS)
    return toy(f"m{seed}-{cost}-{seconds}", says, cost=cost, seconds=seconds, trusted=trusted)


def hunches(judges: Any) -> Any:
    """Signals; None for signals that ask nobody."""
    return st.builds(Hunch, st.integers(0, 9), st.none() if judges is None else st.none() | judges)


def combinations(models: Any, judges: Any, until: bool, peeks: tuple[str, ...]) -> Any:
    """One level of combination over `models`."""
    several = st.lists(models, min_size=1, max_size=3)
    level = st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.5])

    def leveled(make: Any) -> Any:
        return several.flatmap(lambda ms: st.builds(
            lambda trust, at: make(*ms, trust=tuple(trust), at_least=tuple(at)),
            st.lists(hunches(judges), min_size=len(ms) - 1, max_size=len(ms) - 1),
            st.lists(level, min_size=len(ms) - 1, max_size=len(ms) - 1)))  # fmt: skip

    n, enough = st.integers(1, 3), st.booleans() if until else st.just(False)
    made = [
        leveled(cascade),
        leveled(route),
        several.map(lambda ms: assign(*ms, predictor=Oracle(_guesses(len(ms))), prices=(0.0,) * len(ms))),
        st.builds(lambda ms, k, e: vote(*ms, n=k, enough=e), several, n, enough),
        st.builds(lambda ms, k, h: best_of(*ms, n=k, trust=h), several, n, hunches(judges)),
        several.map(lambda ms: fallback(*ms)),
    ]
    if peeks:
        made.append(st.builds(Peek, several.map(tuple), st.integers(0, 4), st.sampled_from(peeks)))
    if until:
        made.append(several.map(lambda ms: First(tuple(ms))))
    return st.one_of(made)


ALL_PEEKS = ("returned", "awaited", "stopped", "refused", "left")


def models(live: bool = True, until: bool = True, peeks: tuple[str, ...] = ALL_PEEKS) -> Any:
    """A random nested composition; one that is not `live` never fails, has log-probabilities and asks no judge."""
    leaves = toys(failing=live)
    judges = leaves if live else None
    return st.recursive(leaves, lambda inner: combinations(inner, judges, until, peeks), max_leaves=8)


REQUESTS = st.builds(
    lambda text, thread: replace(Request.of(text), thread=thread),
    st.text("ab 1?", min_size=1, max_size=6),
    st.sampled_from([None, "", "t1"]),
)


def by_hand(model: Any, request: Request, paid: list[float | None]) -> Reply:
    """The unit test's driver: no generators, no loops, no tree; every call's cost goes to `paid`."""
    if not hasattr(model, "answer"):
        (said,) = model.answer_many([request])
        if isinstance(said, SpratError):
            raise said
        paid.append(said.cost)
        return said
    coroutine = model.answer(request)
    send: Any = None
    error: SpratError | None = None
    started: dict[int, Reply] = {}
    while True:
        try:
            effect = coroutine.throw(error) if error else coroutine.send(send)
        except StopIteration as stop:
            result = stop.value
            break
        send, error = None, None
        try:
            send = _answer(effect, paid, started)
        except SpratError as caught:
            error = caught
    return result if isinstance(result, Reply) else _answer(result, paid, started)


def _answer(effect: Any, paid: list[float | None], started: dict[int, Reply]) -> Any:
    if isinstance(effect, Ask):
        return by_hand(effect.model, effect.request, paid)
    if isinstance(effect, Together):
        return _several(effect, paid)
    draft: Draft = effect.draft
    if id(draft) not in started and effect.what != "stop":
        started[id(draft)] = by_hand(draft.model, draft.request, paid)
    return Piece() if effect.what == "next" else started.get(id(draft))


def _several(effect: Together, paid: list[float | None]) -> list[Reply]:
    replies: list[Reply] = []
    errors: list[SpratError] = []
    for one in effect.asks:
        spoken = [r for r in replies if r.ok]
        if effect.until and spoken and effect.until(spoken):
            replies.append(Reply(None, cancelled=True))
            continue
        try:
            replies.append(by_hand(one.model, one.request, paid))
        except SpratError as error:
            errors.append(error)
            replies.append(Reply(None, error=str(error)))
    if len(errors) == len(effect.asks):
        raise errors[0]
    return replies
