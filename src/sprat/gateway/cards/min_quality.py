"""A minimum quality that a request asks for: the cheapest model whose predicted rate's lower bound reaches it.

Where none does, the way's last model answers and the card says that the quality is not shown. It is a prediction about
requests like this one, not a certificate.
"""

from __future__ import annotations

from typing import Any

from ...combine import Cascade, Route
from ...core import Request
from ..served import AUTO, Served, longest_of, worst
from ..wire.asked import Asked
from ..wire.problem import Problem
from .predicted import NEITHER, AtLeast, Evidence

_PARAM = "sprat.min_quality"


def chosen(served: Served, asked: Asked) -> tuple[str, Any, Request]:
    """Name, model and request after the overrides; Problem 400 where they can't be kept."""
    least = asked.overrides.min_quality
    if least is None:
        return served.chosen(asked)
    if (asked.overrides.model or asked.model) != AUTO:
        raise Problem(400, f"'sprat.min_quality' chooses among models: ask for '{AUTO}', or pin one.", param=_PARAM)
    evidence = served.evidence
    if evidence is None:
        said = "'sprat.min_quality' needs the rates of [card], which this gateway's file does not have."
        raise Problem(400, said, param=_PARAM, code="min_quality")
    name, _, request = served.chosen(asked)  # with a maximum cost, it is kept from here on
    whole = name == AUTO
    model = served.models[AUTO]
    way = evidence.ways.get(evidence.way)
    led = way is not None and isinstance(model, (Route, Cascade)) and model.use == way.kind and len(way.levels) > 0
    if way is not None and led and (whole or isinstance(model, Route)):
        found = evidence.at_least(model, way, least)
        return AUTO, found if whole else _within(asked, request, evidence, found, model), request
    return AUTO, _by_base(served, asked, request, evidence, least), request


def _fits(asked: Asked, request: Request, model: Any) -> bool:
    most = asked.overrides.max_cost
    return most is None or worst(model, request, longest_of(request.options) * asked.n, asked.n) <= most


def _within(asked: Asked, request: Request, evidence: Evidence, found: AtLeast, model: Any) -> AtLeast:
    """A route whose dear models cost too much: of its levels those that may be asked."""
    kept = tuple(i for i in found.active if _fits(asked, request, model.models[i]))
    firm = not _fits(asked, request, model.models[-1])
    if firm and not kept:
        raise Problem(400, f"{NEITHER}.", param=_PARAM, code="min_quality")
    return evidence.at_least(model, found.way, found.quality, firm, kept)


def _by_base(served: Served, asked: Asked, request: Request, evidence: Evidence, least: float) -> Any:
    """The first model, cheap to dear, whose rate over all rows is known to be enough; else the last."""
    named = [m for m in evidence.models if m in served.models and _fits(asked, request, served.models[m])]
    if not request.continues:
        for name in named:
            if evidence.base[name].low >= least:
                return served.models[name]
    if asked.overrides.max_cost is not None:
        raise Problem(400, f"{NEITHER}.", param=_PARAM, code="min_quality")
    return served.models[named[-1]] if named else served.models[AUTO]
