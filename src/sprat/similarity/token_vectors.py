"""What greedy matching reads: a text's tokens, each with a unit vector. One encoder that needs numpy alone is here.

StaticTokens looks its vectors up, so that a word is the same in every context: a lower bar for contextual encoders.
Checked by hand (tests/similarity/test_hub_tokens.py); measured on human marks by benchmarks/bertscore_marks.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..encoders.protocol import Rows, check_texts, unit
from ..encoders.static import EMBEDDED, StaticEncoder, token_table

Ids = NDArray[np.int32]
Flags = NDArray[np.bool_]


class Tokens(NamedTuple):
    """A text's tokens: `ids` (n,), `plain` (n,) false for marks such as [CLS], `vectors` (n, d) of length one."""

    ids: Ids
    plain: Flags
    vectors: Rows


@runtime_checkable
class TokenEncoder(Protocol):
    """Texts to tokens with vectors; frozen, so that a text always has the same ones, whatever its neighbours."""

    @property
    def name(self) -> str:
        """Which encoder this is, weights and layer included: vectors of one name may be compared and cached."""
        ...

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """The tokens of each text; BadInput where `texts` is not a sequence of str."""
        ...

    def pieces(self, text: str) -> list[tuple[int, int]]:
        """Where each token of `tokens` stands in the text, as (start, end); (0, 0) for marks such as [CLS]."""
        ...


@dataclass(frozen=True)
class StaticTokens:
    """The word pieces of the embedded encoder, each with its own row of the table, whatever stands around it."""

    weights: Path = field(default=EMBEDDED)

    @property
    def name(self) -> str:
        """The embedded encoder's name, marked as one vector a token."""
        return f"{StaticEncoder(self.weights).name}-tokens"

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens (n may be 0) with vectors (n, d); BadInput where an item is not a str."""
        splitter, table = token_table(self.weights)
        found: list[Tokens] = []
        for text in check_texts(texts):
            ids = np.array(splitter.ids(text), np.int32)
            found.append(Tokens(ids, np.ones(len(ids), np.bool_), unit(table[ids])))
        return found

    def pieces(self, text: str) -> list[tuple[int, int]]:
        """Where the word of each piece stands: pieces of one word share its place."""
        splitter, _ = token_table(self.weights)
        return [span for span, ids in splitter.words(text) for _ in ids]
