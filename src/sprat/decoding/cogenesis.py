"""A large remote model and a small local one write together, and only the local one reads what is private.

Paper: arXiv 2403.03129. "sketch": the remote model outlines the public part, the local one writes it out. "logits": at
some places the remote model's likeliest tokens are mixed in. The authors' code sends the private text along and gives
absent tokens the best score; here neither. Checked by hand, and on the wire in tests/decoding/test_cogenesis_wire.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from ipaddress import ip_address
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import numpy as np

from ..core import Ask, Can, Reply, Request, Technique, ask, content_text
from ..errors import BadInput, CannotDo
from ..shape import Asks, exchanged, name_of, need
from ..whitebox.arrays import host, like, log_softmax
from ..whitebox.decoder import Decoder, Leaf, SameWeights
from ..whitebox.loop import Job, Written, plain
from ..whitebox.pool import Pool, Step
from ..whitebox.session import Integers, Session
from .cogenesis_gate import Gate, fitted
from .private import HIDDEN, Parted, parted
from .remote import LEAST_MASS, Remote, RemoteSession, remote

OUTLINE = (
    "Write a short outline, in numbered points, of an answer to the task below. What stands in brackets, such as "
    "[hidden 1], was withheld: keep it as it is, and do not guess.\n\nTask:\n{task}"
)
EXPAND = "{task}\n\nAn outline by a writer who did not see everything:\n{outline}\n\nWrite the whole answer:"
Hidden = str | tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Sketch(Technique):
    """The remote model outlines the public part; the local one writes with everything at hand."""

    large: Any
    local: Any
    outline: str = OUTLINE
    expand: str = EXPAND
    hidden: Hidden = HIDDEN
    strict: bool = False
    loopback: bool = False
    name: str = field(default="", kw_only=True)
    use = "sketch_privately"

    def __post_init__(self) -> None:
        check_local(self.local, self.loopback)

    def asks(self) -> list[Asks]:
        """The large model once, and the local one, which reads its outline too."""
        return [Asks(self.large, prompt=len(self.outline)), Asks(self.local, replies=1, prompt=len(self.expand))]

    async def answer(self, request: Request) -> Reply | Ask:
        """The local model's reply; BadInput where it is not clear what is private, and then nothing is sent."""
        if request.whole:
            raise CannotDo("cogenesis writes text alone; the request asks for tools, JSON or several choices.")
        parts = parted(request, self.hidden, self.strict)
        asked = parts.public.asking(_filled(self.outline, task=parts.public.text))
        said = await ask(self.large, asked, "outlines the public part")
        task = _filled(self.expand, task=parts.whole.text, outline=said.text or "")
        return ask(self.local, parts.whole.asking(task), "writes it out with what is private")


def check_local(local: Any, loopback: bool) -> None:
    """CannotDo where the model that reads what is private holds a server; with `loopback` one on this machine may."""
    for part in _inside(local, set()):
        where: Any = getattr(part, "url", None)
        if where is None and not hasattr(part, "post"):
            continue
        if loopback and isinstance(where, str) and _on_this_machine(where):
            continue
        raise CannotDo(
            f"The local part of cogenesis reads what is private, and '{name_of(part)}' in it is a server's model.",
            hint="Use weights of your own, such as sprat.local(...); loopback=True allows a server on this machine.",
        )


def _inside(thing: Any, seen: set[int]) -> Iterator[Any]:
    """The thing and all that it is made of."""
    if id(thing) in seen or isinstance(thing, (str, bytes, type)):
        return
    seen.add(id(thing))
    if isinstance(thing, Mapping):
        parts: list[Any] = list(cast("Mapping[Any, Any]", thing).values())
    elif isinstance(thing, (tuple, list, set, frozenset)):
        parts = list(cast("Sequence[Any]", thing))
    else:
        yield thing
        parts = [getattr(thing, f.name, None) for f in fields(thing)] if is_dataclass(thing) else []
        parts += getattr(thing, "paid", ()) if isinstance(thing, Decoder) else ()
    for part in parts:
        yield from _inside(part, seen)


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _filled(template: str, **given: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: given.get(found[1], found[0]), template)


