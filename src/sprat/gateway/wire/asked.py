"""What a client asked, out of any dialect: the model's name, the request in chat completions' words, and overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from ...core import Piece, Reply, Request
from ...errors import nearest
from .problem import Problem

OVERRIDES = ("model", "max_cost", "min_quality", "card", "thread", "cache")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a body's "sprat" asks for: a pinned model, bounds, the decision card, a thread's id.

    `max_cost` is in dollars; `min_quality` a rate in (0, 1], as [card] of the served file measures it.
    `cache` is False where no kept reply may be given and none kept, "refresh" where it is to be asked anew.
    """

    model: str = ""
    max_cost: float | None = None
    min_quality: float | None = None
    card: bool = False
    thread: str | None = None
    cache: Any = None


_NONE = Overrides()


@dataclass(slots=True)
class Asked:
    """One request; `n` samples are wanted; `echo` is what a dialect repeats in its reply."""

    model: str
    request: Request
    stream: bool = False
    n: int = 1
    overrides: Overrides = field(default_factory=Overrides)
    usage: bool = False
    echo: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Writer(Protocol):
    """Writes a stream of events; bytes may be empty. `model` is set as soon as it is known who writes."""

    model: str

    def piece(self, piece: Piece) -> bytes:
        """A part of the reply."""
        ...

    def end(self, replies: list[Reply], card: Mapping[str, Any] | None) -> bytes:
        """The end of the stream; what of the replies was not said yet is said now."""
        ...

    def error(self, problem: Problem) -> bytes:
        """The end of a stream that broke."""
        ...


class Dialect(Protocol):
    """A protocol: how it reads, writes, streams and complains."""

    name: str

    def read(self, body: dict[str, Any]) -> Asked:
        """The request in a body; Problem where it can't be understood."""
        ...

    def write(self, asked: Asked, replies: list[Reply], number: str, at: int) -> dict[str, Any]:
        """The whole reply."""
        ...

    def stream(self, asked: Asked, number: str, at: int) -> Writer:
        """A writer of the reply's events."""
        ...

    def error(self, problem: Problem) -> dict[str, Any]:
        """An error's body."""
        ...


def overrides(body: Mapping[str, Any]) -> Overrides:
    """The body's "sprat"; Problem for a key that is not known or a value that is not of its kind."""
    given = body.get("sprat")
    if given is None:
        return _NONE
    if not isinstance(given, dict):
        raise Problem(400, f"'sprat' takes a table with any of: {', '.join(OVERRIDES)}.", param="sprat")
    table = cast("dict[str, Any]", given)
    for key in table:
        if key not in OVERRIDES and len(key) > LONGEST_NAME:
            raise Problem(400, "'sprat' holds a key that is not known.", param="sprat")
        if key not in OVERRIDES:
            raise Problem(400, f"'sprat.{key}' is not known. {nearest(key, OVERRIDES)}", param=f"sprat.{key}")
    model, most, card, thread = (table.get(k) for k in ("model", "max_cost", "card", "thread"))
    if model is not None and (not isinstance(model, str) or len(model) > LONGEST_NAME):
        raise Problem(400, "'sprat.model' takes a model's name.", param="sprat.model")
    if most is not None and (isinstance(most, bool) or not isinstance(most, (int, float)) or not 0 <= most < 1e9):
        raise Problem(400, "'sprat.max_cost' takes dollars, 0 or more.", param="sprat.max_cost")
    least = table.get("min_quality")
    if least is not None and (isinstance(least, bool) or not isinstance(least, (int, float)) or not 0 < least <= 1):
        raise Problem(400, "'sprat.min_quality' takes a number above 0 and at most 1.", param="sprat.min_quality")
    if card is not None and not isinstance(card, bool):
        raise Problem(400, "'sprat.card' takes true or false.", param="sprat.card")
    if thread is not None and (not isinstance(thread, str) or len(thread) > LONGEST_NAME):
        said = f"'sprat.thread' takes the conversation's id, of at most {LONGEST_NAME} characters."
        raise Problem(400, said, param="sprat.thread")
    cache: Any = table.get("cache")
    if cache is not None and not isinstance(cache, bool) and cache != "refresh":
        raise Problem(400, "'sprat.cache' takes true, false or \"refresh\".", param="sprat.cache")
    return Overrides(model or "", most, least, bool(card), thread, cache)


