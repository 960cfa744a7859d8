"""Weak-to-strong search over a model that gives text alone: every chunk is a few samples asked of it, and priced.

The black-box form of chunk-level beam search (arXiv 2405.19262); the small models read text, so any tokenizer does.
Checked against the search over the same model at hand, and by what goes over the wire (toy endpoints).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar, cast

from ..core import Can, Endpoint, Reply, Request, Signal, Technique, ask, content_text, together
from ..drivers.background import blocking
from ..endpoints.http import UNREADABLE
from ..endpoints.openai import gather
from ..errors import BadInput, CannotDo, Garbled, nearest
from ..shape import Asks, name_of, need
from .log_ratio import LogRatio

LOST = ("samples are drawn by the server: the same seed may give another reply",)


def _plain(request: Request, text: str) -> Request:
    return replace(request, messages=(*request.messages, {"role": "assistant", "content": text})) if text else request


def _final(request: Request, text: str) -> Request:
    told = {"continue_final_message": True, "add_generation_prompt": False} if text else {}
    return replace(_plain(request, text), options={**request.options, **told})


def _prefix(request: Request, text: str) -> Request:
    if not text:
        return request
    return replace(request, messages=(*request.messages, {"role": "assistant", "content": text, "prefix": True}))


# How servers are told to go on with an assistant's message; OpenAI's own chat API can't.
CONTINUED: Mapping[str, Callable[[Request, str], Request]] = {
    "plain": _plain,  # the message is last: Anthropic's older models, llama.cpp, sprat's own decoders
    "continue_final_message": _final,  # vLLM, SGLang
    "prefix": _prefix,  # DeepSeek, Mistral
    "completions": _plain,  # /completions: raw text goes on (Completions)
}


class Scored(Protocol):
    """What has a score."""

    @property
    def score(self) -> float:
        """The higher, the better."""
        ...


T = TypeVar("T", bound=Scored)


@dataclass(frozen=True)
class _Text:
    text: str = ""
    score: float = 0.0
    length: int = 0
    finish: str = ""


@dataclass(frozen=True, repr=False)
class Completions(Endpoint):
    """An OpenAI-compatible server asked to go on with raw text: the last question, and what was answered so far.

    No chat template is applied: for base models, and for servers that have no other way to continue a text.
    """

    model: Any
    use = "completions"

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The model's."""
        return self.model.name

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        """The continuations."""
        return blocking(gather(self.answer_async, requests, self.model.at_once))

    async def answer_async(self, request: Request) -> Reply:
        """One continuation; raises an EndpointError."""
        begun = request.messages[-1] if request.messages[-1].get("role") == "assistant" else {}
        options = {**self.model.defaults, **request.options}
        if request.sample and isinstance(options.get("seed"), int):
            options["seed"] += request.sample
        reply: Reply = await self.model.post(
            "completions", {"prompt": request.text + content_text(begun.get("content")), **options}
        )
        try:
            choice: Mapping[str, Any] = cast("Mapping[str, Any]", reply.raw)["choices"][0]
            finish = choice.get("finish_reason")
            return replace(reply, text=str(choice["text"]), finish=None if finish is None else str(finish))
        except UNREADABLE as error:
            raise Garbled(f"The answer of '{self.name}' is not a completion: {error!r}.", billable=True) from error


