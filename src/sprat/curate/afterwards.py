"""Second thoughts from the ledger alone: why a document went, what another limit would do, taking a reason back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import BadInput
from .ledger import Entry, Folder
from .rules import Limit


@dataclass(frozen=True)
class Explained:
    """A document's entry, each limit with its value and whether it holds, and its text as it is kept or would be."""

    entry: Entry
    limits: tuple[tuple[Limit, float, bool], ...]
    text: str


def explain(folder: Folder, id: str) -> list[Explained]:
    """Every document of this id; raises BadInput where there is none, or where its line could not be read."""
    out: list[Explained] = []
    limits, column = folder.limits, folder.about()["recipe"]["text"]
    for number in folder.numbers():
        if id not in folder.frame(number)["id"]:
            continue
        for found in folder.documents(number):
            if found.entry.id == id:
                held = [(m, found.entry.scores[m.score], m.holds(found.entry.scores[m.score])) for m in limits]
                out.append(Explained(found.entry, tuple(held), found.row[column]))
    if not out:
        place = next((b for b in folder.quarantined() if id == f"{b.file.rsplit('/', 1)[-1]}:{b.line}"), None)
        if place is not None:
            raise BadInput(f"{place.file}, line {place.line} was not read: it {place.why}.")
        raise BadInput(
            f"No document of {folder.path} has the id '{id}'.", hint="One without an id is called FILE:LINE."
        )
    return out


@dataclass(frozen=True)
class WhatIf:
    """How many documents another limit would keep, how many come back and go, with the ids of some of each."""

    limit: Limit
    documents: int
    kept: int
    kept_then: int
    back: int
    gone: int
    examples_back: tuple[str, ...]
    examples_gone: tuple[str, ...]


def what_if(
    folder: Folder, score: str, at_least: float | None = None, at_most: float | None = None, show: int = 5
) -> WhatIf:
    """What the folder would keep under another limit of one score; a side that is not given stays as it is."""
    name = folder.score(score)
    now = next(limit for limit in folder.limits if limit.score == name)
    limit = Limit(name, now.at_least if at_least is None else at_least, now.at_most if at_most is None else at_most)
    if limit.at_least > limit.at_most:
        raise BadInput(f"No text has {limit}.")
    counts = {"documents": 0, "kept": 0, "kept_then": 0, "back": 0, "gone": 0}
    back, gone = list[str](), list[str]()
    for number in folder.numbers():
        frame = folder.frame(number).select("id", "kept", "reasons", "restored", name)
        for id, kept, reasons, restored, value in frame.iter_rows():
            left = {r for r in reasons if r not in restored} - {name}
            then = not left and (name in restored or limit.holds(value))
            counts["documents"] += 1
            counts["kept"] += kept
            counts["kept_then"] += then
            if then != kept:
                counts["back" if then else "gone"] += 1
                (back if then else gone).append(id)
    return WhatIf(limit, **counts, examples_back=tuple(back[:show]), examples_gone=tuple(gone[:show]))


def restore(folder: Folder, reasons: Sequence[str]) -> int:
    """Overrule reasons: documents that nothing else dropped are kept again; how many there were.

    What is to be overruled is noted first, and each chunk written whole, so a killed restore goes on when it is asked
    again.
    """
    names = [folder.score(reason) for reason in reasons]
    asked: list[Any] = folder.about().get("restored", [])
    folder.told(restored=[*asked, *(n for n in names if n not in asked)])
    count = 0
    for number in folder.numbers():
        found = folder.documents(number)
        changed = [replace(d, entry=_overruled(d.entry, names)) for d in found]
        if changed != found:
            count += sum(d.entry.kept for d in changed) - sum(d.entry.kept for d in found)
            folder.settle(number, changed)
    return count


def _overruled(entry: Entry, names: Sequence[str]) -> Entry:
    restored = tuple(r for r in entry.reasons if r in entry.restored or r in names)
    return replace(entry, restored=restored, kept=set(restored) == set(entry.reasons))
