"""How alike two texts are, token by token: the encoders of tokens, their cache, and BERTScore over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .alignment import Alignment, align
    from .hub_tokens import HubTokens
    from .scores import Baseline, BertScores, baseline, bertscore
    from .token_cache import CachedTokens, cached
    from .token_vectors import StaticTokens, TokenEncoder, Tokens

__all__ = [
    "Alignment",
    "Baseline",
    "BertScores",
    "CachedTokens",
    "HubTokens",
    "StaticTokens",
    "TokenEncoder",
    "Tokens",
    "align",
    "baseline",
    "bertscore",
    "cached",
]

_WHERE = {
    "Alignment": ".alignment",
    "Baseline": ".scores",
    "BertScores": ".scores",
    "CachedTokens": ".token_cache",
    "HubTokens": ".hub_tokens",
    "StaticTokens": ".token_vectors",
    "TokenEncoder": ".token_vectors",
    "Tokens": ".token_vectors",
    "align": ".alignment",
    "baseline": ".scores",
    "bertscore": ".scores",
    "cached": ".token_cache",
}

__getattr__ = lazily(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
