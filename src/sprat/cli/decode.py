"""`sprat decode`: one prompt by a decoder, and why each token; will speculation pay, and is it lossless?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

decode = App(name="decode")

Json = Annotated[bool, Parameter(name="--json", negative="")]


@decode.default
def write(
    prompt: str,
    *,
    model: str = "tiny:mackerel",
    explain: Annotated[bool, Parameter(negative="")] = False,
    html: Path | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    as_json: Json = False,
) -> int:
    """Write with several models at once, token by token; with --explain, see which one decided, and by how much.

    Example: sprat decode "what is 12 plus 7?" --model m.toml --explain

    Parameters
    ----------
    prompt
        The question; "-" reads it from the input.
    model
        A TOML file of a decoder, a model's folder, or a tiny model (tiny:fry, tiny:sprat, tiny:mackerel).
    explain
        Show each part's contribution to each token.
    html
        Write the explanation as a page of its own to this file.
    max_tokens
        The longest reply.
    temperature
        The sampling temperature; 0 is greedy.
    seed
        The seed of a sampled reply.
    as_json
        Print the reply (and its explanation) as JSON.
    """
    from ..config import model_of, write_whole
    from .ask import told

    given = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
    options = {k: v for k, v in given.items() if v is not None}
    reply = model_of(model)(sys.stdin.read() if prompt == "-" else prompt, **options)
    why = reply.explain() if explain or html else None
    if html and why:
        write_whole(html, why.html().encode())
    if as_json:
        print(json.dumps(told(reply) | ({"explanation": why.row()} if why else {}), ensure_ascii=False))
        return 0
    print(reply.text)
    if why and explain:
        print(f"\n{why}")
    print(reply.tree(), file=sys.stderr)
    return 0
