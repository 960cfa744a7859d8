"""Tokens to text as they come: what each token adds, whole characters only, and stop strings held back."""

from __future__ import annotations

from collections.abc import Sequence

from .vocabulary import Vocabulary

_BROKEN = "�"  # what a tokenizer says for bytes that are no whole character yet
LONGEST = 8  # tokens after which bytes that make no character are given out as they are


class Speller:
    """The text that each token adds to what was written before it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.last: list[int] = []  # the last token whose text was given out
        self.pending: list[int] = []  # those after it, whose character is not whole yet
        self.known: dict[int, str] = vars(vocabulary).setdefault("_spelled", {})

    def add(self, token: int) -> str:
        """The text that this token adds; "" while its character is not whole."""
        if self.last and not self.pending:  # what a token adds after another does not depend on which one that is
            if token not in self.known:
                self.known[token] = self._added([token])
            if self.known[token] and not self.known[token].endswith(_BROKEN):
                self.last = [token]
                return self.known[token]
        self.pending.append(token)
        added = self._added(self.pending)
        if added.endswith(_BROKEN) and len(self.pending) < LONGEST:
            return ""
        if added:  # a special token says nothing: what follows is spelled after the last that did
            self.last = [token]
        self.pending = []
        return added

    def rest(self) -> str:
        """The text of what never became a whole character."""
        added, self.pending = self._added(self.pending), []
        return added

    def _added(self, ids: list[int]) -> str:
        if not ids:
            return ""
        return self.vocabulary.decode([*self.last, *ids])[len(self.vocabulary.decode(self.last)) :]


class StopStrings:
    """Cuts a text at the first stop string, holding back what could be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = tuple(s for s in stops if s)
        self.held = ""
        self.hit = False

    def add(self, text: str) -> str:
        """What may be shown now; `hit` is set when a stop string was completed."""
        if not self.stops or self.hit:
            return "" if self.hit else text
        self.held += text
        found = [at for stop in self.stops if (at := self.held.find(stop)) >= 0]
        if found:
            shown, self.held, self.hit = self.held[: min(found)], "", True
            return shown
        keep = max((n for stop in self.stops for n in range(1, len(stop)) if self.held.endswith(stop[:n])), default=0)
        shown = self.held[: len(self.held) - keep]
        self.held = self.held[len(shown) :]
        return shown

    def rest(self) -> str:
        """What was held back, when nothing more comes."""
        shown, self.held = self.held, ""
        return shown
