"""What the card says of a decision beyond who was asked: how good the reply is likely to be, and what covers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .predicted import AtLeast, Evidence, Predicted

_NO_TABLE = "the served file has no [card]; run sprat study again"


@dataclass(frozen=True)
class Foreseen:
    """The reply's rate, None where it is not known (`unknown` says why), and each option's; `least` was asked for."""

    quality: Predicted | None = None
    options: Mapping[str, Predicted] = field(default_factory=dict[str, Predicted])
    unknown: str = _NO_TABLE
    least: float | None = None

    @property
    def shown(self) -> bool:
        """Whether the quality that was asked for is shown."""
        return self.quality is not None and self.least is not None and self.quality.low >= self.least

    @property
    def header(self) -> str:
        """A line in ASCII, such as `0.87; low=0.83; high=0.90; n=412`; "" where nothing is known or asked for."""
        found = self.quality
        parts = [] if found is None else [f"{found.value:.4g}", f"low={found.low:.4g}", f"high={found.high:.4g}"]
        parts += [] if found is None else [f"n={found.n}"]
        if self.least is not None:
            parts = parts or ["unknown"]
            parts += [f"min={self.least:g}", f"shown={'yes' if self.shown else 'no'}"]
        return "; ".join(parts)

    @property
    def row(self) -> dict[str, Any]:
        """As the card has it."""
        made: dict[str, Any] = {"quality": self.quality.row if self.quality else None}
        if self.quality is None:
            made["quality_unknown"] = self.unknown
        if self.options:
            made["predicted"] = {name: p.row for name, p in self.options.items()}
        if self.least is not None:
            made["min_quality"] = {"asked": self.least, "shown": self.shown}
        return made


def foreseen(
    evidence: Evidence | None,
    setting: str,
    model: Any,
    writer: str,
    trusts: Sequence[tuple[str, float]],
    *,
    continues: bool = False,
    samples: int = 1,
    least: float | None = None,
) -> Foreseen:
    """What is known of the reply that `writer` gave when `model` was asked, by a certified `setting` or by none."""
    if evidence is None:
        return Foreseen(least=least)
    if continues:
        return Foreseen(unknown="this is a later turn of a conversation; the study's rows are first turns", least=least)
    if samples > 1:
        if getattr(model, "use", "") != "route" and hasattr(model, "answer"):
            return Foreseen(unknown="each of several samples was judged for itself", least=least)
        trusts = trusts[: max(1, len(trusts) // samples)]
    way = evidence.ways.get(setting or evidence.way)
    level = way.level(model, trusts) if way else None
    if way and level:
        judged, trust = level
        options = {**evidence.base, **{m: judged.at(trust, i) for i, m in enumerate(way.models)}}
        found = options.get(writer)
    else:
        options = evidence.base
        alone = not hasattr(model, "answer") or isinstance(model, AtLeast)
        found = options.get(writer) if alone else evidence.overall(setting or evidence.way)
    options = {name: p for name, p in options.items() if name == writer or name in (way.models if way else options)}
    return Foreseen(found, options, "" if found else f"the study has no rows of '{writer or 'the way'}'", least)


def uncovered(
    certificate: Mapping[str, Any],
    *,
    pinned: str = "",
    least: float | None = None,
    cheaper: bool = False,
    continues: bool = False,
    samples: int = 1,
    certified: bool = True,
    promise: str = "holding",
    kept: bool = False,
    altered: bool = False,
) -> str:
    """Why the certificate does not cover a decision; "" where it does.

    `pinned` is the model that the request named, `cheaper` says that a maximum cost replaced the way, `promise` is the
    watch's state, `kept` says that a kept reply was given, `altered` that another way is served than was certified.
    """
    if not certificate:
        return "the served file has no certificate"
    if not str(certificate.get("verdict", "")).startswith("shown"):
        return "the study could certify no setting"
    if altered:
        return "the served file is not shown to be the one that was certified"
    if pinned:
        return f"the request pinned the model '{pinned}'"
    if least is not None:
        return "the request asked for a minimum quality, which is a prediction"
    if cheaper:
        return "the request's maximum cost put another model in the way's place"
    if promise != "holding":
        return f"the promise is {promise}"
    if not certified:
        return "the setting that was run is not certified"
    if kept:
        return "a kept reply was given: the decision that made it is covered, or not"
    if continues:
        return "this is a later turn of a conversation; the certificate is about first turns"
    if samples > 1:
        return "the certificate is about one reply, not about several samples"
    return ""