@dataclass(frozen=True, repr=False)
class Whole(SameWeights):
    """A local leaf that reads the request without its marks."""

    model: Any

    def __post_init__(self) -> None:
        for name in ("name", "price", "max_tokens"):
            object.__setattr__(self, name, getattr(self.model, name))

    def opened(
        self, requests: Sequence[Request], told: Sequence[dict[str, Any]], begun: Sequence[int] | None = None
    ) -> Session:
        """The leaf's, over all that the requests say."""
        return self.model.opened([parted(request).whole for request in requests], told, begun)

    def prompt(self, request: Request) -> list[int]:
        """The ids of all that the request says."""
        return self.model.prompt(parted(request).whole)


@dataclass(frozen=True, repr=False)
class Public(Remote):
    """A remote leaf that reads the public part, is asked at the places that are due, and of the reply sees no private
    word; where it is not asked its scores are NaN."""

    hidden: Hidden = HIDDEN
    strict: bool = False
    schedule: tuple[int, int, int] = (5, 10, 3)

    def parted(self, request: Request) -> Parted:
        """The request's parts."""
        return parted(request, self.hidden, self.strict)

    def prompt(self, request: Request) -> list[int]:
        """The ids of the public part."""
        public = self.parted(request).public
        if self.by == "chat" and public.messages[-1]["role"] == "assistant":
            raise CannotDo("cogenesis can't go on with an assistant's message over a chat API.",
                           hint='Use by="completions", or end with the user\'s message.')  # fmt: skip
        return self.ids(public)

    def opened(
        self, requests: Sequence[Request], told: Sequence[dict[str, Any]], begun: Sequence[int] | None = None
    ) -> RemoteSession:
        """A session that looks at each text before it is sent."""
        return Guarded(self, requests, told, begun)


class Guarded(RemoteSession):
    """Asks with the public part and what was written, private words replaced; holds back while one may be beginning."""

    def __init__(
        self,
        leaf: Public,
        requests: Sequence[Request],
        told: Sequence[dict[str, Any]],
        begun: Sequence[int] | None = None,
    ) -> None:
        parts = [leaf.parted(request) for request in requests]
        lengths = [len(leaf.ids(p.public)) for p in parts]
        if begun is not None and list(begun) != lengths:
            raise BadInput("The prompts of a guarded session are not the public parts of its requests.")
        super().__init__(leaf, [p.public for p in parts], told, lengths)
        self.public, self.veils = leaf, [p.veil for p in parts]

    def place(self, row: int, length: int) -> tuple[int, ...] | None:
        """The public prompt and the veiled reply; None where the place is not due or the reply's end is not settled."""
        ids, vocabulary = self.rows[row], self.leaf.vocabulary
        begun = self.begun[row] if self.begun else 0
        if length < begun or not due(length - begun, self.public.schedule):
            return None
        last = self.requests[row].messages[-1]
        opening = content_text(last["content"]) if last["role"] == "assistant" else ""
        text = opening + vocabulary.decode(ids[begun:length])
        tally = self.told[row].setdefault("cogenesis", {"asked": 0, "held": 0})
        if not self.veils[row].settled(text):
            tally["held"] += 1
            return None
        tally["asked"] += 1
        shown = self.veils[row].over(text)
        if shown == text:
            return tuple(ids[:length])
        if opening:
            messages = (*self.requests[row].messages[:-1], {**last, "content": shown})
            return tuple(vocabulary.prompt(messages))
        return (*ids[:begun], *vocabulary.encode(shown))

    def scores(self, place: tuple[int, ...] | None) -> np.ndarray[Any, Any]:
        """As asked; NaN where it was not."""
        scores = super().scores(place)
        return np.full_like(scores, np.nan) if place is None else scores

    def select(self, rows: Integers | Sequence[int]) -> None:
        """Keep these rows."""
        super().select(rows)
        self.veils = [self.veils[int(row)] for row in rows]


