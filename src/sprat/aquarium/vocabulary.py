"""One id per character: the aquarium's vocabulary, read from `weights/vocab.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sprat.errors import BadInput


@dataclass(frozen=True)
class Vocabulary:
    """The tokens in the order of their ids: three special ones, then single characters, then unused ones."""

    tokens: tuple[str, ...]
    pad: int = 0
    begin: int = 1
    end: int = 2

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens) if len(token) == 1}

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, after the begin token; BadInput names the characters that have none."""
        strange = sorted(set(text) - self._ids.keys())
        if strange:
            raise BadInput(
                f"The tiny models have no token for {', '.join(map(repr, strange))}.",
                hint="They know unaccented letters, digits, space, newline and common punctuation.",
            )
        return [self.begin, *(self._ids[character] for character in text)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; pad, begin and end say nothing."""
        return "".join(self.tokens[index] for index in ids if index not in (self.pad, self.begin, self.end))


def read_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of a JSON file: a list of tokens; BadInput where it is not that."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        return Vocabulary(tuple(str(token) for token in listed))
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(
            f"{path} is not a vocabulary: {error}.", hint="Put the aquarium's vocab.json beside the weights."
        ) from error
