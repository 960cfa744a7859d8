"""A local model's hidden states where it is about to answer, or where its answer ends: what a linear probe reads.

One pass over the prompt, nothing is written. "before" is the prompt's last token (the token before generation), "end"
the last token of a given reply before its end token (the second last one of a generation), as arXiv 2406.15927 names
them. Checked: NumPy against transformers, rows of unequal length against each alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core import Endpoint, Reply, Request, Usage
from ..errors import BadInput, CannotDo, SpratError
from ..prices import cost
from ..shape import name_of
from .arrays import host
from .decoder import Leaf

At = Literal["before", "end"]
Floats = NDArray[np.float32]


def hidden_states(leaf: Any, requests: Sequence[Request | str], replies: Sequence[str | None] | None = None) -> Floats:
    """The states (n, layers + 1, width) at the last token of each prompt, or of each reply (that is not None) after it.

    Raises CannotDo for what has no weights at hand or does not show its states, BadInput for what it can't read.
    """
    if not isinstance(leaf, Leaf):
        raise _none(leaf)
    asked = [Request.of(r) for r in requests]
    if replies is not None and len(replies) != len(asked):
        raise BadInput(f"There are {len(asked):,} requests and {len(replies):,} replies.")
    encode, said = leaf.vocabulary.encode, replies or [None] * len(asked)
    texts = [leaf.prompt(r) + (encode(t) if t else []) for r, t in zip(asked, said, strict=True)]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found: list[Any] = [None] * len(texts)
    for start in range(0, len(order), leaf.at_once):
        rows = order[start : start + leaf.at_once]
        for i, states in zip(rows, _together(leaf, [texts[i] for i in rows]), strict=True):
            found[i] = states
    if not found:
        raise BadInput("There is no request whose states could be read.")
    return np.stack(found)


def _together(leaf: Leaf, texts: list[list[int]]) -> Floats:
    counts = np.array([len(t) for t in texts])
    if leaf.positions is not None and counts.max() > leaf.positions:
        raise BadInput(f"A text has {counts.max()} tokens; '{leaf.name}' reads at most {leaf.positions}.")
    ids = np.zeros((len(texts), int(counts.max())), np.int64)
    for row, text in zip(ids, texts, strict=True):
        row[len(row) - len(text) :] = text
    session: Any = leaf.open(len(texts))
    try:
        if not hasattr(session, "states"):
            raise CannotDo(
                f"'{leaf.name}' doesn't show its hidden states.",
                hint="Take a transformers model or one of the aquarium; an ONNX export and a server give scores alone.",
            )
        return np.asarray(host(session.states(ids, None if (counts == counts[0]).all() else counts)), np.float32)
    finally:
        session.close()


@dataclass(frozen=True)
class Place:
    """What a reader of states is asked: a request, and the reply at whose end it is to look (None: before it)."""

    request: Request
    reply: str | None = None


@dataclass(frozen=True, repr=False)
class StatesReader(Endpoint):
    """Reads a leaf's states as an endpoint, so that asks made together are one pass and what is read is paid for."""

    leaf: Any
    use = "hidden_states"
    offline = True  # weights at hand: a replay asks them as they are

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whose states."""
        return f"states of {name_of(self.leaf)}"

    def answer_many(self, requests: Sequence[Any]) -> list[Reply | Exception]:
        """For each Place a reply that says nothing and holds its states (layers + 1, width) in `raw["states"]`."""
        try:
            found = hidden_states(self.leaf, [p.request for p in requests], [p.reply for p in requests])
        except SpratError as error:
            # One text that can't be read must not take the others with it.
            return [error] if len(requests) == 1 else [a for p in requests for a in self.answer_many([p])]
        return [self._reply(p, s) for p, s in zip(requests, found, strict=True)]

    def _reply(self, place: Place, states: Floats) -> Reply:
        text = self.leaf.vocabulary.encode(place.reply) if place.reply else []
        usage = Usage(len(self.leaf.prompt(place.request)) + len(text), 0)
        return Reply(None, self.name, usage=usage, cost=cost(self.leaf.price, usage), raw={"states": states})


def reading(leaf: Any) -> StatesReader:
    """The one reader of a leaf; CannotDo where it has no weights at hand."""
    if not isinstance(leaf, Leaf):
        raise _none(leaf)
    return _reader(leaf)


@lru_cache(maxsize=64)
def _reader(leaf: Any) -> StatesReader:
    return StatesReader(leaf)


def _none(model: Any) -> CannotDo:
    return CannotDo(
        f"'{name_of(model)}' has no hidden states of its own.", hint="Give a model with weights: sprat.local()."
    )
