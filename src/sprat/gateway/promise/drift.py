"""A sequential test, without labels, that the requests are no longer like those that the certificate was made on.

Papers: conformal test martingales against a calibration sample (arXiv 1706.03415) and for deciding when to retrain
(arXiv 2102.10439); bets on more than the mean of the ranks by Legendre polynomials (arXiv 2606.20859); what goes wrong
when the sample that ranks are taken in is held fixed (arXiv 2602.13848). Checked against: the uniformity of the ranks
on exchangeable data, false alarms over 1,000 simulated months, delays (`benchmarks/promise_watch.py`).

A feature of a request (a trust, its length, a distance to the calibration sample) falls into one of a few bins whose
edges are fixed beforehand. Its rank is (those in lower bins + u (those in its own + 1)) / (all + 1), counting the
calibration sample and all requests since, with u drawn uniformly: while all are exchangeable the ranks are
independent and uniform, exactly, at every size of the sample and whatever the bins. Counting the requests too is what
makes that so: ranks in a fixed sample of m are off by 1/sqrt(m), and a test that watches for ever finds that. The price
is that requests after a change come to be counted as well, so a small change must be found while they are few.

Half of the calibration sample places the edges, the other half is counted: edges at the counted ones' own quantiles
would not be exchangeable with the requests to come.

Bets multiply wealth by 1 + kappa P(2 rank - 1), P the Legendre polynomials of degree 1 (higher or lower) and 2 (wider
or narrower), which average 1 over uniform ranks; the mixture over bets and starting times is that of `e_process`.
With `tolerance` t the factors are divided by 1 + |kappa| t: then changes that move the mean of P by at most t raise
no alarm either. Each of d features alarms at d/delta: by Ville's inequality and the union bound the probability of a
false alarm is at most delta over all time. (Averaging the d wealths would not do: each is a martingale in the past of
its own ranks only.)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from math import isfinite, log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sprat.errors import BadInput
from sprat.gateway.promise.e_process import BLOCK, Mixture, starting_share

FIRST: tuple[float, ...] = (-0.9, -0.45, -0.2, 0.2, 0.45, 0.9)  # kappa of P1(x) = x, in [-1, 1]
SECOND: tuple[float, ...] = (-0.9, -0.4, 0.4, 0.9)  # kappa of P2(x) = (3 x^2 - 1)/2, in [-1/2, 1]
BINS = 32


class Feature:
    """The watch on one feature: fixed edges, counts per bin, and the mixture's wealth."""

    __slots__ = ("counts", "edges", "highest", "mixture", "tolerance")

    def __init__(self, edges: list[float], counts: list[int], tolerance: float = 0.0) -> None:
        if len(counts) != len(edges) + 1 or edges != sorted(edges):
            raise BadInput("A feature's bins need rising edges and one count more than edges.")
        self.edges, self.counts, self.tolerance = edges, counts, tolerance
        self.mixture, self.highest = Mixture(len(FIRST) + len(SECOND)), 1.0

    @classmethod
    def of(cls, sample: ArrayLike, seed: int = 0, bins: int = BINS, tolerance: float = 0.0) -> Feature:
        """The watch that begins from a calibration sample (n,): half places the edges, half is counted.

        Raises BadInput for fewer than 20 values or a missing one.
        """
        x = np.asarray(sample, float).ravel()
        if len(x) < 20 or not np.isfinite(x).all():
            hint = "Give the feature's values on the calibration rows."
            raise BadInput(f"A drift test needs at least 20 finite values per feature, not {len(x)}.", hint=hint)
        x = np.random.default_rng(seed).permutation(x)
        first, second = x[: len(x) // 2], x[len(x) // 2 :]
        edges = np.unique(np.quantile(first, np.linspace(0, 1, bins + 1)[1:-1]))
        counts = np.bincount(np.searchsorted(edges, second, side="right"), minlength=len(edges) + 1)
        return cls(edges.tolist(), counts.tolist(), tolerance)

    def rank(self, value: float, u: float) -> float:
        """The randomised rank of a value among all before it, in [0, 1]; the value is counted."""
        if not isfinite(value) or not 0 <= u <= 1:
            raise BadInput(f"A feature must be finite and its draw in [0, 1], not {value} and {u}.")
        place = bisect_right(self.edges, value)
        below, total = sum(self.counts[:place]), sum(self.counts)
        rank = (below + u * (self.counts[place] + 1)) / (total + 1)
        self.counts[place] += 1
        return rank

    def update(self, value: float, u: float) -> float:
        """The wealth after one request's feature; u is drawn uniformly and independently of everything."""
        x = 2 * self.rank(value, u) - 1
        second = (3 * x * x - 1) / 2
        t = self.tolerance
        factors = [(1 + k * x) / (1 + abs(k) * t) for k in FIRST]
        factors += [(1 + k * second) / (1 + abs(k) * t) for k in SECOND]
        wealth = self.mixture.update(factors)
        self.highest = max(self.highest, wealth)
        return wealth


class DriftTest:
    """Watches several features at once; `alarm` once any of their wealths has reached (number of features)/delta."""

    def __init__(self, features: Mapping[str, Feature], delta: float) -> None:
        if not features or not 0 < delta < 1:
            raise BadInput(f"A drift test needs at least one feature and a delta between 0 and 1, not {delta}.")
        self.features, self.delta = dict(features), delta

    @classmethod
    def of(
        cls,
        samples: Mapping[str, ArrayLike],
        delta: float,
        *,
        seed: int = 0,
        bins: int = BINS,
        tolerance: float = 0.0,
    ) -> DriftTest:
        """The test from the calibration rows' features, name to values (n,)."""
        if tolerance < 0:
            raise BadInput(f"The tolerance cannot be negative, as {tolerance} is.")
        return cls({name: Feature.of(x, seed, bins, tolerance) for name, x in samples.items()}, delta)

    def again(self, samples: Mapping[str, ArrayLike] | None = None) -> DriftTest:
        """A new test of the same features: on new samples, or with the same edges and nothing counted yet.

        With nothing counted it tests that the requests to come are alike among themselves.
        """
        if samples is not None:
            return DriftTest.of({name: samples[name] for name in self.features}, self.delta, tolerance=self._tolerance)
        empty = {n: Feature(f.edges, [0] * len(f.counts), f.tolerance) for n, f in self.features.items()}
        return DriftTest(empty, self.delta)

    @property
    def wealth(self) -> float:
        """The largest wealth, divided by the number of features: an alarm is 1/delta of this."""
        return max(f.mixture.wealth for f in self.features.values()) / len(self.features)

    @property
    def highest(self) -> float:
        return max(f.highest for f in self.features.values()) / len(self.features)

    @property
    def alarm(self) -> bool:
        """Whether exchangeability is rejected; once, and for good."""
        return self.highest * self.delta >= 1

    @property
    def moved(self) -> str:
        """The feature that has moved most, by the wealth it ever had."""
        return max(self.features, key=lambda name: self.features[name].highest)

    @property
    def seen(self) -> int:
        return next(iter(self.features.values())).mixture.steps

    def update(self, values: Mapping[str, float], draw: float) -> float:
        """The wealth after one request; `draw` is uniform in [0, 1]. Raises BadInput where a feature is missing."""
        missing = [name for name in self.features if name not in values]
        if missing:
            raise BadInput(f"The request lacks the feature '{missing[0]}', which the drift test watches.")
        for name, feature in self.features.items():
            feature.update(float(values[name]), draw)
        return self.wealth

    def delay(self, mean_rank: float, seen: int | None = None) -> int | None:
        """About how many requests until a change of the mean rank from .5 to `mean_rank` raises the alarm, on average.

        For ranks that become Beta with this mean and sum of parameters 2, in a sample so large that requests after
        the change do not matter; None for no change. A guide, not a bound.
        """
        before = self.seen if seen is None else seen
        gain = abs(2 * mean_rank - 1)
        if gain <= self._tolerance:
            return None
        rng = np.random.default_rng(0)
        x = 2 * rng.beta(2 * mean_rank, 2 * (1 - mean_rank), 20_000) - 1
        slack = np.log1p(np.abs(FIRST) * self._tolerance)
        growth = max(float((np.log1p(k * x)).mean() - s) for k, s in zip(FIRST, slack.tolist(), strict=True))
        if growth <= 0:
            return None
        share = starting_share(-(-before // BLOCK)) / (len(FIRST) + len(SECOND))
        return round(log(len(self.features) / (self.delta * share)) / growth)

    @property
    def _tolerance(self) -> float:
        return next(iter(self.features.values())).tolerance

    def state(self) -> dict[str, Any]:
        """Everything, ready for JSON; `restored` reads it."""
        names = ("edges", "counts", "tolerance", "highest")
        each = {
            name: {**{n: getattr(f, n) for n in names}, "mixture": f.mixture.state()}
            for name, f in self.features.items()
        }
        return {"delta": self.delta, "features": each}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> DriftTest:
        """The test whose `state` this is; raises BadInput for anything else."""
        try:
            features: dict[str, Feature] = {}
            for name, f in state["features"].items():
                made = Feature([float(e) for e in f["edges"]], [int(c) for c in f["counts"]], float(f["tolerance"]))
                made.mixture, made.highest = Mixture.restored(f["mixture"]), float(f["highest"])
                features[str(name)] = made
            return cls(features, float(state["delta"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"This is not the state of a drift test: {error!r}.") from error
