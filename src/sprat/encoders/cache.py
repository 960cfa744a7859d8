"""One cache on disk for the rows of all encoders: keyed by content, shared by processes, written whole or not at all.

An SQLite file; the key is SHA-256 over encoder name, row type and text, so no text is stored. Checked with concurrent
writers.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sprat.encoders.protocol import Encoder, Rows, check_texts
from sprat.errors import BadInput

_WAIT_SECONDS = 60.0
_VARIABLES = 500


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


@contextmanager
def _open(path: Path) -> Generator[sqlite3.Connection]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # One connection per call: nothing is shared between threads, or between a process and its fork.
        with closing(sqlite3.connect(path, timeout=_WAIT_SECONDS)) as db:
            db.execute("CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID")
            yield db
    except (sqlite3.Error, OSError) as broken:
        hint = "Remove the file, or set SPRAT_CACHE to a folder that can be written."
        raise BadInput(f"The encoder cache {path} cannot be used: {broken}.", hint=hint) from broken


@dataclass(frozen=True)
class CachedEncoder:
    """An encoder that looks up what it has encoded before; with `half`, rows are kept as float16 (and rounded so)."""

    encoder: Encoder
    path: Path
    half: bool = False

    @property
    def name(self) -> str:
        """The encoder's own name, marked where rows are rounded."""
        return f"{self.encoder.name}-half" if self.half else self.encoder.name

    @property
    def dim(self) -> int:
        """Length of a row."""
        return self.encoder.dim

    def encode(self, texts: Sequence[str]) -> Rows:
        """Rows (n, dim), float32, the same bits on a hit as on the miss; BadInput where the file cannot be used."""
        found = check_texts(texts)
        dim, kind = self.dim, np.dtype("<f2" if self.half else "<f4")
        start = hashlib.sha256(f"{self.name}\0{kind.str}\0{dim}\0".encode())
        keys: list[bytes] = []
        for text in found:
            digest = start.copy()
            digest.update(text.encode("utf-8", "surrogatepass"))
            keys.append(digest.digest())
        known: dict[bytes, bytes] = {}
        wanted = list(dict.fromkeys(keys))
        with _open(self.path) as db:
            for at in range(0, len(wanted), _VARIABLES):
                part = wanted[at : at + _VARIABLES]
                marks = ",".join("?" * len(part))
                known.update(db.execute(f"SELECT key, row FROM rows WHERE key IN ({marks})", part))
        # A row of another length was not written by this class: it counts as absent.
        known = {k: row for k, row in known.items() if len(row) == dim * kind.itemsize}
        missing = {k: text for k, text in zip(keys, found, strict=True) if k not in known}
        if missing:
            fresh = self.encoder.encode(list(missing.values())).astype(kind)
            new = {k: row.tobytes() for k, row in zip(missing, fresh, strict=True)}
            with _open(self.path) as db, db:
                db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", new.items())
            known |= new
        rows = np.frombuffer(b"".join(known[k] for k in keys), kind).reshape(len(found), dim)
        return rows.astype(np.float32)


def cached(encoder: Encoder, path: Path | None = None, *, half: bool = False) -> CachedEncoder:
    """Wraps an encoder; rows go to `path`, or to `encoders.sqlite` in the cache folder. Pays for slow encoders only."""
    return CachedEncoder(encoder, path or cache_folder() / "encoders.sqlite", half)
