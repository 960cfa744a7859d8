"""The formats of logs: what was checked on which version's own files, what is read of them, and what is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Format:
    """A format's standing.

    supported: checked on files that the named version wrote of real calls. schema-verified: checked on records in the
    tool's own published classes, not on an export of its server. unverified: written after the documentation only.
    not read: recognised, and refused with a reason.
    """

    name: str
    status: Literal["supported", "schema-verified", "unverified", "not read"]
    version: str
    reads: str
    loses: str


_ALL = (
    Format(
        "llm",
        "supported",
        "llm 0.36, 0.28, 0.19.1",
        "logs.db: messages, conversations, fragments, attachments, tools, schemas, options, tokens, seconds",
        "failed calls (llm does not log them); log-probabilities; cost; bytes of pictures given by path",
    ),
    Format(
        "litellm-spend",
        "supported",
        "LiteLLM 1.106.2 (its rows and its table; Prisma's INSERT was played by psql)",
        "LiteLLM_SpendLogs as CSV or JSON: messages, options, tools, reply, tokens, cost, seconds, session, end user",
        "calls stored without prompts; prompts that LiteLLM cut (over 2,048 characters by default); a cost of 0",
    ),
    Format(
        "litellm-payload",
        "supported",
        "LiteLLM 1.106.2",
        "StandardLoggingPayload (generic_api, S3, GCS callbacks): as litellm-spend, prompts whole, log-probabilities",
        "redacted calls; a cost of 0 (LiteLLM writes 0 where it knows no price); which deployment of a group answered",
    ),
    Format(
        "otel",
        "supported",
        "opentelemetry-instrumentation-openai-v2 2.4b0, 2.1b0; opentelemetry-instrumentation-openai 0.62.4, 0.47.5",
        "OTLP JSON lines or console exporter: content on spans or in the same file's events, options, tokens, seconds",
        "spans without captured content; log-probabilities; cost; with openai-v2, tools and pictures",
    ),
    Format(
        "langfuse",
        "schema-verified",
        "langfuse SDK 5.0.4 (its API classes, filled with what it recorded; no server was run)",
        "JSON of GET /api/public/v2/observations: messages, tools, options, reply, usage, cost, latency, session, user",
        "scores; prompts by reference; the web page's CSV; options equal to the SDK's defaults",
    ),
    Format(
        "openai-batch",
        "unverified",
        "the service's documentation, 2025",
        "batch output joined with its input file by custom_id: messages, options, reply, log-probabilities, tokens",
        "cost, seconds; /v1/responses and /v1/embeddings bodies",
    ),
    Format(
        "openai-stored",
        "not read",
        "",
        "the list of stored completions is recognised and refused",
        "everything: the list holds no prompts",
    ),
)

FORMATS = {f.name: f for f in _ALL}
