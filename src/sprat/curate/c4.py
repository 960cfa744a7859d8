"""C4's rules: lines that end like sentences stay; pages with braces, lorem ipsum or too few sentences go.

Raffel et al., arXiv 1910.10683, section 2.2, in the order of TensorFlow Datasets' and datatrove's code, without the
list of bad words. It edits: every line that goes, and every citation cut out, is on record. Checked by hand and against
datatrove.
"""

from __future__ import annotations

import re

from .rules import Edit, Found, Limit, Rule
from .words import View, sentences

_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_ENDS = (".", "?", "!", '"', "'")
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_LONGEST_WORD, _FEWEST_WORDS = 1000, 3


def measure(view: View) -> Found:
    """Sentences in the lines kept, and whether a brace or lorem ipsum is among the lines that ended well."""
    kept, edits = list[str](), list[Edit]()
    count = braces = lorem = 0
    for number, whole in enumerate(view.lines):
        line = whole.strip()
        why = "c4.long_word" if len(line) > _LONGEST_WORD and max(map(len, line.split())) > _LONGEST_WORD else ""
        if not why:
            bare = _CITATION.sub("", line) if "[" in line else line
            why = _why(bare)
            lower = bare.lower() if not why else ""
            lorem += "lorem ipsum" in lower
            why = why or ("c4.javascript" if "javascript" in lower else "")
            if not why:
                braces += "{" in bare
                why = "c4.policy" if any(p in lower for p in _POLICY) else ""
            if not why:
                kept.append(bare)
                count += sentences(bare, view.definition)
                if bare != whole:
                    edits.append(Edit(number, "c4.citation" if bare != line else "c4.space"))
        if why:
            edits.append(Edit(number, why))
    scores = {"c4.braces": float(braces), "c4.lorem_ipsum": float(lorem), "c4.sentences": float(count)}
    return Found(scores, "\n".join(kept).strip(), tuple(edits))


def _why(line: str) -> str:
    if not line.endswith(_ENDS) or line.endswith("..."):
        return "c4.no_terminal_mark"
    return "c4.few_words" if len(line.split()) < _FEWEST_WORDS else ""


RULE = Rule(
    "c4",
    measure,
    (Limit("c4.braces", at_most=0), Limit("c4.lorem_ipsum", at_most=0), Limit("c4.sentences", at_least=5)),
)
