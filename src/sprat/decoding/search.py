"""Search among a large model's own continuations for what a small tuned model likes more than its untuned self.

Weak-to-strong search, chunk-level beam search (arXiv 2405.19262): keep `beams` beginnings; continue each `samples`
times by `chunk` tokens; score all that was written so far, S = log p_tuned - log p_untuned; keep the best. A chunk
without end is best-of-n, of one token the token-level search. The paper's code keeps equal beginnings, which soon fill
all beams of short chunks; here they count once and their samples go to the others, unless `distinct` is False.
Checked against that best-of-n, by hand over given logits, and scores computed alone; across tokenizers on text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..core import Can, Model, Request, Signal
from ..errors import CannotDo
from ..shape import leaves as endpoints_in
from ..shape import name_of, need
from ..whitebox.arrays import host, log_softmax, take
from ..whitebox.decoder import Decoder, Leaf, WayOfWriting
from ..whitebox.loop import Job, Written, ends_of, not_finite
from ..whitebox.pool import Pool
from ..whitebox.sampling import adjusted, choose, likeliest, logprobs_of
from ..whitebox.scoring import ENTRIES
from ..whitebox.vocabulary import common_size
from .log_ratio import LogRatio
from .search_remote import RemoteSearch, best_kept, check_search

TOP_K = 50


@dataclass(frozen=True, repr=False)
class Search(WayOfWriting):
    """Chunk-level beam search over a decoder. Its own temperature and top_k hold where a request gives none above 0.

    A request's log-probabilities are the large model's. `told["search"]` has the score, the chunks, the tokens that
    were generated, and every kept reply with its score.
    """

    large: Any
    tuned: Any = None
    untuned: Any = None
    score: Any = None
    beams: int = 4
    samples: int = 4
    chunk: int | float = 10
    top_k: int | None = None
    temperature: float = 1.0
    distinct: bool = True
    name: str = field(default="", kw_only=True, repr=False)
    use = "search"

    def __post_init__(self) -> None:
        need(self.large, Can.LOGITS, self.use)
        check_search(self)
        if isinstance(self.score, Signal) and (asked := endpoints_in(self.score)):
            raise CannotDo(
                f"search scores while it writes, and the signal asks '{name_of(asked[0])}': its cost would be lost.",
                hint="Use best_of with this signal, or a signal or function that asks nobody.",
            )

    @property
    def written_with(self) -> Decoder:
        """The large model: the search chooses among what its scores let it write."""
        return self.large

    @property
    def parts(self) -> tuple[Decoder, ...]:
        """The large model, and the pair where it reads the same tokens."""
        return (self.large, self.tuned, self.untuned) if self.kin else (self.large,)

    @property
    def paid(self) -> tuple[Leaf, ...]:
        """The leaves that work for a reply: the pair's too, whatever its vocabulary."""
        pair: tuple[Decoder, ...] = () if self.tuned is None else (self.tuned, self.untuned)
        return tuple(dict.fromkeys(leaf for model in (self.large, *pair) for leaf in model.leaves))

    @property
    def formula(self) -> str:
        """Such as `search(big, tuned, small)`."""
        pair: tuple[Decoder, ...] = () if self.tuned is None else (self.tuned, self.untuned)
        return f"{self.use}({', '.join(model.formula for model in (self.large, *pair))})"

    @cached_property
    def kin(self) -> bool:
        """Whether the pair reads the large model's tokens as they are; else it reads text."""
        if self.tuned is None:
            return False
        try:
            common_size(self.paid)
        except CannotDo:
            return False
        return True

    @cached_property
    def judge(self) -> LogRatio | None:
        """The pair, if that is what scores."""
        return None if self.tuned is None else LogRatio(self.tuned, self.untuned)

    def write(self, jobs: Sequence[Job]) -> Iterator[Written]:
        """Write every job's best reply; what all kept beginnings share is given out at once."""
        size = max(1, min(leaf.at_once for leaf in self.paid) // (self.beams * self.samples))
        for start in range(0, len(jobs), size):
            for written in _Hunt(self, jobs[start : start + size]).written():
                yield written._replace(job=start + written.job)


@dataclass(eq=False)
class Beam:
    """One beginning; `row` and `judged` are its rows in the sessions of the large model and of the pair."""

    job: int
    ids: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    tops: list[Any] = field(default_factory=list[Any])
    score: float = 0.0
    finish: str = ""
    row: int = 0
    judged: int = 0
    slot: int = 0
    fresh: int = 0  # tokens of the last chunk

    def again(self, slot: int) -> Beam:
        """A copy to be continued."""
        copy = replace(self, ids=[*self.ids], logprobs=[*self.logprobs], tops=[*self.tops])
        copy.slot, copy.fresh = slot, 0
        return copy


class _Hunt:
    """Some jobs at work, in lock step."""

    def __init__(self, search: Search, jobs: Sequence[Job]) -> None:
        self.search, self.jobs = search, jobs
        self.requests = [job.request for job in jobs]
        asked = jobs[0].sampling
        top_k = asked.top_k or (TOP_K if search.top_k is None else search.top_k)
        self.sampling = replace(asked, temperature=asked.temperature or search.temperature, top_k=top_k)
        told = [job.told for job in jobs]
        self.pool = Pool([search.large], self.requests, told)
        self.prompts = self.pool.prompt_of(search.base)
        self.pair = _Pair(search, self.requests, told) if search.kin else None
        room = np.minimum(self.pool.room, [job.max_tokens for job in jobs])
        self.limits: list[int] = (np.minimum(room, self.pair.pool.room) if self.pair else room).tolist()
        self.draws = [job.draws(search, prompt) for job, prompt in zip(jobs, self.prompts, strict=True)]
        self.ends = [ends_of(search, job) for job in jobs]
        self.top = max(job.top_logprobs for job in jobs)
        self.vocabulary = search.base.vocabulary
        self.generated = [0] * len(jobs)
        self.scored = [0] * len(jobs)
        self.chunks = [0] * len(jobs)

    def written(self) -> Iterator[Written]:
        """The jobs' tokens as they are decided."""
        kept = [[Beam(i, row=i, judged=i)] for i in range(len(self.jobs))]
        given, failed = [0] * len(self.jobs), set[int]()
        try:
            while any(open_ := [[b for b in beams if not b.finish] for beams in kept]):
                rows = self._continued(open_, [sum(bool(b.finish) for b in beams) for beams in kept])
                bad = self._chunk(rows)
                self._score(rows)
                for i, beams in enumerate(kept):
                    if not open_[i]:
                        continue
                    mine = [row for row in rows if row.job == i]
                    if i in bad or any(math.isnan(row.score) for row in mine):
                        failed.add(i)
                        guilty = self.search if i in bad else self.search.tuned or self.search
                        yield Written(i, error=not_finite(guilty, given[i] + 1))
                        kept[i] = []
                        continue
                    finished = [b for b in beams if b.finish]
                    best = best_kept([*finished, *mine], self.search, lambda b: tuple(b.ids))
                    self.chunks[i] += 1
                    done = self.jobs[i].stopped or all(b.finish for b in best)
                    kept[i] = [] if done else best
                    self._tell(i, best)
                    upto = len(best[0].ids) if done else _shared(best)
                    if done or upto > given[i]:
                        yield self._given(best[0], given[i], upto, done)
                    given[i] = upto
        finally:
            self.pool.close()
            if self.pair:
                self.pair.pool.close()

    def _continued(self, open_: list[list[Beam]], finished: list[int]) -> list[Beam]:
        """Copies of the beginnings, with sessions to match; what these read last is read before it is repeated."""
        beams = [b for some in open_ for b in some]
        self.pool.select(np.array([b.row for b in beams]))
        self.pool.scores(self.search.large)
        rows: list[Beam] = []
        copies: list[int] = []
        for some, ended in zip(open_, finished, strict=True):
            times = self.search.samples * (self.search.beams - ended) // max(1, len(some))
            rows += [beam.again(i * times + k) for i, beam in enumerate(some) for k in range(times)]
            copies += [times] * len(some)
        self.pool.select(np.repeat(np.arange(len(beams)), copies))
        return rows

    def _chunk(self, rows: list[Beam]) -> set[int]:
        """Write at most a chunk of tokens to every row; the jobs whose scores were not finite."""
        bad, going, steps = set[int](), rows, 0
        while going and steps < self.search.chunk:
            raw = self.pool.scores(self.search.large)[:, 0]
            scores = adjusted(raw, self.sampling, [self.prompts[b.job] for b in going], [b.ids for b in going])
            # As many numbers whoever is still writing, so that a draw does not depend on the other rows.
            uniforms = {
                i: self.draws[i].random(self.search.beams * self.search.samples) for i in {b.job for b in going}
            }
            chosen = choose(scores, self.sampling, [uniforms[b.job][b.slot] for b in going])
            logprobs = logprobs_of(raw, chosen).tolist()
            tops = likeliest(raw, self.top) if self.top else None
            steps += 1
            stay: list[int] = []
            for place, (beam, token) in enumerate(zip(going, chosen.tolist(), strict=True)):
                beam.ids.append(token)
                beam.logprobs.append(logprobs[place])
                beam.fresh += 1
                self.generated[beam.job] += 1
                if tops:
                    beam.tops.append(tuple(tops[place][: self.jobs[beam.job].top_logprobs]))
                if not math.isfinite(logprobs[place]):
                    bad.add(beam.job)
                    beam.finish = "length"
                elif token in self.ends[beam.job]:
                    beam.finish = "stop"
                elif len(beam.ids) >= self.limits[beam.job] or self._cut(beam):
                    beam.finish = "length"
                else:
                    stay.append(place)
            if stay and len(stay) < len(going):
                self.pool.select(np.array(stay))
            if stay:
                self.pool.write(chosen[stay][:, None])
                self.pool.settle()
            going = [going[place] for place in stay]
        for row, beam in enumerate(going):
            beam.row = row
        return bad

    def _cut(self, beam: Beam) -> bool:
        """Whether a stop string is complete."""
        stop: Any = self.jobs[beam.job].request.options.get("stop") or ()
        stops = [stop] if isinstance(stop, str) else stop
        return bool(stops) and any(s and s in self.vocabulary.decode(beam.ids) for s in stops)

    def _score(self, rows: list[Beam]) -> None:
        """The score of each row's text so far."""
        for beam in rows:
            self.scored[beam.job] += beam.fresh if self.pair else len(beam.ids)
        if self.pair:
            self.pair.score(rows)
            return
        requests, texts = [self.requests[b.job] for b in rows], [self.vocabulary.decode(b.ids) for b in rows]
        if self.search.judge:
            told = [self.jobs[b.job].told for b in rows]
            scores = self.search.judge.scores(requests, texts, [b.finish == "stop" for b in rows], told)
        else:
            scores = [float(self.search.score(r, t)) for r, t in zip(requests, texts, strict=True)]
        for beam, score in zip(rows, scores, strict=True):
            beam.score = score

    def _tell(self, i: int, best: list[Beam]) -> None:
        pair = self.pair.pool.fed if self.pair else {leaf.name for leaf in self.search.paid}
        large = {leaf.name for leaf in self.search.large.leaves}
        fed = {name: self.scored[i] for name in pair if name not in large}
        self.jobs[i].told["fed"] = fed | dict.fromkeys(self.pool.fed, self.generated[i])
        self.jobs[i].told["search"] = {
            "score": best[0].score,
            "chunks": self.chunks[i],
            "generated": self.generated[i],
            "kept": [(self.vocabulary.decode(b.ids), b.score) for b in best],
        }

    def _given(self, beam: Beam, start: int, stop: int, done: bool) -> Written:
        part = slice(start, stop)
        finish = beam.finish or ("length" if done else "")
        return Written(
            beam.job,
            tuple(beam.ids[part]),
            tuple(beam.logprobs[part]),
            tuple(beam.tops[part]),
            finish if done else "",
        )


class _Pair:
    """Tuned and untuned model over the large one's own tokens: each token is read once, caches follow the beams."""

    def __init__(self, search: Search, requests: Sequence[Request], told: Sequence[dict[str, Any]]) -> None:
        self.search = search
        self.pool = Pool([search.tuned, search.untuned], requests, told)

    def score(self, rows: list[Beam]) -> None:
        """Add to each row's score what its last chunk is worth."""
        pool, counts = self.pool, np.array([b.fresh for b in rows])
        if not pool.written:
            pool.look().of(self.search.tuned)  # the prompts are read before they are repeated
            pool.look().of(self.search.untuned)
        pool.select(np.array([b.judged for b in rows]))
        width = int(counts.max())
        ids = np.zeros((len(rows), width), np.int64)
        for line, beam in zip(ids, rows, strict=True):
            line[: beam.fresh] = beam.ids[len(beam.ids) - beam.fresh :]
        block = max(1, ENTRIES // (len(rows) * pool.size))
        gains = np.zeros(len(rows))
        for at in range(0, width, block):
            end = min(width, at + block)
            if end > 1:
                pool.write(ids[:, max(0, at - 1) : end - 1])
            step = pool.look(end - at)
            tuned, untuned = (
                host(take(log_softmax(step.of(model)), ids[:, at:end])).astype(np.float64)
                for model in (self.search.tuned, self.search.untuned)
            )
            with np.errstate(invalid="ignore"):
                gains += np.where(np.arange(at, end) < counts[:, None], tuned - untuned, 0.0).sum(axis=1)
            pool.settle()
        pool.write(ids[:, width - 1 :])
        pool.settle()
        for row, (beam, gain) in enumerate(zip(rows, gains.tolist(), strict=True)):
            beam.score, beam.judged = beam.score + gain, row


def _shared(beams: list[Beam]) -> int:
    """How many first tokens all beams have in common."""
    count = 0
    for column in zip(*(b.ids for b in beams), strict=False):
        if len(set(column)) > 1:
            break
        count += 1
    return count


def search(
    large: Model,
    *,
    tuned: Decoder | None = None,
    untuned: Decoder | None = None,
    score: Callable[[Request, str], float] | Signal | None = None,
    beams: int = 4,
    samples: int = 4,
    chunk: int | float = 10,
    top_k: int | None = None,
    temperature: float = 1.0,
    distinct: bool = True,
    max_tokens: int = 256,
    continued: str | Callable[[Request, str], Request] = "plain",
    name: str = "",
) -> Search | RemoteSearch:
    """The large model's reply that a small pair likes best; of a remote one, from samples of `chunk` tokens.

    `score` is any other reward of (request, text so far), in place of the pair. `top_k` is 50 for a decoder and not
    sent to a remote model unless given. `max_tokens` and `continued` (how a server is made to go on with an assistant's
    message: "plain", "continue_final_message", "prefix", or a function) are for remote models. Raises BadInput for
    numbers out of range, CannotDo for a pair without logits.
    """
    if isinstance(large, Decoder):
        return Search(large, tuned, untuned, score, beams, samples, chunk, top_k, temperature, distinct, name=name)
    return RemoteSearch(
        large,
        tuned,
        untuned,
        score,
        beams,
        samples,
        chunk,
        top_k,
        temperature,
        distinct,
        max_tokens,
        continued,
        name=name,
    )
