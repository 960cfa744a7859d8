"""What counts as a word: between white space, or as spaCy's English tokenizer splits; what a word is worth to rules.

Filters that are said in words drop other documents under another definition of a word, so a recipe names its own.
spaCy splits punctuation off, and every mark then counts as a word. The splitting here is written from spaCy's
documented rules (prefixes, suffixes, infixes, exceptions), not from its tables; benchmarks/curation_heuristics.py
counts the texts on which the two disagree. What is found for one stretch between white space is kept, since texts
repeat theirs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput, nearest
from ..sentences import TERMINAL

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
_KEPT = 200_000  # stretches that are remembered, about 60 MB
_COLUMNS = ("words", "solid", "characters", "lettered", "stops")


def _symbol(character: str) -> bool:
    """Punctuation, a mathematical or currency sign, or a control character."""
    return unicodedata.category(character)[0] in "PSC"


def _solid(word: str) -> bool:
    """Whether a word is more than punctuation."""
    return word.isalnum() or not all(map(_symbol, word))


class _Numbered(dict[str, int]):
    """Texts by number, in order of appearance; `new` hears of each once."""

    def __init__(self, new: Callable[[int, str], None]) -> None:
        super().__init__()
        self.new = new

    def __missing__(self, text: str) -> int:
        number = self[text] = len(self)
        self.new(number, text)
        return number


class Definition:
    """A definition of a word, and what it found of every stretch of text seen so far.

    `worth[number]` holds a stretch's words, those that are more than punctuation, their characters, those with a
    letter, and its stop words as bits.
    """

    def __init__(self, name: str, split: Callable[[str], list[str]] | None) -> None:
        self.name, self.split = name, split
        self._forget()

    def _forget(self) -> None:
        self.worth = np.zeros((1024, len(_COLUMNS)), np.int32)
        self.lengths = np.zeros(1024, np.int32)
        self.parts = list[tuple[int, ...]]()
        self.stretches = _Numbered(self._stretch)
        self.words = self.stretches if self.split is None else _Numbered(self._word)

    def _stretch(self, number: int, stretch: str) -> None:
        words = [stretch] if self.split is None else self.split(stretch)
        if number >= len(self.worth):
            self.worth = np.concatenate([self.worth, np.zeros_like(self.worth)])
        counted = [w for w in words if _solid(w)]
        lettered = sum(w.isalpha() or any(map(str.isalpha, w)) for w in words)
        stops = sum(1 << STOP_WORDS.index(w) for w in set(words) if w in STOP_WORDS)
        self.worth[number] = len(words), len(counted), sum(map(len, counted)), lettered, stops
        if self.split is None:
            self._word(number, stretch)
        else:
            self.parts.append(tuple(self.words[w] for w in words))

    def _word(self, number: int, word: str) -> None:
        if number >= len(self.lengths):
            self.lengths = np.concatenate([self.lengths, np.zeros_like(self.lengths)])
        self.lengths[number] = len(word)

    def numbers(self, stretches: Sequence[str]) -> NDArray[np.int64]:
        """The stretches' numbers."""
        if len(self.stretches) > _KEPT:
            self._forget()
        return np.fromiter(map(self.stretches.__getitem__, stretches), np.int64, len(stretches))

    def spelled(self, stretch: str) -> list[str]:
        """A stretch's words."""
        return [stretch] if self.split is None else self.split(stretch)

    def words_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """The words' numbers of numbered stretches, in order."""
        if self.split is None:
            return numbers
        parts = self.parts
        return np.array(list(chain.from_iterable([parts[n] for n in numbers.tolist()])), np.int64)


_OPENING = re.compile(r"""(?:\.\.+|…|[§%=—–,:;!?¿¡()\[\]{}<>_#*&"“”„«»‘’'`´$£€¥₹]|\+(?![0-9])|[^\w\s.\-/\\@~^|+])""")
_UNITS = "km|cm|mm|m|dm|nm|ft|kg|g|mg|t|lb|oz|ha|mph|hPa|Pa|mbar|mb|MB|kb|KB|gb|GB|tb|TB|T|G|M|K|%"
_CLOSING = re.compile(
    r"""(?:\.\.+|…|''|['’][sS]|[—–,:;!?()\[\]{}<>_#*&"“”„«»‘’'`´]|[^\w\s.\-/\\@~^|+%=$£€¥₹]"""
    rf"""|(?<=[0-9])\+|(?<=[0-9])(?:[$£€¥₹]|{_UNITS})|(?<=[0-9a-zß-öø-ÿ%²\-+)\]}}"'”’_`*!?,:;&#])\.|(?<=[A-Z][A-Z])\.)$"""
)
_WITHIN = re.compile(
    r"""\.\.+|…|(?<=[0-9])[+\-*^](?=[0-9-])|(?<=[a-zß-öø-ÿ"'”’])\.(?=[A-Z"'“‘])|(?<=[^\W\d_]),(?=[^\W\d_])"""
    r"""|(?<=[^\W_])(?:---|--|——|-|–|—|~)(?=[^\W\d_])|(?<=[^\W_])[:<>=/](?=[^\W\d_])"""
)
_ADDRESS = re.compile(
    r"(?:https?://|www\.)\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?:[\w-]+\.)+(?:com|org|net|edu|gov|io|co|uk)"
)
_NOT = re.compile(
    r"(?i:(ai|are|ca|could|dare|did|does|do|had|has|have|is|might|must|need|ought|sha|should|was|were|wo|would)(n['’]t))"
)
_SHORTENED = re.compile(
    r"(?i:(i|you|he|she|it|we|they|who|what|when|where|why|how|that|there|this|those|these)(['’](?:m|re|s|d|ll|ve)))"
)
_ONE = """
Mr. Mrs. Ms. Dr. St. Jr. Sr. Prof. Rev. Gen. Gov. Sen. Rep. Lt. Col. Adm. Mt. Ph.D. Inc. Ltd. Co. Corp. Bros. vs.
v.s. e.g. i.e. E.g. I.e. a.m. p.m. Jan. Feb. Mar. Apr. Aug. Sep. Sept. Oct. Nov. Dec. Ala. Ariz. Ark. Calif. Colo.
Conn. Del. Fla. Ga. Ill. Ind. Kan. Ky. La. Mass. Md. Mich. Minn. Miss. Mo. Mont. Neb. Nev. Okla. Ore. Pa. Tenn. Va.
Wash. Wis. N.C. S.C. N.D. S.D. N.H. N.J. N.M. N.Y. D.C. o.o :) :( :-) :-( ;) ;-) :D :P :/ <3 ^_^ -_- :-/ :-D ): 's
'S ’s ’S 'd 'm 're 'll 've ’d ’m ’re ’ll ’ve and/or '' 'em ’em 'Cause 'cause 'Cos 'cos o'clock ma'am y'all
"""
_WHOLE = frozenset(_ONE.split())
_APART = {
    w: n for word, n in (("cannot", 3), ("gonna", 3), ("gotta", 3), ("dont", 2)) for w in (word, word.capitalize())
}
_CLOCK = re.compile(r"(1?[0-9])([ap]\.?m\.?)")
_INITIALS = re.compile(r"(?:[A-Za-z]\.){2,}|[A-Za-z]\.")


