"""Texts to unit vectors: one embedded encoder that needs numpy alone, others by name, and the cache they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from sprat.encoders.cache import CachedEncoder, cached
    from sprat.encoders.protocol import Encoder
    from sprat.encoders.sentence import SentenceEncoder
    from sprat.encoders.static import StaticEncoder
    from sprat.encoders.tfidf import TfidfEncoder, fit, load, save

__all__ = [
    "CachedEncoder",
    "Encoder",
    "SentenceEncoder",
    "StaticEncoder",
    "TfidfEncoder",
    "cached",
    "fit",
    "load",
    "save",
]

_WHERE = {
    "CachedEncoder": ".cache",
    "Encoder": ".protocol",
    "SentenceEncoder": ".sentence",
    "StaticEncoder": ".static",
    "TfidfEncoder": ".tfidf",
    "cached": ".cache",
    "fit": ".tfidf",
    "load": ".tfidf",
    "save": ".tfidf",
}

__getattr__ = lazily(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