@dataclass(frozen=True, repr=False)
class RemoteSearch(Technique):
    """Chunk-level beam search by asking: `samples` asks of at most `chunk` tokens for each of `beams` beginnings.

    The reply's `score` is the winner's; `raw["search"]` says how many chunks, asks and tokens that took.
    """

    large: Any
    tuned: Any = None
    untuned: Any = None
    score: Any = None
    beams: int = 4
    samples: int = 4
    chunk: int | float = 10
    top_k: int | None = None
    temperature: float = 1.0
    distinct: bool = True
    max_tokens: int = 256
    continued: Any = "plain"
    name: str = field(default="", kw_only=True, repr=False)
    use = "search_remote"

    def __post_init__(self) -> None:
        check_search(self)
        if isinstance(self.continued, str) and self.continued not in CONTINUED:
            raise BadInput(
                f"There is no way '{self.continued}' to continue a message.", hint=nearest(self.continued, CONTINUED)
            )

        if self.continued == "completions" and not hasattr(self.large, "post"):
            raise CannotDo(f"'{name_of(self.large)}' has no /completions.", hint="Use sprat.openai(...).")

    @cached_property
    def writer(self) -> Any:
        """What is asked for chunks."""
        return Completions(self.large) if self.continued == "completions" else self.large

    @cached_property
    def judge(self) -> Any:
        """What scores: the pair, a signal or a function."""
        return self.score if self.tuned is None else LogRatio(self.tuned, self.untuned)

    def asks(self) -> list[Asks]:
        """For each chunk of the reply `beams` times `samples` asks, each of them judged; all read what is there."""
        times = self.beams * self.samples
        longest = None if self.chunk == math.inf else math.ceil(self.chunk)
        return [Asks(self.large, times, 1, 0, longest, self.chunk), Asks(self.judge, times, 1, every=self.chunk)]

    async def answer(self, request: Request) -> Reply:
        """The winner among the kept beginnings, each asked for to its end."""
        if request.whole:
            raise CannotDo("search looks at text alone; the request asks for tools, JSON or several choices.")
        most = int(request.options.get("max_completion_tokens") or request.options.get("max_tokens") or self.max_tokens)
        kept, drawn, chunks = [_Text()], 0, 0
        numbers = self.beams * self.samples * most  # draws of one request at most
        generated = 0
        while open_ := [b for b in kept if not b.finish]:
            finished = [b for b in kept if b.finish]
            times = self.samples * (self.beams - len(finished)) // len(open_)
            begun = [b for b in open_ for _ in range(times)]
            asks: list[Any] = []
            for beam in begun:
                asks.append(ask(self.writer, self._asked(request, beam, most, request.sample * numbers + drawn)))
                drawn += 1
            replies: list[Reply] = await together(asks)
            grown = [(b, self._grown(b, r, most)) for b, r in zip(begun, replies, strict=True) if r.ok]
            new = [text for _, text in grown]
            generated += sum(text.length - beam.length for beam, text in grown)
            chunks += 1
            scored = await self._scored(request, new)
            kept = best_kept([*finished, *scored], self, lambda b: (b.text, bool(b.finish)))
        best = kept[0]
        told = {
            "chunks": chunks,
            "asks": drawn,
            "generated": generated,
            "kept": [(b.text, b.score) for b in kept],
        }
        raw = {"search": told, "rung": "chunks", "lost": LOST}
        return Reply(best.text, self.name or name_of(self.large), finish=best.finish, score=best.score, raw=raw)

    def _asked(self, request: Request, beam: _Text, most: int, sample: int) -> Request:
        length = min(self.chunk, most - beam.length)
        word = "max_completion_tokens" if "max_completion_tokens" in request.options else "max_tokens"
        told: dict[str, Any] = {
            word: int(length),
            "temperature": request.options.get("temperature") or self.temperature,
        }
        if self.top_k is not None:
            told["top_k"] = self.top_k
        way: Any = CONTINUED[self.continued] if isinstance(self.continued, str) else self.continued
        return way(request.drawn(sample, **told), beam.text)

    def _grown(self, beam: _Text, reply: Reply, most: int) -> _Text:
        asked = int(min(self.chunk, most - beam.length))
        used = reply.usage.output_tokens if reply.usage else None
        said, wrote = reply.text or "", asked if used is None else used
        cut = reply.finish == "length" or (reply.finish is None and wrote >= asked)
        length = beam.length + max(1, wrote)
        finish = "" if cut and said and length < most else reply.finish or "stop"
        return _Text(beam.text + said, 0.0, length, finish)

    async def _scored(self, request: Request, texts: list[_Text]) -> list[_Text]:
        judge = self.judge
        if isinstance(judge, LogRatio):
            asks = [
                ask(judge, replace(_plain_always(request, t.text), options={"ended": t.finish == "stop"}), "scores")
                for t in texts
            ]
            scores = [r.score if r.score is not None else -math.inf for r in await together(asks)]
        elif isinstance(judge, Signal):
            scores = [float(await judge.trust(request, Reply(t.text))) for t in texts]
        else:
            scores = [float(judge(request, t.text)) for t in texts]
        return [replace(t, score=s) for t, s in zip(texts, scores, strict=True)]


def _plain_always(request: Request, text: str) -> Request:
    return replace(request, messages=(*request.messages, {"role": "assistant", "content": text}))


def best_kept(found: Sequence[T], made: Any, key: Callable[[T], Any]) -> list[T]:
    """The best-scored beginnings, best first; where the search keeps distinct ones, the first of equals (by `key`)."""
    ranked: list[T] = sorted(found, key=lambda b: -b.score)
    if made.distinct:
        once: dict[Any, T] = {}
        for beam in ranked:
            once.setdefault(key(beam), beam)
        ranked = list(once.values())
    return ranked[: made.beams]


def check_search(made: Any) -> None:
    """Raises BadInput for numbers out of range or not exactly one reward, CannotDo for a pair without logits."""
    if (made.tuned is None) != (made.untuned is None) or (made.tuned is None) == (made.score is None):
        raise BadInput("search needs a reward.", hint="Pass tuned= and untuned=, or score= alone.")
    for part in () if made.tuned is None else (made.tuned, made.untuned):
        need(part, Can.LOGITS, "search")
    for word, least in (("beams", 1), ("samples", 1), ("chunk", 1)):
        if not getattr(made, word) >= least:
            raise BadInput(f"{word} is {getattr(made, word)}.", hint=f"Needed: >= {least}.")
    if not 0 < made.temperature < math.inf or (made.top_k is not None and made.top_k < 0):
        raise BadInput(f"temperature is {made.temperature} and top_k {made.top_k}.", hint="Needed: > 0 and >= 0.")
