"""OpenAI's chat completions: bodies to requests, replies to completions and chunks, in the official types' shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core import Piece, Reply, Request, content_text
from .asked import MOST_SAMPLES, Asked, checked, count, flag, messages_of, overrides, text_of, written_by
from .problem import Problem, dumped, openai_error

_NOT_OPTIONS = frozenset({"model", "messages", "stream", "stream_options", "sprat"})


class Chat:
    """/v1/chat/completions."""

    name = "chat"

    def read(self, body: dict[str, Any]) -> Asked:
        """The request; unknown fields stay among its options."""
        model, wanted = text_of(body, "model"), overrides(body)
        messages = messages_of(body.get("messages"))
        options = {k: v for k, v in body.items() if k not in _NOT_OPTIONS and (k != "best_of" or v is not None)}
        checked(options)
        n = count(body, "n", MOST_SAMPLES)
        told = body.get("stream_options")
        if told is not None and not isinstance(told, dict):
            raise Problem(400, "'stream_options' takes a table.", param="stream_options")
        usage = bool(told and told.get("include_usage"))  # pyright: ignore[reportUnknownMemberType]
        if told:
            options["stream_options"] = told
        request = Request(messages, options, thread=wanted.thread)
        return Asked(model, request, flag(body, "stream"), n, wanted, usage)

    def write(self, asked: Asked, replies: list[Reply], number: str, at: int) -> dict[str, Any]:
        """A chat completion with a choice per reply."""
        logprobs = bool(asked.request.options.get("logprobs"))
        made = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": at,
            "model": replies[0].model or asked.model,
            "choices": [choice(i, r, logprobs) for i, r in enumerate(replies)],
        }
        if len(replies) == 1 and _theirs(replies[0]) is not None:
            made = {**{k: v for k, v in (replies[0].raw or {}).items() if k != "usage"}, **made}
        found = usage(replies)
        return {**made, "usage": found} if found else made

    def stream(self, asked: Asked, number: str, at: int) -> ChatStream:
        """Chunks."""
        return ChatStream(asked, number, at)

    def error(self, problem: Problem) -> dict[str, Any]:
        """OpenAI's error."""
        return openai_error(problem)


def choice(index: int, reply: Reply, logprobs: bool) -> dict[str, Any]:
    """One choice; the upstream's own where it says the same, so that its unknown fields are kept."""
    theirs = _theirs(reply)
    if theirs is not None:
        kept = {**theirs, "index": index}
        return kept if logprobs else {**kept, "logprobs": None}
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    if reply.tool_calls:
        message["tool_calls"] = [dict(c) for c in reply.tool_calls]
    told = _logprobs(reply.tokens, reply.logprobs, reply.top_logprobs) if logprobs else None
    return {"index": index, "message": message, "finish_reason": finish(reply), "logprobs": told}


def _theirs(reply: Reply) -> Mapping[str, Any] | None:
    choices: Any = (reply.raw or {}).get("choices")
    if not choices or not isinstance(choices[0], dict):
        return None
    first: Mapping[str, Any] = choices[0]
    message: Any = first.get("message") or {}
    said = message.get("content")
    text = content_text(said) if isinstance(said, list) else said
    return first if (text if text is not None else message.get("refusal")) == reply.text else None


def finish(reply: Reply) -> str:
    """Why the reply ended."""
    return reply.finish or ("tool_calls" if reply.tool_calls else "stop")


def usage(replies: Sequence[Reply]) -> dict[str, Any] | None:
    """What the writing of the replies took, None where a part is unknown; one prompt is counted once."""
    own = [written_by(r).usage for r in replies]
    if any(u is None or u.input_tokens is None or u.output_tokens is None for u in own):
        return None
    read = max((u.input_tokens or 0 for u in own if u), default=0)
    wrote = sum(u.output_tokens or 0 for u in own if u)
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def _logprobs(tokens: Sequence[str] | None, values: Sequence[float] | None, tops: Any = None) -> dict[str, Any] | None:
    if not tokens or not values:
        return None
    listed: list[dict[str, Any]] = []
    for i, (token, value) in enumerate(zip(tokens, values, strict=False)):
        top = [{"token": t, "logprob": v, "bytes": _bytes(t)} for t, v in (tops[i] if tops else {}).items()]
        listed.append({"token": token, "logprob": value, "bytes": _bytes(token), "top_logprobs": top})
    return {"content": listed, "refusal": None}


