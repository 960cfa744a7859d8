"""Remembers which data were studied, so that a certificate can count the earlier studies of the same rows.

One line per study in the cache folder: the data's hash and the date, nothing of the data themselves.
"""

from __future__ import annotations

import json
import os
from pathlib import Path


def folder() -> Path:
    """Where sprat keeps what may be deleted: SPRAT_CACHE, else the user's cache folder."""
    given = os.environ.get("SPRAT_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sprat"


def earlier(data_hash: str) -> int:
    """How many studies of these very data are on record here."""
    try:
        lines = (folder() / "studies.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(f'"{data_hash}"' in line for line in lines)


def remember(data_hash: str, date: str, command: str) -> None:
    """Add one study to the record; where the folder can't be written, nothing is kept."""
    line = json.dumps({"data": data_hash, "date": date, "command": command}) + "\n"
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with open(folder() / "studies.jsonl", "a", encoding="utf-8") as file:
            file.write(line)
    except OSError:
        return
