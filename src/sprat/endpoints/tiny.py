"""The aquarium's tiny language models as endpoints: real answers in numpy, with no key and no network.

They read the last user message alone. Checked against their own recorded calls, token by token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..core import Request, content_text
from ..errors import BadInput
from ..prices import Price, built_in
from ..whitebox.decoder import Leaf
from ..whitebox.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ..aquarium import TinyLlama
    from ..whitebox.session import Session


@dataclass(frozen=True, repr=False)
class Tiny(Leaf):
    """A tiny model by name, or by the .safetensors file in `weights`.

    Greedy unless a temperature is given. Sampling is reproducible: the seed (default 0) plus the request's sample
    number gives the draw.
    """

    name: str
    weights: str = ""
    price: Price | None = field(default=None, repr=False)
    max_tokens: int = 32
    use = "tiny"
    continues = "prefill"
    offline = False

    @property
    def loaded(self) -> TinyLlama:
        """The model itself, read once; BadInput where there is none."""
        return _read(self.name, self.weights)

    @property
    def vocabulary(self) -> Vocabulary:
        """One token per character."""
        return _characters(self.name, self.weights)

    @property
    def positions(self) -> int:
        """How many characters it reads at most, the begin token too."""
        return self.loaded.weights.positions

    @property
    def at_once(self) -> int:
        """Rows in one session, so that memory stays small."""
        return 64

    @property
    def fingerprint(self) -> int:
        """The CRC-32 of its weights."""
        return self.loaded.weights.fingerprint

    @property
    def parameters(self) -> int:
        """How many numbers its weights are."""
        return self.loaded.weights.parameters

    def open(self, batch: int) -> Session:
        """An empty session of `batch` rows."""
        return self.loaded.session(batch)


@dataclass(frozen=True, eq=False)
class Characters:
    """The tiny models' vocabulary as decoders see it."""

    loaded: TinyLlama

    @property
    def tokens(self) -> tuple[str, ...]:
        """The token of each id."""
        return self.loaded.vocabulary.tokens

    @property
    def ends(self) -> frozenset[int]:
        """The end token."""
        return frozenset((self.loaded.vocabulary.end,))

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """The begin token and the last user message; an assistant's message after it is continued."""
        for message in messages:
            content: Any = message.get("content")
            if isinstance(content, list) and any("text" not in part for part in cast("list[Any]", content)):
                raise BadInput("The tiny models read text alone; a message holds something else.", hint="Leave it out.")
        begun = content_text(messages[-1].get("content")) if messages[-1].get("role") == "assistant" else ""
        return self.loaded.vocabulary.encode(Request(tuple(messages)).text + begun)

    def encode(self, text: str) -> list[int]:
        """One id per character; BadInput names those that have none."""
        return self.loaded.vocabulary.encode(text)[1:]

    def decode(self, ids: Sequence[int]) -> str:
        """The characters."""
        return self.loaded.vocabulary.decode(ids)


@cache
def _read(name: str, weights: str) -> TinyLlama:
    from ..aquarium import TinyLlama, load

    return TinyLlama.load(weights) if weights else load(name)


@cache
def _characters(name: str, weights: str) -> Characters:
    return Characters(_read(name, weights))


def tiny(which: str, *, price: Price | None = None, max_tokens: int = 32) -> Tiny:
    """One of the aquarium ("sprat"; sprat.aquarium.GROWN too), or a .safetensors file; BadInput where there is none.

    They cost what the aquarium's notional table says, unless a price is given.
    """
    if which.endswith(".safetensors"):
        made = Tiny(Path(which).stem, which, price, max_tokens)
    else:
        made = Tiny(which, "", price or built_in().of(which), max_tokens)
    _ = made.loaded
    return made
