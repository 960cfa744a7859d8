"""Replies kept for requests that ask the same again: bounded, in this process's memory alone, never on a disk.

A reply is kept where the request asks for no variety (temperature 0, or a seed), under the hash of what was asked, the
fingerprint of the model that answers, and the virtual key: time and content of a hit tell that somebody asked the same
before, so keys share replies only where `shared` says so. What is kept is the reply itself, in no dialect's words.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any, Literal, cast

from ...core import Reply, Request, Usage
from ...errors import BadInput, nearest
from ...shape import leaves
from ..wire.asked import written_by
from ..wire.problem import dumped

Bypass = Literal["", "refresh", "off"]
_FRAME = 600  # bytes that an entry takes beside its data
_ENDED = ("stop", "tool_calls")
_NOTHING: tuple[Any, ...] = (None, [], {})


@dataclass(frozen=True)
class CacheSettings:
    """The [cache] table; without one nothing is kept.

    `size_mb` bounds the memory of each worker, `ttl` is seconds. `any_temperature` keeps replies also where the request
    leaves variety open, `shared` lets keys have each other's replies. `semantic` is the least cosine (by `encoder`) of
    two prompts that are taken for the same, 0 is off; such hits are given only while their share of false ones is
    known to be below `false_hits` (with probability 1 - `delta`, whenever looked at), and the share `verify` of them
    is asked anyway, to know it. `judge` is the model that says whether two answers agree; "" compares what they
    settle on.
    """

    exact: bool = True
    size_mb: float = 64.0
    ttl: float = 3600.0
    any_temperature: bool = False
    shared: bool = False
    semantic: float = 0.0
    encoder: str = "static"
    judge: str = ""
    false_hits: float = 0.02
    verify: float = 0.1
    delta: float = 0.05


_RANGES = {
    "size_mb": (0.0, 1e6),
    "ttl": (0.0, 1e9),
    "false_hits": (0.0, 0.5),
    "verify": (0.0, 1.0),
    "delta": (0.0, 0.5),
}


def settings_of(
    table: Any, where: str, encoders: Collection[str] = (), models: Collection[str] = ()
) -> CacheSettings | None:
    """The settings in a [cache] table, None where there is none; raises BadInput."""
    if table is None:
        return None
    given = cast("dict[str, Any]", table) if isinstance(table, dict) else {}
    kinds = {f.name: type(f.default) for f in fields(CacheSettings)}
    for name, value in given.items():
        at = f"{where}, [cache]: {name} is {value!r}."
        if name not in kinds:
            raise BadInput(f"{where}, [cache]: '{name}' is not known.", hint=nearest(name, kinds))
        kind = kinds[name]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind):
            raise BadInput(at, hint=f"Needed: {'true or false' if kind is bool else kind.__name__}.")
        low, high = _RANGES.get(name, (0.0, 1.0))
        if kind is float and not low < value <= high and not (name == "semantic" and value == 0):
            raise BadInput(at, hint=f"Needed: above {low:g}, at most {high:g}.")
    made = CacheSettings(**given)
    for name, value, known in (("encoder", made.encoder, ("static", *encoders)), ("judge", made.judge, ("", *models))):
        if value not in known:
            hint = f"Name one of [{name}s.NAME]; known: {', '.join(k for k in known if k) or 'none'}."
            raise BadInput(f"{where}, [cache]: there is no {name} '{value}'.", hint=hint.replace("judges", "models"))
    return made


@dataclass(frozen=True, slots=True)
class Entry:
    """A kept answer: its replies as JSON, the fingerprint of who answered, what it had cost, until when it holds, and
    what signals found of the request."""

    data: bytes
    mark: str
    cost: float | None
    at: float
    until: float
    trusts: tuple[tuple[str, float], ...] = ()


class Cache:
    """The most recently used entries that fit; times are monotonic seconds, so that no jump of the clock counts."""

    def __init__(self, settings: CacheSettings) -> None:
        self.settings = settings
        self.most = int(settings.size_mb * 2**20)
        self.rows: OrderedDict[bytes, Entry] = OrderedDict()
        self.size = self.hits = self.shared = self.misses = 0
        self.saved = 0.0
        self._marks: dict[int, tuple[Any, str]] = {}

    def get(self, key: bytes) -> Entry | None:
        """The entry, unless it is too old."""
        found = self.rows.get(key)
        if found is None:
            return None
        if found.until <= time.monotonic():
            self._drop(key)
            return None
        self.rows.move_to_end(key)
        return found

    def put(
        self, key: bytes, mark: str, replies: Sequence[Reply], trusts: Sequence[tuple[str, float]] = ()
    ) -> Entry | None:
        """Keep an answer that is whole and sound; None where it is not, or where it is too large."""
        if not replies or not all(sound(r) for r in replies):
            return None
        data = written(replies)
        if len(data) + _FRAME > self.most // 8:
            return None
        costs = [r.cost for r in replies]
        cost = None if None in costs else sum(c for c in costs if c is not None)
        now = time.monotonic()
        return self._keep(key, Entry(data, mark, cost, now, now + self.settings.ttl, tuple(trusts)))

    def _keep(self, key: bytes, entry: Entry) -> Entry:
        self._drop(key)
        self.rows[key] = entry
        self.size += len(entry.data) + _FRAME
        while self.size > self.most:
            self._drop(next(iter(self.rows)))
        return entry

    def adopt(self, before: Cache, marks: Set[str]) -> None:
        """Take over what models answered whose fingerprints are among `marks`, and the counts."""
        self.hits, self.shared, self.misses, self.saved = before.hits, before.shared, before.misses, before.saved
        if before.settings.shared != self.settings.shared:
            return
        for key, entry in before.rows.items():
            if entry.mark in marks:
                self._keep(key, replace(entry, until=min(entry.until, entry.at + self.settings.ttl)))

    def mark(self, model: Any) -> str:
        """The model's fingerprint."""
        found = self._marks.get(id(model))
        if found is None or found[0] is not model:
            if len(self._marks) > 1000:
                self._marks.clear()
            found = self._marks[id(model)] = (model, fingerprint(model))
        return found[1]

    def _drop(self, key: bytes) -> None:
        gone = self.rows.pop(key, None)
        if gone is not None:
            self.size -= len(gone.data) + _FRAME


