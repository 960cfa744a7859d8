"""A remote model as a part: each step is a call for its likeliest next tokens; what it does not name gets a floor.

So proxy-tuning, contrast and mixtures run over a server that gives top-k log-probabilities, as arXiv 2401.08565 did
with k = 5. Checked against the same compositions over the same model's own logits: equal where k is the vocabulary.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..core import Can, Reply, Request
from ..drivers.background import blocking
from ..endpoints.completions import Named, Place, after_messages, after_text
from ..errors import BadInput, CannotDo, SpratError
from ..prices import Price
from ..shape import Asks, name_of, need
from ..whitebox.decoder import Leaf
from ..whitebox.session import Integers
from ..whitebox.vocabulary import Vocabulary
from .private import marked
from .spelled import spelled

LEAST_MASS = 1e-6  # what a server's rounded numbers can't tell from nothing
STABLE = "the server may give other log-probabilities for the same text another time"
Known = tuple[Integers, np.ndarray[Any, Any], float]  # ids, their log-probabilities, every other token's


def floor_of(logprobs: np.ndarray[Any, Any], size: int) -> float:
    """The log-probability of each token that was not named: the mass left, shared evenly, at most the least named.

    min(log(max(1 - sum(p), 1e-6) / (size - n)), min(logprobs)) for n named tokens of `size`. Never 0 (as CoGenesis's
    code has it, which puts the unnamed above every named one) and never minus infinity.
    """
    left = max(1.0 - float(np.exp(logprobs).sum()), LEAST_MASS)
    return min(math.log(left / max(1, size - len(logprobs))), float(logprobs.min()))


@dataclass(frozen=True, repr=False)
class Remote(Leaf):
    """A server's model over the tokens of `shares`, a local leaf or a vocabulary.

    `top` is how many tokens each call names, -1 all; `by` how the server continues: "completions" or "chat"; `sends`
    "ids" of the shared vocabulary, or "text"; `echo` that completions name the likely tokens inside the prompt too;
    `extra` goes into each call's body; `context` is how many tokens the server reads.
    """

    endpoint: Any = field(hash=False)
    shares: Any = field(hash=False)
    top: int = 20
    by: Literal["completions", "chat"] = "completions"
    sends: Literal["ids", "text"] = "ids"
    echo: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)
    context: int | None = None
    max_tokens: int = 256
    name: str = field(default="", kw_only=True)
    use = "remote"

    def __post_init__(self) -> None:
        need(self.endpoint, Can.LOGPROBS, self.use)
        if not hasattr(self.endpoint, "post"):
            raise CannotDo(f"'{name_of(self.endpoint)}' can't be asked for the tokens that may follow a text.",
                           hint="Use sprat.openai(..., logprobs=True) for a server with /completions.")  # fmt: skip
        if self.top == 0 or self.top < -1:
            raise BadInput(f"top is {self.top}.", hint="Needed: >= 1, or -1 for every token.")
        if self.by not in ("completions", "chat") or self.sends not in ("ids", "text"):
            raise BadInput(f"by is '{self.by}' and sends '{self.sends}'.",
                           hint='Needed: by "completions" or "chat", sends "ids" or "text".')  # fmt: skip
        if not self.name:
            object.__setattr__(self, "name", f"{name_of(self.endpoint)}-{'all' if self.top < 0 else f'top{self.top}'}")

    @property
    def price(self) -> Price | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The endpoint's."""
        return self.endpoint.price

    @property
    def vocabulary(self) -> Vocabulary:
        """The shared one."""
        return self.shares.vocabulary if isinstance(self.shares, Leaf) else self.shares

    @property
    def positions(self) -> int | None:
        """`context`."""
        return self.context

    @property
    def at_once(self) -> int:
        """The endpoint's."""
        return int(getattr(self.endpoint, "at_once", 16))

    def asks(self) -> list[Asks]:
        """The endpoint for every token, and again for what is drafted and taken back: nobody knows how often."""
        return [Asks(self.endpoint, math.inf)]

    def open(self, batch: int) -> RemoteSession:
        """A session of `batch` rows that are known by their ids alone; CannotDo for a chat, which needs messages."""
        if self.by == "chat":
            raise CannotDo(f"'{self.name}' reads messages, not ids.", hint='Pass by="completions".')
        return RemoteSession(self, [Request(())] * batch, [{} for _ in range(batch)])

    def opened(
        self, requests: Sequence[Request], told: Sequence[dict[str, Any]], begun: Sequence[int] | None = None
    ) -> RemoteSession:
        """A session for these requests; what its calls took goes into `told`. Refuses as `prompt` does."""
        for request in requests:
            self._refuse(request)
        return RemoteSession(self, requests, told, begun)

    def prompt(self, request: Request) -> list[int]:
        """The ids of the request in the shared vocabulary; BadInput for one that marks what is private."""
        self._refuse(request)
        return self.ids(request)

    def _refuse(self, request: Request) -> None:
        if marked(request):
            raise BadInput(
                f"The request marks what is private, and '{self.name}' is a remote model that would read all of it.",
                hint="Only the remote part of sprat.cogenesis may be asked: it reads the rest.",
            )

    def ids(self, request: Request) -> list[int]:
        """The ids of a request that may be sent."""
        ids = self.vocabulary.prompt(request.messages)
        if self.by == "completions" and self.sends == "text" and any(not self.vocabulary.decode([i]) for i in ids[1:]):
            raise BadInput(f"The prompt for '{self.name}' has special tokens, which text can't carry.",
                           hint='Pass sends="ids", or by="chat".')  # fmt: skip
        return ids

    async def asked(self, ids: Sequence[int], begun: int, request: Request, echo: bool) -> tuple[list[Place], Reply]:
        """One call: what may follow these ids, of which the first `begun` are the request's prompt."""
        if self.by == "chat":
            written = self.vocabulary.decode(ids[begun:])
            return await after_messages(self.endpoint, request.messages, written, self.count, self.extra)
        prompt = self.vocabulary.decode(ids) if self.sends == "text" else [int(i) for i in ids]
        return await after_text(self.endpoint, prompt, self.count, echo, self.extra)

    @property
    def count(self) -> int:
        """How many tokens a call asks for: chat servers want a number."""
        return len(self.vocabulary.tokens) if self.top < 0 and self.by == "chat" else self.top

    def known(self, place: Place) -> Known:
        """A place's likeliest tokens by id, at most `top`; CannotDo where they are not the shared vocabulary's."""
        found: dict[int, float] = {}
        strange: list[Named] = []
        for token in place:
            i = self.id_of(token)
            if i is None:
                strange.append(token)
            elif token.logprob > -math.inf:
                found[i] = max(token.logprob, found.get(i, -math.inf))
        lost = sum(math.exp(t.logprob) for t in strange)
        if not found or lost > 0.5:
            raise CannotDo(
                f"'{self.name}' names tokens that the shared vocabulary lacks, such as {strange[0].text!r}."
                if strange else f"'{self.name}' named no token that is possible.",
                hint="What works across vocabularies: sprat.search, or sprat.ladder on a lower rung.",
            )  # fmt: skip
        most = len(found) if self.top < 0 else self.top
        kept = sorted(found, key=lambda i: (-found[i], i))[:most]  # a server may add the token that it drew
        logprobs = np.array([found[i] for i in kept])
        return np.array(kept, np.int64), logprobs, floor_of(logprobs, len(self.vocabulary.tokens))

    def id_of(self, token: Named) -> int | None:
        """The shared id of a token as the server names it."""
        if token.id is not None:
            return token.id if token.id < len(self.vocabulary.tokens) else None
        table = spelled(self.vocabulary)
        found = table.get(token.spelled) if token.spelled else None
        return table.get(token.text.encode("utf-8", "surrogatepass")) if found is None else found


