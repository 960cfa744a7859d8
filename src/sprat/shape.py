"""Reads a model's shape: its name, its recipe, its endpoints, and whether it can do what is needed of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from math import inf
from types import FunctionType
from typing import Any, NamedTuple, cast

from .core import Can, Reply, Request
from .errors import CannotDo


def recipe(thing: Any) -> str:
    """A dataclass as the call that makes it, defaults left out: models first, the rest by keyword."""
    if not dataclasses.is_dataclass(thing):
        return object.__repr__(thing)
    parts: list[str] = []
    for f in dataclasses.fields(thing):
        value = getattr(thing, f.name)
        if not f.repr or (f.default is not dataclasses.MISSING and _same(value, f.default)):
            continue
        if f.default_factory is not dataclasses.MISSING and _same(value, f.default_factory()):
            continue
        if f.name in ("models", "parts", "scorers") and isinstance(value, tuple):
            parts = [*map(repr, value), *parts]  # pyright: ignore[reportUnknownArgumentType]
        elif f.name in ("model", "name"):
            parts.insert(0, repr(value))
        elif isinstance(value, FunctionType):
            parts.append(f"{f.name}={value.__name__.strip('<>')}")
        elif hasattr(value, "shape"):
            parts.append(f"{f.name}=<{'x'.join(map(str, value.shape))}>")
        else:
            parts.append(f"{f.name}={value!r}")
    word = getattr(thing, "use", "") or type(thing).__name__.lower()
    return f"{word}({', '.join(parts)})"


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and not hasattr(a, "shape") and a == b)


def name_of(model: Any) -> str:
    """The name of an endpoint, a decoder's formula, or the technique's word."""
    named = getattr(model, "name", "") or getattr(model, "formula", "") or getattr(model, "use", "")
    return str(named or type(model).__name__.lower())


def leaves(model: Any) -> list[Any]:
    """Every endpoint inside a model, a signal or a tuple of such, each once, in order."""
    found: dict[int, Any] = {}

    def visit(thing: Any) -> None:
        if hasattr(thing, "answer_many"):
            found.setdefault(id(thing), thing)
        elif isinstance(thing, (tuple, list)):
            for part in thing:  # pyright: ignore[reportUnknownVariableType]
                visit(part)
        elif dataclasses.is_dataclass(thing) and not isinstance(thing, (type, Request, Reply)):
            for f in dataclasses.fields(thing):
                visit(getattr(thing, f.name))

    visit(model)
    return list(found.values())


class Asks(NamedTuple):
    """How one part is asked for an answer, at most: `times` (inf: unknown), beside the request's own text with so many
    `replies` and `prompt` bytes to read; it writes `longest` tokens, None: as many as the request allows. With `every`
    it is asked `times` for each so many tokens of the reply.
    """

    part: Any
    times: float = 1.0
    replies: int = 0
    prompt: int = 0
    longest: int | None = None
    every: float = inf


def asks_of(model: Any) -> list[Asks]:
    """How every endpoint inside a model or signal is asked, at most.

    A part says so by `asks() -> Iterable[Asks]`; one that does not asks each of its own parts once. A decoder is asked
    itself, and those of its leaves that ask others.
    """
    found: list[Asks] = []

    def visit(thing: Any, so_far: Asks) -> None:
        if callable(getattr(thing, "asks", None)) and not isinstance(thing, type):
            for one in thing.asks():
                longest = so_far.longest if one.longest is None else one.longest
                replies, prompt = so_far.replies + one.replies, so_far.prompt + one.prompt
                nested = one.every < inf and so_far.every < inf  # rounds of rounds: nobody counts them
                times, every = so_far.times * one.times, min(so_far.every, one.every)
                visit(one.part, Asks(None, inf if nested else times, replies, prompt, longest, every))
        elif hasattr(thing, "answer_many"):
            found.append(so_far._replace(part=thing))
            for leaf in getattr(thing, "paid", ()):
                if leaf is not thing and hasattr(leaf, "asks"):
                    visit(leaf, so_far)
        elif isinstance(thing, (tuple, list)):
            for part in thing:  # pyright: ignore[reportUnknownVariableType]
                visit(part, so_far)
        elif dataclasses.is_dataclass(thing) and not isinstance(thing, (type, Request, Reply)):
            for f in dataclasses.fields(thing):
                visit(getattr(thing, f.name), so_far)

    visit(model, Asks(None))
    return found


def need(model: Any, can: Can, by: str) -> None:
    """Check when a model is built that it gives what `by` needs; raises CannotDo."""
    has = getattr(model, "can", Can.TEXT)
    if has < can:
        raise CannotDo(
            f"{by} needs {can.name.lower()} from every part; '{name_of(model)}' gives {has.name.lower()}.",
            hint="Use a model that gives them, or a technique that reads text alone: cascade, route, vote."
            + (" If its server does, say logprobs = true in its table of the TOML file." if can == Can.LOGPROBS else "")
            + (" A server's log-probabilities will do: sprat.remote, sprat.ladder." if can == Can.LOGITS else ""),
        )


def exchanged(thing: Any, change: Callable[[Any], Any]) -> Any:
    """The thing with every part, through dataclasses and tuples, put through `change` (which gives back the rest)."""
    changed = change(thing)
    if changed is not thing:
        return changed
    if isinstance(thing, tuple):
        parts = cast("tuple[Any, ...]", thing)
        new = tuple(exchanged(part, change) for part in parts)
        return thing if all(a is b for a, b in zip(new, parts, strict=True)) else new
    if dataclasses.is_dataclass(thing) and not isinstance(thing, (type, Request, Reply)):
        old = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing) if f.init}
        unequal = {name: new for name, value in old.items() if (new := exchanged(value, change)) is not value}
        return dataclasses.replace(thing, **unequal) if unequal else thing
    return thing
