"""`sprat decode`: one prompt by a decoder, and why each token; will speculation pay, and is it lossless?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from ..errors import BadInput, CannotDo

decode = App(name="decode")

Json = Annotated[bool, Parameter(name="--json", negative="")]


@decode.default
def write(
    prompt: Annotated[str, Parameter(allow_leading_hyphen=True)],
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


@decode.command
def predict(
    *,
    target: str,
    draft: str,
    prompts: Path | None = None,
    passes: int = 50,
    max_tokens: int | None = None,
    temperature: float | None = None,
    as_json: Json = False,
) -> int:
    """Will speculation pay? Measures about 50 passes and predicts the speed-up of each draft length, or says "don't".

    Example: sprat decode predict --target tiny:mackerel --draft tiny:fry

    Parameters
    ----------
    target
        Whose text it is: a TOML file of a decoder, a model's folder, or tiny:NAME.
    draft
        What writes ahead: the same, or "lookup" for spans of the text itself.
    prompts
        A file of prompts like those to come (JSON lines with "prompt"); default: the aquarium's problems.
    passes
        How many passes of the target to measure.
    max_tokens
        The longest reply.
    temperature
        The sampling temperature; 0 is greedy.
    as_json
        Print the prediction as JSON.
    """
    from ..decoding.break_even import predict as measured

    asked = {"max_tokens": max_tokens, "temperature": temperature}
    options = {k: v for k, v in asked.items() if v is not None}
    found = measured(_decoder(target), _draft(draft), _prompts(prompts), passes=passes, options=options)
    print(json.dumps(found.row()) if as_json else found)
    return 0


@decode.command
def verify(
    *,
    target: str,
    draft: str,
    prompts: Path | None = None,
    samples: int = 2000,
    max_tokens: int | None = None,
    seed: int = 0,
    as_json: Json = False,
) -> int:
    """Is speculation lossless here? Greedy texts token by token, a chi-square test of samples, wrong rules as controls.

    Exits with 1 where it is not exact. Example: sprat decode verify --target tiny:mackerel --draft tiny:fry

    Parameters
    ----------
    target
        Whose text it is: a TOML file of a decoder, a model's folder, or tiny:NAME.
    draft
        What writes ahead: the same, or "lookup" for spans of the text itself.
    prompts
        A file of prompts (JSON lines with "prompt"); default: the aquarium's problems.
    samples
        Sampled replies for the chi-square test.
    max_tokens
        The longest reply.
    seed
        The seed of the samples.
    as_json
        Print the outcome as JSON.
    """
    from ..decoding.verify import verify as checked

    options = {} if max_tokens is None else {"max_tokens": max_tokens}
    found = checked(_decoder(target), _draft(draft), _prompts(prompts), samples=samples, options=options, seed=seed)
    print(json.dumps(found.row()) if as_json else found)
    return 0 if found.exact else 1


def _decoder(name: str) -> Any:
    from ..config import model_of
    from ..whitebox.decoder import Decoder

    found = model_of(name)
    if not isinstance(found, Decoder):
        raise CannotDo(
            f"'{name}' is no decoder.", hint="Name a model's folder, tiny:NAME, or a TOML file of a decoder."
        )
    return found


def _draft(name: str) -> Any:
    from ..decoding import lookup

    return lookup() if name == "lookup" else _decoder(name)


def _prompts(path: Path | None) -> list[Any]:
    from ..aquarium import problems
    from ..reading import read

    if path is None:
        return [problem.prompt for problem in problems(20, seed=0)]
    found = [example.request for example in read(path, prompts_only=True)]
    if not found:
        raise BadInput(f"{path} holds no prompts.", hint='Write a line for each: {"prompt": "..."}.')
    return found
