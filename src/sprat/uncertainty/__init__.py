"""How sure a model is, read from its draws: clusters of meaning, their entropy, graphs of likeness, self-check.

What is said of a question (its answers spread) and of an answer (the others disagree with it) is kept apart in types.
"""

from __future__ import annotations

from .clusters import Alike, Entailment, Equivalence, Exact, Nli, cluster
from .entropy import CONVENTIONS, semantic_entropy
from .graph import degree, eccentricity, eigenvalue
from .levels import AnswerUncertainty, QuestionUncertainty, Samples
from .tokens import TokenEntropy, token_entropy

__all__ = [
    "CONVENTIONS",
    "Alike",
    "AnswerUncertainty",
    "Entailment",
    "Equivalence",
    "Exact",
    "Nli",
    "QuestionUncertainty",
    "Samples",
    "TokenEntropy",
    "cluster",
    "degree",
    "eccentricity",
    "eigenvalue",
    "semantic_entropy",
    "token_entropy",
]
