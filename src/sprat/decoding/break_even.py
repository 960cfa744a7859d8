"""Will speculation pay? From about fifty of the target's passes: costs, acceptance, and the speed-up of each length.

A reply of n tokens takes f(n) = 1 + sum_j P(j tokens) f(n - j) rounds, where P follows from the acceptance (arXiv
2211.17192), and rounds are cut by the reply's end. Plain steps, rounds and the first pass of each (which reads the
prompt, the draft's too) are timed on the prompts' own replies. The interval joins Wilson's for the acceptance with a
bootstrap over the measured times and replies, 95 % each. What a long reply's unseen rest accepts is taken from the
later half of what was seen of it. Checked with a made-up clock, and against measured speed-ups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import cycle
from typing import Any

import numpy as np

from ..core import Request
from ..data import Floats
from ..errors import BadInput
from ..whitebox.loop import Written, plain
from ..whitebox.pool import Pool
from ..whitebox.writing import job_of
from .acceptance import accept
from .drafts import room
from .pace import Pace, between, clock_of
from .rounds import LONGEST, written
from .speculate import Speculate

MEASURED = (4, 4, 2, 2, 1, 1, 8, 8, 4, 2)  # the lengths that are tried, in turn
SHOWN = (1, 2, 3, 4, 6, 8, 12, 16)
Z = 1.96
LEAST = 5  # passes with which anything can be measured
SHARE = 12  # passes of a prompt at least, so that there is more than its opening
DEEP = 0.4  # share of the passes that a long reply gets: drafts may stand less the longer it grows
LONG = 2048  # tokens after which a reply's length makes no difference
DRAWN = 200  # bootstrap samples

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Prediction:
    """What speculation would bring. Times in milliseconds; intervals are (low, middle, high).

    `opening_ms` is what it adds to a reply's first pass: the draft reads the prompt as well. `reply_tokens` is the mean
    length of the replies. `speedups` has one interval per length, `best` is the length with the best middle one, and
    `verdict` is "yes" where even its low end gains, "no" where it does not gain, else "perhaps".
    """

    target: str
    draft: str
    step_ms: float
    draft_token_ms: float
    block_ms: dict[int, float]
    opening_ms: float
    reply_tokens: float
    acceptance: tuple[float, float, float]
    tested: int
    speedups: dict[int, tuple[float, float, float]]
    best: int
    verdict: str

    @property
    def cost(self) -> float:
        """A draft token's cost as a share of a plain step's: c in the literature."""
        return self.draft_token_ms / self.step_ms

    def row(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"cost": self.cost}

    def __str__(self) -> str:
        low, middle, high = self.speedups[self.best]
        gain = f"{middle:.2f}x the plain speed ({low:.2f} to {high:.2f}) with drafts of {self.best}"
        said = {
            "yes": f"Speculate: {gain} is predicted.",
            "perhaps": f"Perhaps: {gain} is predicted; more prompts or passes would tell.",
            "no": f"Don't: at best {gain}.",
        }[self.verdict]
        a = self.acceptance
        lines = [
            said,
            f"target {self.target}, draft {self.draft}; replies of about {self.reply_tokens:.0f} tokens",
            f"acceptance {a[1]:.2f} ({a[0]:.2f} to {a[2]:.2f}; {self.tested} drafted tokens tested)",
            f"a plain step {self.step_ms:.3g} ms, a draft token {self.draft_token_ms:.3g} ms ({self.cost:.2f} of it), "
            f"a reply's first pass {self.opening_ms:.2g} ms longer",
        ]
        if self.cost >= 1:
            lines.append("The draft costs more per token than its target: a smaller one is needed.")
        lines += ["", "length  block ms  speed-up"]
        for k, (low, middle, high) in self.speedups.items():
            lines.append(f"{k:6}  {self.block_ms[k]:8.3g}  {middle:.2f} ({low:.2f} to {high:.2f})")
        return "\n".join(lines)


class _Schedule(Pace):
    """Lengths in a fixed order, never off; keeps what the last round found."""

    def __init__(self) -> None:
        super().__init__()
        self.begin()

    def begin(self) -> None:
        """Count from nothing."""
        self.order = cycle(MEASURED)
        self.asked = self.hits = 0
        self.last: tuple[int, int, float] | None = None  # the last round: drafted, stood, seconds of drafting

    def length(self, first: int, longest: int) -> int:
        return min(next(self.order), longest)

    def drafted(self, proposed: int, stood: int, drafting: float, block: float, opening: bool, caught_up: bool) -> None:
        self.asked += 1
        self.hits += proposed > 0
        self.last = (proposed, min(stood, proposed), drafting)

    def stepped(self, seconds: float, opening: bool) -> None:
        self.last = None


@dataclass
class _Opened:
    """A prompt's first passes in seconds, plain and with a draft of `drafted` tokens, and its reply.

    `tests` are the places of the drafted tokens that were tested, and whether they stood.
    """

    plain: float
    speculated: float
    drafted: int
    tests: list[tuple[int, bool]]
    tokens: int
    ended: str  # "stop", "length", or "": cut short here
    limit: int
    endless: bool

    def length(self, hazard: float) -> tuple[int, bool]:
        """How long the reply is, and whether its limit ends it; `hazard` is the chance that a token ends one."""
        if self.ended:
            return min(self.tokens, LONG), self.ended == "length"
        more = math.inf if self.endless or not hazard else 1 / hazard
        return int(min(self.tokens + more, self.limit, LONG)), self.tokens + more >= self.limit


@dataclass
class _Found:
    """What was timed, in seconds."""

    steps: list[float] = field(default_factory=list[float])
    rounds: dict[int, list[float]] = field(default_factory=dict[int, "list[float]"])
    tokens: list[float] = field(default_factory=list[float])
    opened: list[_Opened] = field(default_factory=list[_Opened])


def predict(
    target: Any,
    draft: Any,
    prompts: Sequence[str | Request],
    *,
    passes: int = 50,
    options: Mapping[str, Any] | None = None,
    tell: Tell = lambda stage, done, total: None,
) -> Prediction:
    """Measure on a few prompts what `speculate(target, draft)` would bring; `options` are those of the requests.

    Each prompt is answered in part, plainly and with drafts, about `passes` of the target's passes in all; `tell` is
    told how many are done. The prompts should be like those to come: acceptance and length are theirs. BadInput without
    prompts, with fewer than 5 passes, or where replies are too short to measure anything.
    """
    if not prompts:
        raise BadInput("A prediction needs prompts.", hint="Give three or more that are like those to come.")
    if passes < LEAST:
        raise BadInput(f"passes is {passes}.", hint=f"Needed: at least {LEAST}; 50 give a useful interval.")
    pace = _Schedule()
    fast = Speculate(target, draft, pace=pace)
    requests = [Request.of(prompt, **(options or {})) for prompt in prompts]
    clock, found, left = _warmed(fast, requests[0]), _Found(), passes
    pace.begin()
    for i, request in enumerate(requests):
        share = max(SHARE, int(DEEP * passes), -(-left // (len(requests) - i)))
        left -= _timed(fast, pace, request, min(share, max(left, LEAST)), clock, found)
        tell("measuring passes", min(passes, passes - left), passes)
        if left <= 0:
            break
    tests = [stood for opened in found.opened for _, stood in opened.tests]
    if not found.steps or not tests or not any(found.rounds.get(k) for k in found.rounds if k):
        raise BadInput(
            f"{len(prompts)} replies were too short, or nothing was drafted: there is nothing to measure.",
            hint="Give more prompts, or such with longer replies.",
        )
    longest = LONGEST if fast.drafts_model else fast.draft.longest
    lengths = [k for k in SHOWN if k <= longest]
    costs = _Costs(found)
    ends = costs.acceptance()
    speedups = {k: costs.interval(k, ends, pace.hits / pace.asked) for k in lengths}
    best = max(lengths, key=lambda k: speedups[k][1])
    token = float(np.median(found.tokens)) if found.tokens else 0.0
    return Prediction(
        fast.target.formula,
        draft.formula,
        1e3 * costs.seen[0],
        1e3 * token,
        {k: 1e3 * max(0.0, between(costs.seen, k) - k * token) for k in lengths},
        1e3 * costs.opening,
        costs.reply_tokens,
        ends,
        len(tests),
        speedups,
        best,
        "yes" if speedups[best][0] > 1 else "no" if speedups[best][1] <= 1 else "perhaps",
    )


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate."""
    rate = hits / n
    middle, half = rate + Z * Z / (2 * n), Z * math.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n))
    return max(0.0, (middle - half) / (1 + Z * Z / n)), min(1.0, (middle + half) / (1 + Z * Z / n))


