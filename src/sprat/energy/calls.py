"""What recorded calls drew, by model: watts times seconds where a power is given, else tokens times parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core import Reply
from ..data import Dataset, Floats
from ..prices import Price, Prices
from .amount import Energy, total
from .tokens import Served, of_tokens, parameters_in

POWER = "watts x seconds, estimated"


def of_call(reply: Reply, price: Price | None = None, served: Served | None = None) -> Energy:
    """One reply's energy: by `served`, else the price's watts or its parameters, else the size in the model's name."""
    if served is None and price is not None and price.watts is not None:
        if reply.seconds is None:
            return Energy.unknown(POWER, "how long it took is not known")
        drawn = price.watts * reply.seconds
        return Energy(drawn, drawn, drawn, POWER, "estimated", (f"{price.watts:g} W while it works, as given",))
    known = served or (served_by(price) if price is not None else None) or parameters_in(reply.model)
    if known is None:
        return Energy.unknown("no method", f"nobody said how many parameters of '{reply.model}' are active")
    return of_tokens(known, reply.usage)


def served_by(price: Price) -> Served | None:
    """How the model is served, by the parameters in its price; None where it names none."""
    return None if price.active is None else Served.of(price.active, price.parameters, note="as given")


def joules_of(data: Dataset, models: Sequence[str], prices: Mapping[str, Price]) -> Floats:
    """Joules (n, m) of each model's recorded reply, NaN where unknown; the size in a model's name is not read."""
    columns: list[list[float]] = []
    for model in models:
        price = prices.get(model)
        if price is None or (price.watts is None and price.active is None):
            columns.append([math.nan] * len(data))
            continue
        replies = [e.reply(model) for e in data]
        drawn = [None if r is None else of_call(r, price).joules for r in replies]
        columns.append([math.nan if j is None else j for j in drawn])
    return np.array(columns, np.float64).reshape(len(models), len(data)).T


def how(model: str, price: Price) -> str:
    """How this model's energy is found, in a sentence; "" where its price says neither watts nor parameters."""
    if price.watts is not None:
        return f"Energy of {model}: {price.watts:g} W times seconds, estimated."
    served = served_by(price)
    if served is None:
        return ""
    value, low, high = served.per_token
    return (
        f"Energy of {model}: tokens written times {value:.3g} J by its active parameters, estimated; from "
        f"{low / value:.2g} to {high / value:.2g} times what is shown, and the prompt's tokens are not counted."
    )


@dataclass(frozen=True)
class Drawn:
    """A model's recorded calls: how many, of how many the energy is known, and the energy per 1,000 of those."""

    model: str
    calls: int
    known: int
    energy: Energy


def of_calls(data: Dataset, prices: Prices | None = None, served: Mapping[str, Served] | None = None) -> list[Drawn]:
    """Per model, in the order of the data: energy per 1,000 calls, over the calls whose energy is known."""
    found: dict[str, list[Energy]] = {}
    for example in data:
        for call in example.calls:
            reply = call.reply if call.reply.model == call.model else replace(call.reply, model=call.model)
            price = prices.of(call.model) if prices is not None else None
            found.setdefault(call.model, []).append(of_call(reply, price, (served or {}).get(call.model)))
    drawn: list[Drawn] = []
    for model, each in found.items():
        known = [e for e in each if e.joules is not None]
        mean = total(known).times(1000 / len(known)) if known else each[0]
        drawn.append(Drawn(model, len(each), len(known), mean))
    return drawn
