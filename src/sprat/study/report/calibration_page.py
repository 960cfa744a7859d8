"""A calibration as one page that opens offline, and its folder: page, charts, JSON, and the TOML to use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from typing import Any, cast

from ... import config
from ...config import write_whole
from ...measure.grouping import Group
from ...measure.resampling import Estimate
from ..calibrating import WAS, Calibration
from .calibration_chart import reliability_chart, reliability_words, risk_chart, risk_words
from .charts import Drawing
from .markup import Content, Html, join, tag


def save(found: Calibration, folder: str | Path) -> Path:
    """Write the folder, each file whole or not at all; BadInput where it can't, MissingExtra without altair."""
    path = Path(folder)
    drawn = {
        "reliability": Drawing("reliability", reliability_chart(found), reliability_words(found)),
        "risk": Drawing("risk", risk_chart(found), risk_words(found)),
    }
    for name, drawing in drawn.items():
        write_whole(path / "charts" / f"{name}.svg", drawing.svg.encode())
        write_whole(path / "charts" / f"{name}.png", drawing.png)
    about = {k: v for k, v in as_dict(found).items() if k in ("name", "model", "data_hash", "date", "chosen")}
    if found.abstention.threshold is not None:
        about["threshold"], about["risk"] = found.abstention.threshold, found.abstention.risk
        about["sentence"] = found.abstention.sentence
    config.dump(found.made, path / "trust.toml", extra={"calibration": about})
    write_whole(path / "calibration.json", as_json(found).encode())
    write_whole(path / "index.html", page(found, drawn).encode())
    return path


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


def number(e: Estimate) -> str:
    """'0.108 [0.093, 0.124]'."""
    return f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"


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
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    top = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"sprat calibrate: {found.name}"),
        tag("style", Html(style)),
    ]
    shown = found.abstention.threshold is not None
    head = [
        tag("p", f"sprat calibrate · {found.name} · {found.model} · {found.date}", class_="kicker"),
        tag("h1", found.abstention.sentence, class_="shown" if shown else "refused"),
        tag("p", verdict(found)),
        tag("p", f"Confidence: {found.confidence}. Right means {found.quality}. {found.taught:,} rows taught, "
                 f"{found.rows:,} others in {found.units:,} units measured."),
    ]  # fmt: skip
    sections = [tag("section", tag("h2", title), content) for title, content in _sections(found, drawn)]
    foot = tag("footer", tag("p", f"data {found.data_hash}"))
    body = [tag("header", head), tag("main", sections), foot]
    return "<!doctype html>\n" + tag("html", tag("head", top), tag("body", body), lang="en") + "\n"


def _sections(found: Calibration, drawn: Mapping[str, Drawing]) -> Iterator[tuple[str, Content]]:
    yield "Can it be believed?", _chart(drawn["reliability"], "Ten bins of as many rows; bars are 95 % intervals.")
    yield "How much risk for how many answers?", _chart(drawn["risk"], "The most confident answers first.")
    ways = list(found.measures)
    rows = [[name, *(number(found.measures[w][name]) for w in ways)] for name in found.measures[WAS]]
    note = "95 % bootstrap intervals by unit. Which map is taken was decided on the rows that taught."
    yield "All measures", [tag("p", note), _table(["", *ways], rows)]
    yield "For whom is it wrong?", _groups(found)
    if found.notes:
        yield "How the rows were read", tag("ul", [tag("li", n) for n in found.notes])


def _groups(found: Calibration) -> Content:
    head = ["group", "rows", "right", "said before", "says now"]
    rows = [_group(g, m) for g, m in zip(found.groups, found.mended, strict=True)]
    losses = [
        f"{way}: at least {max(0.0, g.bound):.4f} of the Brier score is grouping loss, which no curve can mend."
        for way, g in found.grouping.items()
    ]
    note = "Groups were found on the rows that taught; intervals of all groups hold together, at 95 %."
    return [tag("p", mending(found)), [tag("p", loss) for loss in losses], tag("p", note), _table(head, rows)]


def _group(before: Group, after: Group) -> list[str]:
    rate = number(before.rate)
    return [before.rule, f"{before.rows:,}", rate, f"{before.confidence:.3f}", f"{after.confidence:.3f}"]


def _table(head: list[str], rows: list[list[str]]) -> Html:
    top = tag("thead", tag("tr", [tag("th", h, class_="n" if i else None, scope="col") for i, h in enumerate(head)]))
    lines = [
        tag("tr", tag("th", row[0], scope="row"), [tag("td", cell, class_="n") for cell in row[1:]]) for row in rows
    ]
    return tag("div", tag("table", top, tag("tbody", lines)), class_="box", tabindex="0")


def _chart(drawing: Drawing, caption: str) -> Html:
    svg = drawing.inline.replace("<svg ", '<svg class="small" ', 1).replace('class="marks"', "", 1)
    box = tag("div", Html(svg), class_="box", role="img", aria_label=drawing.words, tabindex="0")
    return join(tag("figure", box, tag("figcaption", caption)))
