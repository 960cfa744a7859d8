"""Is what a text says borne out? Facts, passages that bear on them, and checks of one against the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from ..nli.checks import Check, Checker, SentenceCheck, supports
    from ..nli.chunks import AlignScore, MiniCheck, alignscore, minicheck
    from ..nli.summac import SummaC, summac
    from ..nli.summac_conv import SummaCConv, summac_conv
    from .agent import Record, Verification, verify
    from .check_ladder import Finding, Findings, Labelled, Ladder, fitted, ladder
    from .corpus import Bm25, Corpus, Dense, Passage, read_corpus
    from .fact_score import FactScore, Judgement, factscore
    from .facts import Fact, atomic_facts, split_facts
    from .support import Lexical, Support, by_model, by_nli

__all__ = [
    "AlignScore",
    "Bm25",
    "Check",
    "Checker",
    "Corpus",
    "Dense",
    "Fact",
    "FactScore",
    "Finding",
    "Findings",
    "Judgement",
    "Labelled",
    "Ladder",
    "Lexical",
    "MiniCheck",
    "Passage",
    "Record",
    "SentenceCheck",
    "SummaC",
    "SummaCConv",
    "Support",
    "Verification",
    "alignscore",
    "atomic_facts",
    "by_model",
    "by_nli",
    "factscore",
    "fitted",
    "ladder",
    "minicheck",
    "read_corpus",
    "split_facts",
    "summac",
    "summac_conv",
    "supports",
    "verify",
]

_WHERE = {
    "..nli.checks": ("Check", "Checker", "SentenceCheck", "supports"),
    "..nli.chunks": ("AlignScore", "MiniCheck", "alignscore", "minicheck"),
    "..nli.summac": ("SummaC", "summac"),
    "..nli.summac_conv": ("SummaCConv", "summac_conv"),
    ".corpus": ("Bm25", "Corpus", "Dense", "Passage", "read_corpus"),
    ".facts": ("Fact", "atomic_facts", "split_facts"),
    ".agent": ("Record", "Verification", "verify"),
    ".check_ladder": ("Finding", "Findings", "Labelled", "Ladder", "fitted", "ladder"),
    ".fact_score": ("FactScore", "Judgement", "factscore"),
    ".support": ("Lexical", "Support", "by_model", "by_nli"),
}
_FROM = {name: module for module, names in _WHERE.items() for name in names}

__getattr__ = lazily(__name__, _FROM)


def __dir__() -> list[str]:
    return sorted(__all__)
