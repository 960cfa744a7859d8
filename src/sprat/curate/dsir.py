"""Data selection by importance resampling (DSIR, arXiv 2302.03169): documents drawn so that they look like a target.

Two bags of hashed n-grams, the target's and the raw data's, give each document the log weight
`sum of counts * (ln(p_target + 1e-8) - ln(p_raw + 1e-8))`, not divided by its length; the highest after Gumbel noise
are a draw without replacement. Checked against the authors' package (data-selection 1.0.3): with `sha256`
the weights are the same bits, and `seed` draws what `np.random.seed(seed)` draws there (one process, one file; all
n-grams counted, as its num_tokens_to_fit="all").
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput, nearest
from .ngrams import HASHES, Features, hasher

Floats, Ints = NDArray[np.float64], NDArray[np.int64]
_AT_ONCE, _AT_HAND, _TINY = 500, 64 << 20, 1e-8


@dataclass(frozen=True)
class Settings:
    """How DSIR measures and draws: how n-grams are hashed, into how many buckets, up to which length; the least tokens
    of a document; `laplace` is added to each bucket's count in the target; `top` leaves out the noise."""

    hash: str = "sha256"
    buckets: int = 10_000
    ngrams: int = 2
    least_tokens: int = 100
    laplace: float = 0.0
    seed: int = 0
    top: bool = False

    def __post_init__(self) -> None:
        if self.hash not in HASHES:
            raise BadInput(f"There is no hash '{self.hash}'.", hint=nearest(self.hash, HASHES))
        if not 0 < self.buckets < 1 << 32 or self.ngrams < 1 or self.least_tokens < 0 or self.seed < 0:
            raise BadInput("DSIR needs 1 to 2^32 - 1 buckets, n-grams of a word or more, a seed of 0 or more.")
        if not 0 <= self.laplace < float("inf"):
            raise BadInput("A pseudo-count (laplace) is a number of 0 or more.")

    def __call__(self, texts: Iterable[str]) -> Iterator[Features]:
        """The texts' features, batch by batch."""
        of = hasher(self.hash, self.buckets, self.ngrams)
        every = iter(texts)
        while some := list(islice(every, _AT_ONCE)):
            yield of(some)


@dataclass(frozen=True)
class Towards:
    """How the draw served one target: its n-grams and share of the draw, the documents drawn for it, the effective
    sample size of its weights, and the KL divergence in nats of its n-grams to those of the raw data, of all that was
    drawn, and of as much drawn evenly."""

    name: str
    ngrams: int
    share: float
    drawn: int
    effective: float
    to_raw: float
    to_drawn: float
    to_random: float

    @property
    def reduction(self) -> float:
        """The paper's KL reduction: how much nearer the draw is to the target than the raw data are."""
        return self.to_raw - self.to_drawn


@dataclass(frozen=True)
class Drawn:
    """A draw from n documents: positions of those chosen, ascending (k,), and which target each was drawn for (k,); the
    log weight of all by target (n, targets) and their tokens (n,); how many were too short."""

    chosen: Ints
    target_of: Ints
    log_weights: Floats
    tokens: Ints
    short: int
    towards: tuple[Towards, ...]


def dsir(
    raw: Iterable[str],
    target: Iterable[str] | Mapping[str, Iterable[str]],
    keep: int | None = None,
    tokens: int | None = None,
    shares: Mapping[str, float] | None = None,
    settings: Settings | None = None,
) -> Drawn:
    """Draw `keep` of the raw texts, or as many as have `tokens` tokens, so that they look like the target.

    Of several targets by name each gets its quota, by its n-grams or by `shares`, in order; what one has drawn the next
    can't draw. Raises BadInput where there is too little to draw from.
    """
    settings = settings or Settings()
    targets = dict(target) if isinstance(target, Mapping) else {"target": target}
    return drawn(settings(raw), {k: settings(v) for k, v in targets.items()}, keep, tokens, shares, settings)


