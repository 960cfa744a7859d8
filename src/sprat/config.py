"""Models to TOML and back: leaf endpoints as [models.NAME], what is made of them as [way], arrays in one .npz beside.

`load(dump(model))` answers as the model does. Nothing is pickled; but a `use` that names a package imports it, so load
only files that you would run. Keys are never written. How values are written is in config_values.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import tomli_w

from .config_values import Reader, Writer, build
from .core import Endpoint, Model
from .errors import BadInput, nearest
from .registry import find, known

_TOP = ("models", "way", "parts", "arrays")
# what the gateway reads of the same file
BESIDE = ("gateway", "encoders", "certificate", "card", "promise", "budget", "cache", "otel")


@dataclass(frozen=True)
class Saved:
    """What a file holds: the model, its leaf endpoints by name, and every table that is not the model's."""

    model: Any
    models: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reader: Reader | None = field(default=None, repr=False, compare=False)

    def made(self, table: Any, where: str) -> Any:
        """The model that a table in `extra` says; BadInput as `load`."""
        assert self.reader is not None
        return self.reader.read(table, Any, where)


def dump(model: Any, path: Path | str, extra: Mapping[str, Any] | None = None) -> None:
    """Write a model, and other tables beside it; both files whole or not at all. BadInput for what can't be stored.

    Arrays in the other tables go into the same .npz, and come back as arrays; models in them are written as the model
    itself is, with what they share once (see `Saved.made`).
    """
    path = Path(path)
    extra = extra or {}
    for key in extra:
        if key in _TOP:
            raise BadInput(f"The table '{key}' belongs to the model.", hint="Give the extra table another name.")
    writer = Writer()
    writer.count((model, extra))
    table: dict[str, Any] = {"way": writer.write(model, Any, "way")}
    beside = {k: writer.extra(v, k) for k, v in extra.items()}  # these may share what the way itself does not hold
    if writer.models:
        table["models"] = writer.models
    if writer.parts:
        table["parts"] = writer.parts
    table |= beside
    if writer.arrays:
        arrays = path.with_name(f"{path.stem}.npz")
        held = BytesIO()
        np.savez_compressed(held, **writer.arrays)
        table["arrays"] = {"file": arrays.name, "sha256": hashlib.sha256(held.getvalue()).hexdigest()}
        write_whole(arrays, held.getvalue())
    write_whole(path, tomli_w.dumps(table).encode())


def load(path: Path | str) -> Any:
    """The model in a file that `dump` or a person wrote; BadInput says what is wrong and where."""
    return read(path).model


def read(path: Path | str, home: Path | None = None) -> Saved:
    """Everything in such a file: the model, its endpoints, and the other tables; BadInput as `load`.

    `home` is the folder that the file's relative paths start from, where that is not its own.
    """
    path = Path(path)
    table, lines = _toml(path)
    for key, value in table.items():
        close = nearest(key, (*_TOP, *BESIDE)) if key not in (*_TOP, *BESIDE) else ""
        if close.startswith("Did") or (key not in _TOP and not isinstance(value, dict)):
            raise BadInput(f"{path}: '{key}' is not known.", hint=close)
    if "way" not in table:
        raise BadInput(f"{path} has no [way].", hint='It says how to answer: use = "cascade", models = [...].')
    found = _Models(path, table, lines, home)
    models = dict(found)
    reader = Reader(str(path), models, found.shared, found.arrays)
    model = reader.read(table["way"], Any, "way")
    return Saved(model, models, {k: reader.extra(v, k) for k, v in table.items() if k not in _TOP}, reader)


def load_models(path: Path | str) -> dict[str, Endpoint]:
    """The endpoints of a file of [models.NAME] tables, by name; BadInput says what is wrong and where."""
    path = Path(path)
    table, lines = _toml(path)
    if not isinstance(table.get("models"), dict) or not table["models"]:
        raise BadInput(f"{path} names no models.", hint="Write [models.NAME] with url and model below it.")
    for key, value in table.items():
        if key not in _TOP and not isinstance(value, dict):
            raise BadInput(f"{path}: '{key}' is not known.", hint=nearest(key, _TOP))
    return dict(_Models(path, table, lines))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, on disk before it is named; BadInput where it can't be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    except OSError as error:
        raise BadInput(f"{path} can't be written: {error.strerror}.") from error
    partial = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        partial.replace(path)
    except OSError as error:
        raise BadInput(f"{path} can't be written: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _toml(path: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text), text.splitlines()
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}.", hint="Give the path of a TOML file.") from error
    except ValueError as error:
        raise BadInput(f"{path} is not TOML: {error}.") from error


