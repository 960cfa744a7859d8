"""The sentences of a text and where they stand in it, by its marks: a plain rule, not a model.

A mark ends a sentence where a space and what may begin one follow; after titles, single initials and the like it does
not. Full-width marks need no space. Closing quotes and brackets belong to the sentence that they close. Checked by hand
(tests/test_sentences.py).
"""

from __future__ import annotations

import re

TERMINAL = frozenset(".!?‼‽⁇⁈⁉。．！？｡؟۔।॥")
_FULL = "。．！？｡"
_SPACED = "".join(sorted(TERMINAL - set(_FULL))) + "…"
_END = re.compile(
    rf"(?<=[{_SPACED}])([\"'”’»)\]]*)\s+(?=[\"'“‘«(\[]*[^\W_a-z])|\n+"
    rf"|(?<=[{_FULL}])(?<!\d．(?=\d))([”’»)\]」』）】》〉]*)(?![{_FULL}”’»)\]」』）】》〉])"
)
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
    cuts = [(m.start(), m.end(m.lastindex or 0) if m.lastindex else m.start(), m.end()) for m in _END.finditer(text)]
    for mark, stop, after in [*cuts, (len(text), len(text), len(text))]:
        head = text[max(begin, mark - 24) : mark]
        between = text[mark:after] or "\n"
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
