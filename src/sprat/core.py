"""The nouns and the verbs: everything that answers is a Model; a technique answers by asking others.

A technique is a coroutine that awaits only the verbs below. It never does I/O, so whoever drives it decides how:
in turn, concurrently, streaming, many at once, or answered from a recording (see drivers/ and replay.py).

    ask(model, request)              one reply (typed by what is asked: an encoder gives vectors)
    together(asks, until=predicate)  several at once; stops early
    watch(model, request)            a draft to look at while it is written: next(), then accept() or stop()

A technique that *returns* an ask or `draft.accept()` without awaiting it passes that reply through, so it streams.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from typing import Any, ClassVar, cast

from .canonical import canonical
from .errors import BadInput, CannotDo

# Fields of a request that change who pays or how it travels, never what is answered.
_TRANSPORT = frozenset({"stream", "stream_options", "user", "metadata", "store", "service_tier", "safety_identifier"})
SAMPLING = frozenset({"temperature", "top_p", "top_k", "min_p", "seed"})


class Can(IntEnum):
    """What a model gives away about its answer."""

    TEXT = 0
    LOGPROBS = 1
    LOGITS = 2


@dataclass(frozen=True)
class Request:
    """A question: chat messages and options, both passed through untouched.

    `sample` numbers the draws of one request; `thread` is the conversation's id ("" says: stands alone);
    `answered_by` names the model that answered the thread before, where that is known.
    """

    messages: tuple[Mapping[str, Any], ...]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sample: int = 0
    thread: str | None = None
    group: str | None = None
    answered_by: str | None = None

    @classmethod
    def of(cls, asked: Request | str | Sequence[Mapping[str, Any]], **options: Any) -> Request:
        """A request from a prompt, a list of messages, or a request (options are added to it)."""
        if isinstance(asked, Request):
            return replace(asked, options={**asked.options, **options}) if options else asked
        if isinstance(asked, str):
            return cls(({"role": "user", "content": asked},), options)
        messages = tuple(asked)
        if not messages or not all("role" in m for m in messages):
            raise BadInput("A request needs a prompt or a non-empty list of messages, each with a 'role'.")
        return cls(messages, options)

    @cached_property
    def text(self) -> str:
        """The text of the last user message."""
        for message in reversed(self.messages):
            if message.get("role") == "user":
                return content_text(message.get("content"))
        return content_text(self.messages[-1].get("content")) if self.messages else ""

    @cached_property
    def opening(self) -> Request:
        """The request up to its first user turn: what every turn of a thread has in common.

        A request that stands alone (thread "") is its own opening: its earlier turns are worked examples.
        """
        if self.thread == "":
            return self
        for i, message in enumerate(self.messages):
            if message.get("role") == "user":
                return self if i == len(self.messages) - 1 else replace(self, messages=self.messages[: i + 1])
        return self

    @cached_property
    def affinity(self) -> str:
        """The thread's id: as given, else the hash of the messages up to the first user turn."""
        return self.thread or hashlib.sha256(self.opening._said).hexdigest()

    @cached_property
    def _said(self) -> bytes:
        return canonical(self.messages)

    @cached_property
    def continues(self) -> bool:
        """Whether this is a later turn of a conversation (a model has spoken after the first user turn)."""
        later = () if self.thread == "" else self.messages[len(self.opening.messages) :]
        return any(m.get("role") in ("assistant", "tool") for m in later)

    @cached_property
    def key(self) -> str:
        """The canonical request's hash: messages, options that shape the answer, and the sample's number."""
        options = {k: v for k, v in self.options.items() if k not in _TRANSPORT}
        return hashlib.sha256(b"[%b,%b,%d]" % (self._said, canonical(options), self.sample)).hexdigest()

    @property
    def whole(self) -> bool:
        """Whether the reply makes sense only as a whole: tools, JSON, or several choices; such is never watched."""
        options = self.options
        return bool(options.get("tools") or options.get("response_format") or (options.get("n") or 1) > 1)

    def drawn(self, sample: int, **options: Any) -> Request:
        """The same request as its draw number `sample`, with sampling options added."""
        return replace(self, sample=sample, options={**self.options, **options})

    def asking(self, text: str) -> Request:
        """The same conversation with another text in its last user message."""
        last = max((i for i, m in enumerate(self.messages) if m.get("role") == "user"), default=len(self.messages) - 1)
        changed = {**self.messages[last], "content": text}
        return replace(self, messages=(*self.messages[:last], changed, *self.messages[last + 1 :]))


