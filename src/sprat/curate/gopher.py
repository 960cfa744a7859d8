"""Gopher's rules of quality: length, mean word, symbols, bullets, ellipses, letters, stop words.

Rae et al., arXiv 2112.11446, appendix A.1.1, with the order and the details of datatrove's filter, which FineWeb used:
words count from 50 to 100,000 without those that are only punctuation, letters over all words. Checked by hand and
against datatrove (benchmarks/curation_heuristics.py).
"""

from __future__ import annotations

from math import nan

from .rules import Found, Limit, Rule
from .words import View


def measure(view: View) -> Found:
    """The eight numbers of a text."""
    text, words = view.text, view.words
    solid, count = words.solid, words.count
    lines = view.lines
    starts = [line.lstrip()[:1] for line in lines]
    ends = [line.rstrip() for line in lines]
    scores = {
        "gopher.words": float(solid),
        "gopher.mean_word_length": words.characters / solid if solid else nan,
        "gopher.hashes": text.count("#") / count if count else nan,
        "gopher.ellipses": (text.count("...") + text.count("…")) / count if count else nan,
        "gopher.bullet_lines": sum(s in ("•", "-") for s in starts) / len(lines) if lines else nan,
        "gopher.ellipsis_lines": sum(e.endswith(("...", "…")) for e in ends) / len(lines) if lines else nan,
        "gopher.alpha": words.lettered / count if count else nan,
        "gopher.stop_words": float(words.stops),
    }
    return Found(scores)


RULE = Rule(
    "gopher",
    measure,
    (
        Limit("gopher.words", 50, 100_000),
        Limit("gopher.mean_word_length", 3, 10),
        Limit("gopher.hashes", at_most=0.1),
        Limit("gopher.ellipses", at_most=0.1),
        Limit("gopher.bullet_lines", at_most=0.9),
        Limit("gopher.ellipsis_lines", at_most=0.3),
        Limit("gopher.alpha", at_least=0.8),
        Limit("gopher.stop_words", at_least=2),
    ),
)
