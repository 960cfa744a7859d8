"""What the watch over the promise drew for one request, and what it says to Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from ...core import Request
from .watch import Drawn, State


@dataclass(eq=False, slots=True)
class Plan:
    """What was drawn for one request before it was looked at, and what was heard of its reply in passing.

    `model` answers, `policy` is what is compared with the reference; `thread` is the hash of the thread that was named.
    """

    at: float
    request: Request
    model: Any
    policy: Any
    broken: bool
    drawn: Drawn | None
    sampled: bool
    thread: str = ""
    heard: list[bytes] = field(default_factory=list[bytes])

    @property
    def shadowed(self) -> bool:
        """Whether this request makes a pair."""
        return self.drawn is not None and self.drawn.taken

    def hear(self, data: Any) -> None:
        """Keep what passed as bytes, where somebody is to look at it afterwards."""
        if isinstance(data, bytes) and self.shadowed:
            self.heard.append(data)

    @property
    def facts(self) -> dict[str, str]:
        """What the decision card says of it."""
        if self.broken:
            return {"promise": "broken: the reference answers"}
        return {"promise": f"shadowed, with chance {self.drawn.propensity:.3g}"} if self.shadowed and self.drawn else {}


_GAUGES = {
    "loss_wealth": "Evidence against the promise from shadowed pairs; an alarm at sprat_promise_loss_alarm.",
    "loss_alarm": "The evidence from pairs that is an alarm.",
    "drift_wealth": "Evidence that requests have drifted; an alarm at sprat_promise_drift_alarm.",
    "drift_alarm": "The evidence of drift that is an alarm.",
    "pairs": "Shadowed pairs counted in this watch.",
    "requests": "Requests counted by the drift test in this watch.",
    "mean_loss": "Mean loss of the pairs of this watch; the promise holds while its expectation is at most 0.",
}


def gauges(status: Mapping[str, Any]) -> bytes:
    """The watch for Prometheus; it is the store's, so every worker says the same. What is unknown is left out."""
    lines = [
        "# HELP sprat_promise_state The state of the promise: 1 for the one that is.",
        "# TYPE sprat_promise_state gauge",
    ]
    lines += [f'sprat_promise_state{{state="{s}"}} {int(status.get("state") == s)}' for s in get_args(State)]
    for name, said in _GAUGES.items():
        if status.get(name) is not None:
            lines += [f"# HELP sprat_promise_{name} {said}", f"# TYPE sprat_promise_{name} gauge"]
            lines.append(f"sprat_promise_{name} {float(status[name])!r}")
    return "".join(f"{line}\n" for line in lines).encode()
