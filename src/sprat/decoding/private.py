"""What of a request is private: marked `<private>...</private>` by the user, and kept from whoever may not read it.

sprat's own, for CoGenesis (arXiv 2403.03129), whose code sends all. Withheld are the spans and each of their words,
wherever they stand again; common words (the, with, is) are let through unless `strict`. What is not marked, or said in
other words, is not found. Checked on the wire, byte by byte, in tests/decoding/test_cogenesis_wire.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

from ..core import Request
from ..errors import BadInput

HIDDEN = "[hidden {n}]"
SHORT = 4  # from so many letters on, a word is also looked for inside other words
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
_NEARLY = re.compile(r"(<|&lt;|\[)\s*/?\s*private\b|\bprivate\s*/?\s*(>|&gt;)", re.IGNORECASE)
# A script without spaces has a word per character: then every one of them is withheld.
_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")


def folded(text: str) -> tuple[str, list[int]]:
    """The text without case, accents and invisible characters, and which character of it each one came from."""
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for one in unicodedata.normalize("NFKD", character).casefold():
            if unicodedata.category(one) not in ("Mn", "Cf"):
                letters.append(one)
                places.append(place)
    return "".join(letters), places


@dataclass(frozen=True)
class Veil:
    """Which words are private; `over` a text it leaves the others. `words` say of which span each is, from 1 on."""

    spans: tuple[str, ...]
    hidden: str | tuple[str, ...] = HIDDEN
    strict: bool = False

    @cached_property
    def words(self) -> Mapping[str, int]:
        """Every private word, folded, with the number of its span."""
        found: dict[str, int] = {}
        for number, span in enumerate(self.spans, 1):
            words = _WORD.findall(folded(span)[0])
            telling = [w for w in words if self.strict or w not in COMMON]
            for word in telling or words:
                found.setdefault(word, number)
        return found

    @cached_property
    def _long(self) -> tuple[str, ...]:
        return tuple(word for word in self.words if len(word) >= SHORT)

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

    def number(self, word: str) -> int:
        """The span that a folded word is of; 0 for one that may be shown."""
        if word in self.words:
            return self.words[word]
        if len(word) < SHORT:
            return 0
        return next((self.words[long] for long in self._long if long in word or word in long), 0)

    def over(self, text: str) -> str:
        """The text with what is private replaced."""
        plain, places = folded(text)
        marks = [(m.start(), m.end(), n) for m in _WORD.finditer(plain) if (n := self.number(m[0]))]
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
            before = (stop, number)
        return shown + text[at:]

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
        if not words or words[-1].end() < len(plain):
            return True
        word = words[-1][0]
        if self.number(word) or any(private.startswith(word) for private in self.words):
            return False
        return not any(word.endswith(p[:k]) for p in self._long for k in range(SHORT, len(p)))


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
        if _NEARLY.search(_MARKED.sub("", text)) or any("<private>" in span for span in _MARKED.findall(text)):
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