class RemoteSession:
    """Rows of ids; a place is asked for once, however often rows come back to it."""

    def __init__(
        self,
        leaf: Remote,
        requests: Sequence[Request],
        told: Sequence[dict[str, Any]],
        begun: Sequence[int] | None = None,
    ) -> None:
        self.leaf, self.requests, self.told = leaf, list(requests), list(told)
        self.rows: list[list[int]] = [[] for _ in requests]
        # How many ids of each row are its prompt; None: the rows are ids alone, and none was written.
        self.begun: list[int] | None = None if begun is None else list(begun)
        for one in self.told:
            self._paid(one)
        self.seen: dict[tuple[int, ...], Known] = {}

    @property
    def lengths(self) -> Integers:
        """Tokens that each row holds."""
        return np.array([len(row) for row in self.rows], np.int64)

    def feed(self, ids: Integers, counts: Integers | None = None, keep: int | None = None) -> Any:
        """Read on; log-probabilities after the last `keep` columns."""
        n = ids.shape[1]
        fresh = [n] * len(self.rows) if counts is None else [int(c) for c in counts]
        limit = self.leaf.positions
        for row, line, count in zip(self.rows, ids, fresh, strict=True):
            if limit is not None and len(row) + count > limit:
                raise BadInput(f"{len(row) + count} tokens; '{self.leaf.name}' reads at most {limit}.", hint="Shorten.")
            row.extend(int(i) for i in line[n - count :])
        kept = n if keep is None else keep
        wanted = [
            [self.place(row, len(ids) - back) if back < count else None for back in range(kept - 1, -1, -1)]
            for row, (ids, count) in enumerate(zip(self.rows, fresh, strict=True))
        ]
        self.see(wanted)
        return np.stack([np.stack([self.scores(place) for place in places]) for places in wanted])

    def place(self, row: int, length: int) -> tuple[int, ...] | None:
        """The ids to ask with for what follows a row's first `length`; None says: don't ask."""
        return tuple(self.rows[row][:length])

    def see(self, wanted: Sequence[Sequence[tuple[int, ...] | None]]) -> None:
        """Ask for the places that were not seen yet, those of all rows at once."""
        missing: dict[tuple[int, ...], int] = {}
        for row, places in enumerate(wanted):
            for place in places:
                if place is not None and place not in self.seen:
                    missing.setdefault(place, row)
        if missing:
            blocking(self._ask(missing))

    def scores(self, place: tuple[int, ...] | None) -> np.ndarray[Any, Any]:
        """(vocabulary,) log-probabilities at a place that was seen; zeros where there is none."""
        size = len(self.leaf.vocabulary.tokens)
        if place is None:
            return np.zeros(size, np.float32)
        ids, logprobs, floor = self.seen[place]
        scores = np.full(size, floor, np.float32)
        scores[ids] = logprobs
        return scores

    async def _ask(self, missing: dict[tuple[int, ...], int]) -> None:
        calls = self._echoed(missing) if self.leaf.echo else [([place], row) for place, row in missing.items()]
        gate = asyncio.Semaphore(self.leaf.at_once)
        failed: list[SpratError] = []

        async def one(places: list[tuple[int, ...]], row: int) -> None:
            longest, echo = places[-1], len(places) > 1
            try:
                async with gate:
                    if failed:
                        return
                    prompt = len(longest) if self.begun is None else min(self.begun[row], len(longest))
                    found, reply = await self.leaf.asked(longest, prompt, self.requests[row], echo)
                self._pay(row, reply)
                for place in places:
                    self.seen[place] = self.leaf.known(found[len(place)] if echo else found[-1])
                self._tell(row, [self.seen[place] for place in places])
            except SpratError as error:
                failed.append(error)

        async with asyncio.TaskGroup() as group:
            for places, row in calls:
                group.create_task(one(places, row))
        if failed:
            raise failed[0]

    def _echoed(self, missing: dict[tuple[int, ...], int]) -> list[tuple[list[tuple[int, ...]], int]]:
        rows: dict[int, list[tuple[int, ...]]] = {}
        for place, row in missing.items():
            rows.setdefault(row, []).append(place)
        return [(sorted(places, key=len), row) for row, places in rows.items()]

    def _paid(self, told: dict[str, Any]) -> dict[str, Any]:
        nothing = {"calls": 0, "input_tokens": 0, "output_tokens": 0, "cost": 0.0}
        return told.setdefault("paid", {}).setdefault(self.leaf.name, nothing)

    def _pay(self, row: int, reply: Reply) -> None:
        """An answer is paid for, whatever is in it."""
        paid, usage = self._paid(self.told[row]), reply.usage
        paid["calls"] += 1
        for word, more in (
            ("input_tokens", usage.input_tokens if usage else None),
            ("output_tokens", usage.output_tokens if usage else None),
            ("cost", reply.cost),
        ):
            paid[word] = None if paid[word] is None or more is None else paid[word] + more

    def _tell(self, row: int, known: list[Known]) -> None:
        told = self.told[row]
        whole = all(len(ids) >= len(self.leaf.vocabulary.tokens) for ids, _, _ in known)
        if told.get("rung") != "logprobs":  # one place that was floored is enough
            told |= lost(self.leaf, whole)

    def rollback(self, n: Integers | int) -> None:
        """Forget the last n ids; what was asked about them is kept."""
        for row, back in zip(self.rows, np.broadcast_to(n, len(self.rows)).tolist(), strict=True):
            if not 0 <= back <= len(row):
                raise BadInput(f"Cannot forget {back} tokens of a row that holds {len(row)}.", hint="Forget fewer.")
            del row[len(row) - back :]

    def select(self, rows: Integers | Sequence[int]) -> None:
        """Keep these rows."""
        chosen = [int(row) for row in rows]
        self.rows = [list(self.rows[row]) for row in chosen]
        self.requests, self.told = [self.requests[r] for r in chosen], [self.told[r] for r in chosen]
        self.begun = self.begun and [self.begun[row] for row in chosen]

    def close(self) -> None:
        """Forget all."""
        self.rows, self.seen = [], {}


