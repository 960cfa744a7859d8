"""What of a request is private: marked `<private>...</private>` by the user, and kept from whoever may not read it.

sprat's own, for CoGenesis (arXiv 2403.03129), whose code sends all. Withheld are the spans and each of their words,
wherever they stand again, also written together or apart (JoAnn, 1,234,567); common words (the, with, is) are let
through unless `strict`, or where both are capitalised (Will). What is not marked, or said in other words, letters of
another script or numbers spelled out, is not found. Checked on the wire in tests/decoding/test_cogenesis_wire.py.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, cast

from ..core import Request
from ..errors import BadInput

HIDDEN = "[hidden {n}]"
SHORT = 4  # from so many letters on, a word is also looked for inside other words
PARTS = 6  # a span's words that follow each other, written together
APART = 3  # characters that may stand between the pieces of a word that is written apart
ROLES = ("system", "developer", "user", "assistant")
# They tell nothing by themselves; words that do (not, no, he, she, who, numbers) are left out on purpose.
COMMON = frozenset(
    re.findall(
        r"\w+",
        "a an the this that these those of to in on at by for from with as and or is are was were be been it its "
        "has have had do does did will would can could i my me we our us you your s t d m ll re ve",
    )
)
_MARKED = re.compile(r"<private>(.*?)</private>", re.DOTALL)
_OPENS, _CLOSES = (
    "<\u2039\u00ab\u3008\u300a\u27e8\u276e\u276c\u2770\u227a\u02c2\u1438",
    ">\u203a\u00bb\u3009\u300b\u27e9\u276f\u276d\u2771\u227b\u02c3\u1433",
)
_NEARLY = re.compile(
    rf"[{_OPENS}\[\u3010\u3014{{]\s*[/\\]?\s*private\b|\bprivate\s*[/\\]?\s*[{_CLOSES}\]\u3011\u3015}}]"
)
_TAG = re.compile(rf"[{_OPENS}]([^{_OPENS}{_CLOSES}]{{1,24}})[{_CLOSES}]|[\[{{]\s*[/\\]([^\]}}]{{1,24}})[\]}}]")
_PLAIN_MARK = re.compile(r"<\s*/?\s*private\s*>")
_BLANK = ("\u115f", "\u1160")  # letters that are not seen
# A script without spaces has a word per character: then every one of them is withheld.
_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")
_DIGITS = re.compile(r"[0-9]+")
_HANGUL = re.compile("[\u1100-\u11ff]")  # as NFKD has it


def folded(text: str) -> tuple[str, list[int]]:
    """The text without case, accents and invisible characters, its digits as 0 to 9; and where each one came from."""
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for one in unicodedata.normalize("NFKD", character).casefold():
            kind = unicodedata.category(one)
            if kind in ("Mn", "Me", "Cf") or (kind == "Cc" and not one.isspace()) or one in _BLANK:
                continue
            digit = unicodedata.digit(one, None)
            letters.append(one if digit is None else str(digit))
            places.append(place)
    return "".join(letters), places


def nearly(text: str) -> bool:
    """Whether a text holds what looks like a mark: another spelling, other brackets, hidden characters within."""
    plain, _ = folded(html.unescape(text))
    if _NEARLY.search(plain):
        return True
    inside = ("".join(re.findall(r"\w", one[0] or one[1])) for one in _TAG.findall(plain))
    return any("private" in word or _apart(word, "private") <= 2 for word in inside)


def _apart(a: str, b: str) -> int:
    """How many letters are to be put in, left out or changed to make one of the other."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def marked(request: Request) -> bool:
    """Whether a message of the request holds a mark, in any coding of its letters."""
    return any(_PLAIN_MARK.search(folded(text)[0]) for m in request.messages for text in _texts(m))


def _texts(thing: Any) -> list[str]:
    """Every text in a message, however deep."""
    if isinstance(thing, str):
        return [thing]
    if isinstance(thing, Mapping):
        return [text for part in cast("Mapping[Any, Any]", thing).values() for text in _texts(part)]
    if isinstance(thing, (list, tuple)):
        return [text for part in cast("list[Any]", thing) for text in _texts(part)]
    return []


