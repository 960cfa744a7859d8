"""OpenAI's text completions: a prompt is asked as a user's message, unless an upstream completes text itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ...core import Piece, Reply, Request
from .asked import MOST_SAMPLES, Asked, checked, count, flag, overrides, text_of
from .chat import finish, said_in, usage
from .problem import Problem, dumped, openai_error

_NOT_OPTIONS = frozenset(
    {"model", "prompt", "stream", "stream_options", "sprat", "logprobs", "best_of", "echo", "suffix"}
)
_LONGEST = 16  # the API's own default


class Completions:
    """/v1/completions."""

    name = "completions"

    def read(self, body: dict[str, Any]) -> Asked:
        """The request; `echo` holds the body, for an upstream that completes text."""
        model, wanted = text_of(body, "model"), overrides(body)
        given: Any = body.get("prompt")
        if isinstance(given, list) and len(cast("list[Any]", given)) == 1:
            given = given[0]
        if not isinstance(given, str):
            raise Problem(400, "'prompt' takes one string; ask once for each.", param="prompt")
        options = {k: v for k, v in body.items() if k not in _NOT_OPTIONS}
        options.setdefault("max_tokens", _LONGEST)
        most = body.get("logprobs")
        if most is not None:
            if isinstance(most, bool) or not isinstance(most, int) or not 0 <= most <= 20:
                raise Problem(400, "'logprobs' takes a whole number from 0 to 20.", param="logprobs")
            options |= {"logprobs": True, "top_logprobs": most}
        checked(options)
        told: Any = body.get("stream_options")
        if told is not None and not isinstance(told, dict):
            raise Problem(400, "'stream_options' takes a table.", param="stream_options")
        counted = bool(isinstance(told, dict) and cast("dict[str, Any]", told).get("include_usage"))
        n, best = count(body, "n", MOST_SAMPLES), count(body, "best_of", MOST_SAMPLES)
        if best > n:  # an upstream that completes text draws so many, and bills them
            options["best_of"] = -(-best // n)
        request = Request(({"role": "user", "content": given},), options, thread=wanted.thread)
        sent = {k: v for k, v in body.items() if k != "sprat"}
        return Asked(model, request, flag(body, "stream"), n, wanted, counted, {"body": sent})

    def needs(self, asked: Asked) -> None:
        """Problem for what a chat model can't do."""
        body: Mapping[str, Any] = asked.echo["body"]
        for name in ("suffix", "echo"):
            if body.get(name):
                raise Problem(400, f"'{asked.model}' can't do '{name}': it answers, it does not complete.", param=name)
        if body.get("best_of") not in (None, 1, body.get("n") or 1):
            raise Problem(400, "'best_of' can't be had; serve a best_of as a way of working instead.", param="best_of")

    def write(self, asked: Asked, replies: list[Reply], number: str, at: int) -> dict[str, Any]:
        """A text completion with a choice per reply."""
        made = {
            "id": f"cmpl-{number}",
            "object": "text_completion",
            "created": at,
            "model": replies[0].model or asked.model,
            "choices": [
                {"text": r.text or "", "index": i, "logprobs": _logprobs(asked, r), "finish_reason": _reason(r)}
                for i, r in enumerate(replies)
            ],
        }
        found = usage(replies)
        return {**made, "usage": found} if found else made

    def stream(self, asked: Asked, number: str, at: int) -> CompletionStream:
        """Parts of a text completion."""
        return CompletionStream(asked, number, at)

    def error(self, problem: Problem) -> dict[str, Any]:
        """OpenAI's error."""
        return openai_error(problem)


def _reason(reply: Reply) -> str:
    return "length" if finish(reply) == "length" else "stop"


def _logprobs(asked: Asked, reply: Reply) -> dict[str, Any] | None:
    if not asked.request.options.get("logprobs") or not reply.tokens or not reply.logprobs:
        return None
    tops = [dict(t) for t in reply.top_logprobs] if reply.top_logprobs else None
    offsets, at = list[int](), 0
    for token in reply.tokens:
        offsets.append(at)
        at += len(token)
    return {
        "tokens": list(reply.tokens),
        "token_logprobs": list(reply.logprobs),
        "top_logprobs": tops,
        "text_offset": offsets,
    }


class CompletionStream:
    """Parts of a text completion, usage where asked for, and [DONE]."""

    def __init__(self, asked: Asked, number: str, at: int) -> None:
        self.asked, self.said, self.model = asked, False, ""
        name = {"id": f"cmpl-{number}", "object": "text_completion", "created": at}
        self.frame: dict[str, Any] = name

    @property
    def _frame(self) -> dict[str, Any]:
        return {**self.frame, "model": self.model or self.asked.model}

    def _part(self, index: int, text: str, reason: str | None = None, logprobs: Any = None) -> bytes:
        one = {"text": text, "index": index, "logprobs": logprobs, "finish_reason": reason}
        return b"data: " + dumped({**self._frame, "choices": [one]}) + b"\n\n"

    def piece(self, piece: Piece) -> bytes:
        """The piece's text."""
        text = said_in(piece)[0].get("content")
        if not isinstance(text, str):
            return b""
        self.said = True
        return self._part(0, text)

    def end(self, replies: list[Reply], card: Mapping[str, Any] | None) -> bytes:
        """The rest."""
        out = list[bytes]()
        for i, reply in enumerate(replies):
            if reply.text and (i > 0 or not self.said):
                out.append(self._part(i, reply.text))
            out.append(self._part(i, "", _reason(reply), _logprobs(self.asked, reply)))
        told: dict[str, Any] = {} if card is None else {"sprat": card}
        if self.asked.usage:
            told["usage"] = usage(replies)
        if told:
            out.append(b"data: " + dumped({**self._frame, "choices": [], **told}) + b"\n\n")
        return b"".join(out) + b"data: [DONE]\n\n"

    def error(self, problem: Problem) -> bytes:
        """The error as an event."""
        return b"data: " + dumped(openai_error(problem)) + b"\n\n"
