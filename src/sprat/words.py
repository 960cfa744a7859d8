"""Words as texts are compared by them: in lower case, with marks or as stems. A plain rule, not a model.

What counts as a word to filters of corpora is another matter (curate/words.py), and how the small inference model reads
one is its own (nli/words.py). Checked by hand (tests/test_words_and_stems.py).
"""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+(?:['’]\w+)?|[^\w\s]")
_LIGHT = ("ingly", "edly", "ing", "ies", "ied", "ed", "es", "ly", "s")
_ENDINGS = ("ingly", "edly", "ing", "ies", "ied", "est", "ed", "es", "ly", "er", "s")


def words(text: str) -> list[str]:
    """The words and marks of a text, in lower case."""
    return [w.lower() for w in _WORD.findall(text)]


def stem(word: str, light: bool = False) -> str:
    """A word in lower case without a common English ending: "Dances", "danced" and "dancing" are "danc".

    `light` takes one ending off and nothing more ("number" stays): better for telling which words a document lacks. The
    ladder of checks orders SummEdits by AUROC .008 [.002, .015] better so.
    """
    form = word.lower()
    endings = _LIGHT if light else _ENDINGS
    form = next((form[: -len(e)] for e in endings if form.endswith(e) and len(form) - len(e) >= 3), form)
    if light:
        return form
    if len(form) > 3 and form[-1] == form[-2]:
        form = form[:-1]
    return form[:-1] if len(form) > 3 and form[-1] in "eiy" else form
