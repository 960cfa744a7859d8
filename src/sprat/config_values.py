"""How a value is written in TOML: what TOML lacks becomes a table with one telling key.

    {use = "logprob"}        a dataclass, by its word or dotted path      {array = "..."}     an array in the .npz
    {part = "logprob"}       one that is shared, from [parts]              {function = "m:f"}  a module's function
    {none = true}  {text = "..."}  {model = "..."}  {path = "..."}  {pairs = [[k, v]]}  {set = [...]}

Where a field takes no text, a bare string is a model's name. Checked by round trips in tests/test_config.py.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any, Literal, cast

import numpy as np

from .core import Can, Endpoint
from .errors import BadInput, nearest
from .registry import at_path, find, path_of, word_of
from .replay import Recorded
from .shape import name_of

# The type of what a mapping or a set holds: any, with text as it is; so a model is named by {model = "..."} there.
FREE: Any = object()
_TELLING = frozenset({"none", "text", "model", "path", "pairs", "set", "array", "function", "part"})


def hints(kind: type) -> dict[str, Any]:
    """Each field's type; one that can't be resolved is left out."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(kind):
        owner = next((c for c in kind.__mro__ if f.name in vars(c).get("__annotations__", {})), kind)
        with suppress(NameError, AttributeError, TypeError, SyntaxError):
            one = SimpleNamespace(__annotations__={f.name: f.type})
            found |= typing.get_type_hints(one, vars(sys.modules[owner.__module__]))
    return found


def _takes(hint: Any, kind: type) -> bool:
    if typing.get_origin(hint) is Literal:
        return any(isinstance(a, kind) for a in typing.get_args(hint))
    if len(_options(hint)) > 1:
        return any(_takes(a, kind) for a in _options(hint))
    return hint is kind or (hint is FREE and kind is str)


def _item(hint: Any, i: int) -> Any:
    """The type of a tuple's or list's item."""
    if hint is FREE:
        return FREE
    for option in _options(hint):
        args = typing.get_args(option)
        if typing.get_origin(option) is tuple and args:
            return args[0] if args[-1] is ... else args[min(i, len(args) - 1)]
        if typing.get_origin(option) is list and args:
            return args[0]
    return Any


def _kind(hint: Any) -> type | None:
    """The one dataclass that a field takes, if it is one."""
    kinds = [o for o in _options(hint) if isinstance(o, type) and dataclasses.is_dataclass(o)]
    return kinds[0] if len(kinds) == 1 else None


def _is_named(thing: Any) -> bool:
    """Whether it is written among the models: an endpoint, or a decoder with a name of its own."""
    return isinstance(thing, Endpoint) or (hasattr(thing, "answer_many") and bool(getattr(thing, "name", "")))


def _stored(f: dataclasses.Field[Any]) -> bool:
    return f.init and f.metadata.get("stored", True)


