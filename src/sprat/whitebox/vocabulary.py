"""A model's tokens and how text becomes them; and whether several models share one vocabulary, compared id by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ..errors import CannotDo


class Vocabulary(Protocol):
    """The tokens of a model. Its logits may be longer: a padded tail has no tokens and is never written."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """The token of each id, as the tokenizer names it."""
        ...

    @property
    def ends(self) -> frozenset[int]:
        """The ids that end a reply."""
        ...

    def prompt(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """The ids of a conversation, ready for the reply: chat template and special tokens included.

        A last message of role "assistant" is continued. Raises BadInput for text that the vocabulary can't write.
        """
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of a text alone, without special tokens; BadInput as in `prompt`."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids; special tokens say nothing."""
        ...


SHOWN = 3


def common_size(leaves: Sequence[Any]) -> int:
    """How many ids the vocabularies of some leaves share, all from 0 on; CannotDo where an id means different tokens.

    Ids past the shortest vocabulary are given up, so long as they mean the same in those that have them.
    """
    (first, base), *others = [(leaf.name, leaf.vocabulary) for leaf in leaves]
    for name, other in others:
        pairs = enumerate(zip(base.tokens, other.tokens, strict=False))
        unequal = [(i, a, b) for i, (a, b) in pairs if a != b] if base.tokens is not other.tokens else []
        if unequal:
            shown = "; ".join(f"{i}: {a!r} and {b!r}" for i, a, b in unequal[:SHOWN])
            raise CannotDo(
                f"'{first}' and '{name}' have different vocabularies of {len(base.tokens)} and "
                f"{len(other.tokens)} tokens: "
                f"{len(unequal)} ids differ ({shown}).",
                hint="What works across vocabularies: sprat.ladder and sprat.search (chunks of text), speculate "
                "(drafts are translated), cascade, route, vote.",
            )
    return min(len(leaf.vocabulary.tokens) for leaf in leaves)