def _arrays(path: Path, table: Any) -> Mapping[str, Any]:
    if table is None:
        return {}
    named = cast("dict[str, Any]", table) if isinstance(table, dict) else {}
    beside = path.with_name(Path(str(named.get("file", ""))).name)
    try:
        data = beside.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{path} needs {beside.name} beside it: {error.strerror}.", hint="Move both together."
        ) from error
    if hashlib.sha256(data).hexdigest() != named.get("sha256"):
        raise BadInput(f"{beside} is not the file that {path.name} was written with.", hint="Write the model again.")
    with np.load(BytesIO(data), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


class _Models(Mapping[str, Any]):
    """The models of a file by name, each made when it is first named: a decoder's parts may be other models there."""

    def __init__(self, path: Path, table: Mapping[str, Any], lines: list[str], home: Path | None = None) -> None:
        tables: Any = table.get("models", {})
        self.path, self.lines = path, lines
        self.home = (home or path.parent).absolute()
        self.tables = cast("dict[str, Any]", tables if isinstance(tables, dict) else {})
        self.shared, self.arrays = table.get("parts", {}), _arrays(path, table.get("arrays"))
        self.made: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)

    def __contains__(self, name: object) -> bool:
        return name in self.tables

    def __getitem__(self, name: str) -> Any:
        where = f"{self.path}, [models.{name}]"
        if name not in self.made:
            self.made[name] = None
            self.made[name] = self._make(name, self.tables[name], where)
        if self.made[name] is None:
            raise BadInput(f"{where} is part of itself.")
        return self.made[name]

    def _make(self, name: str, table: Any, where: str) -> Any:
        if not isinstance(table, dict):
            raise BadInput(f"{where} is not a table.", hint="Write [models.NAME] with url and model below it.")
        entry = {"use": "openai", **cast("dict[str, Any]", table)}
        kind = find(str(entry.pop("use")), where)
        if isinstance(entry.get("key_file"), str):
            entry["key_file"] = str(self.home / Path(entry["key_file"]).expanduser())
        given = Reader(where, self, self.shared, self.arrays)
        known = getattr(kind, "__dataclass_fields__", {})
        place = {"where": f"{self.path.name}, line {_line(self.lines, name)}"} if "where" in known else {}
        if "name" not in known or not hasattr(kind, "answer_many"):
            raise BadInput(f"{where}: '{table.get('use')}' is no endpoint.", hint="Techniques belong under [way].")  # pyright: ignore[reportUnknownMemberType]
        return build(given, kind, {"name": name, **entry}, where, place)


def _line(lines: list[str], name: str) -> int:
    """The line of the model's url, or of its header."""
    header = re.compile(rf"""\s*\[\s*models\s*\.\s*["']?{re.escape(name)}["']?\s*\]""")
    start = next((i for i, line in enumerate(lines) if header.match(line)), 0)
    for i in range(start + 1, len(lines)):
        if lines[i].lstrip().startswith("["):
            break
        if re.match(r"\s*url\s*=", lines[i]):
            return i + 1
    return start + 1


def _answers(entry: dict[str, Any]) -> Any:
    """What of a model's table shapes its answers: of an endpoint its kind, of a decoder how it combines its parts."""
    kind = known().get(str(entry.get("use", "openai")))
    return entry.get("use") if not isinstance(kind, type) or issubclass(kind, Endpoint) else entry


def model_of(name: str, key_env: str | None = None) -> Model:
    """What a command line names: PATH.toml, PATH.toml#model, tiny:NAME, a folder, or URL#model; BadInput otherwise."""
    if name.startswith("tiny:") or name.endswith(".safetensors") or Path(name).is_dir():
        from .endpoints import local, seq2seq
        from .endpoints.seq2seq import is_seq2seq

        return seq2seq(name) if is_seq2seq(name) else local(name)
    if name.startswith(("http://", "https://")):
        from .endpoints import openai

        url, mark, model = name.partition("#")
        if not mark or not model:
            raise BadInput(f"{name} names no model.", hint="Write URL#model, such as http://localhost:8000/v1#qwen.")
        return openai(model, url, model, key_env=key_env)
    path, mark, named = name.partition("#")
    if path.endswith(".toml"):
        return _named(load_models(path), path, named) if mark else load(path)
    raise BadInput(f"'{name}' names no model.", hint="Give PATH.toml, tiny:mackerel, a folder, or URL#model.")


def _named(models: Mapping[str, Any], path: str, name: str) -> Any:
    if name not in models:
        raise BadInput(f"{path} has no model '{name}'.", hint=nearest(name, models))
    return models[name]


def fingerprint(path: Path | str) -> str:
    """A sha256 over what answers in a file: way, parts, arrays, and the models: an endpoint's kind, a decoder whole.

    Where the file has settings that a promise covers, their ways too.
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} can't be read as TOML: {error}.") from error
    kinds = {name: _answers(entry) for name, entry in table.get("models", {}).items()}
    answering = [table.get("way"), table.get("parts"), table.get("arrays"), kinds]
    if settings := table.get("promise", {}).get("settings"):
        answering.append([[s.get(part) for part in ("name", "way", "certified")] for s in settings])
    return hashlib.sha256(json.dumps(answering, sort_keys=True, default=str).encode()).hexdigest()
