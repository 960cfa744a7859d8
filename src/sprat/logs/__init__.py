"""Other tools' logs -> native rows: dicts of id, prompt or messages, model, reply, and what else the log knows.

`recognise` tells by content what a file is; `read` yields its rows. A row may hold usage {input_tokens, output_tokens},
cost, seconds, logprobs (one float per token), tool_calls, sample, thread, unit, and options (what the request had).
What each format keeps and loses, and on which version's own files that was checked, stands in FORMATS.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import BadInput
from .formats import FORMATS, Format
from .langfuse import observation
from .litellm import payload, spend_log
from .llm_tool import read_llm
from .openai_batch import read_openai_batch
from .otel import read_otel
from .recognise import Understood, recognise
from .records import OnBad, Policy, Row

__all__ = ["FORMATS", "Format", "Understood", "read", "recognise"]


def read(
    path: str | Path,
    *,
    format: str | None = None,
    inputs: str | Path | None = None,
    skip_bad: bool = False,
    on_bad: OnBad | None = None,
) -> Iterator[Row]:
    """Native rows of another tool's log, its format recognised unless given.

    `on_bad(line, why)` hears of every call that was passed over: always of failed ones and those stored without their
    text, and with `skip_bad` of unreadable lines too, which otherwise raise BadRow. Raises BadInput for a file that is
    no such log.
    """
    path = Path(path)
    if format is None:
        found = recognise(path)
        if found is None:
            raise BadInput(f"{path} is none of the formats known: {', '.join(FORMATS)}.", hint="See `sprat formats`.")
        format = found.format
    policy = Policy(path, skip_bad, on_bad or (lambda line, why: None))
    match format:
        case "openai-batch":
            return read_openai_batch(policy, Path(inputs) if inputs else None)
        case "litellm-spend":
            return policy.each(spend_log)
        case "litellm-payload":
            return policy.each(payload)
        case "langfuse":
            return policy.each(observation)
        case "otel":
            return read_otel(policy)
        case "llm":
            return read_llm(policy)
        case "openai-batch-input":
            raise BadInput(f"{path} is an OpenAI batch's input.", hint="Give its output, and this as inputs=.")
        case "openai-stored":
            raise BadInput(
                f"{path} lists OpenAI stored completions, which hold no prompts.",
                hint="Fetch each completion's messages from the API and write rows of messages, model, reply.",
            )
        case "native" | "table":
            raise BadInput(f"{path} is a table of its own, not a tool's log.", hint="Read it with sprat.read.")
        case _:
            raise BadInput(f"There is no log format '{format}'.", hint=f"Known: {', '.join(FORMATS)}.")