@dataclass(frozen=True)
class Veil:
    """Which words are private; `over` a text it leaves the others. `words` say of which span each is, from 1 on."""

    spans: tuple[str, ...]
    hidden: str | tuple[str, ...] = HIDDEN
    strict: bool = False

    @cached_property
    def words(self) -> Mapping[str, int]:
        """Every private word, folded, with the number of its span; of those with digits the digits too."""
        found: dict[str, int] = {}
        for number, span in enumerate(self.spans, 1):
            words = _WORD.findall(folded(span)[0])
            telling = [w for w in words if self.strict or w not in COMMON]
            for word in telling or words:
                found.setdefault(word, number)
                for digits in _DIGITS.findall(word):
                    found.setdefault(digits, number)
        return found

    @cached_property
    def _names(self) -> Mapping[str, int]:
        """Common words that a span has with a capital, such as Will: withheld where they have one again."""
        found: dict[str, int] = {}
        for number, span in enumerate(self.spans, 1):
            plain, places = folded(span)
            for m in _WORD.finditer(plain):
                if m[0] in COMMON and m[0] not in self.words and span[places[m.start()]].isupper():
                    found.setdefault(m[0], number)
        return found

    @cached_property
    def _together(self) -> Mapping[str, int]:
        """A span's words written together, some that follow each other or all; each word alone too."""
        found: dict[str, int] = dict(self.words)
        for number, span in enumerate(self.spans, 1):
            words = _WORD.findall(folded(span)[0])
            tells = [w in self.words or w in self._names for w in words]
            for i, first in enumerate(tells):
                for j in range(i + 1, len(words)) if first else ():
                    if tells[j] and (j - i < PARTS or (i == 0 and j == len(words) - 1)):
                        found.setdefault("".join(words[i : j + 1]), number)
        return found

    @cached_property
    def _long(self) -> tuple[str, ...]:
        return tuple(word for word in self._together if len(word) >= SHORT)

    @cached_property
    def _numbers(self) -> tuple[str, ...]:
        return tuple(word for word in self._long if _DIGITS.fullmatch(word))

    @cached_property
    def _begun(self) -> frozenset[str]:
        """How words that are written apart may begin."""
        return frozenset(word[:k] for word in self._together if len(word) >= APART for k in range(1, len(word)))

    @cached_property
    def _runs(self) -> Mapping[str, int]:
        """Strict: every run of so many characters in a span, whatever they are."""
        if not self.strict:
            return {}
        texts = [folded(span)[0] for span in self.spans]
        return {text[i : i + SHORT]: n for n, text in enumerate(texts, 1) for i in range(len(text) - SHORT + 1)}

    @cached_property
    def _signs(self) -> Mapping[str, int]:
        """Spans without a word: emoji, say."""
        texts = [folded(span)[0] for span in self.spans]
        return {text: n for n, text in enumerate(texts, 1) if text and not _WORD.search(text)}

    @cached_property
    def _starts(self) -> frozenset[str]:
        """How a private word may begin, and each as a whole."""
        return frozenset(w[:k] for w in (*self._together, *self._names) for k in range(1, len(w) + 1))

    @cached_property
    def _heads(self) -> frozenset[str]:
        """How a long one may begin inside another word."""
        return frozenset(word[:k] for word in self._long for k in range(SHORT, len(word)))

    @cached_property
    def _asked(self) -> dict[str, int]:
        return {}

    def number(self, word: str) -> int:
        """The span that a folded word is of; 0 for one that may be shown."""
        if word not in self._asked:
            self._asked[word] = self._found(word)
        return self._asked[word]

    def _found(self, word: str) -> int:
        known = self._together
        if word in known:
            return known[word]
        pieces = _DIGITS.findall(word)
        if found := next((self.words[p] for p in pieces if p in self.words), 0):  # 34 in 34kg
            return found
        if found := next((n for w, n in self.words.items() if _inflected(word, w)), 0):
            return found
        if len(word) < SHORT:
            return 0
        return next((known[long] for long in self._long if long in word or (long in self.words and word in long)), 0)

    def over(self, text: str) -> str:
        """The text with what is private replaced."""
        plain, places = folded(text)
        words = list(_WORD.finditer(plain))
        marks = [(m.start(), m.end(), n) for m in words if (n := self.number(m[0]) or self._name(m, text, places))]
        marks += self._apart_marks(plain, words)
        marks += [
            (m.start(), m.end(), n) for sign, n in self._signs.items() for m in re.finditer(re.escape(sign), plain)
        ]
        marks = sorted(marks + (self._run_marks(plain) if self._runs else []))
        shown, at, before = "", 0, (-1, 0)
        for start, stop, number in marks:
            first, last = places[start], places[stop - 1] + 1
            if before[1] == number and not plain[before[0] : start].strip(" -'"):
                at = max(at, last)  # one span's words in a row are one placeholder
            elif first >= at:
                shown += text[at:first] + self.stand_in(number)
                at = last
            else:
                at = max(at, last)
            before = (max(stop, before[0]), number)
        return shown + text[at:]

    def _name(self, word: re.Match[str], text: str, places: list[int]) -> int:
        return self._names.get(word[0], 0) if self._names and text[places[word.start()]].isupper() else 0

    def _apart_marks(self, plain: str, words: list[re.Match[str]]) -> list[tuple[int, int, int]]:
        """Private words that are written in pieces: from a word's beginning to a word's end; numbers anywhere."""
        found: list[tuple[int, int, int]] = []
        most = max(map(len, self._together), default=0)
        for i, first in enumerate(words):
            joined = first[0]
            for before, one in pairwise(words[i:]):
                joined += one[0]
                if one.start() - before.end() > APART or len(joined) > most:
                    break
                if len(joined) >= APART and joined in self._together:
                    found.append((first.start(), one.end(), self._together[joined]))
        for places in self._number_rows(words) if self._numbers else ():
            digits = "".join(plain[p] for p in places)
            for number in self._numbers:
                at = digits.find(number)
                while at >= 0:
                    found.append((places[at], places[at + len(number) - 1] + 1, self._together[number]))
                    at = digits.find(number, at + 1)
        return found

    @staticmethod
    def _number_rows(words: list[re.Match[str]]) -> list[list[int]]:
        """Where the digits of each row of numbers stand that only separators part."""
        rows: list[list[int]] = []
        end = -APART - 1
        for word in words:
            if not _DIGITS.fullmatch(word[0]):
                end = -APART - 1
                continue
            if word.start() - end > APART:
                rows.append([])
            rows[-1] += range(word.start(), word.end())
            end = word.end()
        return rows

    def _run_marks(self, plain: str) -> list[tuple[int, int, int]]:
        words = [(m.start(), m.end()) for m in _WORD.finditer(plain)]
        found: list[tuple[int, int, int]] = []
        for i in range(len(plain) - SHORT + 1):
            if number := self._runs.get(plain[i : i + SHORT], 0):
                touched = [w for w in words if w[0] < i + SHORT and w[1] > i]
                found.append((min([i, *(w[0] for w in touched)]), max([i + SHORT, *(w[1] for w in touched)]), number))
        return found

    def stand_in(self, number: int) -> str:
        """What stands for a span."""
        if isinstance(self.hidden, str):
            return self.hidden.replace("{n}", str(number))
        return self.hidden[(number - 1) % len(self.hidden)]

    def settled(self, text: str) -> bool:
        """Whether the end of a text that is being written can no longer become private; else it is to be held back."""
        plain, _ = folded(text)
        if text.endswith("\ufffd") or any(plain.endswith(s[:k]) for s in self._signs for k in range(1, len(s))):
            return False
        words = list(_WORD.finditer(plain))
        if not words:
            return True
        if self._begins(plain, words):
            return False
        if words[-1].end() < len(plain):
            return True
        word = words[-1][0]
        if self.number(word) or word in self._starts:
            return False
        return not any(word[i:] in self._heads for i in range(len(word) - SHORT + 1))

    def _begins(self, plain: str, words: list[re.Match[str]]) -> bool:
        """Whether the last words may be the first pieces of a private one, and are not withheld already."""
        if len(plain) - words[-1].end() > APART:
            return False
        joined = ""
        most = max(map(len, self._together), default=0)
        for i in range(len(words) - 1, -1, -1):
            if i < len(words) - 1 and words[i + 1].start() - words[i].end() > APART:
                return False
            joined = words[i][0] + joined
            if len(joined) > most:
                return False
            hidden = all(self.number(w[0]) for w in words[i:])
            if joined in self._begun and not hidden:
                return True
            if (
                joined.isdigit()
                and not hidden
                and any(joined.endswith(n[:k]) for n in self._numbers for k in range(2, len(n)))
            ):
                return True
        return False


