"""OpenAI's batch output (JSONL), joined with its input file by custom_id.

Layout: OpenAI's batch guide (fields id, custom_id, response {status_code, request_id, body}, error). Unverified: the
service writes it and no local tool could make one, so its test's file is written by hand after the published example.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .chat import asked, choices, options
from .records import Policy, Row, Skip, inner, records


def read_openai_batch(policy: Policy, inputs: Path | None = None) -> Iterator[Row]:
    """Native rows of a batch's output; `inputs` is the file that was sent. Raises BadInput without it, BadRow."""
    if inputs is None:
        raise BadInput(
            f"{policy.path} is an OpenAI batch's output, which holds replies without their prompts.",
            hint="Give the batch's input file too (inputs=...); rows are joined by custom_id.",
        )
    sent: dict[str, dict[str, Any]] = {}
    for line, record in records(Policy(inputs)):
        if not isinstance(record.get("body"), dict) or "custom_id" not in record:
            Policy(inputs).bad(line, "a line of a batch's input has a custom_id and a body")
        sent[str(record["custom_id"])] = record["body"]

    def make(record: Row) -> Iterator[Row]:
        name = str(record["custom_id"])
        response, error = inner(record, "response"), inner(record, "error")
        body = inner(response, "body")
        if error or response.get("status_code", 200) >= 400:
            why = (error or inner(body, "error")).get("message", "no reason given")
            raise Skip(f"the call failed: {why}")
        if name not in sent:
            raise Skip("the batch's input file has no such custom_id")
        ask = sent[name]
        if "choices" not in body:
            raise Skip("neither a chat nor a text completion")
        question = asked(ask.get("messages") or ask.get("prompt"))
        for answer in choices(body):
            yield {"id": name, **question, "model": ask["model"], **answer, **options(ask)}

    return policy.each(make)
