"""A recipe: which rules, under which limits and which definition of a word, from a TOML file or by name."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from ..canonical import canonical
from ..errors import BadInput, nearest
from . import c4, fineweb, gopher, repetition
from .rules import Limit, Rule
from .words import DEFINITIONS

RULES = {r.name: r for r in (gopher.RULE, repetition.RULE, c4.RULE, fineweb.RULE)}
KNOWN: Mapping[str, tuple[str, ...]] = {
    "gopher": ("repetition", "gopher"),
    "c4": ("c4",),
    "fineweb": ("repetition", "gopher", "fineweb"),
    "web": ("repetition", "gopher", "c4"),
}


@dataclass(frozen=True)
class Recipe:
    """Rules in their order, the definition of a word, and the columns of a document's text and id."""

    rules: tuple[Rule, ...]
    words: str = "whitespace"
    text: str = "text"
    id: str = "id"

    @property
    def limits(self) -> tuple[Limit, ...]:
        """All limits, in the order in which they are judged."""
        return tuple(limit for rule in self.rules for limit in rule.limits)

    def described(self) -> dict[str, Any]:
        """The recipe as JSON holds it: two of the same description judge alike."""
        limits = {
            limit.score: {k: v for k in ("at_least", "at_most") if isfinite(v := getattr(limit, k))}
            for limit in self.limits
        }
        rules = [rule.name for rule in self.rules]
        return {"rules": rules, "limits": limits, "words": self.words, "text": self.text, "id": self.id}

    @property
    def key(self) -> str:
        """A hash of the description."""
        return hashlib.sha256(canonical(self.described())).hexdigest()


def recipe(source: str | Path | Mapping[str, Any]) -> Recipe:
    """The recipe of a TOML file, of a name (gopher, c4, fineweb, web), or of what such a file holds; raises BadInput.

    A file says `words`, `text` and `id` where they are not whitespace, text and id, and a `[[rule]]` with `use` for
    each rule, with limits by score: `alpha = { at_least = 0.7 }`, or `alpha = false` for none.
    """
    if isinstance(source, Mapping):
        return _made(source, "the recipe")
    if str(source) in KNOWN:
        return Recipe(tuple(RULES[name] for name in KNOWN[str(source)]))
    path = Path(source)
    if not path.exists():
        known = nearest(str(source), KNOWN)
        raise BadInput(f"There is no recipe {source}, neither a file nor by name.", hint=known)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not TOML: {error}.") from error
    return _made(table, str(path))


def _made(table: Mapping[str, Any], where: str) -> Recipe:
    known = ("rule", "words", "text", "id")
    for key in table:
        if key not in known:
            raise BadInput(f"{where} has an unknown key '{key}'.", hint=nearest(key, known))
    said = table.get("rule", ())
    if not isinstance(said, list | tuple) or not said or not all(isinstance(s, Mapping) for s in said):
        raise BadInput(f"{where} names no rule.", hint='Write [[rule]] and use = "gopher" below it.')
    rules = [_rule(s, where) for s in said]
    names = [rule.name for rule in rules]
    if twice := next((n for n in names if names.count(n) > 1), ""):
        raise BadInput(f"{where} uses the rule '{twice}' twice.")
    words = table.get("words", "whitespace")
    if words not in DEFINITIONS:
        hint = nearest(str(words), DEFINITIONS)
        raise BadInput(f"{where} counts words as '{words}', and there is no such definition.", hint=hint)
    for key in ("text", "id"):
        if not isinstance(table.get(key, key), str):
            raise BadInput(f"{where}: '{key}' names a column, and is {table[key]!r}.")
    return Recipe(tuple(rules), words, table.get("text", "text"), table.get("id", "id"))


def _rule(said: Mapping[str, Any], where: str) -> Rule:
    name = said.get("use")
    if name not in RULES:
        hint = nearest(str(name), RULES) if name else 'Write use = "gopher".'
        raise BadInput(f"{where} uses the rule '{name}', and there is none of that name.", hint=hint)
    return RULES[str(name)].limited({k: v for k, v in said.items() if k != "use"})