def _bytes(token: str) -> list[int]:
    return list(token.encode("utf-8", "replace"))


def said_in(piece: Piece) -> tuple[dict[str, Any], Any]:
    """The delta (without its role) and log-probabilities that an upstream's chunk holds; text alone where it has none.

    Chunks that other dialects' endpoints make have the same shape.
    """
    raw: Any = piece.raw
    if isinstance(raw, dict):
        choices: Any = raw.get("choices")  # pyright: ignore[reportUnknownMemberType]
        if choices and choices[0].get("index", 0) == 0:
            delta = {k: v for k, v in (choices[0].get("delta") or {}).items() if k != "role" and v not in (None, "")}
            return delta, choices[0].get("logprobs")
        return {}, None
    return ({"content": piece.text} if piece.text else {}), _logprobs(piece.tokens, piece.logprobs)


class ChatStream:
    """Chunks: the role first, then what is said, the reason of the end, usage where asked for, and [DONE]."""

    def __init__(self, asked: Asked, number: str, at: int) -> None:
        self.asked = asked
        self.logprobs = bool(asked.request.options.get("logprobs"))
        self.frame: dict[str, Any] = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion.chunk",
            "created": at,
        }
        self.model = ""
        self.begun = self.tools = self.said = False

    @property
    def _frame(self) -> dict[str, Any]:
        return {**self.frame, "model": self.model or self.asked.model}

    def _chunk(self, index: int, delta: dict[str, Any], reason: str | None = None, logprobs: Any = None) -> bytes:
        one = {"index": index, "delta": delta, "finish_reason": reason, "logprobs": logprobs}
        missing = {"usage": None} if self.asked.usage else {}
        return b"data: " + dumped({**self._frame, "choices": [one], **missing}) + b"\n\n"

    def _begin(self, count: int = 1) -> bytes:
        if self.begun:
            return b""
        self.begun = True
        return b"".join(self._chunk(i, {"role": "assistant", "content": ""}) for i in range(count))

    def piece(self, piece: Piece) -> bytes:
        """The piece's delta as a chunk."""
        delta, logprobs = said_in(piece)
        self.tools = self.tools or "tool_calls" in delta
        self.said = self.said or "content" in delta
        out = self._begin()
        return out + self._chunk(0, delta, None, logprobs if self.logprobs else None) if delta else out

    def end(self, replies: list[Reply], card: Mapping[str, Any] | None) -> bytes:
        """The rest of the chunks."""
        out = [self._begin(len(replies))]
        for i, reply in enumerate(replies):
            if reply.text and (i > 0 or not self.said):
                told = _logprobs(reply.tokens, reply.logprobs, reply.top_logprobs) if self.logprobs else None
                out.append(self._chunk(i, {"content": reply.text}, None, told))
            if reply.tool_calls and (i > 0 or not self.tools):
                calls = [{"index": j, **call} for j, call in enumerate(reply.tool_calls)]
                out.append(self._chunk(i, {"tool_calls": calls}))
            out.append(self._chunk(i, {}, finish(reply)))
        if card is not None:
            out.append(b"data: " + dumped({**self._frame, "choices": [], "sprat": card}) + b"\n\n")
        if self.asked.usage:
            out.append(b"data: " + dumped({**self._frame, "choices": [], "usage": usage(replies)}) + b"\n\n")
        return b"".join(out) + b"data: [DONE]\n\n"

    def error(self, problem: Problem) -> bytes:
        """The error as an event; there is no [DONE] after it."""
        return b"data: " + dumped(openai_error(problem)) + b"\n\n"
