"""Why a BERTScore is what it is: which token was matched with which, and which spans of the text lower it.

The greedy matching of arXiv 1904.09675, shown. Checked by hand (tests/similarity/test_alignment.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scores import token_encoder
from .token_vectors import TokenEncoder


@dataclass(frozen=True, slots=True)
class Match:
    """A word of the text at (start, end), the word of the reference that is most like it, and their cosine."""

    word: str
    start: int
    end: int
    matched: str
    cosine: float


@dataclass(frozen=True)
class Alignment:
    """Every word of a text with its match in the reference, in order."""

    matches: tuple[Match, ...]

    def lowest(self, below: float | None = None) -> list[Match]:
        """The words that lower precision, the worst first: those below a cosine, or below their own mean."""
        if not self.matches:
            return []
        mean = float(np.mean([m.cosine for m in self.matches])) if below is None else below
        return sorted((m for m in self.matches if m.cosine < mean), key=lambda m: m.cosine)

    def spans(self, below: float) -> list[tuple[int, int]]:
        """Places (start, end) of the text without support: neighbouring words below a cosine, joined."""
        found: list[tuple[int, int]] = []
        joined = False
        for match in self.matches:
            low = match.cosine < below
            if low and joined:
                found[-1] = (found[-1][0], match.end)
            elif low:
                found.append((match.start, match.end))
            joined = low
        return found


def align(
    text: str,
    reference: str,
    encoder: str | TokenEncoder = "static",
    *,
    layer: int | None = None,
    device: str = "cpu",
) -> Alignment:
    """Match every word of `text` with `reference`; swap the two to see what of the reference was left out (recall).

    A word of several tokens has their mean cosine, and the match of its first.
    """
    reader = token_encoder(encoder, layer, device)
    ours, theirs = reader.tokens([text, reference])
    if not ours.plain.any() or not theirs.plain.any():
        return Alignment(())
    cosines = ours.vectors @ theirs.vectors.T
    best, value = cosines.argmax(axis=1), cosines.max(axis=1)
    there = reader.pieces(reference)
    grouped: list[tuple[int, int, int, list[float]]] = []
    for i, (start, end) in enumerate(reader.pieces(text)):
        if not ours.plain[i]:
            continue
        goes_on = bool(grouped) and (
            (start, end) == grouped[-1][:2] or (start == grouped[-1][1] and text[start - 1 : start + 1].isalnum())
        )
        if goes_on:
            first = grouped.pop()
            grouped.append((first[0], end, first[2], [*first[3], float(value[i])]))
        else:
            grouped.append((start, end, int(best[i]), [float(value[i])]))
    matches = [
        Match(text[a:b], a, b, reference[slice(*there[at])], float(np.mean(values))) for a, b, at, values in grouped
    ]
    return Alignment(tuple(matches))