def text_of(body: Mapping[str, Any], name: str) -> str:
    """A field that must be a non-empty string."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Problem(400, f"'{name}' needs a non-empty string.", param=name)
    if name == "model" and len(value) > LONGEST_NAME:
        raise Problem(400, f"'{name}' is longer than {LONGEST_NAME} characters.", param=name)
    return value


def flag(body: Mapping[str, Any], name: str) -> bool:
    """A field that is true, false or not given."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise Problem(400, f"'{name}' takes true or false.", param=name)
    return bool(value)


def count(body: Mapping[str, Any], name: str, most: int) -> int:
    """A whole number from 1 to `most`; 1 where not given."""
    value = body.get(name)
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise Problem(400, f"'{name}' takes a whole number from 1 to {most}.", param=name)
    return value


def one_reply(body: Mapping[str, Any]) -> None:
    """Problem where a field of another protocol asks for more samples than the one that is given."""
    for name in ("n", "best_of"):
        if body.get(name) not in (None, 1):
            raise Problem(400, f"'{name}' can't be had: one reply is given.", param=name)


NUMBERS = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}
_MOST = 1 << 62
MOST_SAMPLES = 128
LONGEST_NAME = 256  # characters of a model's name, or of a key that is said back
_WHOLE = ("max_tokens", "max_completion_tokens", "top_logprobs", "seed")


def checked(options: Mapping[str, Any]) -> None:
    """Problem, which names the field, for an option of a kind that no model takes."""
    for name, (low, high) in NUMBERS.items():
        value = options.get(name)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high
        ):
            raise Problem(400, f"'{name}' takes a number from {low:g} to {high:g}.", param=name)
    for name in _WHOLE:
        value = options.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MOST):
            raise Problem(400, f"'{name}' takes a whole number of reasonable size.", param=name)
        if value is not None and value < (1 if name.startswith("max") else 0) and name != "seed":
            raise Problem(400, f"'{name}' is {value}, which is too small.", param=name)
    if "best_of" in options:
        count(options, "best_of", MOST_SAMPLES)
    stop = options.get("stop")
    if stop is not None and not isinstance(stop, str) and not _strings(stop):
        raise Problem(400, "'stop' takes a string or a list of strings.", param="stop")
    tools = options.get("tools")
    if tools is not None and not _tables(tools):
        raise Problem(400, "'tools' takes a list of tools.", param="tools")
    for i, tool in enumerate(cast("list[dict[str, Any]]", tools or ())):
        function = tool.get("function")
        if function is not None and not (isinstance(function, dict) and isinstance(function.get("name"), str)):  # pyright: ignore[reportUnknownMemberType]
            raise Problem(400, f"Tool {i} needs a function with a name.", param=f"tools[{i}].function.name")
    told = options.get("stream_options")
    if told is not None and not isinstance(told, dict):
        raise Problem(400, "'stream_options' takes a table.", param="stream_options")


def _strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in cast("list[Any]", value))


def _tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, dict) for v in cast("list[Any]", value))


def messages_of(given: Any, param: str = "messages") -> tuple[Mapping[str, Any], ...]:
    """Chat messages; Problem where they are none, or one has no role, or a content of no known kind."""
    if not isinstance(given, list) or not given:
        raise Problem(400, f"'{param}' needs a non-empty list of messages.", param=param)
    for i, message in enumerate(cast("list[Any]", given)):
        if not isinstance(message, dict) or not isinstance(cast("dict[str, Any]", message).get("role"), str):
            raise Problem(400, f"Message {i} needs a 'role'.", param=f"{param}[{i}].role")
        content = cast("dict[str, Any]", message).get("content")
        if content is not None and not isinstance(content, str) and not _tables(content):
            said = f"Message {i} needs a string or a list of parts as its content."
            raise Problem(400, said, param=f"{param}[{i}].content")
    return tuple(cast("list[Mapping[str, Any]]", given))


def written_by(reply: Reply) -> Reply:
    """The leaf that wrote the reply: its own usage is what the client's context took."""
    return next((leaf for leaf in reversed(reply.leaves()) if leaf.ok and leaf.model == reply.model), reply)