def steady(request: Request, model: Any, n: int, settings: CacheSettings) -> bool:
    """Whether the request asks for no variety, so that the same answer may be given twice."""
    options = request.options
    if options.get("seed") is not None or settings.any_temperature:
        return True
    if n > 1:
        return False
    if "temperature" in options:
        return options["temperature"] == 0
    asked = [getattr(m, "defaults", None) or {} for m in leaves(model)]
    return bool(asked) and all(d.get("temperature") == 0 for d in asked)


def key_of(request: Request, model: Any, mark: str, owner: str) -> bytes:
    """What an answer is kept under; `owner` is the virtual key's id, or a word for all of them."""
    normal = normalised(request)
    # Where a technique decides, a thread and its last writer can decide too.
    told = (request.thread, request.answered_by) if hasattr(model, "answer") else ()
    return hashlib.sha256(f"{owner}\0{mark}\0{normal.key}\0{told}".encode()).digest()


def normalised(request: Request) -> Request:
    """The request without what says nothing: empty options, n = 1, a text wrapped as a list's only part."""
    options = {k: v for k, v in request.options.items() if v not in _NOTHING and (k, v) != ("n", 1)}
    return replace(request, options=options, messages=tuple(_plain(m) for m in request.messages))


def _plain(message: Mapping[str, Any]) -> Mapping[str, Any]:
    content: Any = message.get("content")
    made = {k: v for k, v in message.items() if v not in _NOTHING}
    if isinstance(content, list) and len(cast("list[Any]", content)) == 1:
        part: Any = content[0]
        if isinstance(part, dict) and set(cast("dict[str, Any]", part)) == {"type", "text"} and part["type"] == "text":
            made["content"] = part["text"]
    return made


def fingerprint(model: Any) -> str:
    """A hash of all that a model is made of: names, addresses, options, weights; secrets are not among it."""
    digest = hashlib.sha256()

    def take(thing: Any) -> None:
        digest.update(f"{type(thing).__qualname__}(".encode())
        if hasattr(thing, "tobytes") and hasattr(thing, "shape"):
            digest.update(f"{thing.dtype}{thing.shape}".encode() + thing.tobytes())
        elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
            for f in fields(thing):
                if f.repr or f.compare:
                    digest.update(f.name.encode())
                    take(getattr(thing, f.name))
        elif isinstance(thing, Mapping):
            for name in sorted(cast("Mapping[Any, Any]", thing), key=str):
                digest.update(str(name).encode())
                take(thing[name])
        elif isinstance(thing, (tuple, list)):
            for part in cast("Sequence[Any]", thing):
                take(part)
        elif isinstance(thing, (str, int, float, bytes, type(None))):
            digest.update(repr(thing).encode())
        elif isinstance(thing, (Path, Enum)):
            digest.update(str(thing).encode())
        else:  # nothing is known of its inside: it is itself alone
            digest.update(f"{getattr(thing, 'fingerprint', id(thing))}".encode())
        digest.update(b")")

    take(model)
    return digest.hexdigest()


def sound(reply: Reply) -> bool:
    """Whether a reply may be given again: complete, by its own end, and with no failed call behind it."""
    whole = reply.ok and reply.finish in _ENDED and (reply.text is not None or bool(reply.tool_calls))
    return whole and not any(leaf.error for leaf in reply.leaves())


_KEPT = ("text", "model", "tokens", "logprobs", "top_logprobs", "tool_calls", "finish", "score")


def written(replies: Sequence[Reply]) -> bytes:
    """Replies as JSON: what was said and by whom, without the asks that it took."""
    rows: list[dict[str, Any]] = []
    for reply in replies:
        row = {k: v for k in _KEPT if (v := getattr(reply, k)) not in (None, ())}
        usage = written_by(reply).usage
        if usage is not None:
            row["usage"] = asdict(usage)
        choices: Any = (reply.raw or {}).get("choices")
        if choices:
            row["raw"] = {"choices": choices[:1]}
        rows.append(row)
    return dumped(rows)


def read(entry: Entry) -> list[Reply]:
    """The replies of an entry, which now cost nothing."""
    age = time.monotonic() - entry.at
    because = f"answered {age:.0f} s ago"
    return [replace(_reply(row), cost=0.0, seconds=0.0, by="cache", because=because) for row in json.loads(entry.data)]


def _reply(row: dict[str, Any]) -> Reply:
    told: dict[str, Any] = {**row}
    for name in ("tokens", "logprobs", "top_logprobs", "tool_calls"):
        if name in told:
            told[name] = tuple(told[name])
    if "usage" in told:
        told["usage"] = Usage(**told["usage"])
    told.setdefault("text", None)
    return Reply(**told)


def bypass(wanted: Any, headers: Mapping[bytes, bytes]) -> Bypass:
    """How a request goes past the cache: "off" reads and keeps nothing, "refresh" asks anew and keeps that."""
    control = headers.get(b"cache-control", b"").lower()
    if wanted is False or b"no-store" in control:
        return "off"
    return "refresh" if wanted == "refresh" or b"no-cache" in control else ""
