"""Words as texts are compared by them: in lower case, with marks or as stems. A plain rule, not a model.

What counts as a word to filters of corpora is another matter (curate/words.py), and how the small inference model reads
one is its own (nli/words.py). Checked by hand (tests/test_words_and_stems.py).
"""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+(?:['’]\w+)?|[^\w\s]")
_SUFFIXES = ("ingly", "edly", "ing", "ies", "ied", "est", "ed", "es", "ly", "er", "s")


def words(text: str) -> list[str]:
    """The words and marks of a text, in lower case."""
    return [w.lower() for w in _WORD.findall(text)]


def stem(word: str) -> str:
    """A word in lower case without a common English ending: "Dances", "danced" and "dancing" are "danc"."""
    form = word.lower()
    for suffix in _SUFFIXES:
        if form.endswith(suffix) and len(form) - len(suffix) >= 3:
            form = form[: -len(suffix)]
            break
    if len(form) > 3 and form[-1] == form[-2]:
        form = form[:-1]
    return form[:-1] if len(form) > 3 and form[-1] in "eiy" else form
