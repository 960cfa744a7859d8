"""Semantic entropy, by name: what seven implementations that share the name compute, from the same clusters.

Kuhn et al., arXiv 2302.09664; Farquhar et al., Nature 2024. Checked to 1e-6 against the code of lorenzkuhn and jlko
(github.com/*/semantic_uncertainty), lm-polygraph 0.7.0 and uqlm 0.6.7 on shared clusters (benchmarks/uncertainty.py);
by hand in tests/uncertainty/test_entropy.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core import Can
from ..errors import BadInput, nearest
from .clusters import Ids
from .levels import QuestionUncertainty, Samples

Floats = NDArray[np.float64]
_KUHN_SHIFT = 5.0


@dataclass(frozen=True)
class Convention:
    """One reading of semantic entropy: what it needs, where it is from, and how it is computed from clusters."""

    needs: Can
    about: str
    compute: Callable[[Ids, Samples], float]


def _log_masses(ids: Ids, logs: Floats) -> Floats:
    """log of the summed probability of each cluster (k,)."""
    return np.array([np.logaddexp.reduce(logs[ids == c]) for c in range(int(ids.max()) + 1)])


def _normalised(ids: Ids, samples: Samples) -> Floats:
    """log p of each cluster, from mean log-probabilities per token, summing to 1."""
    masses = _log_masses(ids, samples.means())
    return masses - np.logaddexp.reduce(masses)


def _shares(ids: Ids) -> Floats:
    return np.bincount(ids) / len(ids)


def _entropy(p: Floats) -> float:
    kept = p[p > 0]
    return float(-(kept * np.log(kept)).sum()) + 0.0


def _rao(ids: Ids, samples: Samples) -> float:
    return _entropy(np.exp(_normalised(ids, samples)))


def _monte_carlo(ids: Ids, samples: Samples) -> float:
    return float(-_normalised(ids, samples)[ids].mean()) + 0.0


def _discrete(ids: Ids, _: Samples) -> float:
    return _entropy(_shares(ids))


def _kuhn(ids: Ids, samples: Samples) -> float:
    return float(-(_log_masses(ids, samples.means()) - _KUHN_SHIFT).mean())


def _polygraph(ids: Ids, samples: Samples) -> float:
    return float(-_log_masses(ids, samples.sums())[ids].mean())


def _polygraph_direct(ids: Ids, samples: Samples) -> float:
    logs = _log_masses(ids, samples.sums())[ids]
    return float(-(logs * np.exp(logs)).sum())


def _by_most(entropy: Callable[[Ids, Samples], float]) -> Callable[[Ids, Samples], float]:
    return lambda ids, samples: entropy(ids, samples) / float(np.log(len(ids)))


CONVENTIONS = {
    "discrete": Convention(
        Can.TEXT, "share of the draws in each cluster: jlko's cluster_assignment_entropy, lm-polygraph's Empirical",
        _discrete,
    ),
    "rao": Convention(
        Can.LOGPROBS, "Rao-Blackwellised, length-normalised, cluster probabilities normalised: jlko's semantic_entropy",
        _rao,
    ),
    "monte_carlo": Convention(
        Can.LOGPROBS, "the mean over draws of -log p of their cluster, with the same probabilities", _monte_carlo
    ),
    "kuhn": Convention(
        Can.LOGPROBS, "lorenzkuhn's code: the mean over clusters of -log of their unnormalised mass, plus 5", _kuhn
    ),
    "lm_polygraph": Convention(
        Can.LOGPROBS, "lm-polygraph's SemanticEntropy: the mean over draws, of whole texts, not normalised",
        _polygraph,
    ),
    "lm_polygraph_direct": Convention(
        Can.LOGPROBS, "the same with entropy_estimation='direct': the sum over draws of -p log p of their cluster",
        _polygraph_direct,
    ),
    "uqlm": Convention(Can.LOGPROBS, "uqlm's token-based: `rao` by the log of the draws", _by_most(_rao)),
    "uqlm_discrete": Convention(Can.TEXT, "uqlm's discrete: `discrete` by the log of the draws", _by_most(_discrete)),
}  # fmt: skip


def semantic_entropy(samples: Samples, ids: Ids, convention: str = "discrete") -> QuestionUncertainty:
    """The entropy over clusters `ids` (n,) of the draws, in nats; BadInput for another convention or other draws.

    CannotDo where the convention reads log-probabilities and the draws have none.
    """
    if convention not in CONVENTIONS:
        raise BadInput(f"There is no convention '{convention}'.", hint=nearest(convention, CONVENTIONS))
    found = np.asarray(ids, np.int64)
    if len(found) != len(samples.texts) or set(found.tolist()) != set(range(int(found.max()) + 1)):
        raise BadInput(f"Clusters of {len(samples.texts)} draws are needed, numbered from 0 on without gaps.")
    value = CONVENTIONS[convention].compute(found, samples)
    return QuestionUncertainty(value, "semantic entropy", convention)


def cluster_probability(samples: Samples, ids: Ids, by: str = "discrete") -> Floats:
    """The probability (n,) of each draw's cluster: by counting draws, or by their likelihoods ("rao")."""
    p = _shares(ids) if by == "discrete" else np.exp(_normalised(ids, samples))
    return p[ids]
