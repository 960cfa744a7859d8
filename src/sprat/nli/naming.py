"""Inference models by the names that command lines and TOML files use: small, or hub:NAME."""

from __future__ import annotations

from ..errors import BadInput
from .cache import cached
from .cross_encoder import hub
from .embedded import small
from .protocol import Nli


def named(name: str) -> Nli:
    """The model of a name: "small", or "hub:cross-encoder/nli-deberta-v3-base" (cached, long premises cut and said)."""
    kind, _, rest = name.partition(":")
    if name == "small":
        return small()
    if kind == "hub" and rest:
        return cached(hub(rest, long="truncate"))
    raise BadInput(f"There is no inference model '{name}'.", hint="Say small, or hub: and a model's name or folder.")
