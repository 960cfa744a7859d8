"""Energy: measured where the machine counts it (NVML, RAPL), else estimated, and every number says which.

`meter()` weighs a block of code on this machine; `of_tokens` and `of_calls` estimate what a remote model drew from the
tokens that it wrote. Unknown is not 0: a part that is there and can't be read makes the sum unknown, and is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .amount import Energy, total
    from .calls import of_call, of_calls
    from .metering import Meter, meter
    from .processor import Share, share
    from .tokens import Served, of_tokens, parameters_in

__all__ = [
    "Energy",
    "Meter",
    "Served",
    "Share",
    "meter",
    "of_call",
    "of_calls",
    "of_tokens",
    "parameters_in",
    "share",
    "total",
]

_WHERE = {
    "amount": ("Energy", "total"),
    "calls": ("of_call", "of_calls"),
    "metering": ("Meter", "meter"),
    "processor": ("Share", "share"),
    "tokens": ("Served", "of_tokens", "parameters_in"),
}
_FROM = {name: f".{module}" for module, names in _WHERE.items() for name in names}

__getattr__ = lazily(__name__, _FROM)


def __dir__() -> list[str]:
    return __all__
