"""Whether what the gateway answered may be: read from raw bytes, held to the official clients' types and dialects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError


@dataclass(frozen=True)
class Answer:
    """One HTTP response; `cut` says that the connection ended before it did."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False


def answers(said: bytes, head_only: bool = False) -> list[Answer]:
    """The responses in the bytes of a connection; ValueError where they are no HTTP."""
    found: list[Answer] = []
    while said:
        head, between, rest = said.partition(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").split("\r\n")
        if not between or not start.startswith("HTTP/1.1 "):
            raise ValueError(f"no response: {said[:80]!r}")
        status = int(start.split(" ")[1])
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        if status == 100:
            said = rest
            continue
        cut = False
        if head_only or status in (204, 304):
            body, said = b"", rest
        elif headers.get("transfer-encoding") == "chunked":
            body, said, cut = unchunked(rest)
        else:
            length = int(headers["content-length"])
            body, said, cut = rest[:length], rest[length:], len(rest) < length
        found.append(Answer(status, headers, body, cut))
    return found


def unchunked(data: bytes) -> tuple[bytes, bytes, bool]:
    """A chunked body, what follows it, and whether its end is missing."""
    parts: list[bytes] = []
    at = 0
    while (end := data.find(b"\r\n", at)) >= 0:
        n, begin = int(data[at:end], 16), end + 2
        at = begin + n + 2
        if n == 0:
            return b"".join(parts), data[at:], len(data) < at
        parts.append(data[begin : begin + n])
        if len(data) < at:
            break
    return b"".join(parts), b"", True


@cache
def kind(name: str) -> TypeAdapter[Any]:
    """An official client's type by a word."""
    import anthropic.types as a
    import openai.types as o
    import openai.types.chat as chat
    import openai.types.responses as responses

    kinds: dict[str, Any] = {
        "/v1/chat/completions": chat.ChatCompletion,
        "/v1/chat/completions stream": chat.ChatCompletionChunk,
        "/v1/completions": o.Completion,
        "/v1/completions stream": o.Completion,
        "/v1/responses": responses.Response,
        "/v1/responses stream": responses.ResponseStreamEvent,
        "/v1/messages": a.Message,
        "/v1/messages stream": a.RawMessageStreamEvent,
        "/v1/embeddings": o.CreateEmbeddingResponse,
        "openai error": o.ErrorObject,
        "anthropic error": a.ErrorResponse,
    }
    return TypeAdapter(kinds[name])


def warm() -> None:
    """Import the official types, which takes seconds that would count against the gateway."""
    for path in _ROUTES:
        kind(path)
        if not path.endswith("embeddings"):
            kind(f"{path} stream")
    kind("openai error"), kind("anthropic error")


def wrong(
    path: str, answer: Answer, secrets: Sequence[bytes] = (), theirs: bool = False, unread: Sequence[str] = ()
) -> str:
    """What is wrong with an answer; "" where nothing is. `theirs` says that an upstream's own body may have passed.

    `unread` are models whose bytes pass and are not what the address says.
    """
    for secret in secrets:
        if secret in answer.body or any(secret.decode() in v for v in answer.headers.values()):
            return "a secret is in the answer"
    if answer.status == 500:
        return f"status 500: {answer.body[:200]!r}"
    if any("\r" in v or "\n" in v for v in answer.headers.values()) or (
        "set-cookie" in answer.headers and not path.startswith("/sprat")
    ):
        return "a header was split"
    if answer.cut:
        return "the answer was cut off"
    path = path.partition("?")[0].partition("#")[0]
    try:
        if answer.status >= 400:
            return _error(path, answer)
        if path not in _ROUTES or answer.status != 200 or answer.headers.get("x-sprat-model") in unread:
            return ""
        if "event-stream" in answer.headers["content-type"]:
            return stream_wrong(path, answer.body)
        told = json.loads(answer.body, parse_constant=_constant)
        if not theirs:
            kind(path).validate_python(told)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        return f"status {answer.status}, {type(error).__name__}: {str(error)[:300]} in {answer.body[:200]!r}"
    return ""


_ROUTES = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings")


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _error(path: str, answer: Answer) -> str:
    if not answer.body:  # to HEAD
        return ""
    if not answer.headers["content-type"].startswith("application/json"):
        return "" if path == "/readyz" else f"an error that is no JSON: {answer.body[:80]!r}"
    told = json.loads(answer.body)
    if path.startswith("/sprat"):  # the dashboard's own
        return "" if told["error"]["message"] else "an error without a message"
    if told.get("type") == "error":
        kind("anthropic error").validate_python(told)
        return ""
    if path.startswith("/v1/messages"):
        return f"an error in the wrong dialect: {answer.body[:80]!r}"
    kind("openai error").validate_python(told["error"])
    return ""


def events(body: bytes) -> list[tuple[str, str]]:
    """(event, data) of whole events; ValueError where what is left over is not an event."""
    text = body.decode().replace("\r\n", "\n")
    *parts, rest = text.split("\n\n")
    if rest.strip():
        raise ValueError(f"half an event: {rest[:80]!r}")
    found: list[tuple[str, str]] = []
    for part in parts:
        name, data = "", list[str]()
        for line in part.split("\n"):
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
            elif line and not line.startswith(":"):
                raise ValueError(f"no line of an event: {line[:80]!r}")
        if data:
            found.append((name, "\n".join(data)))
    return found


def stream_wrong(path: str, body: bytes) -> str:
    """What is wrong with a stream's events: each must fit its type, and the last must be an end or an error."""
    found = events(body)
    if not found:
        return "a stream without events"
    for place, (name, data) in enumerate(found):
        last = place == len(found) - 1
        if data == "[DONE]":
            if not last:
                return "events after [DONE]"
            continue
        told = json.loads(data, parse_constant=_constant)
        if path in ("/v1/messages", "/v1/responses") and name != told["type"]:
            return f"the event {name!r} says that it is {told['type']!r}"
        if path == "/v1/messages" and name == "error":
            kind("anthropic error").validate_python(told)
        elif "error" in told and path in ("/v1/chat/completions", "/v1/completions"):
            kind("openai error").validate_python(told["error"])
            return "" if last else "events after an error"
        else:
            if path == "/v1/completions":  # the API itself says null until the end; its client's type does not
                told["choices"] = [{**c, "finish_reason": c["finish_reason"] or "stop"} for c in told["choices"]]
            kind(f"{path} stream").validate_python(told)
    name, data = found[-1]
    ends = {"/v1/messages": ("message_stop", "error"), "/v1/responses": _RESPONSE_ENDS}.get(path)
    ended = data == "[DONE]" if ends is None else name in ends
    return "" if ended else f"a stream that has no end: {data[:120]}"


_RESPONSE_ENDS = ("response.completed", "response.incomplete", "response.failed", "error")
