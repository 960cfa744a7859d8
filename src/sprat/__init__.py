"""sprat: small language models beside large ones, with a promise that is tested.

The public names, each imported when it is first used; everything else lives in the folder that its type names.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import config, decoding, encoders, endpoints, energy, factuality, judging, nli, signals, train, whitebox
    from .combine import assign, best_of, blend, cascade, fallback, frugal_cascade, route, vote, watchful
    from .core import Endpoint, Piece, Reply, Request, Signal, Technique, ask, together, watch
    from .data import Dataset, Example, Lessons
    from .decoding import (
        aligner,
        choose,
        cogenesis,
        contrast,
        dexperts,
        emulate,
        induce_contrast,
        ladder,
        lookup,
        mix,
        product,
        proxy_tune,
        remote,
        search,
        speculate,
        told,
    )
    from .endpoints import anthropic, local, openai, recorded, tiny, toy
    from .errors import SpratError
    from .fitting import fit
    from .methods import methods
    from .prices import Price
    from .reading import read, write
    from .replay import record, replay
    from .study.job import load, study

__version__ = "0.1.0"

__all__ = [
    "Dataset",
    "Endpoint",
    "Example",
    "Lessons",
    "Piece",
    "Price",
    "Reply",
    "Request",
    "Signal",
    "SpratError",
    "Technique",
    "aligner",
    "anthropic",
    "ask",
    "assign",
    "best_of",
    "blend",
    "cascade",
    "choose",
    "cogenesis",
    "config",
    "contrast",
    "decoding",
    "dexperts",
    "emulate",
    "encoders",
    "endpoints",
    "energy",
    "factuality",
    "fallback",
    "fit",
    "frugal_cascade",
    "induce_contrast",
    "judging",
    "ladder",
    "load",
    "local",
    "lookup",
    "methods",
    "mix",
    "nli",
    "openai",
    "product",
    "proxy_tune",
    "read",
    "record",
    "recorded",
    "remote",
    "replay",
    "route",
    "search",
    "signals",
    "speculate",
    "study",
    "tiny",
    "together",
    "told",
    "toy",
    "train",
    "vote",
    "watch",
    "watchful",
    "whitebox",
    "write",
]

_WHERE = {
    "core": ("Endpoint", "Piece", "Reply", "Request", "Signal", "Technique", "ask", "together", "watch"),
    "errors": ("SpratError",),
    "data": ("Dataset", "Example", "Lessons"),
    "prices": ("Price",),
    "reading": ("read", "write"),
    "replay": ("record", "replay"),
    "endpoints": ("anthropic", "local", "openai", "recorded", "tiny", "toy"),
    "combine": (
        "assign", "best_of", "blend", "cascade", "fallback", "frugal_cascade", "route", "vote", "watchful",
    ),
    "decoding": (
        "aligner", "choose", "cogenesis", "contrast", "dexperts", "emulate", "induce_contrast", "ladder",
        "lookup", "mix", "product", "proxy_tune", "remote", "search", "speculate", "told",
    ),
    "fitting": ("fit",),
    "methods": ("methods",),
    "study.job": ("load", "study"),
}  # fmt: skip
_FROM = {name: module for module, names in _WHERE.items() for name in names}
_ROOMS = (
    "config",
    "curate",
    "decoding",
    "encoders",
    "endpoints",
    "energy",
    "factuality",
    "judging",
    "nli",
    "safety",
    "signals",
    "train",
    "whitebox",
)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name not in _FROM:
        raise AttributeError(f"module 'sprat' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Importing sprat.study or sprat.replay binds the module here; the public name is the function.
        if not (name in _FROM and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
