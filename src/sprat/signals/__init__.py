"""(request, reply) -> trust in [0, 1]; without a reply, how easy the request is. Each file is one signal."""

from .agreement import Agreement, agreement
from .agreement_cells import AgreementCells, agreement_cells
from .answer_features import AnswerFeatures, answer_features
from .automix import AutoMix, automix
from .bertscore import BertScore, bertscore
from .calibrated import Calibrated, calibrated
from .category import Category, category
from .causal_lm import CausalLM, causal_lm
from .classifier import Classifier, classifier
from .ensemble_router import EnsembleRouter, ensemble_router
from .forc import Forc, forc
from .frugal import Frugal, frugal
from .hybrid import Hybrid, hybrid
from .knn import Knn, knn
from .known import Known, known_groups
from .length import Length, length
from .logprob import Logprob, logprob
from .lowest import Lowest, lowest
from .matrix_factorization import MatrixFactorization, matrix_factorization
from .opening import Opening, opening
from .opening_agreement import OpeningAgreement, opening_agreement
from .orchestra import Orchestra, orchestra
from .pairrank import PairRank, pairrank
from .random import Random, random
from .ridge_gain import RidgeGain, ridge_gain
from .routerdc import RouterDC, routerdc
from .similarity_weighted import SimilarityWeighted, similarity_weighted
from .zooter import Zooter, zooter

__all__ = [
    "Agreement",
    "AgreementCells",
    "AnswerFeatures",
    "AutoMix",
    "BertScore",
    "Calibrated",
    "Category",
    "CausalLM",
    "Classifier",
    "EnsembleRouter",
    "Forc",
    "Frugal",
    "Hybrid",
    "Knn",
    "Known",
    "Length",
    "Logprob",
    "Lowest",
    "MatrixFactorization",
    "Opening",
    "OpeningAgreement",
    "Orchestra",
    "PairRank",
    "Random",
    "RidgeGain",
    "RouterDC",
    "SimilarityWeighted",
    "Zooter",
    "agreement",
    "agreement_cells",
    "answer_features",
    "automix",
    "bertscore",
    "calibrated",
    "category",
    "causal_lm",
    "classifier",
    "ensemble_router",
    "forc",
    "frugal",
    "hybrid",
    "knn",
    "known_groups",
    "length",
    "logprob",
    "lowest",
    "matrix_factorization",
    "opening",
    "opening_agreement",
    "orchestra",
    "pairrank",
    "random",
    "ridge_gain",
    "routerdc",
    "similarity_weighted",
    "zooter",
]
