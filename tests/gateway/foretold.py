"""A served route and a cascade of two toys whose trust is the number that a prompt begins with, and their [card]."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from sprat import Reply, Request, Signal, cascade, route
from sprat.combine import Watchful
from sprat.encoders.static import StaticEncoder
from sprat.endpoints import toy
from sprat.gateway.cards.predicted import evidence_of
from sprat.gateway.served import Served, of
from sprat.prices import Price

ROW = "what is the capital of Peru"
CERTIFICATE = {"verdict": "shown", "claim": "at least 90 %", "date": "2026-11-25", "confidence": "95 %"}


@dataclass(frozen=True, repr=False)
class Said(Signal):
    """The number that the request begins with."""

    ahead: bool = True
    use: ClassVar[str] = "said"

    @property
    def reads_reply(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return not self.ahead

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        return float(request.text.split()[0])


@dataclass(frozen=True, repr=False)
class Priced(type(toy("x", "x"))):  # pyright: ignore[reportUntypedBaseClass, reportGeneralTypeIssues]
    """A toy with a price, so that a most can be known."""

    price: Any = None


SMALL = Priced("small", "s", cost=0.001, price=Price(10.0, 10.0))
LARGE = Priced("large", "l", cost=0.01, price=Price(1000.0, 1000.0))


def table(kind: str = "route", texts: bool = False) -> dict[str, Any]:
    """Three bins from trust 0, 0.4 and 0.7 to 0.9: small is good at 0.3, 0.7 and 0.95, large at 0.95."""
    level = {
        "signal": "said",
        "model": "small",
        "starts": np.array([0.0, 0.4, 0.7]),
        "top": 0.9,
        "units": np.array([100, 200, 300]),
        "value": np.array([[0.3, 0.95], [0.7, 0.95], [0.95, 0.95]]),
        "low": np.array([[0.2, 0.9], [0.65, 0.9], [0.92, 0.9]]),
        "high": np.array([[0.4, 0.98], [0.75, 0.98], [0.97, 0.98]]),
    }
    if kind == "watchful":
        level["least"] = 0.6
    settings = [{"name": f"by said at {t}", "at_least": [t], "value": 0.8, "low": 0.7, "high": 0.9} for t in (0.8, 0.6)]
    near: dict[str, Any] = {
        "encoder": StaticEncoder().name,
        "rows": StaticEncoder().encode([ROW, "sort 3 1 2"]).astype(np.float16),
        "scores": np.array([[0, 1], [1, 1]], np.float32),
        "ids": np.array(["peru", "sort"]),
        "fitted": np.array([True, False]),
    }
    return {
        "measure": "probability of a right reply",
        "rows": "calibration",
        "n": 600,
        "units": 600,
        "confidence": 0.95,
        "interval": "Clopper-Pearson",
        "models": ["small", "large"],
        "base": np.array([[0.76, 0.72, 0.79], [0.95, 0.93, 0.97]]),
        "way": "by said at 0.6",
        "ways": [
            {"name": "by said", "kind": kind, "models": ["small", "large"], "settings": settings, "levels": [level]}
        ],
        "neighbours": near | ({"texts": np.array([ROW, "sort 3 1 2"])} if texts else {}),
    }


def served(kind: str = "route", card: Any = None, **settings: Any) -> Served:
    """The way at 0.6, with the table unless another is given."""
    if kind == "watchful":
        way: Any = Watchful((SMALL, LARGE), (Said(False),), (0.6,))
    else:
        way = {"route": route, "cascade": cascade}[kind](SMALL, LARGE, trust=Said(kind == "route"), at_least=0.6)
    evidence = evidence_of(table(kind) if card is None else card, "serve.toml")
    return replace(of(way, **settings), certificate=CERTIFICATE, evidence=evidence)