def drawn(
    raw: Iterable[Features],
    targets: Mapping[str, Iterable[Features]],
    keep: int | None,
    tokens: int | None,
    shares: Mapping[str, float] | None,
    settings: Settings,
    scratch: Path | None = None,
) -> Drawn:
    """As `dsir`, from features; they are read once and kept in a temporary file, in the folder `scratch` if given."""
    if (keep is None) == (tokens is None):
        raise BadInput("Say how many documents to keep, or how many tokens, and not both.")
    wanted = keep if keep is not None else tokens or 0
    if wanted < 1:
        raise BadInput("DSIR keeps at least one document or token.")
    counts = {name: _counts(some, settings.buckets) for name, some in targets.items()}
    for name, count in counts.items():
        if not count.sum():
            raise BadInput(f"The target '{name}' has no words.", hint="Give documents like those that you want.")
    quota = _shares({name: float(count.sum()) for name, count in counts.items()}, shares)
    with _Kept(settings.buckets, scratch) as kept:
        raw_counts = np.zeros(settings.buckets, np.int64)
        for features in raw:
            raw_counts += kept.add(features)
        lengths = kept.tokens()
        eligible = np.flatnonzero(lengths >= settings.least_tokens)
        if not raw_counts.sum() or not len(eligible):
            raise BadInput(
                f"Of {len(lengths):,} documents none has {settings.least_tokens} tokens.",
                hint="Lower the least tokens.",
            )
        ratios = np.array([log_ratio(c, raw_counts, settings.laplace) for c in counts.values()])
        weights = kept.weights(ratios)
        chosen, target_of = _draw(weights, lengths, eligible, quota, wanted, keep is None, settings)
        evenly = np.random.default_rng(settings.seed).permutation(eligible)
        evenly = evenly[: _many(lengths[evenly], wanted, keep is None)]
        seen = [kept.counts(some) for some in (chosen, evenly)]
    towards: list[Towards] = []
    for i, (name, count) in enumerate(counts.items()):
        far = [divergence(count, c) for c in (raw_counts, *seen)]
        share, took = quota[i], int((target_of == i).sum())
        size = effective_sample_size(weights[eligible, i])
        towards.append(Towards(name, int(count.sum()), share, took, size, *far))
    return Drawn(chosen, target_of, weights, lengths, len(lengths) - len(eligible), tuple(towards))


def log_ratio(target: Ints, raw: Ints, laplace: float = 0.0) -> Floats:
    """ln p_target - ln p_raw of each bucket (b,), from n-gram counts (b,)."""
    wanted = target + laplace
    return np.log(wanted / wanted.sum() + _TINY) - np.log(raw / raw.sum() + _TINY)


def effective_sample_size(log_weights: Floats) -> float:
    """(sum of weights)^2 / sum of squared weights: 1 where one document outweighs all, n where all weigh the same."""
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights**2).sum())


def divergence(target: Ints, other: Ints) -> float:
    """KL(target || other) in nats of n-gram counts (b,), both smoothed by 1e-8 as the weights are."""
    p = target / target.sum()
    return float(p @ log_ratio(target, other))


def _counts(features: Iterable[Features], buckets: int) -> Ints:
    total = np.zeros(buckets, np.int64)
    for some in features:
        total += np.bincount(some.buckets, minlength=buckets)
    return total


def _shares(ngrams: Mapping[str, float], said: Mapping[str, float] | None) -> tuple[float, ...]:
    if said is not None and (set(said) != set(ngrams) or any(not 0 <= s < float("inf") for s in said.values())):
        raise BadInput(f"Each of the targets needs a share of 0 or more: {', '.join(ngrams)}.")
    found = np.array([(said or ngrams)[name] for name in ngrams])
    if not found.sum():
        raise BadInput("The shares of the targets are all 0.")
    return tuple((found / found.sum()).tolist())


