"""The rounds of speculative decoding: draft, let the target read the block in one pass, keep what stands and one more.

Papers: arXiv 2211.17192, 2302.01318. Checked as speculate.py says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BadInput
from ..whitebox.arrays import host
from ..whitebox.decoder import Decoder
from ..whitebox.loop import Job, Written, ends_of, not_finite, plain
from ..whitebox.pool import Pool
from ..whitebox.sampling import adjusted, choose, likeliest, logprobs_of, probabilities
from ..whitebox.vocabulary import common_size
from .acceptance import Counts, Rule, Uniforms, agreeing
from .drafts import Draft, Drafter, Guesses, Text, room
from .pace import Pace, clock_of, warn
from .translated import Translated

if TYPE_CHECKING:
    from .speculate import Speculate

FIRST, LONGEST = 4, 16  # drafts of a decoder: the length that is tried first, and the longest


def written(decoder: Speculate, jobs: Sequence[Job], rule: Rule) -> Iterator[Written]:
    """Write the jobs one after another under an accept rule; verify.py replaces the rule by wrong ones."""
    # One reply at a time teaches the decoder's pace; what is written beside it starts from nothing.
    mine = decoder.pace.taken.acquire(blocking=False)
    pace = decoder.pace if mine else Pace()
    try:
        for row, job in enumerate(jobs):
            if decoder.length is None and pace.rest() >= job.max_tokens:
                yield from _resting(decoder, pace, row, job)
                continue
            reply = _Reply(decoder, pace, row, job, rule)
            try:
                yield from reply.write()
            finally:
                reply.close()
    finally:
        if mine:
            decoder.pace.taken.release()


def _resting(decoder: Speculate, pace: Pace, row: int, job: Job) -> Iterator[Written]:
    """The plain loop, while drafts do not pay."""
    n = 0
    try:
        for out in plain(decoder.target, [job]):
            n += 1
            yield out._replace(job=row) if row else out
    finally:
        pace.rested(n)
        _tell(job, Counts().told() | pace.told(), job.told.get("fed", {}), decoder)


def _tell(job: Job, told: dict[str, Any], fed: dict[str, int], decoder: Speculate) -> None:
    """Leave in `told` what was found out; leaves that were never asked wrote nothing."""
    paid: dict[str, Any] = job.told.get("paid", {})
    if not paid.keys() & {leaf.name for leaf in decoder.leaves}:  # how the draft was asked costs no guarantee
        for name in ("rung", "lost", "because") if paid else ():
            job.told.pop(name, None)
    job.told |= {"speculative_decoding": told, "fed": {leaf.name: 0 for leaf in decoder.paid} | fed}


class _Reply:
    """One reply in the making."""

    def __init__(self, decoder: Speculate, pace: Pace, row: int, job: Job, rule: Rule) -> None:
        self.decoder, self.pace, self.row, self.job, self.rule = decoder, pace, row, job, rule
        self.target: Decoder = decoder.target
        self.counts = Counts()
        self.why = self._cannot_draft()
        shared = decoder.drafts_model and decoder.kinship == "shared" and not self.why
        self.pool = Pool([self.target, decoder.draft] if shared else [self.target], [job.request], [job.told])
        read = self.pool.prompt_of(self.target.base)[0]
        draws = job.draws(decoder, read)
        size = common_size(self.target.leaves)
        self.ends = ends_of(self.target, job)
        self.text = Text(read, [], job.sampling, Uniforms(draws), self.ends, size)
        self.limit = min(job.max_tokens, room(self.pool, self.target))
        self.meters = [_Meter(self.pool)]
        self.drafter = None if self.why else self._drafter(draws)
        draft = decoder.draft
        self.first, self.longest = (FIRST, LONGEST) if decoder.drafts_model else (draft.first, draft.longest)
        self.clock = clock_of(decoder.paid, None)
        self.behind = True  # the draft has not read all that was written

    def _cannot_draft(self) -> str:
        """Why the draft can't even read the prompt, or ""."""
        draft = self.decoder.draft
        for leaf in draft.leaves if isinstance(draft, Decoder) else ():
            try:
                n, limit = len(leaf.prompt(self.job.request)), leaf.positions
            except BadInput as error:
                return str(error)
            if limit is not None and n > limit:
                return f"{leaf.name} reads at most {limit} tokens; the prompt has {n}."
        return ""

    def _drafter(self, draws: np.random.Generator) -> Drafter:
        draft: Decoder | Draft = self.decoder.draft
        if not isinstance(draft, Decoder):
            return draft.begin(self.text)
        if self.decoder.kinship == "shared":
            return Guesses(draft, self.text, self.pool, apart=False)
        pool = Pool([draft], [self.job.request], [self.job.told])
        self.meters.append(_Meter(pool))
        if self.decoder.kinship == "apart":
            return Guesses(draft, self.text, pool, apart=True)
        # Numbers of its own, so that the target's are those of the plain loop.
        own = np.random.default_rng(draws.bit_generator.seed_seq.spawn(1)[0])  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
        return Translated(draft, self.target.base.vocabulary, self.text, pool, own)

    def write(self) -> Iterator[Written]:
        """Round after round, until the reply has ended."""
        opening = True  # reads the prompt, and shows where the scores are
        while True:
            resting = self.pace.rest() if self.decoder.length is None and not opening else 0
            for out in self._plainly(resting) if resting else (self.round(opening),):
                yield out
                if out.finish or out.error or self.job.stopped:
                    return
            if opening:
                opening, self.clock = False, clock_of(self.decoder.paid, self.pool.home)

    def _plainly(self, steps: int) -> Iterator[Written]:
        """Plain steps while drafts do not pay: no draft, no clock."""
        pool, text, sampling = self.pool, self.text, self.job.sampling
        begun = len(text.written)
        try:
            for _ in range(steps):
                raw = pool.scores(self.target)[:, 0]
                chosen = choose(
                    adjusted(raw, sampling, [text.read], [text.written]),
                    sampling,
                    None if sampling.greedy else text.uniforms.use(1),
                )
                logprobs = logprobs_of(raw, chosen).tolist()
                pool.write(chosen[:, None])
                pool.settle()
                token = int(chosen[0])
                text.written.append(token)
                yield self._as_written(raw, [token], logprobs, token in self.ends)
        finally:
            for meter in self.meters:
                meter.read()
                meter.mark()
            if self.drafter is not None and begun < len(text.written):
                self.drafter.learn(text.written[begun:])
            self.pace.rested(len(text.written) - begun)
            self.behind = True

    def _length(self) -> int:
        if self.drafter is None:
            return 0
        wanted = self.decoder.length or self.pace.length(self.first, self.longest)
        if not wanted:
            self._warn()
        return min(wanted, self.limit - len(self.text.written) - 1)

    def round(self, opening: bool) -> Written:
        """Draft, let the target read the block, and keep what stands and one token more."""
        began = self.clock()
        pool, text = self.pool, self.text
        before, k = len(pool.written), self._length()
        drafted, q = self.drafter.propose(k) if self.drafter is not None and k > 0 else ([], None)
        middle = self.clock()
        if ahead := drafted[len(pool.written) - before :]:
            pool.write(np.array([ahead]))
        raw = pool.scores(self.target, len(drafted) + 1)[0]
        stood, token = self._judge(raw, drafted, q)
        out = [*drafted[:stood], token]
        if ended := next((i + 1 for i, token in enumerate(out) if token in self.ends), 0):
            out, stood = out[:ended], min(stood, ended)
        logprobs = logprobs_of(raw[: len(out)], np.array(out)).tolist()
        for meter in self.meters:
            meter.read()
        pool.rollback(len(drafted) - min(stood, len(out) - 1))
        pool.write(np.array([out[-1:]]))
        pool.settle()
        text.written += out
        if self.drafter is not None:
            self.drafter.learn(out)
        for meter in self.meters:
            meter.mark()
        self.counts.add(len(drafted), stood)
        self._time(k, len(drafted), stood, middle - began, self.clock() - middle, opening)
        return self._as_written(raw, out, logprobs, bool(ended))

    def _judge(self, raw: Any, drafted: list[int], q: list[Any] | None) -> tuple[int, int]:
        """How many drafted tokens stand, and the token after them."""
        text, sampling = self.text, self.job.sampling
        scores = raw
        if sampling.looks_back or sampling.logit_bias:
            histories = [[*text.written, *drafted[:i]] for i in range(len(drafted) + 1)]
            scores = adjusted(raw, sampling, [text.read] * len(histories), histories)
        if sampling.greedy:
            best = host(scores.argmax(-1)).tolist()
            stood = agreeing(best, drafted)
            return stood, best[stood]
        return self.rule(probabilities(scores, sampling), q, drafted, text.uniforms)

    def _as_written(self, raw: Any, out: list[int], logprobs: list[float], ended: bool) -> Written:
        """The round's tokens, up to one whose score is not finite."""
        said = tuple(logprobs) if self.job.logprobs else ()
        bad = next((i for i, logprob in enumerate(logprobs) if not isfinite(logprob)), None)
        if bad is not None:
            place = len(self.text.written) - len(out) + bad + 1
            return Written(self.row, tuple(out[:bad]), said[:bad], error=not_finite(self.decoder, place))
        top = self.job.top_logprobs
        tops = tuple(tuple(one) for one in likeliest(raw[: len(out)], top)) if top else ()
        finish = "stop" if ended else "length" if len(self.text.written) >= self.limit else ""
        return Written(self.row, tuple(out), said, tops, finish)

    def _time(self, asked: int, proposed: int, stood: int, drafting: float, block: float, opening: bool) -> None:
        if self.decoder.length is not None:
            return
        pace = self.pace
        if asked > 0:
            pace.drafted(proposed, stood, drafting, block, opening, self.behind)
            self.behind = False
        else:
            pace.stepped(drafting + block, opening)
            self.behind = True

    def _warn(self) -> None:
        pace = self.pace
        if pace.warned or not pace.off or pace.token.seen < 3 or pace.token.value < 1.2 * pace.block(0):
            return
        pace.warned = True
        k, gain = pace.best(self.longest)
        warn(
            f"A token of the draft {self.decoder.draft.formula} costs {pace.token.value / pace.block(0):.1f} of the "
            f"target's: {gain:.2f}x the plain speed is predicted at best (length {k}), so nothing is drafted."
        )

    def close(self) -> None:
        """Leave what was found out in `job.told`, and free the caches."""
        told = self.counts.told()
        if self.decoder.length is None:
            told |= self.pace.told()
        if self.why:
            told["off"] = self.why
        if self.decoder.kinship == "text":
            told["translated"] = True
        fed = {name: n for meter in self.meters for name, n in meter.told().items()}
        _tell(self.job, told, fed, self.decoder)
        self.pool.close()
        if self.drafter is not None:
            self.drafter.close()


class _Meter:
    """How many tokens each leaf of a pool was made to read after its prompt, those that were taken back too."""

    def __init__(self, pool: Pool) -> None:
        self.tracks = pool.tracks
        self.before = [0] * len(self.tracks)
        self.sums = [0] * len(self.tracks)

    def read(self) -> None:
        """Count what was fed since `mark`."""
        for i, track in enumerate(self.tracks):
            self.sums[i] += track.fed - self.before[i]

    def mark(self) -> None:
        """Count from here."""
        self.before = [track.fed for track in self.tracks]

    def told(self) -> dict[str, int]:
        """Tokens written per leaf, as the plain loop counts: the one that follows the prompt too."""
        opened = [track.session is not None for track in self.tracks]
        pairs = zip(self.tracks, self.sums, opened, strict=True)
        return {track.leaf.name: n + was_opened for track, n, was_opened in pairs}
