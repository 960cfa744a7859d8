"""The frontier: every way's quality against its cost with intervals, what is dominated greyed, a few named."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

from ..result import Result, Way
from .labels import Box, place
from .numbers import Cost, counted, dollars, percent, plus_minus
from .style import BLUE, GREY, INK, MUTED, ORANGE, PAPER, TRACE, WIDTH, altair, finished, table, text

HEIGHT = 400
KINDS = {
    # what a point is: (shape, fill, stroke, size)
    "certified": ("diamond", BLUE, BLUE, 190),
    "reference": ("square", INK, INK, 120),
    "one model alone": ("square", PAPER, INK, 110),
    "on the frontier": ("circle", INK, INK, 70),
    "dominated": ("circle", PAPER, GREY, 60),
    "refused": ("cross", ORANGE, ORANGE, 70),
    "baseline": ("triangle-down", PAPER, MUTED, 70),
    "oracle (can't be served)": ("triangle-up", PAPER, INK, 90),
}


def kind_of(way: Way) -> str:
    """What a way is on the frontier: one of KINDS."""
    if way.status in ("certified", "reference"):
        return way.status
    if way.kind == "oracle":
        return "oracle (can't be served)"
    if way.kind == "alone":
        return "one model alone"
    if way.status.startswith("refused"):
        return "refused"
    if way.status == "baseline":
        return "baseline"
    return "on the frontier" if way.on_front else "dominated"


def frontier_chart(result: Result) -> dict[str, Any]:
    """Quality (per cent) against cost with 95 % intervals; each candidate's other settings as thin lines."""
    alt, cost = altair(), counted(result)
    rows = [row for way in result.ways if (row := _row(way, cost)) is not None]
    window = _window(rows)
    left, right, bottom, top = window
    x = alt.X(
        "cost:Q",
        title=cost.unit,
        scale=alt.Scale(domain=[left, right], nice=False, zero=False),
        axis=alt.Axis(tickCount=7),
    )
    y = alt.Y(
        "quality:Q",
        title="mean quality (%)",
        scale=alt.Scale(domain=[bottom, top], nice=False, zero=False),
        axis=alt.Axis(tickCount=7),
    )
    traced = _traced(result, cost)
    layers: list[Any] = []
    if traced:
        line = table(alt, traced).mark_line(color=TRACE, strokeWidth=1, clip=True)
        layers.append(line.encode(x=x, y=y, detail="name:N", order="place:O"))
    ink = alt.condition(alt.datum.kind == "certified", alt.value(BLUE), alt.value(GREY))
    for kinds in (
        ("dominated", "refused", "baseline"),
        tuple(k for k in KINDS if k not in ("dominated", "refused", "baseline")),
    ):
        own = [row for row in rows if row["kind"] in kinds]
        if own:
            base = table(alt, own)
            layers += [
                base.mark_rule(strokeWidth=1.1, clip=True).encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=ink),
                base.mark_rule(strokeWidth=1.1, clip=True).encode(x=alt.X("near:Q"), x2="far:Q", y=y, color=ink),
            ]
    present = [k for k in KINDS if any(row["kind"] == k for row in rows)]
    scale = {
        name: alt.Scale(domain=present, range=[KINDS[k][i] for k in present])
        for i, name in enumerate(("shape", "fill", "stroke", "size"))
    }
    seen = [row for kind in reversed(list(KINDS)) for row in rows if row["kind"] == kind]
    layers.append(
        table(alt, seen)
        .mark_point(opacity=1, strokeWidth=1.6)
        .encode(
            x=x,
            y=y,
            order="place:O",
            shape=alt.Shape("kind:N", scale=scale["shape"]),
            fill=alt.Fill("kind:N", scale=scale["fill"]),
            stroke=alt.Stroke("kind:N", scale=scale["stroke"]),
            size=alt.Size("kind:N", scale=scale["size"]),
        )
    )
    lines, feet = _labels(result, rows, traced, window, cost)
    if feet:
        foot = table(alt, feet).mark_rule(color=MUTED, strokeWidth=0.8)
        layers.insert(len(layers) - 1, foot.encode(x=x, y=y, x2="to_cost:Q", y2="to_quality:Q"))
    for (align, weight), own in lines.items():
        color = BLUE if weight == "bold" else INK
        layers.append(text(alt, own, x, y, align=align, baseline="middle", fontWeight=weight, color=color))
    return finished(alt.layer(*layers).properties(width=WIDTH, height=HEIGHT))


def frontier_words(result: Result) -> str:
    """The frontier in words: the ways that matter, with their figures; the table holds all."""
    cost = counted(result)
    said = [
        f"{way.name} ({kind_of(way)}): quality {plus_minus(way.quality)} %, {cost.text(way)} {cost.unit}"
        for way in result.ways
        if kind_of(way) not in ("dominated", "refused", "baseline") and cost.of(way)
    ]
    return f"Mean quality against {cost.unit}, for {len(result.ways)} ways of working. " + "; ".join(said) + "."


