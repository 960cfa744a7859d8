"""Usage times price is cost; a price that nobody gave stays unknown, and the model is named.

Prices are dollars per million tokens. sprat ships no list prices of any vendor: they change, so the user's dated table
gives them. Built in are only the aquarium's notional ones. Checked against hand-computed sums in tests/test_prices.py.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from .core import Reply, Usage
from .data import Call, Dataset, Example
from .errors import BadInput, nearest


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens read and written, and per call.

    `cached` is for tokens read from the server's cache (as `input` where not given), `cache_write` for tokens written
    to it (their cost is unknown where not given). For the energy column: `watts` is the power drawn while the model
    works; or `active` and `parameters` are billions of parameters, active per token and in all, each a number or its
    (lowest, highest). `date` says when the price was looked up.
    """

    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None
    per_call: float = 0.0
    watts: float | None = None
    active: float | tuple[float, float] | None = None
    parameters: float | tuple[float, float] | None = None
    date: str = ""

    def __post_init__(self) -> None:
        for name in ("input", "output", "cached", "cache_write", "per_call", "watts"):
            value: Any = getattr(self, name)
            if value is None and name not in ("input", "output", "per_call"):
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
                raise BadInput(
                    f"A price's {name} is {value!r}.", hint="It needs dollars per million tokens, 0 or more."
                )
        for name in ("active", "parameters"):
            object.__setattr__(self, name, _billions(name, getattr(self, name)))

    def worst(self, input_tokens: int, output_tokens: int) -> float:
        """The most that a call with at most so many tokens can cost, in dollars."""
        dearest = max(self.input, self.cached or 0.0, self.cache_write or 0.0)
        return (input_tokens * dearest + output_tokens * self.output) / 1e6 + self.per_call


def _billions(name: str, value: Any) -> float | tuple[float, float] | None:
    if value is None:
        return None
    each = tuple(cast("list[Any]", value)) if isinstance(value, (list, tuple)) else (value,)
    if len(each) not in (1, 2) or any(isinstance(v, bool) or not isinstance(v, (int, float)) or v <= 0 for v in each):
        raise BadInput(f"A price's {name} is {value!r}.", hint="It needs billions of parameters, or [lowest, highest].")
    return float(each[0]) if len(each) == 1 else (float(each[0]), float(each[1]))


def cost(price: Price | None, usage: Usage | None, cached: int = 0, written: int = 0) -> float | None:
    """Dollars for a call, None where price or usage is unknown.

    `cached` of the input tokens were read from the server's cache, `written` of them were written to it.
    """
    if price is None or usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    if written and price.cache_write is None:
        return None
    plain = usage.input_tokens - cached - written
    dollars = plain * price.input + cached * (price.input if price.cached is None else price.cached)
    return (dollars + written * (price.cache_write or 0.0) + usage.output_tokens * price.output) / 1e6 + price.per_call


@dataclass(frozen=True)
class Prices:
    """A dated table of prices by model name."""

    models: Mapping[str, Price] = field(default_factory=dict[str, Price])
    date: str = ""
    note: str = ""

    def of(self, model: str) -> Price | None:
        """The model's price, None where unknown."""
        return self.models.get(model)

    def over(self, other: Prices) -> Prices:
        """This table's prices, and the other's for the models that it lacks."""
        return replace(self, models={**other.models, **self.models})

    def unknown(self, models: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the models that have no price here."""
        return tuple(m for m in models if m not in self.models)


def make_price(table: Any, where: str, date: str = "") -> Price:
    """A price from a TOML table; BadInput names the nearest key for one that is not known."""
    if not isinstance(table, Mapping):
        raise BadInput(f"{where}: a price is a table with input and output, in dollars per million tokens.")
    entries = cast("Mapping[str, Any]", table)
    known = [f.name for f in fields(Price)]
    for key in entries:
        if key not in known:
            raise BadInput(f"{where}: '{key}' is no part of a price.", hint=nearest(key, known))
    for key in ("input", "output"):
        if key not in entries:
            raise BadInput(f"{where}: the price lacks '{key}'.", hint="Give dollars per million tokens; 0 if free.")
    values: dict[str, Any] = {**entries, "date": str(entries.get("date", date))}
    return Price(**values)


def read_prices(path: Path | str) -> Prices:
    """The price table of a TOML file: `date`, `note`, `[models.NAME] input= output=`; BadInput where it is not one."""
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", hint="Give the path of a price table.") from error
    except ValueError as error:
        raise BadInput(f"{path} is not TOML: {error}.") from error
    for key in table:
        if key not in ("date", "note", "models"):
            raise BadInput(
                f"{path}: '{key}' is not known in a price table.", hint=nearest(key, ("date", "note", "models"))
            )
    models: Any = table.get("models", {})
    if not isinstance(models, dict):
        raise BadInput(f"{path}: 'models' is not a table.", hint="Write [models.NAME] with input and output below.")
    date = str(table.get("date", ""))
    entries = cast("dict[str, Any]", models)
    made = {name: make_price(entry, f"{path}, [models.{name}]", date) for name, entry in entries.items()}
    return Prices(made, date, str(table.get("note", "")))


@cache
def built_in() -> Prices:
    """The prices that ship with sprat: the aquarium's, which are notional."""
    return read_prices(Path(__file__).parent / "aquarium" / "prices.toml")


def priced(data: Dataset, prices: Prices, chars_per_token: float | None = None) -> Dataset:
    """The dataset with each recorded reply's cost filled in from its usage, where it was missing.

    Where the usage is missing too and `chars_per_token` is given, tokens are estimated from the texts' length. The
    dataset's notes say what was estimated, and which models have no price.
    """
    if chars_per_token is not None and chars_per_token <= 0:
        raise BadInput(f"chars_per_token is {chars_per_token}; it needs a number above 0.")
    estimated: dict[str, int] = {}

    def mend(example: Example, call: Call) -> Call:
        reply = call.reply
        if reply.cost is not None:
            return call
        usage = reply.usage
        if chars_per_token is not None and usage is None and reply.text is not None and prices.of(call.model):
            usage = _guessed(example, reply, chars_per_token)
            estimated[call.model] = estimated.get(call.model, 0) + 1
        dollars = cost(prices.of(call.model), usage)
        return call if dollars is None else replace(call, reply=replace(reply, cost=dollars))

    examples = tuple(replace(e, calls=tuple(mend(e, c) for c in e.calls)) for e in data)
    notes = [
        f"cost of {n} replies of '{model}' estimated at {chars_per_token:g} characters per token"
        for model, n in estimated.items()
    ]
    lacking = {c.model: None for e in examples for c in e.calls if c.reply.cost is None and prices.of(c.model) is None}
    notes += [f"'{model}' has no price: its cost is unknown" for model in lacking]
    return replace(data, examples=examples, notes=(*data.notes, *notes))


def _guessed(example: Example, reply: Reply, chars_per_token: float) -> Usage:
    from .core import content_text

    read = sum(len(content_text(m.get("content"))) for m in example.request.messages)
    return Usage(round(read / chars_per_token), round(len(reply.text or "") / chars_per_token))
