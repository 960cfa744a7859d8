"""The file that was last taken over, kept where workers share things: for one that starts while the file is broken.

It is kept with its arrays and its certificate in a folder named by its digest, and a pointer says which one it is; so a
worker reads all of one file. What a newer file can't be loaded for is told by the log (see reload.py).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import tomllib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..config import write_whole
from .served import Served, digest, load

_POINTER = "last_good"


def keep(served: Served, folder: Path | None) -> None:
    """Keep what is served now; nothing where it did not come from a file, or the file has changed since."""
    path = served.path
    if folder is None or path is None or _pointed(folder) == served.digest:
        return
    with suppress(OSError, ValueError):  # without a copy the file of the start stands in
        part = Path(tempfile.mkdtemp(dir=folder))
        for name in (path.name, *_beside(path)):
            with suppress(FileNotFoundError):
                shutil.copyfile(path.with_name(name), part / name)
        if digest(part / path.name) != served.digest:
            shutil.rmtree(part)
            return
        os.utime(part / path.name, (served.read_at, served.read_at))
        with suppress(OSError):  # another worker was quicker
            part.rename(folder / f"{_POINTER}-{served.digest}")
        shutil.rmtree(part, ignore_errors=True)
        before = _pointed(folder)
        write_whole(folder / _POINTER, served.digest.encode())
        if before and before != served.digest:
            shutil.rmtree(folder / f"{_POINTER}-{before}", ignore_errors=True)


def kept(served: Served, folder: Path | None) -> Served:
    """What was kept in place of `served`, which a worker began with; that itself where nothing was. Raises BadInput."""
    found = _pointed(folder) if folder is not None else ""
    if folder is None or served.path is None or found in ("", served.digest):
        return served
    copy = folder / f"{_POINTER}-{found}" / served.path.name
    return replace(load(copy, served.path.parent), path=served.path, read_at=copy.stat().st_mtime)


def _pointed(folder: Path) -> str:
    with suppress(OSError):
        return (folder / _POINTER).read_text()
    return ""


def _beside(path: Path) -> set[str]:
    """The names of the files that belong to a file of a way of working."""
    arrays = tomllib.loads(path.read_text(encoding="utf-8")).get("arrays", {}).get("file", "")
    return {f"{path.stem}.npz", "certificate.json", *([Path(str(arrays)).name] if arrays else [])}