def _rate(stood: Sequence[bool]) -> tuple[float, float, float]:
    low, high = wilson(sum(stood), len(stood))
    return low, sum(stood) / len(stood), high


def rounds(k: int, alpha: float, hits: float, longest: int, limited: bool) -> Floats:
    """Expected rounds of a reply of 0, ..., longest tokens by kind: with k drafted tokens, with none, without a find.

    (longest + 1, 3). A round that is cut counts in part as one with none: a limit is known before drafting; an end
    token cuts a draft only where the draft foresees it. `hits` is the share of rounds in which there is a draft at all.
    """
    chances = np.array([*(hits * alpha**i * (1 - alpha) for i in range(k)), hits * alpha**k])  # of 1, ..., k + 1 tokens
    chances[0] += 1 - hits
    table = np.zeros((longest + 1, 3))
    for n in range(1, longest + 1):
        used = min(1.0, (n - 1) / k) if limited else 1 - alpha**n * (k - n) / k if n < k else 1.0
        table[n] = hits * used, hits * (1 - used), 1 - hits
        ahead = min(k + 1, n)
        table[n] += chances[:ahead] @ table[n - ahead : n][::-1]
    return table


class _Costs:
    """What replies cost, plain and speculated, by what was timed and by bootstrap samples of it."""

    def __init__(self, found: _Found) -> None:
        self.found = found
        often = {k: times for k, times in found.rounds.items() if len(times) > 1}
        self.times = {0: found.steps} | ({k: t for k, t in (often or found.rounds).items() if k})
        if len(self.times) == 1:
            self.times |= {k: t for k, t in found.rounds.items() if k}
        self.misses = found.rounds.get(0) or found.steps
        self.seen = {k: float(np.median(times)) for k, times in self.times.items()}
        ended, tokens = sum(o.ended == "stop" for o in found.opened), sum(o.tokens for o in found.opened)
        low, high = wilson(ended, tokens)
        self.hazards = (high, ended / tokens, low)
        self.reply_tokens = float(np.mean([o.length(self.hazards[1])[0] for o in found.opened]))
        self.opening = max(0.0, float(np.median(self._openings(self.seen))))
        draws = np.random.default_rng(0)
        self.samples = [self._resampled(draws) for _ in range(DRAWN)]

    def acceptance(self) -> tuple[float, float, float]:
        """Low, middle, high: what was seen, and for the rest of replies cut short what their later half showed."""
        opened = self.found.opened
        cut = [o for o in opened if not o.ended]
        rest = sum(o.length(self.hazards[1])[0] - o.tokens for o in cut)
        unseen = rest / (rest + sum(o.tokens for o in opened))
        seen = _rate([stood for o in opened for _, stood in o.tests])
        late = [stood for o in cut for place, stood in o.tests if place >= o.tokens / 2]
        low, middle, high = (
            (1 - unseen) * a + unseen * b for a, b in zip(seen, _rate(late) if late else seen, strict=True)
        )
        return low, middle, high

    def _openings(self, seen: Mapping[int, float]) -> list[float]:
        """What speculation adds to each reply's first pass, beyond what it adds to any round."""
        return [o.speculated - between(seen, o.drafted) - (o.plain - seen[0]) for o in self.found.opened]

    def _resampled(self, draws: np.random.Generator) -> tuple[dict[int, float], float, Any]:
        """Other times and replies that might have been seen: costs by length, of a round without a find, and which."""

        def usual(times: Sequence[float]) -> float:
            return float(np.median(draws.choice(times, len(times))))

        n = len(self.found.opened)
        return {k: usual(t) for k, t in self.times.items()}, usual(self.misses), draws.integers(0, n, n)

    def interval(self, k: int, alphas: Sequence[float], hits: float) -> tuple[float, float, float]:
        """The speed-up of drafts of k tokens: low, middle, high."""
        everyone = np.arange(len(self.found.opened))
        here = (self.seen, float(np.median(self.misses)), everyone)
        middle = self._gains(k, alphas[1], hits, self.hazards[1], [here])[0]
        ends: list[float] = [middle]
        for alpha in (alphas[0], alphas[2]):
            for hazard in self.hazards:
                ends += np.quantile(self._gains(k, alpha, hits, hazard, self.samples), [0.025, 0.975]).tolist()
        return min(ends), middle, max(ends)

    def _gains(
        self, k: int, alpha: float, hits: float, hazard: float, samples: Sequence[tuple[dict[int, float], float, Any]]
    ) -> list[float]:
        lengths = [o.length(hazard) for o in self.found.opened]
        longest = max(n for n, _ in lengths)
        tables = {limited: rounds(k, alpha, hits, longest, limited) for limited in {cut for _, cut in lengths}}
        made = np.array([tables[limited][n] for n, limited in lengths])
        tokens = np.array([n for n, _ in lengths])
        gains: list[float] = []
        for seen, miss, who in samples:
            # Medians, as a pass that the machine delayed would outweigh all else.
            first = float(np.median(np.array([o.plain for o in self.found.opened])[who])) - seen[0]
            opening = first + max(0.0, float(np.median(np.array(self._openings(seen))[who])))
            plainly = first * len(who) + seen[0] * float(tokens[who].sum())
            spent = opening * len(who) + float(made[who].sum(0) @ (between(seen, k), seen[0], miss))
            gains.append(plainly / max(spent, 1e-9))
        return gains


