"""A file of JSON lines that is only appended to, each on disk before what it announces is done.

A line is written whole or is the torn last one, which is cut off when the file is opened again; lines that come at the
same time share one fsync. Checked by killing its writer at 50 instants in tests/test_collect_killed.py.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from .errors import BadInput


class Journal:
    """The journal at `path`; `entries` are those that it held when it was opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise BadInput(f"The journal {path} can't be written: {error.strerror}.") from error
        try:
            _lock(self._file, path)
            self.entries = self._read()
        except BaseException:
            os.close(self._file)
            raise
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    def _read(self) -> list[dict[str, Any]]:
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(self._file, len(whole))
        entries: list[dict[str, Any]] = []
        for number, line in enumerate(whole.splitlines(), 1):
            found: Any = None
            with suppress(ValueError):
                found = json.loads(line)
            if not isinstance(found, dict):
                raise BadInput(
                    f"{self.path}, line {number} is damaged.", hint="Its calls may be paid again if you delete it."
                )
            entries.append(cast("dict[str, Any]", found))
        return entries

    async def write(self, entry: dict[str, Any]) -> None:
        """Append an entry; when this returns, it is on disk. BadInput where it can't be written."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((json.dumps(entry, ensure_ascii=False).encode() + b"\n", future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._drain())
        await future

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            failed: BadInput | None = None
            try:
                await asyncio.to_thread(self._append, b"".join(line for line, _ in batch))
            except OSError as error:
                failed = BadInput(f"The journal {self.path} can't be written: {error.strerror}.")
            for _, future in batch:
                if not future.done() and failed:
                    future.set_exception(failed)
                elif not future.done():
                    future.set_result(None)
        self._writer = None

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file, and give up its lock."""
        os.close(self._file)


def _lock(file: int, path: Path) -> None:
    """One writer at a time; the lock ends with its process. Platforms without such locks go without."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise BadInput(f"Another process is collecting into {path}.", hint="Wait for it, or end it.") from error
