"""`sprat decode`: one prompt by a decoder, and why each token; will speculation pay, and is it lossless?"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ..errors import BadInput, CannotDo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..decoding.break_even import Tell

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
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float | None = None,
    stop: Annotated[list[str] | None, Parameter(negative="")] = None,
    seed: int | None = None,
    as_json: Json = False,
) -> int:
    """Write with several models at once, token by token; with --explain, see which one decided, and by how much.

    On a terminal the text is shown while it is written.

    Example: sprat decode "what is 12 plus 7?" --model m.toml --explain

    Example: sprat decode "tell a story:" --model m.toml --temperature 0.8 --top-p 0.95 --stop "." --stop "!"

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
    top_k
        Sample among the k likeliest tokens alone.
    top_p
        Sample among the likeliest tokens that have this chance together.
    min_p
        Leave out tokens below this share of the likeliest one's chance.
    repetition_penalty
        Above 1, tokens that were read or written before become less likely.
    stop
        A text that ends the reply and is left out; may be given more than once.
    seed
        The seed of a sampled reply.
    as_json
        Print the reply (and its explanation) as JSON.
    """
    from ..config import write_whole
    from .ask import streamed, told
    from .progress import telling

    given = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
        "stop": stop,
        "seed": seed,
    }
    options = {k: v for k, v in given.items() if v is not None}
    text = sys.stdin.read() if prompt == "-" else prompt
    with telling() as tell:
        asked = _loaded(model, tell)
    shown = sys.stdout.isatty() and not as_json
    reply = asyncio.run(streamed(asked, text, options)) if shown else asked(text, **options)
    why = reply.explain() if explain or html else None
    if html and why:
        write_whole(html, why.html().encode())
    if as_json:
        print(json.dumps(told(reply) | ({"explanation": why.row()} if why else {}), ensure_ascii=False))
        return 0
    if not shown:
        print(reply.text)
    if why and explain:
        print(f"\n{why}")
    print(reply.tree(), file=sys.stderr)
    if reply.decoded is not None and (speculated := reply.decoded.told.get("speculative_decoding")):
        print(_acceptance(speculated), file=sys.stderr)
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

    The prompt is read by the draft too, and a reply's end cuts rounds: short replies gain less than long ones.

    Example: sprat decode predict --target tiny:mackerel --draft tiny:fry

    Example: sprat decode predict --target models/large --draft models/small --prompts prompts.jsonl --passes 200

    Parameters
    ----------
    target
        Whose text it is: a TOML file of a decoder, a model's folder, or tiny:NAME.
    draft
        What writes ahead: the same, or "lookup" for spans of the text itself.
    prompts
        A file of prompts like those to come (a prompt or messages per row, as sprat collect reads them); default: the
        aquarium's problems.
    passes
        How many passes of the target to measure, at least 5; more of them see more prompts, and further into replies.
    max_tokens
        The longest reply.
    temperature
        The sampling temperature; 0 is greedy.
    as_json
        Print the prediction as JSON.
    """
    from ..decoding.break_even import predict as measured
    from .progress import telling

    asked = {"max_tokens": max_tokens, "temperature": temperature}
    options = {k: v for k, v in asked.items() if v is not None}
    asked_with = _prompts(prompts)
    with telling() as tell:
        pair = _decoder(target, tell), _draft(draft, tell)
        found = measured(*pair, asked_with, passes=passes, options=options, tell=_with_rate(tell))
    print(json.dumps(found.row()) if as_json else found)
    return 0