def unplaced(result: Result) -> list[Way]:
    """The ways that cannot be drawn because their cost is unknown."""
    cost = counted(result)
    return [way for way in result.ways if cost.of(way) is None]


def _row(way: Way, cost: Cost) -> dict[str, Any] | None:
    own, quality = cost.of(way), way.quality
    if own is None:
        return None
    return {"name": way.name, "kind": kind_of(way), "cost": own.value, "near": own.low, "far": own.high,
            "quality": 100 * quality.value, "low": 100 * quality.low, "high": 100 * quality.high}  # fmt: skip


def _window(rows: list[dict[str, Any]]) -> tuple[float, float, float, float]:
    """The drawn range: cost from 0, quality around what was measured, with room for labels."""
    right = 1.06 * max([row["far"] for row in rows] + [1e-12])
    low, high = min(row["low"] for row in rows), max(row["high"] for row in rows)
    room = max(0.6, 0.06 * (high - low))
    return -0.045 * right, right, low - room, high + 2.6 * room


def _traced(result: Result, cost: Cost) -> list[dict[str, Any]]:
    """Each candidate's settings that no cheaper one of its own equals: with two thresholds the rest is a zigzag."""
    rows: list[dict[str, Any]] = []
    for trace in result.traces:
        best = -float("inf")
        for i, (c, q) in enumerate(zip(trace.cost, trace.quality, strict=True)):
            if q <= best:
                continue
            best = q
            rows.append(
                {"name": trace.name, "place": i, "cost": float(f"{cost.scale * c:.5g}"), "quality": round(100 * q, 3)}
            )
    return rows


def _labels(
    result: Result, rows: list[dict[str, Any]], traced: list[dict[str, Any]], window: tuple[float, ...], cost: Cost
) -> tuple[dict[tuple[str, str], list[dict[str, Any]]], list[dict[str, Any]]]:
    """The lines of text of the points worth naming, by alignment and weight, and lines to those that stand apart."""
    left, right, bottom, top = window
    wide, high = WIDTH / (right - left), HEIGHT / (top - bottom)

    def at(row: dict[str, Any], x: str = "cost", y: str = "quality") -> tuple[float, float]:
        return (row[x] - left) * wide, (top - row[y]) * high

    obstacles: list[Box] = []
    for row in rows:
        (x, y), (near, up), (far, down) = at(row), at(row, "near", "high"), at(row, "far", "low")
        r = 7.0
        obstacles += [Box(x - r, y - r, x + r, y + r)] * 3
        obstacles += [Box(x - 1, up, x + 1, down), Box(near, y - 1, far, y + 1)]
    for row in traced[::4]:
        x, y = at(row)
        obstacles.append(Box(x - 2, y - 2, x + 2, y + 2))
    named = _named(result, rows, cost)
    placed = place([(lines, *at(row)) for lines, row in named], obstacles, WIDTH, HEIGHT)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    feet: list[dict[str, Any]] = []
    for label, (_, row) in zip(placed, named, strict=True):
        if label.foot:
            to = {"to_cost": label.foot[0] / wide + left, "to_quality": top - label.foot[1] / high}
            feet.append({"cost": row["cost"], "quality": row["quality"], **to})
        weight = "bold" if row["kind"] == "certified" else "normal"
        for i, line in enumerate(label.lines):
            y = top - (label.y + 14 * i) / high
            found.setdefault((label.align, weight), []).append(
                {"text": line, "cost": label.x / wide + left, "quality": y}
            )
    return found, feet


def _named(result: Result, rows: list[dict[str, Any]], cost: Cost) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """What is labelled, the important first: the certified, the models alone, the oracle, the baselines."""
    rank = ["certified", "reference", "one model alone", "oracle (can't be served)", "baseline"]
    found: list[tuple[tuple[str, ...], dict[str, Any]]] = []
    for row in sorted((r for r in rows if r["kind"] in rank), key=lambda r: rank.index(r["kind"])):
        name = row["name"].removeprefix("route by ") if row["kind"] == "baseline" else row["name"]
        lines = _wrapped(name)
        if row["kind"] == "certified":
            amount = dollars(row["cost"]) if cost.priced else percent(row["cost"] / 100)
            lines = [*_wrapped("certified: " + name), f"{row['quality']:.1f} % for {amount}"]
        found.append((tuple(lines), row))
    return found


def _wrapped(name: str) -> list[str]:
    """A name in lines of about equal length, at most 28 characters."""
    count = -(-len(name) // 28)
    return wrap(name, min(28, -(-len(name) // count) + 4))
