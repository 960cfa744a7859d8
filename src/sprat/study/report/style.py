"""The charts' inks and type: told apart by blue and orange, by lightness, and by shape, so also in grey and on paper.

Each ink is one exact hex value, so that the page can recolour the drawn charts for a dark screen by attribute.
"""

from __future__ import annotations

from typing import Any

from ...errors import MissingExtra

INK, MUTED, GRID = "#1c2127", "#56606b", "#e3e6ea"
GREY, TRACE, PAPER = "#98a1ab", "#cdd2d8", "#ffffff"
BLUE, ORANGE, BAND = "#0b5fa5", "#b8480a", "#e8f1fa"

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
WIDTH = 640


def altair() -> Any:
    """The charts' library; raises MissingExtra where it is not installed."""
    try:
        import altair as alt
    except ImportError as error:
        raise MissingExtra("study", "Drawing charts") from error
    return alt


def table(alt: Any, rows: list[dict[str, Any]]) -> Any:
    """A chart over these rows, held in the chart itself."""
    return alt.Chart(alt.Data(values=rows))


def finished(chart: Any) -> dict[str, Any]:
    """The chart as a Vega-Lite specification in the house's type."""
    axis = {
        "labelColor": INK, "titleColor": INK, "labelFontSize": 12, "titleFontSize": 12.5, "titleFontWeight": 500,
        "titlePadding": 10, "labelPadding": 5, "gridColor": GRID, "domainColor": MUTED, "tickColor": MUTED,
        "tickSize": 4, "labelFlush": False, "domain": True, "grid": True,
    }  # fmt: skip
    legend = {
        "orient": "bottom", "title": None, "labelColor": INK, "labelFontSize": 12, "labelLimit": 400, "columns": 4,
        "symbolSize": 90, "rowPadding": 5, "columnPadding": 18, "symbolOpacity": 1, "padding": 4, "offset": 10,
    }  # fmt: skip
    done = chart.configure(background=PAPER, font=FONT, padding=8, aria=False)
    done = done.configure_axis(**axis).configure_legend(**legend).configure_view(stroke=None)
    return done.to_dict()


def text(alt: Any, rows: list[dict[str, Any]], x: Any, y: Any, halo: str = PAPER, **how: Any) -> Any:
    """A layer of text with a halo of the ground's colour, so that it can be read across lines."""
    base = table(alt, rows).encode(x=x, y=y, text="text:N")
    how = {"fontSize": 12, "color": INK, **how}
    under = base.mark_text(**{**how, "color": halo, "stroke": halo, "strokeWidth": 4, "strokeJoin": "round"})
    return alt.layer(under, base.mark_text(**how))
