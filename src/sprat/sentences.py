"""The sentences of a text and where they stand in it, by its marks: a plain rule, not a model.

A mark ends a sentence where a space and what may begin one follow; after titles, single initials and the like it does
not. Checked by hand (tests/test_sentences.py).
"""

from __future__ import annotations

import re

_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[^\W_a-z])|\n+|(?<=[。！？])")
# What a full stop shortens, before a name or a number: "Dr. Lee", "J. Lee", "No. 5", "U.S. Army".
_SHORTENED = re.compile(
    r"(?:^|[\s(\[\"'“‘])(?:(?:Mr|Mrs|Ms|Dr|Prof|St|Mt|Gen|Sen|Rep|Gov|Lt|Col|Capt|Sgt|Rev|Hon|No|Nos|Fig|Eq|vs|cf|approx"
    r"|Jan|Feb|Aug|Sept|Oct|Nov|Dec)|[A-ZÀ-ÞА-Я]|[^\W\d_](?:\.[^\W\d_])+)\.$"
)
# These two end sentences as often as not: what follows decides nothing, so they are left to end them.
_AMBIGUOUS = re.compile(r"(?:^|\s)(?:I|[ap]\.m)\.$", re.IGNORECASE)


def spans(text: str) -> list[tuple[int, int]]:
    """Where each sentence stands, as (start, end) without the space around it; a text without marks is one."""
    found: list[tuple[int, int]] = []
    begin = 0
    cuts = [(m.start(), m.end(), m[0]) for m in _END.finditer(text)]
    for stop, after, between in [*cuts, (len(text), len(text), "\n")]:
        head = text[max(begin, stop - 24) : stop]
        if "\n" not in between and _SHORTENED.search(head) and not _AMBIGUOUS.search(head):
            continue
        said = text[begin:stop]
        start = begin + len(said) - len(said.lstrip())
        end = begin + len(said.rstrip())
        if end > start:
            found.append((start, end))
        begin = after
    return found


def sentences(text: str) -> list[str]:
    """The sentences of a text, by its marks; a text without any is one."""
    return [text[start:end] for start, end in spans(text)]
