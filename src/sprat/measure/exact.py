"""Whether a reply is the target once case, punctuation, articles and spacing are gone, and how many words they share.

SQuAD's two measures (arXiv 1606.05250), but a minus sign or decimal point of a number stays. Checked by hand cases.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NUMBER_SIGNS = re.compile(r"(?<![\w])[-−](?=\.?\d)|(?<=\d)\.(?=\d)")
_KEPT = {"-": "\x01", "−": "\x01", ".": "\x02"}


def normalised(text: str) -> str:
    """Lower case, without punctuation, articles and spare spaces; "-5" and "2.5" stay what they are."""
    text = unicodedata.normalize("NFC", text).casefold()
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    text = _NUMBER_SIGNS.sub(lambda m: _KEPT[m[0]], text)
    text = "".join(" " if unicodedata.category(c)[0] in "PZ" else c for c in text)
    text = text.replace("\x01", "-").replace("\x02", ".")
    words = _ARTICLES.sub(" ", text).split()
    return " ".join(words or text.split())  # "The A" is no empty answer


def exact(reply: str, target: str) -> float:
    """1 if the two are the same text once normalised, else 0."""
    return float(normalised(reply) == normalised(target))


def token_f1(reply: str, target: str) -> float:
    """The harmonic mean of precision and recall of the normalised words; 1 where both have none."""
    said, wanted = normalised(reply).split(), normalised(target).split()
    if not said or not wanted:
        return float(said == wanted)
    shared = sum((Counter(said) & Counter(wanted)).values())
    return 2 * shared / (len(said) + len(wanted))
