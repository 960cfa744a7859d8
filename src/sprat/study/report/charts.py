"""The charts of a study, drawn from its result alone: as a specification, as SVG and as PNG, with no browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...errors import MissingExtra
from ..result import Result
from .frontier_chart import frontier_chart, frontier_words
from .promise_chart import promise_chart, promise_words
from .trust_chart import reliability_chart, reliability_words, weak_chart, weak_words


@dataclass(frozen=True)
class Drawing:
    """A chart: its file's name, its Vega-Lite specification, and the same in words."""

    name: str
    specification: dict[str, Any]
    words: str

    @cached_property
    def svg(self) -> str:
        """The chart as a file of its own."""
        return str(_converter().vegalite_to_svg(self.specification, allowed_base_urls=[]))

    @property
    def png(self) -> bytes:
        """The chart as an image at twice its size, on white."""
        return bytes(_converter().svg_to_png(self.svg, scale=2))

    @property
    def inline(self) -> str:
        """The chart as an SVG element inside a page: no namespace (HTML knows it), ids its own, hidden from readers.

        The page says the same in words beside it.
        """
        drawn = re.sub(r'\s(?:xmlns(?::xlink)?|version)="[^"]*"', "", self.svg)
        drawn = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{self.name}-", drawn)
        return drawn.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def drawings(result: Result) -> dict[str, Drawing]:
    """The charts that this result has data for, by name; raises MissingExtra without the study extra."""
    kinds: dict[str, tuple[Any, Callable[[Result], dict[str, Any]], Callable[[Result], str]]] = {
        "promise": (result.promises, promise_chart, promise_words),
        "frontier": (result.ways, frontier_chart, frontier_words),
        "reliability": (result.reliability, reliability_chart, reliability_words),
        "weak": (result.weak, weak_chart, weak_words),
    }
    return {name: Drawing(name, draw(result), words(result)) for name, (rows, draw, words) in kinds.items() if rows}


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise MissingExtra("study", "Drawing charts") from error
    return vl_convert