def content_text(content: Any) -> str:
    """The text in a message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if isinstance(content, (list, tuple)):
        parts = [cast("Mapping[str, Any]", p) for p in cast("Sequence[Any]", content) if isinstance(p, Mapping)]
        return "\n".join(str(p["text"]) for p in parts if "text" in p)
    return ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written; None where unknown."""

    input_tokens: int | None = None
    output_tokens: int | None = None

    def __add__(self, other: Usage) -> Usage:
        return Usage(_plus(self.input_tokens, other.input_tokens), _plus(self.output_tokens, other.output_tokens))


def _plus(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a + b


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, with every reply that it took (`asks`, the cancelled and the failed ones too).

    `text` is None where only a score was recorded, or nothing was said. `cost` (dollars) and `seconds` are those of
    the whole tree; None is unknown, never 0. `logprobs` are natural, one per token.
    """

    text: str | None
    model: str = ""
    tokens: tuple[str, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    top_logprobs: tuple[Mapping[str, float], ...] | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    finish: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    seconds: float | None = None
    score: float | None = None
    asks: tuple[Reply, ...] = ()
    by: str = ""
    because: str = ""
    cancelled: bool = False
    error: str = ""
    raw: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    decoded: Any = field(default=None, compare=False, repr=False)  # how a decoder wrote it: whitebox.writing.Decoded

    @property
    def ok(self) -> bool:
        """Whether this is an answer: neither cancelled nor failed."""
        return not self.cancelled and not self.error

    def tree(self) -> str:
        """The asks that made this reply, drawn as a tree with reason, cost and time."""
        from .tree import draw

        return draw(self)

    def explain(self) -> Any:
        """Per token, which part of a decoder moved the choice, and by how much; CannotDo for other models' replies."""
        if self.decoded is None:
            raise CannotDo(f"'{self.model}' did not write this token by token.", hint="Ask a decoder: sprat.local().")
        return self.decoded.explain()

    def leaves(self) -> tuple[Reply, ...]:
        """Every reply of an endpoint in the tree, in the order asked."""
        return tuple(leaf for ask in self.asks for leaf in ask.leaves()) if self.by else (self,)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a reply as it is written; the last piece of a stream carries the whole `reply`."""

    text: str = ""
    tokens: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()
    reply: Reply | None = None
    raw: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Texts:
    """What an encoder is asked: texts, answered by a float32 array (len(texts), dim)."""

    texts: tuple[str, ...]


# The verbs. Each is an awaitable that hands itself to the driver.


@dataclass(slots=True, eq=False)
class Ask:
    """`await ask(model, request)`; one that `streams` is awaited and returned, and goes on if it fails (see fallback).

    Then the error's `said` holds what the client has seen: pieces where it `keeps` them, None where it was not kept.
    """

    model: Any
    request: Any
    because: str = ""
    streams: bool = False
    keeps: bool = False

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self)


@dataclass(slots=True, eq=False)
class Together:
    """`await together(asks)`: a list of replies in the order of the asks."""

    asks: tuple[Ask, ...]
    until: Callable[[list[Reply]], bool] | None = None

    def __await__(self) -> Generator[Any, Any, list[Reply]]:
        return (yield self)


@dataclass(slots=True, eq=False)
class Look:
    """`await draft.begin()`, `draft.next()`, `draft.accept()` or `draft.stop()`; `streams` as of an Ask."""

    draft: Draft
    what: str
    streams: bool = False
    tail: int = 0  # the driver's: process.Tail of what is accepted

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self)


class Draft:
    """A reply while it is written. Its pieces are held until accepted: nothing emitted is ever taken back."""

    def __init__(self, model: Any, request: Request, because: str = "") -> None:
        self.model, self.request, self.because = model, request, because
        self.held: list[Piece] = []
        self.source: Any = None  # the pieces to come
        self.began, self.closed = 0.0, False
        self.reply: Reply | None = None

    def begin(self) -> Look:
        """Await nothing but that it is asked for, so that several are written at once."""
        return Look(self, "begin")

    def next(self) -> Look:
        """Await the next piece, or None when the reply has ended."""
        return Look(self, "next")

    def accept(self, streams: bool = False) -> Look:
        """Await (or return, to stream) the whole reply; one that `streams` is awaited, returned, and may fail."""
        return Look(self, "accept", streams)

    def stop(self) -> Look:
        """Await the end of this draft; what it cost stays in the tree."""
        return Look(self, "stop")

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self)  # the driver says what should have been awaited


def ask(model: Any, request: Any, because: str = "") -> Ask:
    """Ask a model, an encoder or any other endpoint; `because` is the reason that the tree shows."""
    return Ask(model, request, because)


def together(asks: Sequence[Ask], until: Callable[[list[Reply]], bool] | None = None) -> Together:
    """Ask several at once; when `until` holds of the replies so far, the others are cancelled.

    A failed ask comes back as a reply with `error` set; only if all fail is the first error raised.
    """
    return Together(tuple(asks), until)


def watch(model: Any, request: Request, because: str = "") -> Draft:
    """Ask a model and look at its reply while it is written."""
    return Draft(model, request, because)


# What answers.


class Model:
    """Whatever answers: calling it, asking it, streaming it and batching it are the drivers' work."""

    use: ClassVar[str]

    @property
    def can(self) -> Can:
        """What the model gives away about its answers."""
        return Can.TEXT

    def __call__(self, asked: Request | str | Sequence[Mapping[str, Any]], **options: Any) -> Reply:
        """Answer, every ask in turn."""
        from .drivers import run

        return run(self, Request.of(asked, **options))

    async def ask(self, asked: Request | str | Sequence[Mapping[str, Any]], **options: Any) -> Reply:
        """Answer; asks made together run concurrently."""
        from .drivers import arun

        return await arun(self, Request.of(asked, **options))

    def stream(self, asked: Request | str | Sequence[Mapping[str, Any]], **options: Any) -> AsyncIterator[Piece]:
        """Answer piece by piece; the last piece carries the whole reply."""
        from .drivers import stream

        return stream(self, Request.of(asked, **options))

    def batch(self, asked: Sequence[Request | str | Sequence[Mapping[str, Any]]], **options: Any) -> list[Reply]:
        """Answer many in lock step, their asks grouped per endpoint; a failed one has `error` set."""
        from .drivers import batch

        return batch(self, [Request.of(a, **options) for a in asked])

    def __repr__(self) -> str:
        from .shape import recipe

        return recipe(self)


class Technique(Model):
    """A model that answers by asking others; `answer` awaits only the verbs, and reads what it `needs` of a reply."""

    needs: ClassVar[Can] = Can.TEXT

    def answer(self, request: Request) -> Coroutine[Any, Any, Reply | Ask | Look]:
        """Answer the request; an unawaited ask that is returned passes through, so it streams."""
        raise NotImplementedError


class Endpoint(Model):
    """A leaf that really works: the only place with I/O, long work, or a gain from batching.

    Optional beside `answer_many`: `async answer_async(request) -> Reply`, and an async generator
    `pieces(request) -> AsyncGenerator[Piece]` whose last piece carries the reply; closing it ends the call;
    `spent(request, pieces) -> (usage, cost, seconds)`: what a call took that was ended after these; None is unknown.
    """

    name: str

    def answer_many(self, requests: Sequence[Request]) -> Sequence[Reply | Exception]:
        """Answer every request, in order; an element may be an exception: that request alone failed."""
        raise NotImplementedError


class Signal:
    """Trust in a reply, or ease of a request when there is none, in [0, 1]; its own asks enter the tree.

    Optional beside `trust`: `async trusts(requests, replies) -> array (n,)`, which is trust() row by row, in one go.
    """

    use: ClassVar[str]
    needs: ClassVar[Can] = Can.TEXT
    reads_reply: ClassVar[bool] = True

    def trust(self, request: Request, reply: Reply | None = None) -> Coroutine[Any, Any, float]:
        """The trust, awaited inside a technique."""
        raise NotImplementedError

    def __call__(self, asked: Request | str, reply: Reply | str | None = None) -> float:
        """The trust, computed at once."""
        from .drivers import drive

        spoken = Reply(reply) if isinstance(reply, str) else reply
        return drive(self.trust(Request.of(asked), spoken))

    def __repr__(self) -> str:
        from .shape import recipe

        return recipe(self)
