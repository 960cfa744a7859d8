"""Measures of doubt as one page that opens offline: AUROC of each with its interval, and risk against coverage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...measure.calibration import risk_coverage
from ...measure.doubt import Doubts, Measured
from .calibration_chart import SIDE, curves
from .charts import Drawing
from .dots_chart import Dot, dots_chart, dots_words
from .markup import Content
from .numbers import DASH
from .sheet import figure, grid, notes, number, sheet, write
from .style import BLUE, GREY, INK, ORANGE, altair, finished

_POINTS = 101


def save(found: Doubts, told: Mapping[str, Any], folder: str | Path) -> Path:
    """Write index.html, uncertainty.json (`told`) and charts/, each file whole; MissingExtra without altair."""
    drawn = drawings(found)
    text = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return write(folder, drawn, {"uncertainty.json": text, "index.html": page(found, told["notes"], drawn)})


def drawings(found: Doubts) -> dict[str, Drawing]:
    """AUROC by estimator, and the risk-coverage curve of each level's best one; nothing where outcomes are all one."""
    ranked = _ranked(found)
    if not ranked:
        return {}
    dots = [Dot(f"AUROC, of the {m.level}", m.name, *m.auroc[:3]) for m in ranked if m.auroc]
    best = list({m.level: m for m in reversed(ranked)}.values())
    drawn = _curves(found, best)
    halves = [f"{way}: {min(c, key=lambda p: abs(p[0] - 0.5))[1]:.0%} wrong" for way, c in drawn.items()]
    words = f"Wrong answers of {found.model} among the half that is surest. {'; '.join(halves)}."
    return {
        "auroc": Drawing("auroc", dots_chart(dots, at=0.5), dots_words(dots)),
        "risk": Drawing("risk", _risk_chart(drawn), words),
    }


def _ranked(found: Doubts) -> list[Measured]:
    """The estimators that have an AUROC, by level, the best first."""
    known = [(m.level, -m.auroc.value, m.name, m) for m in found.measured if m.auroc]
    return [m for *_, m in sorted(known, key=lambda k: k[:3])]


def _curves(found: Doubts, best: list[Measured]) -> dict[str, list[tuple[float, float]]]:
    """Risk by coverage of these estimators, least doubt first, on the rows that each knows; and of chance."""
    known = np.isfinite(found.outcomes)
    out: dict[str, list[tuple[float, float]]] = {}
    for m in best:
        values = found.values[m.name, m.level]
        rows = known & np.isfinite(values)
        order = np.unique(-values[rows], return_inverse=True)[1]
        s = order / max(1, int(order.max(initial=0)))
        out[f"{m.name} ({m.level})"] = _thinned(*risk_coverage(s, found.outcomes[rows]))
    y = found.outcomes[known]
    wrong = float(1 - y.mean())
    return out | {"at random": [(0.0, wrong), (1.0, wrong)], "perfect order": _thinned(*risk_coverage(y, y))}


def _thinned(coverage: Any, risk: Any) -> list[tuple[float, float]]:
    at = np.unique(np.linspace(0, len(risk) - 1, _POINTS).astype(int))
    return list(zip(coverage[at].tolist(), risk[at].tolist(), strict=True))


def _risk_chart(drawn: Mapping[str, list[tuple[float, float]]]) -> dict[str, Any]:
    alt = altair()
    inks = [*(ORANGE, BLUE)[: len(drawn) - 2], GREY, INK]
    scale = alt.Scale(domain=list(drawn), range=inks)
    stroke = alt.Stroke("way:N", scale=scale, legend=alt.Legend(columns=1))
    return finished(alt.layer(*curves(drawn, stroke)).properties(width=SIDE, height=SIDE))


def page(found: Doubts, told: list[str], drawn: Mapping[str, Drawing]) -> str:
    """The whole page; `told` are its notes."""
    ranked = _ranked(found)
    best = max(ranked, key=lambda m: m.auroc.value if m.auroc else 0.0) if ranked else None
    if best is None or best.auroc is None:
        heading = "Outcomes are unknown, too few or all the same: no estimator can be told from another."
    else:
        heading = (
            f"Of {len(ranked)} measures of doubt '{best.name}' ({best.level}) best tells wrong answers from right."
        )
    lines = [] if best is None or best.auroc is None else [
        f"Its AUROC is {number(best.auroc)}. It was picked on the rows that measure it, so it is a little too good."
    ]  # fmt: skip
    kicker = f"sprat uncertainty · {found.model} · {len(found.ids):,} questions"
    frame = "shown" if best else "refused"
    return sheet(
        f"sprat uncertainty: {found.model}", kicker, heading, lines, _sections(found, told, drawn), frame=frame
    )


def _sections(found: Doubts, told: list[str], drawn: Mapping[str, Drawing]) -> Iterator[tuple[str, Content]]:
    if "auroc" in drawn:
        caption = (
            "The chance that a wrong answer has more doubt than a right one; dashed: chance. Lines are 95 % intervals."
        )
        yield "Which doubt finds the wrong answers?", figure(drawn["auroc"], caption)
        caption = "The best of each kind, least doubt first; the broad line is the first named."
        yield "How much risk for how many answers?", figure(drawn["risk"], caption)
    rows = [
        [f"{m.name} ({m.level})", f"{m.n:,}", *(e if e else DASH for e in (m.auroc, m.prr, m.aurc))]
        for m in sorted(found.measured, key=lambda m: (m.level, -(m.auroc.value if m.auroc else 0)))
    ]
    yield "All measures", grid(["estimator", "questions", "AUROC", "PRR", "AURC"], rows)
    yield from notes(told)