def _special(stretch: str) -> list[str] | None:
    if stretch in _WHOLE or _INITIALS.fullmatch(stretch):
        return [stretch]
    found = _NOT.fullmatch(stretch) or _SHORTENED.fullmatch(stretch) or _CLOCK.fullmatch(stretch)
    if found:
        return [found[1], found[2]]
    cut = _APART.get(stretch)
    return [stretch[:cut], stretch[cut:]] if cut else None


def split_apart(stretch: str) -> list[str]:
    """A stretch as spaCy splits it: marks off both ends until nothing gives or an exception is left, then within."""
    if stretch.isalpha():
        return _special(stretch) or [stretch]
    before, after, left = list[str](), list[str](), stretch
    kept = _special(left)
    while left and kept is None:
        size = len(left)
        if found := _OPENING.match(left):
            before.append(found[0])
            left = left[found.end() :]
            if kept := _special(left):
                break
        if left and (found := _CLOSING.search(left)):
            after.append(found[0])
            left = left[: found.start()]
            kept = _special(left)
        if len(left) == size:
            break
    if kept is None:
        kept = [left] if not left or _ADDRESS.fullmatch(left) else _cut(left)
    return [w for w in (*before, *kept, *reversed(after)) if w]


def _cut(stretch: str) -> list[str]:
    out, at = list[str](), 0
    for found in _WITHIN.finditer(stretch):
        if found.start() > at:
            out.append(stretch[at : found.start()])
        out.append(found[0])
        at = found.end()
    out.append(stretch[at:])
    return out


_DEFINED = {d.name: d for d in (Definition("whitespace", None), Definition("spacy-compatible", split_apart))}
DEFINITIONS = tuple(_DEFINED)
_ENDS = re.compile(rf"""[…{"".join(sorted(TERMINAL))}]+["'”’)\]]*(?=\s|$)""")


@dataclass(frozen=True, slots=True)
class Words:
    """A text's words in order, by number, with their lengths in characters (n,), and the sums of their worth."""

    numbers: NDArray[np.int64]
    lengths: NDArray[np.int32]
    count: int
    solid: int
    characters: int
    lettered: int
    stops: int


class View:
    """A text with what several rules read of it, computed at its first use; raises BadInput for another `words`."""

    def __init__(self, text: str, words: str = "whitespace") -> None:
        if words not in _DEFINED:
            raise BadInput(f"There is no definition of words called '{words}'.", hint=nearest(words, DEFINITIONS))
        self.text, self.definition = text, words

    @cached_property
    def words(self) -> Words:
        """The words, numbered, and their sums."""
        definition = _DEFINED[self.definition]
        numbers = definition.numbers(self.text.split())
        worth = definition.worth[numbers]
        sums = worth[:, :4].sum(axis=0).tolist()
        stops = int(np.bitwise_or.reduce(worth[:, 4])) if len(numbers) else 0
        words = definition.words_of(numbers)
        count, solid, characters, lettered = sums
        return Words(words, definition.lengths[words], count, solid, characters, lettered, stops.bit_count())

    @cached_property
    def lines(self) -> list[str]:
        """The lines, empty ones too."""
        return self.text.splitlines()

    def edited(self, text: str) -> View:
        """Another text under the same definition."""
        return View(text, self.definition)


@lru_cache(4)
def _spelled(words: str) -> Callable[[str], list[str]]:
    return lru_cache(_KEPT)(_DEFINED[words].spelled)


def sentences(text: str, words: str) -> int:
    """How many sentences: by marks before white space, or as spaCy's sentencizer counts over its own words."""
    if words == "whitespace":
        ends = [m.end() for m in _ENDS.finditer(text)]
        return len(ends) + bool(text[ends[-1] if ends else 0 :].strip())
    count, ended, spelled = 0, False, _spelled(words)
    for stretch in text.split():
        for word in spelled(stretch):
            if word in TERMINAL:
                count, ended = max(1, count), True
            elif not count or (ended and not all(unicodedata.category(c)[0] == "P" for c in word)):
                count, ended = count + 1, False
    return count
