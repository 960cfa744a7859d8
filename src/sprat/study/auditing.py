"""From a file of labelled texts to an audit of a safety scorer: rows read, judged, and measured by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput, BadRow, nearest
from ..measure.audit import FEWEST, Audit, audit
from ..reading.sources import open_source
from ..safety.groups import mentions
from ..safety.linear import EMBEDDED, Linear
from ..safety.naming import named
from ..safety.private import Pii
from ..safety.scorer import Scorer
from ..safety.worth import TAUGHT

_UNSAFE = frozenset({"1", "1.0", "true", "yes", "unsafe", "y", "t"})
_SAFE = frozenset({"0", "0.0", "false", "no", "safe", "n", "f"})
MENTIONS = "mentions"
_AT_ONCE = 256


def audited(
    source: str | Path,
    scorer: str | Scorer,
    *,
    text: str = "text",
    label: str = "unsafe",
    group: str | None = None,
    unit: str | None = None,
    unsafe: str | None = None,
    threshold: float = 0.5,
    fewest: int = FEWEST,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Audit a scorer on a file's rows: a column of texts, one of labels (yes or no, or the values `unsafe` names).

    `group` is a column, or "mentions": the groups that a text names (safety/groups.py). Rows of one `unit` (or of one
    text) are resampled together. Raises BadInput for a column that is not there, or a label that is neither.
    """
    if not 0 <= threshold <= 1 or fewest < 1:
        raise BadInput(f"A threshold lies in [0, 1], and a group has at least one row; got {threshold} and {fewest}.")
    judge = named(scorer) if isinstance(scorer, str) else scorer
    path, chosen = Path(source), None if unsafe is None else {v.strip() for v in unsafe.split(",")}
    passed: Counter[str] = Counter()
    texts, labels, groups, units = list[str](), list[float](), list[tuple[str, ...]](), list[str]()
    for line, row in open_source(path, skip_bad, lambda _line, why: passed.update([why])).rows:
        asked = [text, label, *([group] if group not in (None, MENTIONS) else []), *([unit] if unit else [])]
        _columns(path, row, asked)
        said, marked = row[text], _label(row[label], chosen)
        if not isinstance(said, str) or marked is None:
            what = (
                f"'{text}' is no text"
                if not isinstance(said, str)
                else f"'{label}' is {row[label]!r}, neither safe nor unsafe"
            )
            if not skip_bad:
                raise BadRow(path, line, what)
            passed[what] += 1
            continue
        texts.append(said)
        labels.append(marked)
        units.append(str(row[unit]) if unit else said)
        groups.append(mentions(said) if group == MENTIONS else _group(row[group]) if group else ())
    if not texts:
        raise BadInput(f"{path} has no row that can be audited.", hint="It needs a text and a label in every row.")
    p = np.empty(len(texts))
    for at in range(0, len(texts), _AT_ONCE):
        p[at : at + _AT_ONCE] = judge.probabilities(texts[at : at + _AT_ONCE])
        if progress is not None:
            progress(min(at + _AT_ONCE, len(texts)), len(texts))
    found = audit(
        p, labels, groups if group else (), scorer=judge.name, threshold=threshold, units=units, fewest=fewest
    )
    notes = [*_taught(judge), *(f"{n:,} rows were left out: {why}." for why, n in passed.most_common(5))]
    if group == MENTIONS:
        notes.append("Groups are those that a text names, by short lists of words; they say nothing of who wrote it.")
    return replace(found, notes=tuple(notes))


def _taught(judge: Scorer) -> list[str]:
    """That an embedded scorer's own rows flatter it: its weights keep no text, so they can't be told from others."""
    if not isinstance(judge, Linear | Pii) or judge.weights.parent != EMBEDDED:
        return []
    return [
        f"{judge.name} learnt from {TAUGHT[judge.name]}: on rows from there these numbers are too good, and this audit "
        "can't tell. docs/safety.md has those of rows that taught nothing."
    ]


def _columns(path: Path, row: Mapping[str, Any], asked: list[str]) -> None:
    for name in asked:
        if name not in row:
            raise BadInput(f"{path} has no column '{name}'.", hint=nearest(name, map(str, row)))


def _label(value: Any, unsafe: set[str] | None) -> float | None:
    said = str(value).strip()
    if value is None or not said or (isinstance(value, float) and isnan(value)):
        return None
    if unsafe is not None:
        return float(said in unsafe)
    said = said.lower()
    return 1.0 if said in _UNSAFE else 0.0 if said in _SAFE else None


def _group(value: Any) -> tuple[str, ...]:
    """One group, several (a list), or none."""
    if value is None or value == "":
        return ()
    return tuple(str(v) for v in value) if isinstance(value, (list, tuple)) else (str(value),)  # pyright: ignore
