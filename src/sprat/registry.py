"""The words that a TOML file may say after `use`, and the classes that they mean.

A word is the `use` of a class that a folder below exports, or of one that an installed plug-in names in the entry-point
group `sprat`; anything else is a dotted path, `mypkg.mod:Thing`. Checked by round trips in tests/test_config.py.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import FunctionType, ModuleType
from typing import Any

from .core import Model, Signal
from .errors import BadInput, nearest

FOLDERS = ("combine", "signals", "endpoints", "encoders", "retrieve", "decoding")


@cache
def known() -> dict[str, Any]:
    """Every word with its class (or a plug-in's function); the folders' own words win over the plug-ins'."""
    found: dict[str, Any] = {}
    for folder in FOLDERS:
        if find_spec(f"sprat.{folder}") is None:
            continue
        for word, kind in _words(import_module(f"sprat.{folder}")).items():
            found.setdefault(word, kind)
    for entry in entry_points(group="sprat"):
        made = entry.load()
        words = _words(made) if isinstance(made, ModuleType) else {entry.name: made}
        for word, kind in words.items():
            found.setdefault(word, kind)
    return found


def _words(module: ModuleType) -> dict[str, Any]:
    names: list[str] = list(getattr(module, "__all__", ()))
    kinds: list[Any] = [getattr(module, name) for name in names]
    return {
        str(kind.use): kind for kind in kinds if isinstance(kind, type) and isinstance(getattr(kind, "use", 0), str)
    }


def word_of(kind: type) -> str:
    """What to write after `use` for this class: its word, else its dotted path; BadInput where it has neither."""
    word = getattr(kind, "use", None)
    if isinstance(word, str) and known().get(word) is kind:
        return word
    return path_of(kind)


def path_of(thing: Any) -> str:
    """The dotted path of a module's class or function, `mypkg.mod:Thing`; BadInput where it has none."""
    name = getattr(thing, "__qualname__", "")
    module = getattr(thing, "__module__", "")
    if module == "__main__" or getattr(import_module(module), name, None) is not thing:
        shown = name or repr(thing)
        raise BadInput(
            f"'{shown}' can't be stored: a file can name only what a module defines.", hint="Move it to one."
        )
    return f"{module}:{name}"


def find(word: str, where: str) -> Any:
    """The class that a word or a dotted path means; BadInput names the nearest word, or says that it is no model."""
    if ":" in word:
        thing = at_path(word, where)
        known_kind = isinstance(thing, type) and (issubclass(thing, (Model, Signal)) or hasattr(thing, "encode"))
        # A file must not get to call whatever a module happens to hold; making a dataclass only stores its fields.
        if not known_kind and not (isinstance(thing, type) and is_dataclass(thing)):
            raise BadInput(f"{where}: '{word}' is no model, signal, encoder or dataclass.", hint="Name such a class.")
        return thing
    if word not in known():
        raise BadInput(f"{where}: there is no '{word}' to use.", hint=nearest(word, known()))
    return known()[word]


def at_path(path: str, where: str) -> Any:
    """The module's class or function at a dotted path; BadInput where there is none."""
    module, _, name = path.partition(":")
    try:
        thing = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadInput(f"{where}: '{path}' is not there: {error}.", hint="Is its package installed?") from error
    if not isinstance(thing, (type, FunctionType)):
        raise BadInput(f"{where}: '{path}' is neither a class nor a function.")
    return thing
