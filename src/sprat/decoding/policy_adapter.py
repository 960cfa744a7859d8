"""A product of two policies: a base that is never touched, and a small adapter trained for a reward (arXiv 2305.15065).

The scores are log p_base + alpha * z_adapter. The adapter reads one token more than the base, which says how good the
reply is to be: the reward token that `sprat.train.policy_adapter` taught it. An adapter trained with a small stand-in
for a base goes with the real one as well: hand product() another base with the same tokens. The paper's code knows a
flag for a base whose logits are not normalized; here that is a constant per place, which changes nothing. Checked by
hand in tests/decoding/test_product.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core import Can, Request
from ..errors import BadInput, CannotDo
from ..prices import Price
from ..shape import name_of, need
from ..whitebox.arrays import log_softmax
from ..whitebox.decoder import Decoder, Leaf, SameWeights
from ..whitebox.pool import Step
from ..whitebox.session import Session
from .remote import Remote


@dataclass(frozen=True, repr=False)
class Product(Decoder):
    """log p_base + alpha * z_adapter."""

    base_model: Any
    adapter: Any
    alpha: float = 1.0
    name: str = field(default="", kw_only=True)
    use = "product"

    def __post_init__(self) -> None:
        for part in self.parts:
            need(part, Can.LOGITS, self.use)

    @property
    def parts(self) -> tuple[Decoder, ...]:
        """The base and the adapter."""
        return (self.base_model, self.adapter)

    @property
    def formula(self) -> str:
        """Such as `product(big, steered(adapter), alpha=1)`."""
        return f"product({self.base_model.formula}, {self.adapter.formula}, alpha={self.alpha:g})"

    def scores(self, step: Step) -> Any:
        """The sum, up to a constant per place."""
        base = log_softmax(step.of(self.base_model))
        return base if self.alpha == 0 else base + self.alpha * step.of(self.adapter)

    @property
    def linear(self) -> tuple[tuple[Decoder, float], ...]:
        """The base, and alpha times the adapter."""
        return ((self.base_model, 1.0), (self.adapter, self.alpha))

    def terms(self, step: Step) -> list[tuple[Decoder, Any]]:
        """The base's log-probabilities, and what the adapter adds to them."""
        return [
            (self.base_model, log_softmax(step.of(self.base_model))),
            (self.adapter, self.alpha * step.of(self.adapter)),
        ]


@dataclass(frozen=True, repr=False)
class Steered(SameWeights):
    """A model that reads the tokens `first` before its prompt; all else is the model's."""

    model: Any
    first: tuple[str, ...]
    name: str = field(default="", repr=False)
    price: Price | None = field(default=None, init=False, repr=False, compare=False)
    max_tokens: int = field(default=256, init=False, repr=False, compare=False)
    use = "steered"

    def __post_init__(self) -> None:
        need(self.model, Can.LOGITS, self.use)
        if not isinstance(self.model, Leaf):
            raise BadInput(f"'{name_of(self.model)}' is made of several models.", hint="Steer one of its parts.")
        if not self.name:
            object.__setattr__(self, "name", f"steered({self.model.name}, {' '.join(self.first)})")
        object.__setattr__(self, "price", self.model.price)
        object.__setattr__(self, "max_tokens", self.model.max_tokens)

    def opened(
        self, requests: Sequence[Request], told: Sequence[dict[str, Any]], begun: Sequence[int] | None = None
    ) -> Session:
        """As `open`; a remote model counts its calls under this one's name, and refuses where it reads messages."""
        if not isinstance(self.model, Remote):
            return self.open(len(requests))
        if self.model.by == "chat":
            raise CannotDo(f"'{self.model.name}' reads messages, not ids.", hint='Pass by="completions".')
        return self.model.named(self.name).opened(requests, told, begun)

    def prompt(self, request: Request) -> list[int]:
        """The first tokens, then what the model reads; BadInput for a token that it lacks."""
        tokens = self.model.vocabulary.tokens
        if lacking := [token for token in self.first if token not in tokens]:
            raise BadInput(f"'{self.model.name}' has no token {lacking[0]!r}.", hint="Name one of its tokens.")
        return [*(tokens.index(token) for token in self.first), *self.model.prompt(request)]


def product(base_model: Decoder, adapter: Decoder, alpha: float = 1.0, *, name: str = "") -> Product:
    """A base whose next-token distribution an adapter multiplies; `alpha` 0 is the base. CannotDo without logits."""
    return Product(base_model, adapter, alpha, name=name)


def steered(model: Leaf, first: Sequence[str], *, name: str = "") -> Steered:
    """A local model that reads these tokens before its prompt, such as an adapter its best reward token.

    Raises CannotDo for a model without logits, BadInput for a combination: steer its parts.
    """
    return Steered(model, tuple(first), name)
