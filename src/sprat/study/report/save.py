"""Writes a study's folder: index.html, study.json, certificate.json and the charts, each whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import Any, cast

from ...errors import BadInput
from ..certificate import to_json
from ..result import Result
from .charts import drawings
from .page import page

CHARTS = ("promise", "frontier", "reliability", "weak")


def save(result: Result, folder: str | Path, beside: Mapping[str, bytes] | None = None) -> Path:
    """Write everything that can be drawn from a result, and the files `beside` it, and return the folder's path.

    All of it is written beside the folder first and moved in at the end, so an interruption leaves the old study or
    the new one; other files in the folder stay. Raises BadInput where the folder cannot be written, MissingExtra
    without the study extra.
    """
    folder = Path(folder)
    made = contents(result, f"{folder.name}/")
    made |= beside or {}
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
        try:
            (fresh / "charts").mkdir()
            for name, what in made.items():
                (fresh / name).write_bytes(what)
            with _uninterrupted():
                (folder / "charts").mkdir(parents=True, exist_ok=True)
                for name in made:
                    os.replace(fresh / name, folder / name)
                for name in _stale(made):
                    (folder / name).unlink(missing_ok=True)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadInput(f"{folder} can't be written: {reason}.", hint="Give another folder with --out.") from error
    return folder


def contents(result: Result, folder: str = "study/") -> dict[str, bytes]:
    """Every file's bytes by its path in the folder; the page comes last."""
    drawn = drawings(result)
    files: dict[str, bytes] = {}
    for name, drawing in drawn.items():
        files[f"charts/{name}.svg"] = drawing.svg.encode()
        files[f"charts/{name}.png"] = drawing.png
    files["certificate.json"] = to_json(result.certificate).encode()
    files["study.json"] = as_json(result).encode()
    files["index.html"] = page(result, drawn, folder).encode()
    return files


def as_json(result: Result) -> str:
    """The result as JSON that every reader takes: what is not a number is null."""
    return json.dumps(_plain(result.to_dict()), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in cast("list[Any]", value)]
    return value.item() if hasattr(value, "item") else value


def _stale(made: dict[str, bytes]) -> Iterator[str]:
    """Charts and arrays of an earlier study that this one does not have."""
    names = [f"charts/{name}.{kind}" for name in CHARTS for kind in ("svg", "png")]
    arrays = ["serve.npz"] if "serve.toml" in made else []
    return (name for name in (*names, *arrays) if name not in made)


@contextmanager
def _uninterrupted() -> Generator[None]:
    """Hold Ctrl-C back for the moment that the files are moved, and let it through after."""
    held: list[int] = []
    old: Any = None
    with suppress(ValueError):  # not in the main thread: Ctrl-C does not come here
        old = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        if old is not None:
            signal.signal(signal.SIGINT, old)
    if held:
        raise KeyboardInterrupt
