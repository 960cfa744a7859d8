"""BLEU, chrF and ROUGE of replies against their targets, by their standard packages: the baselines to have beside.

BLEU (Papineni et al. 2002) and chrF (Popovic 2015) per sentence by sacrebleu (arXiv 1804.08771), over all targets at
once; ROUGE (Lin 2004) by rouge-score with its stemmer, the best target's. All are given in [0, 1]. Checked against the
packages' own documented examples.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from importlib import import_module
from typing import Any

from ..data import Example
from ..errors import BadInput, MissingExtra, nearest

KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")
PARTS = {"": "fmeasure", "f": "fmeasure", "recall": "recall", "precision": "precision"}


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as missing:
        raise MissingExtra("lexical", "BLEU, chrF or ROUGE") from missing


@cache
def _bleu() -> Any:
    return _package("sacrebleu.metrics").BLEU(effective_order=True)


@cache
def _chrf(words: int) -> Any:
    return _package("sacrebleu.metrics").CHRF(word_order=words)


class _Tokens:
    """rouge-score's own tokenizer with its stemmer, which takes most of the time, asked once per text."""

    def __init__(self) -> None:
        plain: Any = _package("rouge_score.tokenizers").DefaultTokenizer(True)
        self.tokenize: Any = lru_cache(maxsize=1 << 15)(plain.tokenize)


@cache
def _rouge(kind: str) -> Any:
    return _package("rouge_score.rouge_scorer").RougeScorer([kind], tokenizer=_tokens())


@cache
def _tokens() -> _Tokens:
    return _Tokens()


@lru_cache(maxsize=1 << 16)
def _scored(kind: str, target: str, text: str) -> Any:
    return _rouge(kind).score(target, text)[kind]


def bleu(text: str, targets: list[str]) -> float:
    """Sentence BLEU with exponential smoothing and effective order, in [0, 1]; MissingExtra without sacrebleu."""
    return float(min(1.0, _bleu().sentence_score(text, targets).score / 100))


def chrf(text: str, targets: list[str], words: int = 0) -> float:
    """Sentence chrF, in [0, 1]; chrF++ with words=2; MissingExtra without sacrebleu."""
    return float(min(1.0, _chrf(words).sentence_score(text, targets).score / 100))


def rouge(text: str, targets: list[str], kind: str = "rougeL", part: str = "f") -> float:
    """ROUGE's F, "recall" or "precision", of the target where it is greatest; MissingExtra without rouge-score."""
    if kind not in KINDS or part not in PARTS:
        raise BadInput(f"There is no '{part}' of '{kind}'.", hint=nearest(kind, KINDS))
    return max(float(getattr(_scored(kind, t, text), PARTS[part])) for t in targets)


def lexical(name: str, part: str, targets: Callable[[Example], list[str]]) -> Callable[[Example, str], float]:
    """A score of a reply to an example by bleu, chrf, chrf++ or a kind of ROUGE; MissingExtra is raised at once."""
    if name == "bleu":
        _bleu()
        return lambda e, text: bleu(text, targets(e))
    if name in ("chrf", "chrf++"):
        words = 2 if name == "chrf++" else 0
        _chrf(words)
        return lambda e, text: chrf(text, targets(e), words)
    rouge("a", ["a"], name, part)
    return lambda e, text: rouge(text, targets(e), name, part)
