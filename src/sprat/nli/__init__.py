"""Natural language inference behind one protocol: does a premise entail a hypothesis, contradict it, or neither?

`small()` is embedded and needs numpy alone (weak, and says so: `small().worth`); `hub(name)` is any cross-encoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .cache import CachedNli, cached
    from .cross_encoder import HubNli, Shortened, hub
    from .embedded import SmallNli, small
    from .naming import named
    from .protocol import Measured, Nli, Worth

__all__ = [
    "CachedNli",
    "HubNli",
    "Measured",
    "Nli",
    "Shortened",
    "SmallNli",
    "Worth",
    "cached",
    "hub",
    "named",
    "small",
]

_WHERE = {
    "CachedNli": ".cache",
    "HubNli": ".cross_encoder",
    "Measured": ".protocol",
    "Nli": ".protocol",
    "Shortened": ".cross_encoder",
    "SmallNli": ".embedded",
    "Worth": ".protocol",
    "cached": ".cache",
    "hub": ".cross_encoder",
    "named": ".naming",
    "small": ".embedded",
}

__getattr__ = lazily(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