def _inflected(word: str, private: str) -> bool:
    """Whether a word is a short private one with an ending: Anna, Annie, Bos; particles after Korean words."""
    if _HANGUL.match(private):
        return private in word
    if private.isdigit() or len(private) not in (2, 3) or not word.startswith(private):
        return False
    return len(word) - len(private) <= 2 if len(private) == 3 else word == private + "s"


@dataclass(frozen=True)
class Parted:
    """A request as the one who may read everything reads it (`whole`), and as the other does (`public`)."""

    whole: Request
    public: Request
    veil: Veil = field(repr=False)


def parted(request: Request, hidden: str | tuple[str, ...] = HIDDEN, strict: bool = False) -> Parted:
    """Part a request by its marks. Of the public one only roles, texts and sampling numbers are left.

    An empty `<private></private>` says that nothing is private. Raises BadInput where nothing is marked, a mark is
    open, nested or misspelt, or a message holds what can't be looked through: images, tool calls, other roles.
    """
    texts = [_text(message) for message in request.messages]
    found = [_MARKED.findall(text) for text in texts]
    if not any(found):
        raise BadInput(
            "Nothing in this request is marked as private.",
            hint="Write <private>...</private> around it; an empty one says that there is nothing.",
        )
    for text in texts:
        if nearly(_MARKED.sub("", text)) or any(_PLAIN_MARK.search(folded(s)[0]) for s in _MARKED.findall(text)):
            raise BadInput("A <private> mark is open, nested or misspelt, so nothing was sent.",
                           hint="Write <private> before and </private> after each private part.")  # fmt: skip
    spans: dict[str, str] = {}
    for span in (s.strip() for spans_ in found for s in spans_):
        if span:
            spans.setdefault(folded(span)[0], span)
    numbers = {key: number for number, key in enumerate(spans, 1)}
    veil = Veil(tuple(spans.values()), hidden, strict)

    def shown(text: str) -> str:
        parts = _MARKED.split(text)  # public, private, public, ...
        said = [veil.over(p) if i % 2 == 0 else veil.stand_in(numbers[folded(p.strip())[0]]) if p.strip() else ""
                for i, p in enumerate(parts)]  # fmt: skip
        return "".join(said)

    whole = tuple({**m, "content": _MARKED.sub(r"\1", t)} for m, t in zip(request.messages, texts, strict=True))
    public = tuple({"role": m["role"], "content": shown(t)} for m, t in zip(request.messages, texts, strict=True))
    numbers_only = {
        k: v for k, v in request.options.items()
        if k in ("temperature", "top_p", "seed") and isinstance(v, (int, float))
    }  # fmt: skip
    return Parted(replace(request, messages=whole), Request(public, numbers_only, request.sample), veil)


def _text(message: Mapping[str, Any]) -> str:
    content, role = message.get("content"), message.get("role")
    if role not in ROLES or message.get("tool_calls") or message.get("function_call"):
        raise BadInput(f"A message of role {role!r} or with tool calls can't be parted into public and private.",
                       hint="Send texts of system, user and assistant.")  # fmt: skip
    if isinstance(content, str):
        return content
    if isinstance(content, (list, tuple)):
        parts = cast("list[Any]", content)
        texts: list[Any] = [cast("dict[str, Any]", p).get("text") if isinstance(p, Mapping) else None for p in parts]
        if all(isinstance(t, str) for t in texts):
            return "\n".join(texts)
    raise BadInput("A message holds more than text, which can't be looked through for what is private.",
                   hint="Send its text alone.")  # fmt: skip
