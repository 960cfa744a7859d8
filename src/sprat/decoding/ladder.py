"""Proxy-tuning by whatever the large model gives: logits, log-probabilities, chunks of text, or a text to rewrite.

Rungs of one composition: arXiv 2401.08565 on logits or on top-k log-probabilities, weak-to-strong search on chunks
(arXiv 2405.19262), a correction in text (arXiv 2402.02416). The reply says which rung was used and what it cost.
Checked on each rung against the method itself, over one model served with less and less (tests/decoding).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ..core import Ask, Can, Reply, Request, Technique, ask
from ..errors import BadInput, CannotDo
from ..shape import Asks, name_of
from ..whitebox.decoder import Decoder
from ..whitebox.loop import Job, Written, plain
from ..whitebox.vocabulary import common_size
from .proxy_tune import ProxyTune
from .remote import Remote, remote
from .search import search

Rung = Literal["logits", "logprobs", "chunks", "rewrite"]
RUNGS: tuple[Rung, ...] = ("logits", "logprobs", "chunks", "rewrite")
LOST: Mapping[str, tuple[str, ...]] = {
    "logits": (),
    "chunks": (
        "chosen among the large model's own chunks, not token by token: alpha has no say",
        "another draw of the chunks may give another reply",
    ),
    "rewrite": ("the text is the small model's own: neither the large one's distribution nor alpha is in it",),
}
REWRITE = (
    "{question}\n\nA draft of the answer:\n{answer}\n\n"
    "Write the answer anew as it should be, keeping what is right in the draft:"
)
ALIGNER = "##Question: {question}\n##Answer: {answer}\n##Correction: "  # what arXiv 2402.02416 trains on


@dataclass(frozen=True, repr=False)
class Ladder(ProxyTune):
    """The rungs token by token: proxy-tuning, whose replies say by which log-probabilities."""

    use = "ladder"

    def write(self, jobs: Sequence[Job]) -> Iterator[Written]:
        """Write as any decoder; a remote part adds to `told` how it was asked."""
        for job in jobs:
            job.told |= {"rung": "logits", "lost": list(LOST["logits"]), "because": _said("logits")}
        yield from plain(self, jobs)


@dataclass(frozen=True, repr=False)
class TextLadder(Technique):
    """The rungs in text: `rung` "chunks" or "rewrite"; `more` are what `search` takes, `template` what is rewritten."""

    large: Any
    tuned: Any
    untuned: Any = None
    rung: Literal["chunks", "rewrite"] = "rewrite"
    template: str = REWRITE
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])
    name: str = field(default="", kw_only=True)
    use = "text_ladder"

    @cached_property
    def searched(self) -> Any:
        """The search that the chunks are for."""
        return search(self.large, tuned=self.tuned, untuned=self.untuned, **self.more)

    def asks(self) -> list[Asks]:
        """The search, or the large model once and then the tuned one, which reads its reply too."""
        if self.rung == "chunks":
            return [Asks(self.searched)]
        return [Asks(self.large), Asks(self.tuned, replies=1, prompt=len(self.template))]

    async def answer(self, request: Request) -> Reply | Ask:
        """The search's reply, or the tuned model's rewriting of the large one's; tool calls are never rewritten."""
        if self.rung == "chunks":
            return ask(self.searched, request, _said("chunks"))
        first = await ask(self.large, request, "writes the draft")
        if first.tool_calls or request.whole or not first.text:
            return first
        return ask(self.tuned, request.asking(self._filled(request.text, first.text)), _said("rewrite"))

    def _filled(self, question: str, answer: str) -> str:
        given = {"question": question, "answer": answer}
        return re.sub(r"\{(question|answer)\}", lambda found: given[found[1]], self.template)


def _said(rung: str) -> str:
    lost = "; ".join(LOST[rung])
    return f"rung {rung}" + (f"; lost: {lost}" if lost else ": the models' own logits; nothing lost")


def best_rung(large: Any, tuned: Any) -> Rung:
    """The highest rung that the large model can stand on, from what it says of itself; nothing is asked.

    A decoder with the tuned one's vocabulary gives logits, with another one chunks. A server gives log-probabilities
    where it was declared with logprobs=True and `continues`, chunks where it continues a chat; else it is rewritten.
    """
    if isinstance(large, Decoder):
        if isinstance(tuned, Decoder):
            try:
                common_size((*large.leaves, *tuned.leaves))
            except CannotDo:
                return "chunks"
        floored = any(isinstance(leaf, Remote) and leaf.top > 0 for leaf in large.leaves)
        return "logprobs" if floored else "logits"
    continues = getattr(large, "continues", "")
    if continues and large.can >= Can.LOGPROBS and hasattr(large, "post") and isinstance(tuned, Decoder):
        return "logprobs"
    return "chunks" if continues == "chat" and isinstance(tuned, Decoder) else "rewrite"


def ladder(
    large: Any,
    *,
    tuned: Any,
    untuned: Any = None,
    alpha: float = 1.0,
    rung: Literal["best", "logits", "logprobs", "chunks", "rewrite"] = "best",
    top: int = 20,
    template: str = REWRITE,
    **more: Any,
) -> Ladder | TextLadder:
    """Proxy-tuning of a large model by the best rung that it can stand on, or the one named; replies say which.

    `top` is how many tokens a server names per call ("logprobs"; -1 all), `template` the words of the rewriting
    ("rewrite"; {question} and {answer} are filled in), `more` what sprat.search takes ("chunks"). Raises CannotDo where
    the models can't stand on the rung named, BadInput for a rung that is not known.
    """
    if rung != "best" and rung not in RUNGS:
        raise BadInput(f"There is no rung '{rung}'.", hint=f"Needed: best, {', '.join(RUNGS)}.")
    which = best_rung(large, tuned) if rung == "best" else rung
    if which != "rewrite" and untuned is None:
        raise BadInput(f"The rung '{which}' needs the untuned model too.", hint='Pass untuned=, or rung="rewrite".')
    if which in ("logits", "logprobs"):
        if not isinstance(large, Decoder):
            if which == "logits" or not isinstance(tuned, Decoder):
                raise CannotDo(f"'{name_of(large)}' gives no logits.", hint='Pass rung="best".')
            large = remote(large, tuned.base, top=top)
        return Ladder(large, tuned, untuned, alpha)
    if which == "chunks" and not isinstance(large, Decoder) and getattr(large, "continues", "") == "chat":
        more = {"continued": "continue_final_message", **more}
    if which == "rewrite":
        _check_template(template, more)
    return TextLadder(large, tuned, untuned, which, template, more)


def _check_template(template: str, more: Mapping[str, Any]) -> None:
    if "{question}" not in template:
        raise BadInput("The template has no {question}.", hint="It is what the tuned model is asked.")
    if more:
        raise BadInput(f"A rewriting takes no {next(iter(more))}.", hint='It is for rung="chunks".')
