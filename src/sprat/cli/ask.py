"""`sprat ask`: one prompt, its reply, and the tree of asks that it took."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any, cast

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ..core import Model, Piece, Reply


def ask(
    prompt: Annotated[str, Parameter(allow_leading_hyphen=True)],
    *,
    model: str = "tiny:mackerel",
    key_env: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    stream: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Ask one prompt; the reply goes to the output, what it took to the error stream.

    Example: sprat ask "sort 31 4 15:" --model tiny:sprat

    Parameters
    ----------
    prompt
        The question; "-" reads it from the input.
    model
        A TOML file of a way of working, a tiny model (tiny:fry, tiny:sprat, tiny:mackerel), or URL#model.
    key_env
        For URL#model: the environment variable with its key.
    max_tokens
        The longest reply.
    temperature
        The sampling temperature.
    stream
        Show the reply while it is written.
    as_json
        Print the reply, its tree, tokens and costs as JSON.
    """
    from ..config import model_of

    asked = model_of(model, key_env)
    text = sys.stdin.read() if prompt == "-" else prompt
    given = {"max_tokens": max_tokens, "temperature": temperature}
    options = {k: v for k, v in given.items() if v is not None}
    shown = stream and not as_json
    reply = asyncio.run(streamed(asked, text, options)) if shown else asked(text, **options)
    if as_json:
        print(json.dumps(told(reply), ensure_ascii=False))
        return 0
    if not stream:
        print(reply.text if reply.text is not None else json.dumps(list(reply.tool_calls)))
    print(reply.tree(), file=sys.stderr)
    return 0


async def streamed(model: Model, text: str, options: dict[str, Any]) -> Reply:
    """The reply, shown while it is written."""
    reply: Reply | None = None
    async with aclosing(cast("AsyncGenerator[Piece]", model.stream(text, **options))) as pieces:
        async for piece in pieces:
            print(piece.text, end="", flush=True)
            reply = piece.reply or reply
    print()
    assert reply is not None
    return reply


def told(reply: Reply) -> dict[str, Any]:
    """A reply as JSON has it: what is known, the asks below it too."""
    whole = asdict(replace(reply, raw=None, asks=(), decoded=None))
    row: dict[str, Any] = {k: v for k, v in whole.items() if v not in (None, "", ())}
    if reply.decoded is not None:
        row["decoding"] = reply.decoded.told
    return {**row, "asks": [told(a) for a in reply.asks]} if reply.asks else row
