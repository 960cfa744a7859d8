"""Inference models by the names that command lines and TOML files use, and checkers by theirs."""

from __future__ import annotations

from functools import lru_cache

from ..errors import BadInput, nearest
from .cache import cached
from .checks import Checker
from .chunks import alignscore, minicheck
from .cross_encoder import hub
from .embedded import small
from .protocol import Nli
from .summac import summac

CHECKERS = {"summac": summac, "alignscore": alignscore, "minicheck": minicheck}


@lru_cache(maxsize=8)
def named(name: str) -> Nli:
    """The model of a name: "small", or "hub:cross-encoder/nli-deberta-v3-base" (cached, long premises cut and said)."""
    kind, _, rest = name.partition(":")
    if name == "small":
        return small()
    if kind == "hub" and rest:
        return cached(hub(rest, long="truncate"))
    raise BadInput(f"There is no inference model '{name}'.", hint="Say small, or hub: and a model's name or folder.")


def resolved(nli: str | Nli) -> Nli:
    """The model that a name means; a model is itself."""
    return named(nli) if isinstance(nli, str) else nli


@lru_cache(maxsize=64)
def checker(how: str, nli: str | Nli = "small") -> Checker:
    """summac, alignscore or minicheck over a model, as their papers have them; BadInput for another name."""
    if how not in CHECKERS:
        raise BadInput(f"There is no checker '{how}'.", hint=nearest(how, CHECKERS))
    return CHECKERS[how](resolved(nli))
