"""(request, reply) -> trust in [0, 1]; without a reply, how easy the request is. Each file is one signal."""

from .agreement import Agreement, agreement
from .agreement_cells import AgreementCells, agreement_cells
from .answer_features import AnswerFeatures, answer_features
from .automix import AutoMix, automix
from .frugal import Frugal, frugal
from .logprob import Logprob, logprob
from .pairrank import PairRank, pairrank

__all__ = [
    "Agreement",
    "AgreementCells",
    "AnswerFeatures",
    "AutoMix",
    "Frugal",
    "Logprob",
    "PairRank",
    "agreement",
    "agreement_cells",
    "answer_features",
    "automix",
    "frugal",
    "logprob",
    "pairrank",
]
