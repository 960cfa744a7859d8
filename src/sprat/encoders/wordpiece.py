"""Lowercase wordpieces by greedy longest match, one dictionary look-up per word already seen.

Wordpieces: arXiv 1609.08144. Checked against the tokenizer of bert-base-uncased, piece by piece.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence

_CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
# A word, or one mark; CJK characters stand alone, as does the underscore.
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+|[^\w\s]|_")
_LONGEST_WORD = 100
_REMEMBERED = 30_000


def _plain(text: str) -> str:
    """Lowercase, without accents."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFD", text.lower())
    return "".join(c for c in decomposed if unicodedata.category(c) != "Mn")


class WordPieces:
    """Maps texts to ids; a word outside the vocabulary gets one of `buckets` ids after it, by its CRC."""

    def __init__(self, vocabulary: Sequence[str], buckets: int) -> None:
        self.vocabulary = tuple(vocabulary)
        self.buckets = buckets
        self._ids = {piece: i for i, piece in enumerate(self.vocabulary)}
        self._seen: dict[str, tuple[int, ...]] = {}

    def _split(self, word: str) -> tuple[int, ...]:
        ids: list[int] = []
        start, prefix = 0, ""
        while start < len(word) and len(word) <= _LONGEST_WORD:
            for end in range(len(word), start, -1):
                found = self._ids.get(prefix + word[start:end])
                if found is not None:
                    ids.append(found)
                    start, prefix = end, "##"
                    break
            else:
                break
        else:
            if start == len(word):
                return tuple(ids)
        return (len(self.vocabulary) + zlib.crc32(word.encode("utf-8", "surrogatepass")) % self.buckets,)

    def words(self, text: str) -> list[tuple[tuple[int, int], tuple[int, ...]]]:
        """Each word's place in the text, (start, end), with its ids; the ids are those of `ids`."""
        plain = [_plain(c) for c in text] if not text.isascii() else None
        owners = [i for i, part in enumerate(plain) for _ in part] if plain is not None else range(len(text))
        folded = "".join(plain) if plain is not None else text.lower()
        if folded != _plain(text):  # accents that combine across characters
            owners, folded = range(len(text)), text.lower() if len(text.lower()) == len(text) else text
        return [((owners[m.start()], owners[m.end() - 1] + 1), self._split(m[0])) for m in _WORD.finditer(folded)]

    def ids(self, text: str) -> list[int]:
        """Ids of one text, empty for a text without words or marks."""
        out: list[int] = []
        seen = self._seen
        for word in _WORD.findall(_plain(text)):
            known = seen.get(word)
            if known is None:
                if len(seen) >= _REMEMBERED:  # by now mostly words that came once
                    seen.clear()
                known = seen[word] = self._split(word)
            out += known
        return out
