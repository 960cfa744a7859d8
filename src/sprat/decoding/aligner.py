"""Let a small corrector mend another model's answer, copying what it leaves as it is.

Aligner (arXiv 2402.02416): the corrector reads question and answer, and writes the corrected answer. Here its draft is
the answer itself (speculative decoding from a copy, arXiv 2304.04487), so an unchanged answer costs about one pass.
Checked against the corrector's own text, token by token, and by the passes that it takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

from ..core import Ask, Can, Model, Reply, Request, Technique, ask, content_text
from ..errors import BadInput, SpratError
from ..shape import Asks, name_of, need
from ..whitebox.decoder import Decoder, WayOfWriting
from ..whitebox.loop import Job, Written
from .drafts import Copied
from .speculate import Speculate

TEMPLATE = "##Question: {q}\n##Answer: {a}\n##Correction: "
BLOCK = 64  # tokens of the copy that are checked in one pass


@dataclass(frozen=True, repr=False)
class Predicted(WayOfWriting):
    """A decoder's own text, sooner where the request's option "prediction" says most of it.

    The option is as OpenAI has it: {"type": "content", "content": "..."}, or the text alone.
    """

    model: Any
    name: str = field(default="", kw_only=True, repr=False)
    use = "predicted"

    def __post_init__(self) -> None:
        need(self.model, Can.LOGITS, self.use)

    @property
    def written_with(self) -> Decoder:
        """The decoder that it writes with."""
        return self.model

    def write(self, jobs: Sequence[Job]) -> Iterator[Written]:
        """Those with a prediction one after another, each checked in blocks against it; the others as ever."""
        drafts: dict[int, tuple[int, ...]] = {}
        for i, job in enumerate(jobs):
            try:
                text = _predicted(job.request)
            except BadInput as error:
                yield Written(i, error=error)
                continue
            try:
                drafts[i] = tuple(self.base.vocabulary.encode(text))
            except SpratError as error:  # a prediction is a hint: one that this vocabulary can't write is not used
                drafts[i] = ()
                job.told["prediction"] = str(error)
        plain = [i for i, ids in drafts.items() if not ids]
        for i, ids in drafts.items():
            if ids:
                for written in Speculate(self.model, Copied(ids), BLOCK).write([jobs[i]]):
                    yield written._replace(job=i)
        if plain:
            for written in self.model.write([jobs[i] for i in plain]):
                yield written._replace(job=plain[written.job])


def _predicted(request: Request) -> str:
    told: Any = request.options.get("prediction") or ""
    if isinstance(told, Mapping):
        told = content_text(cast("Mapping[str, Any]", told).get("content"))
    if not isinstance(told, str):
        raise BadInput("The option 'prediction' is no text.", hint='Such as {"type": "content", "content": "..."}.')
    return told


@dataclass(frozen=True, repr=False)
class Aligner(Technique):
    """`upstream` answers, `corrector` reads `template` with question {q} and answer {a}, and writes what is given.

    The corrector sees the last question alone. A reply without text (tools) is given as it is.
    """

    upstream: Any
    corrector: Any
    template: str = TEMPLATE
    use = "aligner"

    def __post_init__(self) -> None:
        if not all(part in self.template for part in ("{q}", "{a}")):
            raise BadInput("The template lacks the question or the answer.", hint="It needs {q} and {a}.")

    @cached_property
    def writer(self) -> Any:
        """What is asked for the correction: a decoder is told the answer, and drafts from it."""
        if isinstance(self.corrector, Decoder):
            return Predicted(self.corrector, name=name_of(self.corrector))
        return self.corrector

    def asks(self) -> list[Asks]:
        """The upstream model once, and the corrector, which reads its reply too."""
        return [Asks(self.upstream), Asks(self.corrector, replies=1, prompt=len(self.template))]

    async def answer(self, request: Request) -> Reply | Ask:
        """The correction; it streams."""
        drafted: Reply = await ask(self.upstream, request)
        if not drafted.text or drafted.tool_calls or request.whole:
            return drafted
        corrected = self.asked(request, drafted.text)
        if self.writer is self.corrector:
            return ask(self.corrector, corrected, "corrects, word by word: it gives no logits, so nothing is copied")
        predicted = {**corrected.options, "prediction": {"type": "content", "content": drafted.text}}
        return ask(self.writer, replace(corrected, options=predicted), "corrects, copying what it leaves")

    def asked(self, request: Request, answer: str) -> Request:
        """What the corrector is asked."""
        texts = {"q": request.text, "a": answer}
        said = re.sub(r"\{([qa])\}", lambda match: texts[match[1]], self.template)
        return replace(request, messages=({"role": "user", "content": said},))


def aligner(upstream: Model, corrector: Model, template: str = TEMPLATE) -> Aligner:
    """A model whose answers a corrector mends; a decoder as corrector reads an unchanged answer in about one pass.

    Any other model corrects too, at full length. Raises BadInput for a template without {q} and {a}.
    """
    return Aligner(upstream, corrector, template)