def _is_default(f: dataclasses.Field[Any], value: Any) -> bool:
    if f.default is not dataclasses.MISSING:
        return _same(value, f.default)
    return f.default_factory is not dataclasses.MISSING and _same(value, f.default_factory())


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return False
    if dataclasses.is_dataclass(a) and not isinstance(a, type):
        return type(a) is type(b) and all(_same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return a is b or (type(a) is type(b) and bool(a == b))


class Writer:
    """Turns a model into tables; what it met on the way is in `models`, `parts` and `arrays`."""

    def __init__(self) -> None:
        self.models: dict[str, Any] = {}
        self.parts: dict[str, Any] = {}
        self.arrays: dict[str, Any] = {}
        self._seen: dict[int, int] = {}
        self._leaves: dict[str, Any] = {}
        self._names: dict[int, str] = {}

    def count(self, thing: Any) -> None:
        """Count how often each object occurs, so that what is shared is written once."""
        if isinstance(thing, Mapping):
            for value in cast("Mapping[Any, Any]", thing).values():
                self.count(value)
        elif isinstance(thing, (tuple, list)):
            for value in cast("list[Any]", thing):
                self.count(value)
        elif dataclasses.is_dataclass(thing) and not isinstance(thing, (type, Endpoint)) and not _is_named(thing):
            self._seen[id(thing)] = self._seen.get(id(thing), 0) + 1
            if self._seen[id(thing)] == 1:
                for f in dataclasses.fields(thing):
                    self.count(getattr(thing, f.name))

    def write(self, value: Any, hint: Any, where: str) -> Any:
        """The value as TOML has it."""
        if _is_named(value):
            name = self._leaf(value)
            return {"model": name} if _takes(hint, str) else name
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if value is None:
            return {"none": True}
        if isinstance(value, (np.generic, Enum)):
            return self.write(value.item() if isinstance(value, np.generic) else value.value, hint, where)
        if isinstance(value, str):
            return value if _takes(hint, str) else {"text": value}
        if isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, Path):
            return str(value) if _takes(hint, Path) else {"path": str(value)}
        if isinstance(value, FunctionType):
            return {"function": path_of(value)}
        if isinstance(value, Mapping):
            return self._mapping(cast("Mapping[Any, Any]", value), where)
        if isinstance(value, (tuple, list)):
            items = cast("list[Any]", value)
            return [self.write(v, _item(hint, i), f"{where}.{i}") for i, v in enumerate(items)]
        if isinstance(value, (set, frozenset)):
            members = cast("set[Any]", value)
            return {"set": [self.write(v, FREE, where) for v in sorted(members, key=repr)]}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._dataclass(value, hint, where)
        raise BadInput(
            f"{where} holds a {type(value).__name__}, which can't be stored.", hint="Store numbers or arrays."
        )

    def extra(self, value: Any, where: str) -> Any:
        """A value of an extra table: arrays go beside, models are written as such, what is None is left out."""
        if isinstance(value, Mapping):
            entries = cast("Mapping[Any, Any]", value)
            return {str(k): self.extra(v, f"{where}.{k}") for k, v in entries.items() if v is not None}
        if isinstance(value, (list, tuple)):
            kept = [v for v in cast("list[Any]", value) if v is not None]
            return [self.extra(v, f"{where}.{i}") for i, v in enumerate(kept)]
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, np.generic):
            return value.item()
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self.write(value, FREE, where)
        return str(value) if isinstance(value, Path) else value

    def _array(self, value: np.ndarray[Any, Any], where: str) -> dict[str, str]:
        if value.dtype.hasobject:
            raise BadInput(f"{where} is an array of Python objects, which can't be stored.", hint="Store numbers.")
        name = self._names.setdefault(id(value), where)
        self.arrays[name] = value
        return {"array": name}

    def _mapping(self, value: Mapping[Any, Any], where: str) -> Any:
        telling = len(value) == 1 and next(iter(value)) in _TELLING
        if all(isinstance(k, str) for k in value) and "use" not in value and not telling:
            return {k: self.write(v, FREE, f"{where}.{k}") for k, v in value.items()}
        return {"pairs": [[self.write(k, FREE, where), self.write(v, FREE, f"{where}.{k}")] for k, v in value.items()]}

    def _dataclass(self, value: Any, hint: Any, where: str) -> Any:
        if _kind(hint) is type(value):
            return self._fields(value, where)
        if self._seen.get(id(value), 0) < 2:
            return {"use": word_of(type(value)), **self._fields(value, where)}
        if id(value) not in self._names:
            word = word_of(type(value)).rpartition(":")[2].lower()
            name = next(
                n for i in range(len(self.parts) + 1) if (n := f"{word}-{i + 1}" if i else word) not in self.parts
            )
            self._names[id(value)] = name
            self.parts[name] = {}
            self.parts[name] = {"use": word_of(type(value)), **self._fields(value, f"parts.{name}")}
        return {"part": self._names[id(value)]}

    def _fields(self, value: Any, where: str) -> dict[str, Any]:
        known = hints(type(value))
        kept = [f for f in dataclasses.fields(value) if _stored(f) and not _is_default(f, getattr(value, f.name))]
        return {f.name: self.write(getattr(value, f.name), known.get(f.name, Any), f"{where}.{f.name}") for f in kept}

    def _leaf(self, endpoint: Any) -> str:
        name = name_of(endpoint)
        if name in self._leaves:
            if self._leaves[name] is not endpoint and not _same(self._leaves[name], endpoint):
                raise BadInput(f"Two different models are called '{name}'.", hint="Give each a name of its own.")
            return name
        self._leaves[name] = endpoint
        if isinstance(endpoint, Recorded):  # known by its calls alone: where it is to be asked is for the reader to say
            gives = {"logprobs": True} if endpoint.recording and endpoint.can >= Can.LOGPROBS else {}
            self.models[name] = {"url": "", "model": name, "key_env": "", **gives}
            return name
        word = word_of(type(endpoint))
        written = {k: v for k, v in self._fields(endpoint, f"models.{name}").items() if k != "name"}
        first = {"url": ""} if word == "openai" else {"use": word}
        self.models[name] = {**first, **written}
        return name


