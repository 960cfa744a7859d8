"""What makes two prompts different questions although their embeddings are close: numbers, signs, negation, order.

Our own rules, after the finding that sentence embeddings hardly see such words; each errs towards "different", which
costs a hit and never a wrong answer. What each brings is measured in benchmarks/gateway_cache.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:['’.\-/][^\W_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_STARTS = re.compile(r"(?:^|[.!?:;\n]\s*|[\"'“(]\s*)([^\W\d_])")
_QUOTED = re.compile(r"[\"“`]([^\"”`]{1,80})[\"”`]")
# What says something beside words and numbers: operators, relations, currencies, brackets; not what ends a sentence.
_SIGN = re.compile(rf"{_NUMBER.pattern}|[^\w\s.,;:?'\"’‘“”„«»…–—`¿¡、。，？：；]")
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half "
    "third quarter twice double triple once first second dozen"
)
_NUMBERS = frozenset(_UNITS.split())
_DENIALS = (
    "not no never none nobody nothing nowhere neither nor without cannot cant can't dont don't wont won't didnt "
    "didn't doesnt doesn't isnt isn't arent aren't wasnt wasn't werent weren't hasnt hasn't havent haven't hadnt "
    "hadn't shouldnt shouldn't wouldnt wouldn't couldnt couldn't unable except unless"
)
_NOT = frozenset(_DENIALS.split())
_OPPOSITES = (
    "increase decrease|raise lower|up down|on off|enable disable|activate deactivate|open close|start stop|add remove|"
    "buy sell|before after|above below|over under|more less|most least|max min|maximum minimum|highest lowest|"
    "largest smallest|best worst|first last|always never|true false|yes no|send receive|import export|login logout|"
    "lock unlock|block unblock|freeze unfreeze|cheap expensive|hot cold|left right|north south|east west|in out|"
    "credit debit|deposit withdraw|withdrawal deposit|to from|accept reject|include exclude|encode decode|"
    "encrypt decrypt|ascending descending|mother father|son daughter|male female|buy return|lend borrow|win lose"
)
_OPPOSITE: dict[str, frozenset[str]] = {}
for _pair in _OPPOSITES.split("|"):
    _a, _b = _pair.split()
    for _one, _other in ((_a, _b), (_b, _a)):
        _OPPOSITE[_one] = _OPPOSITE.get(_one, frozenset()) | {_other}
_GRAMMAR = (
    "a an the i me my we our you your he she it its they them this that these those is are was were be been am do "
    "does did have has had will would can could should may might must to of in on at for with by from as and or but "
    "if so please just there here what which who whom how when where why tell show give let get"
)
_SMALL = frozenset(_GRAMMAR.split())


@lru_cache(maxsize=1024)
def words(text: str) -> tuple[str, ...]:
    """The words in lower case, in order."""
    return tuple(w.lower().replace("’", "'") for w in _WORD.findall(text))


def numbers(a: str, b: str) -> bool:
    """Whether their numbers differ, written in digits or as words, or come in another order."""
    return _numbers(a) != _numbers(b)


@lru_cache(maxsize=1024)
def _numbers(text: str) -> tuple[str, ...]:
    digits = [(m.start(), m[0].replace(",", "").rstrip(".:/")) for m in _NUMBER.finditer(text)]
    named = [(m.start(), m[0].lower()) for m in _WORD.finditer(text) if m[0].lower() in _NUMBERS]
    return tuple(n for _, n in sorted(digits + named))


def negation(a: str, b: str) -> bool:
    """Whether one denies more often than the other."""
    return sum(w in _NOT for w in words(a)) != sum(w in _NOT for w in words(b))


def names(a: str, b: str) -> bool:
    """Whether one names somebody, something or a quoted text that the other does not mention."""
    return bool(_names(a) - set(words(b)) or _names(b) - set(words(a)))


@lru_cache(maxsize=1024)
def _names(text: str) -> frozenset[str]:
    starts = {m.start(1) for m in _STARTS.finditer(text)}
    found: set[str] = set()
    for m in _WORD.finditer(text):
        word = m[0]
        capital = word[0].isupper() and m.start() not in starts and word.split("'")[0] != "I"
        mixed = any(c.isupper() for c in word[1:]) or (any(map(str.isdigit, word)) and any(map(str.isalpha, word)))
        if capital or mixed:
            found.add(word.lower().replace("’", "'"))
    for m in _QUOTED.finditer(text):
        found |= set(words(m[1]))
    return frozenset(found)


def opposites(a: str, b: str) -> bool:
    """Whether one says the opposite of a word of the other."""
    only_a, only_b = set(words(a)) - set(words(b)), set(words(b)) - set(words(a))
    return any(_OPPOSITE.get(w, frozenset()) & only_b for w in only_a)


def exchanged(a: str, b: str) -> bool:
    """Whether they are the same sentence but for one word of content that stands in another's place."""
    left, right = _content(a), _content(b)
    return len(left) == len(right) and sum(one != other for one, other in zip(left, right, strict=True)) == 1


def order(a: str, b: str) -> bool:
    """Whether words of content that both hold come in another order: who owes whom, from where to where."""
    left, right = (tuple(w for w in words(text) if w not in _SMALL or w in _OPPOSITE) for text in (a, b))
    if left == right:
        return False
    here, there = Counter(left), Counter(right)
    both = {w for w in here if here[w] == there[w]}
    return [w for w in left if w in both] != [w for w in right if w in both]


@lru_cache(maxsize=1024)
def _content(text: str) -> tuple[str, ...]:
    return tuple(w for w in words(text) if w not in _SMALL)


def signs(a: str, b: str) -> bool:
    """Whether operators, relations, currencies or brackets differ, or stand at other numbers."""
    return _signs(a) != _signs(b)


@lru_cache(maxsize=1024)
def _signs(text: str) -> tuple[str, ...]:
    found: list[str] = []
    for m in _SIGN.finditer(text):
        sign, before, after = m[0], text[m.start() - 1 : m.start()], text[m.end() : m.end() + 1]
        if sign == "!" and not (before.isdigit() or before in (")", "]")):
            continue  # an exclamation, no factorial
        if sign in "-/" and before.isalpha() and after.isalpha():
            continue  # within a word
        found.append(sign.replace(",", "").rstrip(".:/") or sign)
    return tuple(found)


GUARDS: dict[str, Callable[[str, str], bool]] = {
    "numbers": numbers,
    "signs": signs,
    "negation": negation,
    "names": names,
    "opposites": opposites,
    "exchanged": exchanged,
    "order": order,
}


def differs(a: str, b: str) -> str:
    """The first guard that sees two questions in two prompts; "" where none does."""
    return next((name for name, guard in GUARDS.items() if guard(a, b)), "")
