"""One request through the gateway, as it is logged: who asked for what, who answered, what it took, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Exchange:
    """A finished request. Costs are dollars, times seconds; None is unknown, never 0.

    `asked` is the model that the client named, `model` who wrote the reply, `way` the name of what decided.
    `setting` is the certified setting that was run, `propensity` the probability with which this decision was drawn:
    where `drawn` is "action", that of asking the model that was asked, given the `trusts`; where it is "setting", that
    of the setting. `at_most` is what an unknown cost was at most, where that is known. `crafted` says why the request
    looks made to force the dear model. `request` and `reply` are kept only where prompts are stored; `request_key` is
    Request.key, always.
    """

    id: str
    at: float
    dialect: str = "chat"
    key: str = ""
    asked: str = ""
    model: str = ""
    way: str = ""
    thread: str = ""
    request_key: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    reference_cost: float | None = None
    seconds: float | None = None
    first_byte: float | None = None
    status: int = 200
    error: str = ""
    streamed: bool = False
    propensity: float | None = None
    trusts: Mapping[str, float] = field(default_factory=dict[str, float])
    card: Mapping[str, Any] = field(default_factory=dict[str, Any])
    request: Mapping[str, Any] | None = None
    reply: Mapping[str, Any] | None = None
    setting: str = ""
    drawn: str = ""
    crafted: str = ""
    at_most: float | None = None
