"""How fast each key asks: token buckets for its calls and its tokens, of one process or of several on one machine.

Checked against hand-driven clocks in tests/gateway/test_keys.py, and between processes in tests/gateway/test_rates.py.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from .limits import Bucket

Kind = Literal["rate", "tokens"]
_ROW = struct.Struct("=16sddd")  # whose bucket it is, its amount per minute, its level, when that was so
_ROWS, _STEPS = 1 << 15, 64
_NOBODY = bytes(16)


class Rates:
    """The buckets of one process."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, Kind], Bucket] = {}
        self._lock = threading.Lock()

    def refusal(
        self, key: str, calls: int | None, tokens: int | None, amount: int, now: float
    ) -> tuple[Kind, float] | None:
        """Take a call and an amount of tokens; else which of them may not be taken yet, and for how many seconds.

        `calls` and `tokens` are the key's rates per minute, None without one; `now` is monotonic seconds.
        """
        found: list[tuple[Kind, Bucket, int]] = []
        with self._held():
            if calls is not None:
                found.append(("rate", self._bucket(key, "rate", calls, now), 1))
            if tokens is not None:
                found.append(("tokens", self._bucket(key, "tokens", tokens, now), amount))
            for kind, bucket, n in found:
                if wait := bucket.wait(n, now):
                    return kind, wait
            for kind, bucket, n in found:
                bucket.take(n)
                self._keep(key, kind, bucket)
        return None

    def correct(self, key: str, more: int) -> None:
        """Take tokens that were not foreseen, or give back (below 0) what was not needed."""
        if self._known(key) is None:
            return
        with self._held():
            bucket = self._known(key)
            if bucket is not None:
                bucket.take(more)
                self._keep(key, "tokens", bucket)

    @contextmanager
    def _held(self) -> Generator[None]:
        with self._lock:
            yield

    def _bucket(self, key: str, kind: Kind, rate: int, now: float) -> Bucket:
        found = self._buckets.get((key, kind))
        if found is None or found.per_minute != rate:
            found = self._buckets[key, kind] = Bucket(rate, now)
        return found

    def _known(self, key: str) -> Bucket | None:
        return self._buckets.get((key, "tokens"))

    def _keep(self, key: str, kind: Kind, bucket: Bucket) -> None:
        pass  # it is the very one


class SharedRates(Rates):
    """The buckets of all workers, in a file that they map into memory: a key's rate holds for them together.

    Their clock is the machine's monotonic one, which its processes read alike. The lock is the kernel's, so it ends
    with a worker that is killed. Where the table is full (of some 30,000 keys) a new key has buckets in each worker.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._file = os.open(folder / "rates", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, _ROWS * _ROW.size)
        self._rows = mmap.mmap(self._file, _ROWS * _ROW.size)

    @contextmanager
    def _held(self) -> Generator[None]:
        import fcntl  # there are no workers where it is not there

        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _bucket(self, key: str, kind: Kind, rate: int, now: float) -> Bucket:
        _, at = self._place(key, kind)
        if at is None:
            return super()._bucket(key, kind, rate, now)
        found = self._read(at)
        return found if found is not None and found.per_minute == rate else Bucket(rate, now)

    def _known(self, key: str) -> Bucket | None:
        _, at = self._place(key, "tokens")
        return super()._known(key) if at is None else self._read(at)

    def _keep(self, key: str, kind: Kind, bucket: Bucket) -> None:
        name, at = self._place(key, kind)
        if at is not None:
            _ROW.pack_into(self._rows, at, name, bucket.per_minute, bucket.level, bucket.at)

    def _read(self, at: int) -> Bucket | None:
        name, rate, level, since = _ROW.unpack_from(self._rows, at)
        if name == _NOBODY:
            return None
        made = Bucket(rate, since)
        made.level = level
        return made

    def _place(self, key: str, kind: Kind) -> tuple[bytes, int | None]:
        """The bucket's name and where its row is, or may be; None where there is no room."""
        name = hashlib.blake2b(f"{kind} {key}".encode(), digest_size=16).digest()
        first = int.from_bytes(name[:4], "big")
        for step in range(_STEPS):
            at = (first + step) % _ROWS * _ROW.size
            if self._rows[at : at + 16] in (name, _NOBODY):
                return name, at
        return name, None
