"""Trust a reply that begins as it should: with one of these words, not with a refusal or a hedge, in the right script.

A baseline that needs no paper and no log-probabilities; it reads the first characters alone. Checked by hand-computed
shares, and against its law: fed piece by piece its bounds end where the whole reply's trust lies.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..core import Piece, Reply, Request, Signal
from ..errors import BadInput
from .running import Alone, Running

REFUSALS = ("i'm sorry", "i am sorry", "sorry,", "i apologize", "i can't", "i cannot", "i can not", "i'm unable",
            "i am unable", "i'm not able", "i am not able", "i won't", "as an ai", "unfortunately, i")  # fmt: skip
HEDGES = ("i'm not sure", "i am not sure", "i don't know", "i do not know", "i'm not certain", "i am not certain",
          "it is unclear", "it's unclear", "it's hard to say", "it is hard to say", "i think", "i guess", "maybe",
          "perhaps", "possibly", "i'm not familiar", "i am not familiar")  # fmt: skip
# Scripts that one language mixes count as one.
_ONE = {"CJK": "han", "HIRAGANA": "han", "KATAKANA": "han", "BOPOMOFO": "han", "IDEOGRAPHIC": "han"}
_SCRIPTS = ("latin", "cyrillic", "greek", "han", "hangul", "arabic", "hebrew", "devanagari", "thai", "same")


@dataclass(frozen=True, repr=False)
class Opening(Signal):
    """Over a reply's first `first` characters: 0 where it breaks a rule, else the share of its letters in `script`.

    `begins`: it begins with one of these; `never`: with none of these; `pattern`: what they match from their start, a
    regular expression. Case and spaces before it don't count for the first two. `script` "same" is the prompt's own.
    """

    begins: tuple[str, ...] = ()
    never: tuple[str, ...] = REFUSALS + HEDGES
    pattern: str = ""
    script: str = ""
    first: int = 80
    use = "opening"
    reads_reply = True

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The trust, in [0, 1]; 0 for a reply that says nothing."""
        judged = _Judged(self, request)
        judged.text, judged.ended = (reply.text or "") if reply is not None else "", True
        return judged.within()[0]

    def running(self, request: Request) -> Running:
        """The same while the reply is written."""
        return _Judged(self, request)


class _Judged(Alone):
    def __init__(self, rule: Opening, request: Request) -> None:
        self.rule, self.text, self.ended = rule, "", False
        self.script = script_of(request.text) if rule.script == "same" else rule.script

    def take(self, which: int, piece: Piece | None) -> None:
        self.ended = self.ended or piece is None
        self.text += piece.text if piece is not None else ""

    def within(self) -> tuple[float, float]:
        rule, text = self.rule, self.text.lstrip()
        read = text[: rule.first]
        over = self.ended or len(text) >= rule.first
        if not read:
            return 0.0, 0.0 if over else 1.0
        said = plain(read)
        # Of a longer phrase than was read it is not known yet whether it is there.
        begun = not rule.begins or any(said.startswith(b) for b in rule.begins)
        if not begun and (over or not any(b.startswith(said) for b in rule.begins)):
            return 0.0, 0.0
        if any(said.startswith(n) for n in rule.never):
            return 0.0, 0.0
        if over and rule.pattern and not re.match(rule.pattern, read):
            return 0.0, 0.0
        settled = over or (begun and not rule.pattern and not any(n.startswith(said) for n in rule.never))
        low, high = self._share(read, over)
        return (low if settled else 0.0), high

    def _share(self, read: str, over: bool) -> tuple[float, float]:
        """Between which shares the letters in the right script can end; what is to come may all be letters."""
        if not self.script:
            return 1.0, 1.0
        letters = [s for s in map(script, read) if s]
        right, open_ = letters.count(self.script), 0 if over else self.rule.first - len(read)
        total = len(letters) + open_
        if not letters:
            return (1.0, 1.0) if over else (0.0, 1.0)
        return right / total, (right + open_) / total


def plain(text: str) -> str:
    """The text in lower case, with straight apostrophes and single spaces."""
    return re.sub(r"\s+", " ", text.replace("\u2019", "'")).casefold()


@lru_cache(maxsize=4096)
def script(character: str) -> str:
    """A letter's script in a word, such as "latin"; "" for what is no letter."""
    if not character.isalpha():
        return ""
    word = unicodedata.name(character, "").replace("-", " ").partition(" ")[0]
    return _ONE.get(word, word.lower())


def script_of(text: str) -> str:
    """The script of most of its letters; "" where it has none."""
    found = [s for s in map(script, text[:2000]) if s]
    return max(dict.fromkeys(found), key=found.count, default="")


def opening(
    *,
    begins: Sequence[str] = (),
    never: Sequence[str] = REFUSALS + HEDGES,
    pattern: str = "",
    script: str = "",
    first: int = 80,
) -> Opening:
    """The trust in a reply's opening; raises BadInput for a script or a pattern that is none, or first < 1."""
    if isinstance(begins, str) or isinstance(never, str) or first < 1:
        raise BadInput("opening takes lists of texts, and first of at least 1.")
    if script and script not in _SCRIPTS:
        raise BadInput(f"opening knows no script '{script}'.", hint=f"Known: {', '.join(_SCRIPTS)}.")
    try:
        re.compile(pattern)
    except re.error as error:
        raise BadInput(f"opening's pattern {pattern!r} is no regular expression: {error}.") from error
    made = tuple(plain(b).lstrip() for b in begins), tuple(plain(n).lstrip() for n in never)
    if any(len(text) > first or not text for text in (*made[0], *made[1])):
        raise BadInput(f"opening reads {first} characters; a text of its lists is longer, or empty.")
    return Opening(*made, pattern, script, first)