def lost(leaf: Remote, whole: bool) -> dict[str, Any]:
    """What a reply says of a remote part: the rung, the guarantees that it cost, and both in a sentence."""
    if whole:
        gone = [STABLE]
        said = f"every token's log-probability from '{leaf.name}' over HTTP"
        return {"rung": "logits", "lost": gone, "because": f"rung logits: {said}; lost: {gone[0]}"}
    floor = f"tokens outside the server's {leaf.top} likeliest share a floor: not the same distribution, nor lossless"
    said = f"top-{leaf.top} log-probabilities from '{leaf.name}'"
    gone = [floor, STABLE]
    return {"rung": "logprobs", "lost": gone, "because": f"rung logprobs: {said}; lost: {'; '.join(gone)}"}


def remote(
    endpoint: Any,
    vocabulary: Any,
    *,
    top: int = 20,
    by: Literal["", "completions", "chat"] = "",
    sends: Literal["ids", "text"] = "ids",
    echo: bool = False,
    extra: Mapping[str, Any] | None = None,
    context: int | None = None,
    max_tokens: int = 256,
) -> Remote:
    """A server's model as a part beside local ones; `vocabulary` is a local leaf with the same tokens, or a vocabulary.

    `by` is what the endpoint says that it continues, else "completions". With vLLM, top=-1 names every token and
    extra={"return_tokens_as_token_ids": True} names them without doubt. Raises CannotDo for an endpoint that was not
    declared with logprobs=True, BadInput for numbers out of range.
    """
    way: Any = by or getattr(endpoint, "continues", "") or "completions"
    return Remote(endpoint, vocabulary, top, way, sends, echo, dict(extra or {}), context, max_tokens)
