"""From requests to replies: options read, rows grouped, tokens spelled, stop strings cut, costs counted per part."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from ..core import Piece, Reply, Request, Usage
from ..errors import BadInput, CannotDo, SpratError
from ..prices import cost
from .loop import Job, Written
from .sampling import Sampling
from .spelling import Speller, StopStrings

if TYPE_CHECKING:
    from .decoder import Decoder, Leaf
    from .explain import Explanation


@dataclass(frozen=True, eq=False)
class Decoded:
    """How a decoder wrote a reply: what `explain` needs, and what the writer found out.

    `told` may hold `rung` (how a remote part was asked), `lost` (which guarantees that cost), `paid` (what its calls
    took), `because` (both in a sentence), `fed` (tokens that each leaf was made to write; one that is not named was
    never asked) and `speculative_decoding` (acceptance, named as vLLM does).
    """

    decoder: Decoder
    request: Request
    ids: tuple[int, ...]
    told: dict[str, Any] = field(default_factory=dict[str, Any])

    def explain(self) -> Explanation:
        """Per token, each part's contribution to the choice; reads the reply once more, in one block.

        Remote parts are asked again; what that took is in the explanation's `paid`, not in the reply's cost.
        """
        from .explain import explain

        return explain(self)


def job_of(decoder: Decoder, request: Request) -> Job:
    """What a request asks to be written; BadInput for options out of range, CannotDo for tools and JSON."""
    options = request.options
    for name in ("tools", "response_format", "functions"):
        if options.get(name):
            raise CannotDo(f"'{decoder.formula}' writes text alone; the request asks for {name}.", hint="Leave it out.")
    if (options.get("n") or 1) != 1:
        raise CannotDo("A decoder writes one reply at a time.", hint="Ask again with another seed, or use a batch.")
    try:
        limits = (options.get("max_completion_tokens"), options.get("max_tokens"), decoder.base.max_tokens)
        longest = int(next(limit for limit in limits if limit is not None))
        top = int(options.get("top_logprobs") or 0)
        stops = frozenset(int(i) for i in options.get("stop_token_ids") or ())
        wanted = top > 0 or options.get("logprobs") is not False
        job = Job(request, Sampling.of(options), longest, top, wanted, stops, bool(options.get("ignore_eos")))
        _ = job.seed
    except (TypeError, ValueError) as error:
        raise BadInput(f"An option is not a number: {error}.") from error
    if longest < 1 or top < 0:
        raise BadInput(f"max_tokens is {longest} and top_logprobs {top}.", hint="Needed: >= 1 and >= 0.")
    stop = options.get("stop") or ()
    if not isinstance(stop, str) and not (isinstance(stop, list | tuple) and all(isinstance(s, str) for s in stop)):  # pyright: ignore[reportUnknownVariableType]
        raise BadInput(f"stop is {stop!r}.", hint="Needed: a text or a list of texts; token ids go to stop_token_ids.")
    return job


class Row:
    """One reply in the making."""

    def __init__(self, decoder: Decoder, job: Job) -> None:
        self.decoder, self.job = decoder, job
        self.vocabulary = decoder.base.vocabulary
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.tops: list[Any] = []
        self.texts: list[str] = []
        self.speller = Speller(self.vocabulary)
        stop: Any = job.request.options.get("stop") or ()
        self.stops = StopStrings([stop] if isinstance(stop, str) else stop)
        self.finish = ""
        self.error: SpratError | None = None
        self.began = time.perf_counter()

    def take(self, written: Written) -> str:
        """Take in tokens; the text that may be shown now."""
        shown = ""
        self.error = written.error
        for place, token in enumerate(written.ids):
            last = place == len(written.ids) - 1
            self.ids.append(token)
            if self.job.logprobs:
                self.logprobs.append(written.logprobs[place])
            if written.tops:
                self.tops.append(written.tops[place])
            ended = last and written.finish == "stop"
            self.texts.append("" if ended else self.speller.add(token))
            shown += self.stops.add(self.texts[-1])
            if self.stops.hit:
                self.finish = "stop"
                self.job.stopped = True
                return shown
        if written.finish:
            self.finish = written.finish
            rest = self.speller.rest()
            self.texts[-1] += rest
            shown += self.stops.add(rest) + self.stops.rest()
        return shown

    def reply(self, text: str) -> Reply:
        """The whole reply, when it has ended with this text."""
        said, ended = list(self.texts), self.finish == "stop" and not self.stops.hit
        if ended:
            said.pop()  # the end token says nothing
        left = len(text)
        tokens: list[str] = []
        for one in said:  # a stop string may end inside a token
            if self.stops.hit and left <= 0:
                break
            tokens.append(one[:left] if self.stops.hit else one)
            left -= len(one)
        n = len(tokens)
        parts = self._parts()
        costs = [part.cost for part in parts]
        wanted = self.job.top_logprobs
        return Reply(
            text,
            self.decoder_name,
            tuple(tokens),
            tuple(self.logprobs[:n]) if self.job.logprobs else None,
            tuple(self._named(top) for top in self.tops[:n]) if wanted else None,
            finish=self.finish or "length",
            usage=Usage(_read(parts), len(self.ids)),
            cost=None if any(c is None for c in costs) else float(sum(c for c in costs if c is not None)),
            asks=parts if len(parts) > 1 else (),
            because=self.job.told.get("because", ""),
            decoded=Decoded(self.decoder, self.job.request, tuple(self.ids[: n + ended]), self.job.told),
        )

    @property
    def decoder_name(self) -> str:
        """The decoder's name, or its formula."""
        return getattr(self.decoder, "name", "") or self.decoder.formula

    def _named(self, top: Any) -> dict[str, float]:
        return {self.vocabulary.decode([i]) or self.vocabulary.tokens[i]: logprob for i, logprob in top}

    def _parts(self) -> tuple[Reply, ...]:
        fed: dict[str, int] | None = self.job.told.get("fed")
        return tuple(
            self._part(leaf, len(self.ids) if fed is None else fed.get(leaf.name, 0)) for leaf in self.decoder.paid
        )

    def _part(self, leaf: Leaf, written: int) -> Reply:
        if (
            paid := self.job.told.get("paid", {}).get(leaf.name)
        ) is not None:  # a remote part knows what its calls took
            usage = Usage(paid["input_tokens"], paid["output_tokens"])
            return Reply(None, leaf.name, usage=usage, cost=paid["cost"], because=f"a part, in {paid['calls']} calls")
        if not written:
            return Reply(None, leaf.name, usage=Usage(0, 0), cost=0.0, because="a part that was not asked")
        usage = Usage(len(leaf.prompt(self.job.request)), written)
        return Reply(None, leaf.name, usage=usage, cost=cost(leaf.price, usage), because="a part")


