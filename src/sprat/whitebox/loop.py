"""The plain decode loop: rows in lock step, one token each per step, until each has ended.

Rows that end leave the batch; a row's text depends on its own prompt and seed alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from ..core import Request
from ..errors import BadInput, SpratError
from .arrays import host, take
from .decoder import Decoder
from .pool import Pool
from .sampling import Sampling, adjusted, choose, likeliest, logprobs_of

Top = tuple[tuple[int, float], ...]


@dataclass
class Job:
    """One reply to be written; whoever reads it may set `stopped`, and the writer what it found out (`told`)."""

    request: Request
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int = 256
    top_logprobs: int = 0
    logprobs: bool = True
    stop_ids: frozenset[int] = frozenset()
    ignore_end: bool = False
    stopped: bool = False
    told: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def seed(self) -> int:
        """The seed of its draws: the request's, plus the number of the sample."""
        return int(self.request.options.get("seed") or 0) + self.request.sample

    def draws(self, decoder: Decoder, prompt: Sequence[int]) -> np.random.Generator:
        """The row's random numbers: they follow from seed, prompt and weights."""
        return np.random.default_rng([self.seed % 2**64, decoder.base.fingerprint, *prompt])


class Written(NamedTuple):
    """Tokens of one job: ids, log-probabilities at temperature 1 (unless declined), the likeliest where asked for.

    `finish` is set with a job's last tokens ("stop", "length"), `error` where it failed.
    """

    job: int
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    tops: tuple[Top, ...] = ()
    finish: str = ""
    error: SpratError | None = None


def plain(decoder: Decoder, jobs: Sequence[Job]) -> Iterator[Written]:
    """Write the jobs, which share one Sampling; raises BadInput for a prompt that can't be read."""
    sampling = jobs[0].sampling
    pool = Pool([decoder], [job.request for job in jobs], [job.told for job in jobs])
    try:
        rows = list(range(len(jobs)))
        prompts = pool.prompt_of(decoder.base)
        draws = [] if sampling.greedy else [job.draws(decoder, p) for job, p in zip(jobs, prompts, strict=True)]
        limits = np.minimum(pool.room, [job.max_tokens for job in jobs]).tolist()
        ends = [ends_of(decoder, job) for job in jobs]
        top = max(job.top_logprobs for job in jobs)
        wanted = any(job.logprobs for job in jobs) or not sampling.greedy
        looks_back = sampling.looks_back
        history: list[list[int]] = [[] for _ in jobs]
        count = 0
        while True:
            raw = pool.scores(decoder)[:, 0]
            fed = pool.fed
            scores = raw
            if looks_back or sampling.logit_bias:
                scores = adjusted(raw, sampling, [prompts[r] for r in rows], [history[r] for r in rows])
            uniforms = None if sampling.greedy else [draws[r].random() for r in rows]
            with np.errstate(invalid="ignore"):  # scores that are not finite are told below
                chosen = choose(scores, sampling, uniforms)
                # What greedily chosen scores are, without their normaliser, tells those that are not finite as well.
                logprobs = logprobs_of(raw, chosen) if wanted else host(take(raw, chosen))
            tops = likeliest(raw, top) if top else None
            count += 1
            going: list[int] = []
            for place, (row, token, logprob) in enumerate(zip(rows, chosen.tolist(), logprobs.tolist(), strict=True)):
                job = jobs[row]
                job.told["fed"] = fed
                if not isfinite(logprob):
                    yield Written(row, error=not_finite(decoder, count))
                    continue
                finish = "stop" if token in ends[row] else "length" if count >= limits[row] else ""
                likely = (tuple(tops[place][: job.top_logprobs]),) if tops else ()
                if looks_back:
                    history[row].append(token)
                yield Written(row, (token,), (logprob,) if job.logprobs else (), likely, finish)
                if not finish and not job.stopped:
                    going.append(place)
            if not going:
                return
            if len(going) < len(rows):
                kept = np.array(going)
                pool.select(kept)
                chosen, rows = chosen[kept], [rows[place] for place in going]
            pool.write(chosen[:, None])
            pool.settle()
    finally:
        pool.close()


def ends_of(decoder: Decoder, job: Job) -> frozenset[int]:
    """The ids that end this job's reply."""
    return job.stop_ids if job.ignore_end else job.stop_ids | decoder.base.vocabulary.ends


def not_finite(decoder: Decoder, token: int) -> BadInput:
    """What to say of scores that are NaN or infinite."""
    return BadInput(
        f"The scores of '{decoder.formula}' are not finite at token {token}.",
        hint="Lower its weights, use a wider dtype (not float16), or look for a broken checkpoint.",
    )