def _draw(
    weights: Floats,
    lengths: Ints,
    eligible: Ints,
    shares: tuple[float, ...],
    wanted: int,
    by_tokens: bool,
    settings: Settings,
) -> tuple[Ints, Ints]:
    """Positions chosen, ascending, and the target of each."""
    here = int(lengths[eligible].sum()) if by_tokens else len(eligible)
    if wanted > here:
        what = "tokens" if by_tokens else "documents"
        raise BadInput(
            f"{wanted:,} {what} were asked for; documents of at least {settings.least_tokens} tokens hold {here:,}.",
            hint="Ask for less, or lower the least tokens.",
        )
    # The authors' generator and order of calls, so that a seed draws the same there.
    noise = np.random.RandomState(settings.seed)
    seats = [int(wanted * s) for s in shares]
    seats[-1] += wanted - sum(seats)
    target_of = np.full(len(weights), -1)
    for i, seat in enumerate(seats):
        if not seat:
            continue
        free = eligible[target_of[eligible] < 0]
        keys = weights[free, i]
        if not settings.top:
            keys = keys + noise.gumbel(size=len(free))
        order = free[np.argsort(-keys, kind="stable")]
        target_of[order[: _many(lengths[order], seat, by_tokens)]] = i
    chosen = np.flatnonzero(target_of >= 0)
    if not len(chosen):
        raise BadInput(f"The first document has more than {wanted:,} tokens.", hint="Ask for more tokens.")
    return chosen, target_of[chosen]


def _many(lengths: Ints, wanted: int, by_tokens: bool) -> int:
    """How many of the documents, in order, are wanted: so many, or as many as have no more than so many tokens."""
    return int(np.searchsorted(np.cumsum(lengths), wanted, "right")) if by_tokens else wanted


class _Kept:
    """Features on disk, since they are read three times and the texts but once."""

    def __init__(self, buckets: int, folder: Path | None) -> None:
        self.buckets = buckets
        self.file = SpooledTemporaryFile(_AT_HAND, dir=str(folder) if folder else None)  # noqa: SIM115 (closed by __exit__)
        self.type: Any = np.uint16
        self.ngrams, self.lengths = list[Ints](), list[Ints]()

    def __enter__(self) -> _Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, features: Features) -> Ints:
        """Keep them; their counts by bucket."""
        try:
            self.file.write(features.buckets.tobytes())
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise BadInput(
                    "There is no room for the n-grams of the documents.", hint="They take about as much as the texts."
                ) from None
            raise
        self.type = features.buckets.dtype
        self.ngrams.append(features.ngrams)
        self.lengths.append(features.tokens)
        return np.bincount(features.buckets, minlength=self.buckets)

    def tokens(self) -> Ints:
        """The documents' tokens (n,)."""
        return np.concatenate([np.zeros(0, np.int64), *self.lengths])

    def _each(self, wanted: Callable[[int], bool]) -> Iterator[tuple[int, Ints]]:
        """Positions and counts (b,) of the documents that are wanted."""
        self.file.seek(0)
        number = 0
        for some in self.ngrams:
            ends = np.cumsum(some).tolist()
            buckets = np.frombuffer(self.file.read((ends or [0])[-1] * np.dtype(self.type).itemsize), self.type)
            for start, end in zip([0, *ends], ends, strict=False):
                if wanted(number):
                    yield number, np.bincount(buckets[start:end], minlength=self.buckets)
                number += 1

    def weights(self, ratios: Floats) -> Floats:
        """Log weights (n, targets) from the log ratios (targets, b)."""
        out = np.zeros((sum(map(len, self.ngrams)), len(ratios)))
        # The product of one vector sums in another order than a matrix's: the authors' weights to the bit.
        by = ratios[0] if len(ratios) == 1 else ratios
        for number, counts in self._each(lambda _: True):
            out[number] = np.dot(by, counts)
        return out

    def counts(self, chosen: Ints) -> Ints:
        """The n-gram counts of the chosen together (b,)."""
        wanted = np.zeros(sum(map(len, self.ngrams)), np.bool_)
        wanted[chosen] = True
        total = np.zeros(self.buckets, np.int64)
        for _, counts in self._each(wanted.__getitem__):
            total += counts
        return total