@decode.command
def verify(
    *,
    target: str,
    draft: str,
    prompts: Path | None = None,
    samples: int = 2000,
    tokens: int = 3,
    temperature: float | None = None,
    max_tokens: int | None = None,
    seed: int = 0,
    as_json: Json = False,
) -> int:
    """Is speculation lossless here? Greedy texts token by token, a chi-square test of samples, wrong rules as controls.

    Exits with 1 where it is not exact, or where the samples can't tell it from a wrong rule.

    Example: sprat decode verify --target tiny:mackerel --draft tiny:fry

    Example: sprat decode verify --target m.toml --draft lookup --prompts prompts.jsonl --temperature 1.5 --tokens 2

    Parameters
    ----------
    target
        Whose text it is: a TOML file of a decoder, a model's folder, or tiny:NAME.
    draft
        What writes ahead: the same, or "lookup" for spans of the text itself.
    prompts
        A file of prompts (a prompt or messages per row, as sprat collect reads them); default: the aquarium's problems.
    samples
        Sampled replies for the chi-square test; doubled, up to 16000, until every wrong rule is caught.
    tokens
        Tokens of each sampled reply.
    temperature
        The temperature of the samples (default 1).
    max_tokens
        The longest greedy reply.
    seed
        The seed of the samples.
    as_json
        Print the outcome as JSON.
    """
    from ..decoding.verify import verify as checked
    from .progress import telling

    asked = {"max_tokens": max_tokens, "temperature": temperature}
    options = {k: v for k, v in asked.items() if v is not None}
    asked_with = _prompts(prompts)
    with telling() as tell:
        pair, rate = (_decoder(target, tell), _draft(draft, tell)), _with_rate(tell)
        found = checked(*pair, asked_with, samples=samples, tokens=tokens, options=options, seed=seed, tell=rate)
    print(json.dumps(found.row()) if as_json else found)
    return 0 if found.exact else 1


def _loaded(name: str, tell: Tell) -> Any:
    """The model with its weights in memory, so that what loads is named while it does."""
    from ..config import model_of
    from ..whitebox.decoder import Decoder

    found = model_of(name)
    for leaf in found.paid if isinstance(found, Decoder) else ():
        tell(f"loading {leaf.name}", 0, 1)
        _ = leaf.positions
    return found


def _decoder(name: str, tell: Tell) -> Any:
    from ..whitebox.decoder import Decoder

    found = _loaded(name, tell)
    if not isinstance(found, Decoder):
        raise CannotDo(
            f"'{name}' is no decoder.", hint="Name a model's folder, tiny:NAME, or a TOML file of a decoder."
        )
    return found


def _draft(name: str, tell: Tell) -> Any:
    from ..decoding import lookup

    return lookup() if name == "lookup" else _decoder(name, tell)


def _with_rate(tell: Tell) -> Tell:
    """The same, with how many are done per second of their stage."""
    begun: dict[str, tuple[float, int]] = {}

    def told(stage: str, done: int, total: int) -> None:
        since, before = begun.setdefault(stage, (time.monotonic(), done))
        rate = (done - before) / max(time.monotonic() - since, 1e-9)
        tell(f"{stage}, {rate:.0f}/s" if done > before else stage, done, total)

    return told


def _acceptance(found: Mapping[str, Any]) -> str:
    """The line that vLLM logs."""
    rate = found["draft_acceptance_rate"]
    places = ", ".join(f"{one:.3f}" for one in found["acceptance_per_position"])
    return (
        f"SpecDecoding metrics: Mean acceptance length: {found['mean_acceptance_length']:.2f}, "
        f"Accepted: {found['num_accepted_tokens']} tokens, Drafted: {found['num_draft_tokens']} tokens, "
        f"Per-position acceptance rate: {places or '-'}, "
        f"Avg Draft acceptance rate: {'-' if rate is None else f'{100 * rate:.1f}%'}"
    )


def _prompts(path: Path | None) -> list[Any]:
    from ..aquarium import problems
    from ..reading import read

    if path is None:
        return [problem.prompt for problem in problems(20, seed=0)]
    found = [example.request for example in read(path, prompts_only=True)]
    if not found:
        raise BadInput(f"{path} holds no prompts.", hint='Write a line for each: {"prompt": "..."}.')
    return found
