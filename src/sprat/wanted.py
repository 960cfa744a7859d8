"""Which calls a study needs of which models, and what each can cost at least and at most.

The most is a bound, not a guess: a text has no more tokens than bytes, and a reply no more than max_tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from .core import Endpoint, Request
from .data import Dataset, Example
from .errors import BadInput
from .prices import Price

_PER_MESSAGE, _PER_CALL = 64, 256  # tokens that a chat template may add


@dataclass(frozen=True)
class Wanted:
    """A call that is needed: `most` is the most that it can cost, `least` about what reading it costs; None unknown."""

    key: str
    model: str
    request: Request
    sampling: Mapping[str, Any] | None
    rows: tuple[int, ...]
    least: float | None
    most: float | None


@dataclass(frozen=True)
class Plan:
    """Every call that the prompts need of the models, and how each model is asked."""

    data: Dataset
    models: Mapping[str, Endpoint]
    calls: tuple[Wanted, ...]


def plan(
    data: Dataset,
    models: Mapping[str, Endpoint],
    *,
    samples: int = 0,
    temperature: float | None = None,
    max_tokens: int | None = None,
) -> Plan:
    """The calls that are needed: each model's reply to each prompt, and `samples` draws more at `temperature`.

    What the data already hold is not asked again; equal requests are asked once. Raises BadInput for numbers that
    make no sense, or draws without a temperature.
    """
    if samples < 0 or (samples and temperature is None):
        raise BadInput(f"{samples} draws were asked for.", hint="Needed: 0 or more, and a temperature to draw at.")
    ready = {name: _limited(e, max_tokens) for name, e in models.items()}
    found: dict[str, Wanted] = {}
    for row, example in enumerate(data):
        for name, endpoint in ready.items():
            for draw in range(samples + 1):
                sampling = {"temperature": temperature} if draw else None
                if _has(example, name, draw, sampling):
                    continue
                request = example.request.drawn(draw, **(sampling or {}))
                wanted = _wanted(name, endpoint, request, sampling, row)
                before = found.get(wanted.key)
                found[wanted.key] = replace(before, rows=(*before.rows, row)) if before else wanted
    return Plan(data, ready, tuple(found.values()))


def _limited(endpoint: Endpoint, max_tokens: int | None) -> Endpoint:
    defaults: Any = getattr(endpoint, "defaults", None)
    if max_tokens is None or defaults is None or {"max_tokens", "max_completion_tokens"} & set(defaults):
        return endpoint
    return cast("Endpoint", replace(cast("Any", endpoint), defaults={**defaults, "max_tokens": max_tokens}))


def _has(example: Example, model: str, draw: int, sampling: Mapping[str, Any] | None) -> bool:
    return any(
        c.model == model and c.sample == draw and (c.options or None) == sampling and c.reply.text is not None
        for c in example.calls
    )


def _wanted(name: str, endpoint: Endpoint, request: Request, sampling: Mapping[str, Any] | None, row: int) -> Wanted:
    options: dict[str, Any] = {**getattr(endpoint, "defaults", {}), **request.options}
    asked = [name, getattr(endpoint, "model", None), getattr(endpoint, "defaults", None), request.key]
    key = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:32]
    price: Price | None = getattr(endpoint, "price", None)
    size = len(json.dumps([request.messages, options], ensure_ascii=False, default=str).encode())
    longest: Any = (
        options.get("max_completion_tokens") or options.get("max_tokens") or getattr(endpoint, "max_tokens", None)
    )
    texts = all(isinstance(m.get("content"), (str, type(None))) or _only_texts(m["content"]) for m in request.messages)
    most = None
    if price is not None and (price.input, price.output) == (0, 0):
        most = price.per_call
    elif price is not None and texts and isinstance(longest, int):
        # No tokenizer makes more tokens of a text than it has bytes.
        read = size + _PER_MESSAGE * len(request.messages) + _PER_CALL
        most = price.worst(read, longest * int(options.get("n") or 1))
    least = None if price is None else size / 4 * price.input / 1e6 + price.per_call
    return Wanted(key, name, request, sampling, (row,), least, most)


def _only_texts(content: Any) -> bool:
    parts = cast("Sequence[Mapping[str, Any]]", content)
    return all(p.get("type") == "text" for p in parts)


def estimate(calls: Sequence[Wanted]) -> tuple[float | None, float | None]:
    """Dollars for reading alone (about four bytes a token), and the most that all can cost; None where unknown."""
    return _sum([c.least for c in calls]), _sum([c.most for c in calls])


def _sum(values: Sequence[float | None]) -> float | None:
    return None if any(v is None for v in values) else float(sum(v for v in values if v is not None))