def _closable(parts: Iterator[Written]) -> Generator[Written]:
    yield from parts


def _warmed(fast: Speculate, request: Request) -> Callable[[], float]:
    """The clock; what only the first call costs is spent."""
    pool = Pool([fast.target], [request])
    try:
        clock = clock_of(fast.paid, pool.scores(fast.target))
    finally:
        pool.close()
    with closing(_closable(written(fast, [job_of(fast, request)], accept))) as parts:
        for _ in zip(range(2), parts, strict=False):
            pass
    return clock


def _timed(
    fast: Speculate, pace: _Schedule, request: Request, share: int, clock: Callable[[], float], found: _Found
) -> int:
    """Write some of a reply plainly, then anew with drafts, about `share` passes in all; how many there were."""
    steps: list[float] = []
    job = job_of(fast, request)
    with closing(_closable(plain(fast.target, [job]))) as parts:
        began = clock()
        for out in parts:
            steps.append(clock() - began)
            if out.error:
                raise out.error
            if out.finish or len(steps) >= max(2, share // 4):
                break
            began = clock()
    found.steps += steps[1:]
    made, tokens, ended, first, drafted = 0, 0, "", 0.0, 0
    tests: list[tuple[int, bool]] = []
    with closing(_closable(written(fast, [job_of(fast, request)], accept))) as parts:
        began = clock()
        for out in parts:
            took = clock() - began
            if out.error:
                raise out.error
            if pace.last:
                proposed, stood, drafting = pace.last
                tests += [(tokens + i, i < stood) for i in range(min(proposed, stood + 1))]
                if made:
                    found.rounds.setdefault(proposed, []).append(took)
                    found.tokens += [drafting / proposed] if proposed else []
            if not made:
                first, drafted = took, pace.last[0] if pace.last else 0
            made, tokens, ended = made + 1, tokens + len(out.ids), out.finish
            if ended or made >= max(2, share - len(steps)):
                break
            began = clock()
    pool = Pool([fast.target], [request])
    limit = min(job.max_tokens, room(pool, fast.target))
    found.opened.append(_Opened(steps[0], first, drafted, tests, tokens, ended, limit, job.ignore_end))
    return made + len(steps)
