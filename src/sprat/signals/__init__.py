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
from .entropy_probe import EntropyProbe, entropy_probe
from .fact_check import FactCheck, fact_check
from .forc import Forc, forc
from .frugal import Frugal, frugal
from .grounded import Grounded, grounded
from .hybrid import Hybrid, hybrid
from .judged import Judged, judged
from .knn import Knn, knn
from .known import Known, known_groups
from .length import Length, length
from .likelihood import Likelihood, likelihood
from .likeness_graph import LikenessGraph, likeness_graph
from .logprob import Logprob, logprob
from .lowest import Lowest, lowest
from .matrix_factorization import MatrixFactorization, matrix_factorization
from .opening import Opening, opening
from .opening_agreement import OpeningAgreement, opening_agreement
from .orchestra import Orchestra, orchestra
from .p_ik import PIK, p_ik
from .p_true import PTrue, p_true
from .pairrank import PairRank, pairrank
from .random import Random, random
from .ridge_gain import RidgeGain, ridge_gain
from .routerdc import RouterDC, routerdc
from .safe import Safe, safe
from .sample_agreement import SampleAgreement, sample_agreement
from .self_check import SelfCheck, self_check
from .semantic_entropy import SemanticEntropy, semantic_entropy
from .similarity_weighted import SimilarityWeighted, similarity_weighted
from .stacked import Stacked, stacked
from .token_entropy import TokenEntropy, token_entropy
from .verbalized import Verbalized, verbalized
from .zooter import Zooter, zooter

__all__ = [
    "PIK",
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
    "EntropyProbe",
    "FactCheck",
    "Forc",
    "Frugal",
    "Grounded",
    "Hybrid",
    "Judged",
    "Knn",
    "Known",
    "Length",
    "Likelihood",
    "LikenessGraph",
    "Logprob",
    "Lowest",
    "MatrixFactorization",
    "Opening",
    "OpeningAgreement",
    "Orchestra",
    "PTrue",
    "PairRank",
    "Random",
    "RidgeGain",
    "RouterDC",
    "Safe",
    "SampleAgreement",
    "SelfCheck",
    "SemanticEntropy",
    "SimilarityWeighted",
    "Stacked",
    "TokenEntropy",
    "Verbalized",
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
    "entropy_probe",
    "fact_check",
    "forc",
    "frugal",
    "grounded",
    "hybrid",
    "judged",
    "knn",
    "known_groups",
    "length",
    "likelihood",
    "likeness_graph",
    "logprob",
    "lowest",
    "matrix_factorization",
    "opening",
    "opening_agreement",
    "orchestra",
    "p_ik",
    "p_true",
    "pairrank",
    "random",
    "ridge_gain",
    "routerdc",
    "safe",
    "sample_agreement",
    "self_check",
    "semantic_entropy",
    "similarity_weighted",
    "stacked",
    "token_entropy",
    "verbalized",
    "zooter",
]
