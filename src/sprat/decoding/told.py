"""The same weights told something else: a system prompt, worked examples, or words around the question, of its own.

sprat's own; it serves proxy-tuning's chat prompts per part (arXiv 2401.08565), an amateur that sees less of the prompt
(arXiv 2210.15097) and the prompt that induces mistakes (arXiv 2312.15710). Checked in tests/decoding/test_told.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..core import Can, Request
from ..errors import BadInput
from ..prices import Price
from ..shape import name_of, need
from ..whitebox.decoder import Leaf, SameWeights
from ..whitebox.session import Session
from .remote import Remote

SYSTEM = ("system", "developer")
SHOWN = 32


@dataclass(frozen=True, repr=False)
class Told(SameWeights):
    """A model that reads requests its own way; weights, vocabulary and price are the model's."""

    model: Any
    system: str | None = None
    examples: tuple[tuple[str, str], ...] = ()
    before: str = ""
    after: str = ""
    replaces: bool = True
    last: int | None = None
    name: str = field(default="", repr=False)
    price: Price | None = field(default=None, init=False, repr=False, compare=False)
    max_tokens: int = field(default=256, init=False, repr=False, compare=False)
    use = "told"

    def __post_init__(self) -> None:
        need(self.model, Can.LOGITS, self.use)
        if not isinstance(self.model, Leaf):
            raise BadInput(f"'{name_of(self.model)}' is made of several models.", hint="Tell its parts, one by one.")
        if self.last is not None and self.last < 1:
            raise BadInput(f"last is {self.last}.", hint="Needed: >= 1 tokens of the prompt.")
        if not self.name:
            object.__setattr__(self, "name", self._described())
        object.__setattr__(self, "price", self.model.price)
        object.__setattr__(self, "max_tokens", self.model.max_tokens)

    def opened(
        self, requests: Sequence[Request], told: Sequence[dict[str, Any]], begun: Sequence[int] | None = None
    ) -> Session:
        """As `open`; a remote model counts its calls under this one's name."""
        if not isinstance(self.model, (Remote, Told)):
            return self.open(len(requests))
        heard = [replace(request, messages=self._messages(request.messages)) for request in requests]
        return self.model.named(self.name).opened(heard, told, begun)

    def prompt(self, request: Request) -> list[int]:
        """The ids of the request as this one is told it."""
        ids = self.model.prompt(replace(request, messages=self._messages(request.messages)))
        return ids if self.last is None else ids[-self.last :]

    def _described(self) -> str:
        """Such as `told(sprat, system='Answer wrongly.')`, long texts cut."""
        said = [self.model.name]
        for what in ("system", "before", "after"):
            text: str | None = getattr(self, what)
            if text or (what == "system" and text is not None):
                said.append(f"{what}={text if len(text) <= SHOWN else text[: SHOWN - 3] + '...'!r}")
        said += [f"{len(self.examples)} examples"] * bool(self.examples) + [f"last={self.last}"] * bool(self.last)
        return f"told({', '.join(said)})"

    def _messages(self, given: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
        rest = list(given)
        opening: list[Mapping[str, Any]] = []
        if self.system is not None:
            opening = [{"role": "system", "content": self.system}]
            if self.replaces:
                rest = [message for message in rest if message.get("role") not in SYSTEM]
        while rest and rest[0].get("role") in SYSTEM:
            opening.append(rest.pop(0))
        for question, answer in self.examples:
            opening += [self._asked(question), {"role": "assistant", "content": answer}]
        last = max((i for i, message in enumerate(rest) if message.get("role") == "user"), default=None)
        if last is not None and (self.before or self.after):
            rest[last] = {**rest[last], **self._asked(Request((rest[last],)).text)}
        return (*opening, *rest)

    def _asked(self, text: str) -> Mapping[str, Any]:
        return {"role": "user", "content": f"{self.before}{text}{self.after}"}


def told(
    model: Leaf,
    *,
    system: str | None = None,
    examples: Sequence[tuple[str, str]] = (),
    before: str = "",
    after: str = "",
    replaces: bool = True,
    last: int | None = None,
    name: str = "",
) -> Told:
    """A local model that reads every request with a system prompt, examples or a wording of its own.

    `system` stands in for the request's own system messages, or goes before them with replaces=False ("" says: none).
    `examples` are (question, answer) turns before the conversation; `before` and `after` stand around the last user
    text, and around the examples' questions. `last` lets it see only so many tokens of its prompt. Raises CannotDo for
    a model without logits, BadInput for a combination: tell its parts.
    """
    pairs = tuple((question, answer) for question, answer in examples)
    return Told(model, system, pairs, before, after, replaces, last, name)
