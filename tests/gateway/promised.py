"""A serve.toml with a promise's settings, routes by a signal that is easy to foretell; for the tests of the policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sprat.core import Reply, Request, Signal


@dataclass(frozen=True, repr=False)
class Short(Signal):
    """How short the request is: 1 for nothing, 0 from 100 characters on."""

    use = "short"
    reads_reply = False

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        return 1 - min(len(request.text), 100) / 100


def asking(trust: float, of: str = "x") -> list[dict[str, Any]]:
    """Messages that `Short` trusts this much, in steps of .01."""
    return [{"role": "user", "content": of * round(100 * (1 - trust))}]


FILE = """
[way]
use = "route"
models = ["small", "large"]
trust = [{{part = "short"}}]
at_least = [0.2]
[parts.short]
use = "promised:Short"
[models.small]
{small}
[models.large]
{large}
[promise]
kind = "keep"
level = 0.98
delta = 0.05
reference = "large"
setting = "at .2"
explore = 0.3
[[promise.settings]]
name = "reference alone"
cost = 0.01
harm = 0.0
large = 1.0
way = {{model = "large"}}
[[promise.settings]]
name = "at .6"
cost = 0.006
harm = 0.001
large = 0.6
way = {{use = "route", models = ["small", "large"], trust = [{{part = "short"}}], at_least = [0.6]}}
[[promise.settings]]
name = "at .2"
cost = 0.003
harm = 0.003
large = 0.2
way = {{use = "route", models = ["small", "large"], trust = [{{part = "short"}}], at_least = [0.2]}}
[[promise.settings]]
name = "small alone"
certified = false
cost = 0.001
harm = 0.1
large = 0.0
way = {{model = "small"}}
"""
TOY = FILE.format(small='use = "toy"', large='use = "toy"')