@dataclasses.dataclass
class Reader:
    """Turns tables into values; `models` are those that a string may name."""

    where: str
    models: Mapping[str, Any]
    parts: Mapping[str, Any]
    arrays: Mapping[str, Any]
    made: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])

    def read(self, value: Any, hint: Any, at: str) -> Any:
        """The value that a piece of TOML says."""
        if isinstance(value, dict):
            return self._table(cast("dict[str, Any]", value), hint, at)
        if isinstance(value, list):
            items = [self.read(v, _item(hint, i), f"{at}.{i}") for i, v in enumerate(cast("list[Any]", value))]
            return items if typing.get_origin(hint) is list else tuple(items)
        if isinstance(value, str):
            if _takes(hint, Path):
                return Path(value)
            return value if _takes(hint, str) or _is_plain(hint) else self._model(value, at)
        return float(value) if type(value) is int and _takes(hint, float) and not _takes(hint, int) else value

    def extra(self, value: Any, at: str) -> Any:
        """What `Writer.extra` wrote."""
        if isinstance(value, dict):
            entries = cast("dict[str, Any]", value)
            if len(entries) == 1 and "array" in entries:
                return self._held(self.arrays, str(entries["array"]), "array", at)
            return {k: self.extra(v, f"{at}.{k}") for k, v in entries.items()}
        if isinstance(value, list):
            return [self.extra(v, f"{at}.{i}") for i, v in enumerate(cast("list[Any]", value))]
        return value

    def _model(self, name: str, at: str) -> Any:
        if name not in self.models:
            raise BadInput(f"{self.where}, {at}: there is no model '{name}'.", hint=nearest(name, self.models))
        return self.models[name]

    def _table(self, value: dict[str, Any], hint: Any, at: str) -> Any:
        if len(value) == 1 and (key := next(iter(value))) in _TELLING:
            held = value[key]
            telling: dict[str, Callable[[], Any]] = {
                "none": lambda: None,
                "text": lambda: str(held),
                "model": lambda: self._model(held, at),
                "path": lambda: Path(held),
                "pairs": lambda: {self.read(k, FREE, at): self.read(v, FREE, at) for k, v in held},
                "set": lambda: frozenset(self.read(v, FREE, at) for v in held),
                "array": lambda: self._held(self.arrays, held, "array", at),
                "function": lambda: self._function(held, at),
                "part": lambda: self._part(held, at),
            }
            return telling[key]()
        if "use" in value:
            word = value["use"]
            rest = {k: v for k, v in value.items() if k != "use"}
            return build(self, find(str(word), f"{self.where}, {at}"), rest, f"{self.where}, {at}", at=at)
        kind = _kind(hint)
        if kind is not None:
            return build(self, kind, value, f"{self.where}, {at}", at=at)
        if at == "way":
            raise BadInput(f"{self.where}: [way] has no 'use'.", hint='Such as use = "cascade".')
        return {k: self.read(v, FREE, f"{at}.{k}") for k, v in value.items()}

    def _held(self, among: Mapping[str, Any], name: str, what: str, at: str) -> Any:
        if name not in among:
            raise BadInput(f"{self.where}, {at}: there is no {what} '{name}'.", hint=nearest(name, among))
        return among[name]

    def _part(self, name: str, at: str) -> Any:
        if name not in self.made:
            table = self._held(self.parts, name, "part", at)
            if table is None:
                raise BadInput(f"{self.where}, parts.{name} is part of itself.")
            self.parts = {**self.parts, name: None}
            self.made[name] = self.read(table, Any, f"parts.{name}")
        return self.made[name]

    def _function(self, path: str, at: str) -> Any:
        found = at_path(path, f"{self.where}, {at}")
        if not isinstance(found, FunctionType) or found.__module__ != path.partition(":")[0]:
            raise BadInput(f"{self.where}, {at}: '{path}' is not a function of that module.")
        return found


def build(
    reader: Reader, kind: Any, table: dict[str, Any], where: str, more: Mapping[str, Any] | None = None, at: str = ""
) -> Any:
    """What `kind` makes of a table; BadInput names the nearest key for one that is not known."""
    if dataclasses.is_dataclass(kind):
        made = cast("type[Any]", kind)
        all_fields = [f for f in dataclasses.fields(made) if _stored(f)]
        known, typed = {f.name for f in all_fields}, hints(made)
        missing = dataclasses.MISSING
        needed = [f.name for f in all_fields if f.default is missing and f.default_factory is missing]
    else:
        known, typed, needed = set(table), dict[str, Any](), []
    for key in table:
        if key not in known:
            raise BadInput(f"{where}: '{key}' is not known here.", hint=nearest(key, known))
    if lacking := [name for name in needed if name not in table]:
        raise BadInput(f"{where} lacks '{lacking[0]}'.")
    values: dict[str, Any] = {}
    for key, value in table.items():
        values[key] = reader.read(value, typed.get(key, Any), f"{at}.{key}" if at else key)
        if not _fits(values[key], typed.get(key, Any)):
            raise BadInput(
                f"{where}: {key} is {value!r}, which is not of its kind.", hint=f"Needed: {_needed(typed[key])}."
            )
    maker: Any = kind
    try:
        return maker(**values, **(more or {}))
    except (TypeError, ValueError) as error:
        raise BadInput(f"{where} can't be used: {error}.") from error


def _needed(hint: Any) -> str:
    """A type in words: the values themselves where only some are allowed."""
    return ", ".join(f"'{a}'" for a in typing.get_args(hint)) if typing.get_origin(hint) is Literal else str(hint)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value may be of this type; only plain numbers, truths and texts are looked at."""
    if typing.get_origin(hint) is Literal:
        return value in typing.get_args(hint)
    options = _options(hint)
    named = type(value) in options or (type(value) is int and float in options)
    if kind := _kind(hint):
        return named or value is None or isinstance(value, kind)
    return named or not _is_plain(hint)


def _is_plain(hint: Any) -> bool:
    return all(o in (bool, int, float, str, type(None)) for o in _options(hint))


def _options(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the type alone."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