def due(place: int, schedule: tuple[int, int, int]) -> bool:
    """Whether the remote model is asked for this token of the reply, from 0 on.

    (P, K, T): the first P tokens, then T of every K + T, beginning with token K + 1, as the authors' code has it.
    """
    first, rest, joint = schedule
    return place < first or (place - rest - 1) % (rest + joint) < joint


def floored(scores: np.ndarray[Any, Any], top: int) -> np.ndarray[Any, Any]:
    """Log-probabilities (..., vocabulary) of the `top` likeliest; each other token gets remote.floor_of's floor."""
    logprobs = log_softmax(scores.astype(np.float64))
    size = logprobs.shape[-1]
    if top >= size:
        return logprobs
    kept = np.partition(logprobs, size - top)[..., size - top :]
    least = kept.min(axis=-1, keepdims=True)
    left = np.maximum(1 - np.exp(kept).sum(axis=-1, keepdims=True), LEAST_MASS)
    return np.where(logprobs >= least, logprobs, np.minimum(np.log(left / (size - top)), least))


@dataclass(frozen=True, repr=False)
class CoGenesis(Decoder):
    """w local + (1 - w) large over each one's `top` likeliest tokens; w is `weight`, or what a fitted `gate` says."""

    large: Remote
    local: Any
    weight: float = 0.5
    gate: Gate | None = None
    top: int = 10
    schedule: tuple[int, int, int] = (5, 10, 3)
    hidden: Hidden = HIDDEN
    strict: bool = False
    loopback: bool = False
    name: str = field(default="", kw_only=True)
    use = "cogenesis"

    def __post_init__(self) -> None:
        need(self.local, Can.LOGITS, self.use)
        check_local(self.local, self.loopback)
        if not isinstance(self.large, Remote):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise CannotDo(f"'{name_of(self.large)}' is no remote model.", hint="Use sprat.remote, or sprat.mix.")
        first, rest, joint = self.schedule
        if not 0 <= self.weight <= 1 or self.top < 1 or min(first, rest) < 0 or joint < 0 or rest + joint < 1:
            raise BadInput(
                f"weight is {self.weight}, top {self.top}, schedule {self.schedule}.",
                hint="Needed: a weight in [0, 1], top >= 1, and three whole numbers, such as (5, 10, 3).",
            )

    @cached_property
    def parts(self) -> tuple[Decoder, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The local model, which reads everything, and the remote one, which does not."""
        near: Any = exchanged(self.local, lambda part: Whole(part) if isinstance(part, Leaf) else part)
        far = self.large
        ways = (far.top, far.by, far.sends, False, far.extra, far.context, far.max_tokens)
        public = (self.hidden, self.strict, self.schedule)
        return (near, Public(far.endpoint, far.shares, *ways, *public, name=far.name))

    @property
    def formula(self) -> str:
        """Such as `cogenesis(far-top10, small)`."""
        return f"{self.use}({self.large.formula}, {self.local.formula})"

    def scores(self, step: Step) -> Any:
        """The mixture where the remote model was asked, the local model's own scores elsewhere."""
        first, *others = [scores for _, scores in self.terms(step)]
        return first + others[0] if others else first

    def terms(self, step: Step) -> list[tuple[Decoder, Any]]:
        """Each part's share; 0 of the remote one where it was not asked."""
        near, far = self.parts
        own = step.of(near)
        if not any(due(int(place), self.schedule) for place in step.places):
            return [(near, own)]
        said = host(step.of(far))
        asked = ~np.isnan(said[..., :1])
        small, large = floored(host(own), self.top), floored(np.where(asked, said, 0), self.top)
        weight = self.gate(small, large) if self.gate else self.weight
        ours = np.where(asked, weight * small, log_softmax(host(own).astype(np.float64))).astype(np.float32)
        theirs = np.where(asked, (1 - weight) * large, 0).astype(np.float32)
        return [(near, like(ours, own)), (far, like(theirs, own))]

    def write(self, jobs: Sequence[Job]) -> Iterator[Written]:
        """Write as any decoder; `told` says how often the remote model was asked, and held back."""
        return plain(self, jobs)

    def fit(
        self,
        examples: Sequence[tuple[Request | str, str]],
        *,
        epochs: int = 20,
        rate: float = 1e-3,
        seed: int = 0,
        tell: Callable[[int, float], None] | None = None,
    ) -> CoGenesis:
        """With a gate fitted on (request, right reply) pairs; the remote model is asked at each place that is due.

        Raises BadInput where it never is.
        """
        near, far = self.parts
        found: list[tuple[Any, Any, Any]] = []
        for asked, reply in examples:
            ids = [*near.base.vocabulary.encode(reply), *sorted(near.base.vocabulary.ends)[:1]]
            pool = Pool([near, far], [Request.of(asked)])
            try:
                if len(ids) > 1:
                    pool.write(np.array([ids[:-1]]))
                step = pool.look(len(ids))
                own, said = host(step.of(near))[0], host(step.of(far))[0]
            finally:
                pool.close()
            kept = ~np.isnan(said[:, 0])
            if kept.any():
                found.append((floored(own[kept], self.top), floored(said[kept], self.top), np.array(ids)[kept]))
        if not found:
            raise BadInput("There is nothing to fit the gate on.", hint="Give examples whose replies have tokens.")
        small, large, labels = (np.concatenate(column) for column in zip(*found, strict=True))
        return replace(self, gate=fitted(small, large, labels, epochs=epochs, rate=rate, seed=seed, tell=tell))


def cogenesis(
    large: Any,
    local: Any,
    mode: Literal["sketch", "logits"] = "sketch",
    *,
    weight: float = 0.5,
    top: int = 10,
    schedule: tuple[int, int, int] = (5, 10, 3),
    outline: str = OUTLINE,
    expand: str = EXPAND,
    hidden: Hidden = HIDDEN,
    strict: bool = False,
    loopback: bool = False,
) -> Sketch | CoGenesis:
    """A remote model that reads the public part of a request beside a local one that reads all of it.

    What stands in `<private>...</private>` is private; in its place the remote model reads `hidden` ({n}: the span's
    number; or a word for each span), and so wherever a private word comes up again, in the reply too. `strict` also
    withholds common words and whatever shares four characters in a row. "sketch" needs text; "logits" a server with
    log-probabilities whose tokens the local model shares. `weight`, `top`, `schedule` (first, rest, joint) are for
    "logits", `outline` ({task}) and `expand` ({task}, {outline}) for "sketch". Raises CannotDo for parts that can't,
    and for a server in `local`, unless `loopback` says that one on this machine may read what is private.
    """
    if mode == "sketch":
        for template, words in ((outline, ("task",)), (expand, ("task", "outline"))):
            if missing := [w for w in words if f"{{{w}}}" not in template]:
                raise BadInput(f"A template has no {{{missing[0]}}}.", hint="Needed: {task}, and {outline} to expand.")
        return Sketch(large, local, outline, expand, hidden, strict, loopback)
    if mode != "logits":
        raise BadInput(f"There is no mode '{mode}'.", hint="Needed: sketch or logits.")
    need(local, Can.LOGITS, "cogenesis")
    if isinstance(large, Decoder) and not isinstance(large, Remote):
        raise CannotDo(f"'{name_of(large)}' is a local model: it may read everything.", hint="Use sprat.mix.")
    far = large if isinstance(large, Remote) else remote(large, local.base, top=top)
    return CoGenesis(far, local, weight, None, top, schedule, hidden, strict, loopback)
