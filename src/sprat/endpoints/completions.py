"""The likeliest next tokens after a text, asked of an OpenAI-compatible server: one call per text, one token written.

"completions" continues raw text or token ids (with `echo` also inside it); "chat" continues the last assistant message,
as vLLM and SGLang do. Checked against a server of its own over loopback in tests/decoding/test_remote.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..core import Reply, content_text
from ..errors import Garbled
from .http import UNREADABLE

_ID = re.compile(r"token_id:(\d+)")  # how vLLM names a token with return_tokens_as_token_ids


@dataclass(frozen=True, slots=True)
class Named:
    """A token as a server names it: its id or bytes where told, else its text; `logprob` is natural."""

    text: str
    logprob: float
    id: int | None = None
    spelled: bytes | None = None


Place = tuple[Named, ...]


async def after_text(
    endpoint: Any, prompt: Sequence[int] | str, top: int, echo: bool, extra: Mapping[str, Any]
) -> tuple[list[Place], Reply]:
    """The likeliest tokens after the prompt; with `echo` also those at each place within, in order. Raises Garbled."""
    body = {
        "prompt": prompt if isinstance(prompt, str) else list(prompt),
        "max_tokens": 1,
        "temperature": 1.0,  # some servers give log-probabilities after temperature
        "logprobs": top,
        **({"echo": True} if echo else {}),
        **extra,
    }
    reply: Reply = await endpoint.post("completions", body)
    try:
        found: list[Any] = _choice(reply)["logprobs"]["top_logprobs"]
        places = [tuple(_named(t, p) for t, p in (place or {}).items()) for place in found]
    except UNREADABLE as error:
        raise _lacking(endpoint.name, error) from error
    return _given(endpoint.name, places), reply


async def after_messages(
    endpoint: Any, messages: Sequence[Mapping[str, Any]], text: str, top: int, extra: Mapping[str, Any]
) -> tuple[list[Place], Reply]:
    """The likeliest tokens after the messages and an assistant's `text` that is to be continued. Raises Garbled."""
    said = list(messages)
    begun = content_text(said.pop().get("content")) if said and said[-1].get("role") == "assistant" else ""
    going_on = bool(begun + text)
    body = {
        "messages": [*said, {"role": "assistant", "content": begun + text}] if going_on else said,
        "max_tokens": 1,
        "temperature": 1.0,
        "logprobs": True,
        "top_logprobs": top,
        **({"continue_final_message": True, "add_generation_prompt": False} if going_on else {}),
        **extra,
    }
    reply: Reply = await endpoint.post("chat/completions", body)
    try:
        entry: dict[str, Any] = _choice(reply)["logprobs"]["content"][0]
        places = [tuple(_named(t["token"], t["logprob"], t.get("bytes")) for t in entry["top_logprobs"])]
    except UNREADABLE as error:
        raise _lacking(endpoint.name, error) from error
    return _given(endpoint.name, places), reply


def _choice(reply: Reply) -> dict[str, Any]:
    return cast("dict[str, Any]", reply.raw)["choices"][0]


def _named(token: str, logprob: float, spelled: Any = None) -> Named:
    match = _ID.fullmatch(token)
    told = bytes(list(spelled)) if spelled else None  # a list: of a number it would be that many zeros
    return Named(token, float(logprob), int(match[1]) if match else None, told)


def _given(name: str, places: list[Place]) -> list[Place]:
    if not places or not places[-1]:
        raise _lacking(name, None)
    return places


def _lacking(name: str, error: Exception | None) -> Garbled:
    why = f" ({type(error).__name__}: {error})" if error else ""
    return Garbled(
        f"'{name}' gave no log-probabilities of likely tokens{why}.",
        hint="Does the server give them, and so many? OpenAI's chat gives at most 20, vLLM what --max-logprobs says.",
        billable=True,
    )
