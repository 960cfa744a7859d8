"""FineWeb's own rules: lines without terminal mark, short lines, repeated lines, lists.

Penedo et al., arXiv 2406.17557, section 3.6 and datatrove's filter, which reads words under the chosen definition.
Checked by hand and against datatrove.
"""

from __future__ import annotations

from math import nan

from ..sentences import TERMINAL
from .repetition import again
from .rules import Found, Limit, Rule
from .words import View

_SHORT = 30


def measure(view: View) -> Found:
    """Four shares; NaN for a text without lines."""
    text = view.text
    lines = [line for line in text.split("\n") if line.strip()]
    characters = len(text) - text.count("\n")
    ended = sum(line[-1] in TERMINAL for line in lines)
    short = sum(len(line) <= _SHORT for line in lines)
    words = view.words.count
    return Found(
        {
            "fineweb.lines": float(len(lines)),
            "fineweb.terminal_lines": ended / len(lines) if lines else nan,
            "fineweb.short_lines": short / len(lines) if lines else nan,
            "fineweb.repeated_characters": again(lines)[1] / characters if characters else nan,
            "fineweb.new_lines": text.count("\n") / words if words else nan,
        }
    )


RULE = Rule(
    "fineweb",
    measure,
    (
        Limit("fineweb.lines", at_least=1),
        Limit("fineweb.terminal_lines", at_least=0.12),
        Limit("fineweb.short_lines", at_most=0.67),
        Limit("fineweb.repeated_characters", at_most=0.01),
        Limit("fineweb.new_lines", at_most=0.3),
    ),
)
