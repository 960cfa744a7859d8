"""A calibration as one page that opens offline, and its folder: page, charts, JSON, and the TOML to use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from typing import Any, cast

from ... import config
from ...measure.grouping import Group
from ...measure.resampling import Estimate
from ..calibrating import WAS, Calibration
from .calibration_chart import reliability_chart, reliability_words, risk_chart, risk_words
from .charts import Drawing
from .markup import Content, tag
from .sheet import figure, grid, notes, number, sheet, write


def save(found: Calibration, folder: str | Path) -> Path:
    """Write the folder, each file whole or not at all; BadInput where it can't, MissingExtra without altair."""
    path = Path(folder)
    drawn = {
        "reliability": Drawing("reliability", reliability_chart(found), reliability_words(found)),
        "risk": Drawing("risk", risk_chart(found), risk_words(found)),
    }
    about = {k: v for k, v in as_dict(found).items() if k in ("name", "model", "data_hash", "date", "chosen")}
    if found.abstention.threshold is not None:
        about["threshold"], about["risk"] = found.abstention.threshold, found.abstention.risk
        about["sentence"] = found.abstention.sentence
    config.dump(found.made, path / "trust.toml", extra={"calibration": about})
    return write(path, drawn, {"calibration.json": as_json(found), "index.html": page(found, drawn)})


def as_dict(found: Calibration) -> dict[str, Any]:
    """Everything but the map itself, ready for JSON."""
    told = asdict(replace(found, made=None))
    told.pop("made")
    kept = found.abstention
    told["abstention"] |= {"sentence": kept.sentence}
    return cast("dict[str, Any]", _plain(told))


def as_json(found: Calibration) -> str:
    """The findings as JSON that every reader takes: what is not a number is null."""
    return json.dumps(as_dict(found), indent=1, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in cast("Mapping[Any, Any]", value).items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in cast("list[Any]", value)]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not isfinite(value) else value


def verdict(found: Calibration) -> str:
    """What calibration changed, in a sentence."""
    was, now = found.measures[WAS], found.measures[found.chosen]
    gained = was["Brier"].value - now["Brier"].value
    said = f"On rows that taught nothing, {found.chosen} moves the Brier score from {number(was['Brier'])} to "
    return said + f"{number(now['Brier'])}{'' if gained > 0 else ', no better'}."


def mending(found: Calibration) -> str:
    """What the groups say, in a sentence."""
    off = [g for g in found.groups if g.gap.low > 0 or g.gap.high < 0]
    still = [g for g in found.mended if g.gap.low > 0 or g.gap.high < 0]
    return (
        f"The confidence as it was is surely off in {len(off)} of {len(found.groups)} groups, "
        f"after {found.chosen} in {len(still)}."
    )


def page(found: Calibration, drawn: Mapping[str, Drawing]) -> str:
    """The whole page."""
    return sheet(
        f"sprat calibrate: {found.name}",
        f"sprat calibrate · {found.name} · {found.model} · {found.date}",
        found.abstention.sentence,
        [
            verdict(found),
            f"Confidence: {found.confidence}. Right means {found.quality}. {found.taught:,} rows taught, "
            f"{found.rows:,} others in {found.units:,} units measured.",
        ],
        _sections(found, drawn),
        frame="shown" if found.abstention.threshold is not None else "refused",
        foot=f"data {found.data_hash}",
    )


def _sections(found: Calibration, drawn: Mapping[str, Drawing]) -> Iterator[tuple[str, Content]]:
    yield "Can it be believed?", figure(drawn["reliability"], "Ten bins of as many rows; bars are 95 % intervals.")
    yield "How much risk for how many answers?", figure(drawn["risk"], "The most confident answers first.")
    ways = list(found.measures)
    rows = [[name, *(found.measures[w][name] for w in ways)] for name in found.measures[WAS]]
    note = "95 % bootstrap intervals by unit. Which map is taken was decided on the rows that taught."
    yield "All measures", [tag("p", note), grid(["", *ways], rows)]
    yield "For whom is it wrong?", _groups(found)
    yield from notes(found.notes)


def _groups(found: Calibration) -> Content:
    head = ["group", "rows", "right", "said before", "says now"]
    rows = [_group(g, m) for g, m in zip(found.groups, found.mended, strict=True)]
    losses = [
        f"{way}: at least {max(0.0, g.bound):.4f} of the Brier score is grouping loss, which no curve can mend."
        for way, g in found.grouping.items()
    ]
    note = "Groups were found on the rows that taught; intervals of all groups hold together, at 95 %."
    return [tag("p", mending(found)), [tag("p", loss) for loss in losses], tag("p", note), grid(head, rows)]


def _group(before: Group, after: Group) -> list[str | Estimate]:
    return [before.rule, f"{before.rows:,}", before.rate, f"{before.confidence:.3f}", f"{after.confidence:.3f}"]
