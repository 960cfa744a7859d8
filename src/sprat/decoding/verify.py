"""Is speculation exact here? Greedy texts compared, and sampled ones put to a chi-square test that can fail.

Sampled replies of a few tokens are counted against their exact probabilities under the target; rare ones are pooled.
Three wrong rules go through the same test, with more samples until each is caught, else nothing is concluded: the
residual skipped (the target's own chances instead), r reused for the whole block, and the temperature on one side only.
Checked in tests/decoding/test_verify.py and benchmarks/losslessness.py; the p-value against scipy's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..core import Request
from ..errors import BadInput
from ..shape import exchanged
from ..whitebox.arrays import host
from ..whitebox.decoder import Decoder, Leaf
from ..whitebox.pool import Pool
from ..whitebox.sampling import Sampling, adjusted, draw, probabilities
from ..whitebox.writing import job_of
from .acceptance import Rule, Uniforms, accept
from .pace import Pace
from .remembered import remembered
from .rounds import written
from .speculate import Speculate

LENGTHS = (1, 2, 4, 8)
TIE = 1e-3  # nats between the two likeliest tokens below which rounding may swap them
LEAST = 5.0  # expected count below which cells are pooled
LEVEL = 0.01
MOST = 16_000  # samples after which a wrong rule that was not caught is let go

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ChiSquare:
    """A test of counts against probabilities: the statistic, its degrees of freedom, and the p-value."""

    statistic: float
    freedom: int
    p: float

    def needed(self, samples: int) -> int:
        """About how many samples would reject nine times in ten, if the excess is real; 0 where there is none."""
        excess = (self.statistic - self.freedom) / samples
        return math.ceil((3.7 * math.sqrt(2 * self.freedom) + 10) / excess) if excess > 0 else 0


@dataclass(frozen=True)
class Verification:
    """What was checked and found; `verdict` is "exact", "inconclusive" or "not exact".

    `unequal` lists greedy texts that differ (prompt's number, length, place) where no tie explains it, `ties` those
    where one does. `sampled` is the chi-square test of each prompt: one that rejected was drawn anew with twice the
    samples, and the second test alone is here. So exact sampling is called not exact with a chance of at most
    `level` squared, over the number of prompts. `controls` is the p-value of each wrong rule; one that is not below
    `level` makes the test inconclusive, and `needed` is about how many samples it would take (None: can't be said).
    """

    target: str
    draft: str
    compared: int
    unequal: tuple[tuple[int, int, int], ...]
    ties: tuple[tuple[int, int, int], ...]
    samples: int
    sampled: tuple[ChiSquare, ...]
    controls: dict[str, float]
    needed: int | None = None
    level: float = LEVEL

    @property
    def missed(self) -> tuple[str, ...]:
        """The wrong rules that were not caught."""
        return tuple(name for name, p in self.controls.items() if p >= self.level)

    @property
    def verdict(self) -> str:
        """What may be said."""
        if self.unequal or any(test.p <= self.level / len(self.sampled) for test in self.sampled):
            return "not exact"
        return "inconclusive" if self.missed else "exact"

    @property
    def exact(self) -> bool:
        """Nothing differs: no greedy text, no chi-square test (level shared among the prompts); controls are caught."""
        return self.verdict == "exact"

    def row(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"exact": self.exact, "verdict": self.verdict}

    def __str__(self) -> str:
        lines = [
            f"{_SAID[self.verdict]}: {self.target}, drafted by {self.draft}",
            f"greedy: {self.compared - len(self.unequal) - len(self.ties)} of {self.compared} texts are the plain ones"
            + (f", {len(self.ties)} differ by ties in rounding" if self.ties else ""),
        ]
        lines += [f"  prompt {i}, length {k}: token {at} differs" for i, k, at in self.unequal[:5]]
        for i, test in enumerate(self.sampled):
            lines.append(
                f"sampled, prompt {i}: chi-square {test.statistic:.1f} on {test.freedom} degrees of freedom, "
                f"p = {test.p:.3f} ({self.samples} samples)"
            )
        for name, p in self.controls.items():
            lines.append(f"control, {name}: p = {p:.1e}{'' if p < self.level else ', NOT caught'}")
        if self.missed and self.verdict == "inconclusive":
            rules = " and ".join(f"'{name}'" for name in self.missed)
            more = f"about {self.needed} samples would" if self.needed else "another temperature or more tokens might"
            lines.append(f"{self.samples} samples can't tell the rule from the wrong one, {rules}; {more}.")
        return "\n".join(lines)


_SAID = {"exact": "Exact", "inconclusive": "Inconclusive", "not exact": "NOT EXACT"}


def verify(
    target: Any,
    draft: Any,
    prompts: Sequence[str | Request],
    *,
    lengths: Sequence[int] = LENGTHS,
    samples: int = 2000,
    tokens: int = 3,
    sampled: int = 1,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    tell: Tell = lambda stage, done, total: None,
) -> Verification:
    """Compare the greedy texts of all prompts at every length, and test sampled replies of the first `sampled` ones.

    `options` are the requests' (max_tokens; temperature and cuts for the samples, default temperature 1). A model's
    logits are remembered per text, so that samples cost few passes. Samples are doubled, up to 16,000, until every
    wrong rule is caught. A rejection counts only when a second draw, of a fresh seed and twice the samples, rejects as
    well. BadInput without prompts or samples, and where samples can't differ.
    """
    if not prompts:
        raise BadInput("There is nothing to verify without prompts.", hint="Give some that are like those to come.")
    drawn = {"temperature": 1.0} | dict(options or {})
    if samples < 1 or tokens < 1:
        raise BadInput(f"samples is {samples} and tokens {tokens}.", hint="Needed: >= 1; 2000 samples of 3 are usual.")
    if sampled and not drawn["temperature"]:
        raise BadInput("At temperature 0 all samples are alike.", hint="Give a temperature above 0, such as 1.")
    greedy = {**drawn, "temperature": 0.0}
    unequal: list[tuple[int, int, int]] = []
    ties: list[tuple[int, int, int]] = []
    silent = Pace()
    silent.warned = True  # what a draft costs is no matter here
    fast = [Speculate(target, draft, k, pace=silent) for k in lengths]
    for i, prompt in enumerate(prompts):
        plain = target(prompt, **greedy, top_logprobs=2)
        for one in fast:
            said = one(prompt, **greedy).decoded.ids
            at = first_difference(plain.decoded.ids, said)
            if at is not None:
                found = ties if _is_tie(plain, at) else unequal
                found.append((i, int(one.length or 0), at))
        tell("comparing greedy texts", i + 1, len(prompts))
    chosen = [Request.of(prompt, **drawn) for prompt in prompts[:sampled]]
    test = Sampled(target, draft, tokens, tell=tell)
    caught: dict[str, ChiSquare] = {}
    n, needed = samples, None
    if chosen and isinstance(draft, Decoder) and fast[0].kinship != "text":
        for name, rule in CONTROLS.items():
            caught[name], used = _until_caught(test, chosen[0], samples, rule, seed)
            n = max(n, used)
            if caught[name].p >= LEVEL:
                needed = max(needed or 0, caught[name].needed(used))
    return Verification(
        target.formula,
        draft.formula,
        len(prompts) * len(fast),
        tuple(unequal),
        tuple(ties),
        n,
        tuple(_twice(test, request, n, seed, LEVEL / len(chosen)) for request in chosen),
        {name: one.p for name, one in caught.items()},
        needed or None,
    )


def _until_caught(test: Sampled, request: Request, samples: int, rule: Rule, seed: int) -> tuple[ChiSquare, int]:
    """A wrong rule's test with as many samples as it takes, and how many those were."""
    n = samples
    while True:
        try:
            found = test.run(request, n, rule, seed)
            if found.p < LEVEL or n >= MOST:
                return found, n
        except OneCell:
            if n >= MOST:
                raise
        n = min(2 * n, max(MOST, samples))


def _twice(test: Sampled, request: Request, samples: int, seed: int, level: float) -> ChiSquare:
    """The real rule's test; one that rejects is drawn anew, so that chance alone hardly ever does."""
    n = samples
    while True:
        try:
            found = test.run(request, n, accept, seed)
            break
        except OneCell:
            if n >= MOST:
                raise
            n = min(2 * n, MOST)
    return found if found.p > level else test.run(request, 2 * n, accept, seed + 7919)


def first_difference(a: Sequence[int], b: Sequence[int]) -> int | None:
    """The first place where two texts differ, None where they are equal."""
    if list(a) == list(b):
        return None
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _is_tie(plain: Any, at: int) -> bool:
    tops = plain.top_logprobs or ()
    if at >= len(tops) or len(tops[at]) < 2:
        return False
    best, second = sorted(tops[at].values(), reverse=True)[:2]
    return best - second < TIE


class OneCell(BadInput):
    """Too few samples to compare anything."""


class Sampled:
    """Sampled replies of a few tokens against their exact probabilities; logits are remembered from run to run."""

    def __init__(
        self,
        target: Any,
        draft: Any,
        tokens: int = 3,
        length: int | None = None,
        tell: Tell = lambda stage, done, total: None,
    ) -> None:
        memory: dict[Leaf, Leaf] = {}

        def change(thing: Any) -> Any:
            return remembered(thing, memory) if isinstance(thing, Leaf) else thing

        silent = Pace()
        silent.warned = True
        target, draft = exchanged(target, change), exchanged(draft, change)
        self.fast = Speculate(target, draft, length or max(1, tokens - 1), pace=silent)
        self.tokens, self.tell = tokens, tell

    def run(self, request: Request, samples: int, rule: Rule, seed: int = 0) -> ChiSquare:
        """Write so many replies under a rule and test them; no reply ends early."""
        expected = self.expected(request, samples)
        seen = Counter(self.draws(request, samples, rule, seed))
        counts = [seen.pop(cell, 0) for cell in expected]
        chances = list(expected.values())
        return chi_square([*counts, sum(seen.values())], [*chances, max(0.0, 1.0 - sum(chances))], samples)

    def draws(self, request: Request, samples: int, rule: Rule, seed: int = 0) -> list[tuple[int, ...]]:
        """The ids of so many replies."""
        found: list[tuple[int, ...]] = []
        for i in range(samples):
            asked = Request.of(request, max_tokens=self.tokens, ignore_eos=True, seed=seed * 1_000_003 + i)
            parts = written(self.fast, [job_of(self.fast, asked)], rule)
            found.append(tuple(token for part in parts for token in part.ids))
            if i % 50 == 49:
                self.tell("drawing samples", i + 1, samples)
        return found

    def expected(self, request: Request, samples: int) -> dict[tuple[int, ...], float]:
        """The replies that are expected at least five times, with their probabilities under the target."""
        sampling, target = Sampling.of(request.options), self.fast.target
        pool = Pool([target], [request])
        read = pool.prompt_of(target.base)[0]
        level: dict[tuple[int, ...], float] = {(): 1.0}
        try:
            for depth in range(self.tokens):
                deeper: dict[tuple[int, ...], float] = {}
                for begun, chance in level.items():
                    if depth:
                        pool.write(np.array([begun]))
                    scores = adjusted(pool.scores(target)[:, 0], sampling, [read], [list(begun)])
                    chances = chance * host(probabilities(scores, sampling))[0].astype(np.float64)
                    pool.rollback(depth)
                    for token in np.flatnonzero(chances * samples >= LEAST).tolist():
                        deeper[(*begun, token)] = float(chances[token])
                level = deeper
        finally:
            pool.close()
        return level


def chi_square(counts: Sequence[int], chances: Sequence[float], n: int) -> ChiSquare:
    """Pearson's test; cells expected less than five times are pooled with the last one, and that with the least."""
    cells = sorted(zip(chances, counts, strict=True), reverse=True)
    while len(cells) > 1 and cells[-1][0] * n < LEAST:
        (a, x), (b, y) = cells.pop(), cells.pop()
        cells = sorted([*cells, (a + b, x + y)], reverse=True)
    if len(cells) < 2:
        raise OneCell(
            f"All {n} samples fall into one cell.",
            hint="Draw more samples, at a higher temperature, or of fewer tokens.",
        )
    total = sum(chance for chance, _ in cells)
    found = sum((seen - n * c / total) ** 2 / (n * c / total) for c, seen in cells)
    return ChiSquare(found, len(cells) - 1, upper_gamma((len(cells) - 1) / 2, found / 2))


def upper_gamma(a: float, x: float) -> float:
    """The regularised upper incomplete gamma function: by its series, or its continued fraction past the mode."""
    if x <= 0:
        return 1.0
    scale = math.exp(-x + a * math.log(x) - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        n = a
        while term > total * 1e-16:
            n += 1
            term *= x / n
            total += term
        return max(0.0, 1 - scale * total)
    b = x + 1 - a
    c, d = 1e300, 1 / b
    fraction = d
    for i in range(1, 10_000):
        step = -i * (i - a)
        b += 2
        d = 1 / (step * d + b)
        c = b + step / c
        fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return scale * fraction


def _residual_skipped(p: Any, q: list[Any] | None, drafted: Sequence[int], uniforms: Uniforms) -> tuple[int, int]:
    stood, _ = accept(p, q, drafted, uniforms)
    return stood, int(draw(p[stood][None], uniforms.use(1))[0])


def _r_reused(p: Any, q: list[Any] | None, drafted: Sequence[int], uniforms: Uniforms) -> tuple[int, int]:
    same = Uniforms(uniforms.draws)
    same.ahead = uniforms.use(1) * (len(drafted) + 2)
    return accept(p, q, drafted, same)


def _temperature_on_one_side(
    p: Any, q: list[Any] | None, drafted: Sequence[int], uniforms: Uniforms
) -> tuple[int, int]:
    return accept(p, [(x * x) / (x * x).sum() for x in q] if q else q, drafted, uniforms)


CONTROLS: dict[str, Rule] = {
    "residual skipped": _residual_skipped,
    "r reused": _r_reused,
    "temperature on one side": _temperature_on_one_side,
}
