"""How long the next draft should be, from what steps, drafts and blocks have cost and how many tokens stood.

A length k brings 1 + a + ... + a^k tokens for k drafted ones and a block of k + 1 (arXiv 2211.17192, with the block's
cost measured instead of taken as one step's). Drafting stops where it loses: what a try may lose is saved up from plain
steps, so that it stays a small share of them. Checked with a made-up clock in tests/decoding/test_speculate_pace.py.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from ..whitebox.arrays import is_torch
from .remote import Remote

LENGTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64)
WARM = 3  # plain steps that are measured before the first draft
TRY = 4  # rounds of a try
ALLOWED = 0.005  # what tries may cost, as a share of the plain steps
GRANT = 8.0  # what the first try may cost, in plain steps
AGAIN = 50  # rounds after which a plain step is measured again
TICK = 1e-7  # seconds: a coarse clock may say 0
GAIN = 1.02  # the speed-up below which it is not worth it
MOST = 64.0  # what gains may save up for texts where drafts lose, in plain steps
PAUSE, LONGEST_PAUSE = 64, 1024  # plain steps before the next try: doubled after each that was in vain


def clock_of(leaves: Sequence[Any], scores: Any) -> Callable[[], float]:
    """The clock that tells what a pass costs: this thread's own time, so that a busy machine does not confuse it.

    Work that happens elsewhere, on an accelerator or a server, is timed by the wall.
    """
    elsewhere = is_torch(scores) and scores.device.type != "cpu"
    return time.perf_counter if elsewhere or any(isinstance(leaf, Remote) for leaf in leaves) else time.thread_time


def warn(said: str) -> None:
    """Warn of speed, pointing at the line outside this package that asked; at the outermost one if there is none."""
    package, level, frame = str(Path(__file__).parents[1]), 2, sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        level, frame = level + 1, frame.f_back
    warnings.warn(said, stacklevel=level)


def between(seen: Mapping[int, float], k: int) -> float:
    """What length k costs: as measured, between two measured lengths, or beyond them; 0 must be among them."""
    if k in seen:
        return seen[k]
    below = max(n for n in seen if n < k)
    above = min((n for n in seen if n > k), default=None)
    if above is not None:
        share = (k - below) / (above - below)
        return seen[below] * (1 - share) + seen[above] * share
    slope = (seen[below] - seen[0]) / below if below else 0.05 * seen[0]
    return seen[below] + max(0.0, slope) * (k - below)


class Usual:
    """The lower quartile of the last numbers: a busy machine only ever adds to a time."""

    def __init__(self, last: int = 11) -> None:
        self.recent: deque[float] = deque(maxlen=last)
        self.value, self.seen = 0.0, 0

    def add(self, x: float) -> None:
        """Take a number in."""
        self.seen += 1
        self.recent.append(max(x, TICK))
        self.value = sorted(self.recent)[len(self.recent) // 4]


class Pace:
    """Running estimates, kept from reply to reply: seconds per plain step, per drafted token, per block; acceptance."""

    def __init__(self) -> None:
        self.blocks: dict[int, Usual] = {}  # seconds of a block of k drafted tokens and one more; 0 is the plain step
        self.token = Usual()  # seconds of a drafted token
        self.alpha = 0.0
        self.tests = 0.0
        self.warm = WARM
        self.rounds = 0
        self.trial = 0
        self.account = GRANT  # plain steps that speculation may still lose
        self.off = False
        self.pause, self.due = PAUSE, 0
        self.begun = GRANT  # the account when drafting was last begun
        self.switched = 0  # how often it was switched off
        self.warned = False
        self.taken = Lock()  # held while a reply is written

    def length(self, first: int, longest: int) -> int:
        """Tokens to draft next; 0 says: a plain step."""
        if self.off and not self.rest():
            self.off, self.trial, self.tests, self.warm = False, TRY, min(self.tests, 10.0), WARM
            # Measured anew: a machine's speed changes, and only costs of the same time compare.
            self.begun, self.blocks, self.token = self.account, {}, Usual()
        if self.off or self.warm:
            return 0
        if self.rounds < TRY:
            return first
        if self.trial:
            self.trial -= 1
            return min(first, 4) if self.alpha < 0.9 else first
        self.rounds += 1
        if self.rounds % AGAIN == 0:
            return 0
        if self.account <= 0 or self.best(longest, self.hoped)[1] < GAIN:
            self._stop()
            return 0
        return self.best(longest)[0]

    def _stop(self) -> None:
        self.pause = PAUSE if self.account > self.begun else min(2 * self.pause, LONGEST_PAUSE)
        self.off, self.switched, self.due = True, self.switched + 1, self.pause

    @property
    def hoped(self) -> float:
        """Acceptance as high as what was seen allows: a standard error above."""
        likely = (self.alpha * self.tests + 1) / (self.tests + 2)
        return likely + math.sqrt(likely * (1 - likely) / (self.tests + 2))

    def best(self, longest: int, alpha: float | None = None) -> tuple[int, float]:
        """The best length and the speed-up that it promises over plain steps; at another acceptance, if given."""
        lengths = [k for k in LENGTHS if k < longest] + [longest]
        gains = [(self.gain(k, alpha), k) for k in lengths]
        gain, k = max(gains)
        return k, gain

    def gain(self, k: int, alpha: float | None = None) -> float:
        """The speed-up that drafts of k tokens promise, at the acceptance seen or a given one."""
        a = min(self.alpha if alpha is None else alpha, 0.999)
        tokens = (1 - a ** (k + 1)) / (1 - a)
        return tokens * self.block(0) / (k * self.token.value + self.block(k))

    def block(self, k: int) -> float:
        """Seconds of a block with k drafted tokens: measured, between two measured ones, or beyond them."""
        return between({n: mean.value for n, mean in self.blocks.items()}, k)

    def stepped(self, seconds: float, opening: bool) -> None:
        """A plain step was made; an opening one also read the prompt."""
        if not opening:
            self.warm = max(0, self.warm - 1)
            self.blocks.setdefault(0, Usual()).add(seconds)
            self.rested(1)

    def rest(self) -> int:
        """How many plain steps are to be made before drafts are tried again."""
        return max(self.due, math.ceil((TRY - self.account) / ALLOWED), 0) if self.off else 0

    def rested(self, steps: int) -> None:
        """So many plain steps were made."""
        self.account = min(self.account + ALLOWED * steps, MOST)
        self.due = max(0, self.due - steps)

    def drafted(self, proposed: int, stood: int, drafting: float, block: float, opening: bool, caught_up: bool) -> None:
        """A round: seconds of drafting and of the rest. An opening block also read the prompt.

        `caught_up` says that the draft first had to read the prompt, or what plain steps wrote: no measure of a token.
        """
        self.rounds += self.rounds < TRY
        if proposed and not caught_up:
            self.token.add(drafting / proposed)
        for place in range(min(proposed, stood + 1)):
            self.tests = min(self.tests + 1, 40.0)
            self.alpha += (float(place < stood) - self.alpha) / self.tests
        if not opening:
            self.blocks.setdefault(proposed, Usual()).add(block)
        if 0 in self.blocks:
            step = self.block(0)
            # The prompt's pass gives a token without a step, and is made anyway: an opening block is what it adds.
            spent = (drafting + (self.block(proposed) - step if opening else block)) / step
            gained = stood + (not opening)
            # One round can't be judged on a hiccup of the machine.
            self.account = min(self.account + gained - min(spent, 4.0 + 2 * proposed), MOST)

    def told(self) -> dict[str, Any]:
        """Whether it is off, how often it was switched off, and the estimates in milliseconds."""
        return {
            "off": self.off,
            "times_switched_off": self.switched,
            "step_ms": round(1e3 * self.block(0), 4) if 0 in self.blocks else None,
            "draft_token_ms": round(1e3 * self.token.value, 4) if self.token.seen else None,
        }