def _read(parts: tuple[Reply, ...]) -> int | None:
    """The prompt's tokens, as the first part read them that was asked."""
    usage = next((part.usage for part in parts if part.usage and part.usage.input_tokens != 0), parts[0].usage)
    return usage.input_tokens if usage else None


def _spent(error: SpratError, job: Job) -> SpratError:
    """The error, with what the job's remote parts were paid before it; a copy, where others have it too."""
    dollars = [paid["cost"] for paid in job.told.get("paid", {}).values() if paid["calls"]]
    if not dollars:
        return error
    made = type(error).__new__(type(error), *error.args)
    made.__dict__.update(error.__dict__)
    made.__cause__ = error
    made.spent = None if any(d is None for d in dollars) else float(sum(dollars))
    return made


def answer_many(decoder: Decoder, requests: Sequence[Request]) -> list[Reply | Exception]:
    """The replies in the order of the requests; rows with like options are written together."""
    answers: list[Reply | Exception | None] = [None] * len(requests)
    alike: dict[Sampling, list[tuple[int, Job]]] = {}
    for i, request in enumerate(requests):
        try:
            job = job_of(decoder, request)
            check_lengths(decoder, request)
            alike.setdefault(job.sampling, []).append((i, job))
        except SpratError as error:
            answers[i] = error
    at_once = min(leaf.at_once for leaf in decoder.leaves)
    for group in alike.values():
        # Alike in length: little padding to compute.
        group.sort(key=lambda pair: len(pair[1].request.text))
        for start in range(0, len(group), at_once):
            chunk = group[start : start + at_once]
            written = _together(decoder, [job for _, job in chunk])
            for (i, _), answer in zip(chunk, written, strict=True):
                answers[i] = answer
    return cast("list[Reply | Exception]", answers)


def check_lengths(decoder: Decoder, request: Request) -> None:
    """Raises BadInput where a part can't read the request's prompt."""
    for leaf in decoder.leaves:
        n, limit = len(leaf.prompt(request)), leaf.positions
        if limit is not None and n > limit:
            raise BadInput(f"A prompt has {n} tokens; {leaf.name} reads at most {limit}.", hint="Shorten it.")


def _together(decoder: Decoder, jobs: list[Job]) -> list[Reply | Exception]:
    rows = [Row(decoder, job) for job in jobs]
    texts: list[list[str]] = [[] for _ in jobs]
    try:
        with closing(_writes(decoder, jobs)) as steps:
            for written in steps:
                texts[written.job].append(rows[written.job].take(written))
    except SpratError as error:
        return [_spent(error, job) for job in jobs]
    # Each is charged its part of the batch's time; what loading the weights took was before.
    seconds = (time.perf_counter() - rows[0].began) / len(rows)
    return [
        _spent(row.error, row.job) if row.error else replace(row.reply("".join(said)), seconds=seconds)
        for row, said in zip(rows, texts, strict=True)
    ]


def _writes(decoder: Decoder, jobs: list[Job]) -> Generator[Written]:
    yield from decoder.write(jobs)  # a generator, so that whoever stops reading can close it at once


def _charged(decoder: Decoder, job: Job) -> Generator[Written]:
    try:
        yield from decoder.write([job])
    except SpratError as error:
        raise _spent(error, job) from error


def streamed(decoder: Decoder, request: Request) -> Generator[Piece]:
    """The pieces of one reply, the last with the whole; closing the iterator frees the caches."""
    job = job_of(decoder, request)
    check_lengths(decoder, request)  # loads the weights, which is not the reply's time
    row, said = Row(decoder, job), list[str]()
    with closing(_charged(decoder, job)) as steps:
        for written in steps:
            before = len(row.texts)
            said.append(row.take(written))
            if row.error:
                raise _spent(row.error, job)
            ended = row.finish == "stop" and not row.stops.hit
            new = slice(before, len(row.texts) - ended)
            if said[-1] or row.texts[new]:
                yield Piece(said[-1], tuple(row.texts[new]), tuple(row.logprobs[new]))
            if row.stops.hit:
                break
    reply = row.reply("".join(said))
    yield Piece(reply=replace(reply, seconds=time.perf_counter() - row.began))
