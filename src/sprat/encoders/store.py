"""Rows of bytes kept on disk by content, for every cache: shared by processes, written whole or not at all, bounded.

A SQLite file; a key is SHA-256 over what made the row (an encoder's or a model's name) and the text, so no text is
stored, and what changed finds nothing. Over the limit, those rows go that were not used for longest. Checked with
concurrent writers and a full file (tests/encoders/test_cache.py, tests/similarity/test_token_cache.py).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sprat.errors import BadInput

_WAIT_SECONDS = 60.0
_VARIABLES = 500
_STALE_SECONDS = 3600
_TABLE = "CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, row BLOB NOT NULL, used INTEGER NOT NULL)"


def cache_folder() -> Path:
    """SPRAT_CACHE where set, else `sprat` in the platform's folder for caches."""
    if named := os.environ.get("SPRAT_CACHE"):
        return Path(named)
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "sprat"


def keys_of(maker: str, texts: Iterable[str]) -> list[bytes]:
    """The key of each text's row as `maker` makes it."""
    start = hashlib.sha256(f"{maker}\0".encode())
    keys: list[bytes] = []
    for text in texts:
        digest = start.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        keys.append(digest.digest())
    return keys


@dataclass(frozen=True)
class Store:
    """A file of rows; `what` names it in errors, `limit` is about the bytes that it may hold (None: no bound)."""

    path: Path
    what: str
    limit: int | None = None

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The rows that are there; BadInput where the file cannot be used."""
        now, known, stale = int(time.time()), dict[bytes, bytes](), list[tuple[int, bytes]]()
        with self._open() as db:
            for at in range(0, len(keys), _VARIABLES):
                part = keys[at : at + _VARIABLES]
                marks = ",".join("?" * len(part))
                for key, row, used in db.execute(f"SELECT key, row, used FROM kept WHERE key IN ({marks})", part):
                    known[key] = row
                    if now - used > _STALE_SECONDS:
                        stale.append((now, key))
            if stale and self.limit is not None:
                with db:
                    db.executemany("UPDATE kept SET used = ? WHERE key = ?", stale)
        return known

    def put(self, rows: Mapping[bytes, bytes]) -> None:
        """Keep rows, all or none of them; BadInput where the file cannot be used."""
        now = int(time.time())
        with self._open() as db, db:
            written = ((key, row, now) for key, row in rows.items())
            db.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", written)
            if self.limit is not None:
                _cut(db, self.limit)

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # One connection per call: nothing is shared between threads, or between a process and its fork.
            with closing(sqlite3.connect(self.path, timeout=_WAIT_SECONDS)) as db:
                db.execute("PRAGMA page_size = 16384")  # rows of token vectors are some tens of kilobytes
                db.execute(_TABLE)
                yield db
        except (sqlite3.Error, OSError) as broken:
            hint = "Remove the file, or set SPRAT_CACHE to a folder that can be written."
            raise BadInput(f"{self.what} {self.path} cannot be used: {broken}.", hint=hint) from broken


def _cut(db: sqlite3.Connection, limit: int) -> None:
    """Drop what was not used for longest, an eighth at a time; pages that become free are written again."""

    def held() -> int:
        pages = db.execute("SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count")
        return int(pages.fetchone()[0]) * int(db.execute("PRAGMA page_size").fetchone()[0])

    while held() > limit:
        drop = "DELETE FROM kept WHERE rowid IN (SELECT rowid FROM kept ORDER BY used, rowid LIMIT max(1, ?))"
        count = int(db.execute("SELECT count(*) FROM kept").fetchone()[0])
        if not count:
            return
        db.execute(drop, (count // 8,))
