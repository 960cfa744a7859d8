"""Trust a reply, or a request, as far as it is safe: not abusive, no private information, no instructions of others.

sprat's own: one less the largest probability that any of the scorers gives (safety/); a reply's tool calls are read
too, and of a request what the user and the tools said, each message by itself. Checked by hand, with scorers made up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..core import Ask, Reply, Request, Signal, ask, content_text
from ..errors import BadInput
from ..safety.asked import Judge, judging
from ..safety.naming import NAMES, named


@dataclass(frozen=True, repr=False)
class Safe(Signal):
    """`scorers` are names (toxicity, toxicity@0.02, pii, pii:US_SSN, injection, hub:MODEL) or scorers themselves."""

    scorers: tuple[str | Any, ...] = NAMES
    of: Literal["reply", "request"] = "reply"
    use = "safe"

    @property
    def reads_reply(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it is the reply that is judged."""
        return self.of == "reply"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """1 - the largest P(unsafe) over scorers and texts; 1 where nothing is said."""
        texts = tuple(t for t in (_asked(request) if self.of == "request" else _said(reply)) if t.strip())
        if not texts:
            return 1.0
        asked: list[Ask] = [ask(judging(s), Judge(texts), "safe?") for s in self.scorers]
        return 1.0 - max([float(np.max(await a)) for a in asked])


def _said(reply: Reply | None) -> Iterator[str]:
    if reply is not None:
        yield reply.text or ""
        if reply.tool_calls:
            yield json.dumps([dict(c) for c in reply.tool_calls], ensure_ascii=False, default=str)


def _asked(request: Request) -> Iterator[str]:
    return (
        content_text(m.get("content"))
        for m in request.messages
        if m.get("role") not in ("system", "developer", "assistant")
    )


def safe(*scorers: str | Any, of: Literal["reply", "request"] = "reply") -> Safe:
    """Whether a reply (or the request) is safe by these scorers, all embedded ones unless given.

    Raises BadInput for a name that is none, an object that is no scorer, or another `of`.
    """
    if of not in ("reply", "request"):
        raise BadInput(f"safe judges a reply or a request, not '{of}'.")
    for scorer in scorers:
        if isinstance(scorer, str):
            named(scorer)
        elif not callable(getattr(scorer, "probabilities", None)):
            raise BadInput(f"{scorer!r:.60} is no safety scorer: it has no probabilities(texts).")
    chosen: Sequence[str | Any] = scorers or NAMES
    return Safe(tuple(chosen), of)
