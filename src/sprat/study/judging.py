"""Which metric agrees with people on a task like mine? Scores a set of judged texts by each metric and compares.

A set is a folder's JSON lines: documents with `ref` or `refs`, and `systems`, each with its `text`, people's `scores`
and its name `system` (unless given, its place in the list); or pairs with `ref`, `better` and `worse` (WMT's relative
ranking), judged by Kendall's tau as there. Checked by a set made by hand. See measure/meta_evaluation.py for what is
computed.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core import Reply, Request
from ..data import Call, Dataset, Example
from ..errors import BadInput, nearest
from ..measure.grade import grade
from ..measure.meta_evaluation import HOWS, LEVELS, correlated, pairwise_accuracy, swapped
from ..measure.resampling import Estimate, bootstrap, widened

Floats = NDArray[np.float64]
_PEEK = 1 << 20  # characters of a file that are looked at for its first row
FEWEST = 10  # documents, for a test by documents
METRICS = ("f1", "bleu", "chrf", "rouge1", "rouge2", "rougeL", "rouge1:recall")


@dataclass(frozen=True)
class Agreement:
    """How far one metric agrees with people's marks of one quality; None where it can't be said.

    `correlations["summary, spearman"]` and so on; `behind` is Williams' p that the quality's best metric, by Pearson's
    correlation over all rows, is no better than this one (None for the best). `unmarked` texts have no mark of the
    quality, or one that is no number, and are left out.
    """

    set: str
    quality: str
    metric: str
    documents: int
    correlations: Mapping[str, Estimate | None]
    accuracy: float | None
    tie: float | None
    behind: float | None
    unmarked: int = 0


def folder_of(named: str) -> Path:
    """A set's folder: a path, or a name under SPRAT_DATA; raises BadInput that names the nearest judged set there."""
    if Path(named).exists():
        return Path(named)
    root = os.environ.get("SPRAT_DATA")
    places = [p for d in ("", "research_only") if root for p in Path(root, d).glob("*/") if p.is_dir()]
    found = next((p for p in places if p.name == named), None)
    if found is None:
        judged = [p.name for p in places if _judged(p)]
        why = nearest(named, judged) if judged else "Set SPRAT_DATA to the folder that holds it."
        raise BadInput(f"There is no judged set '{named}'.", hint=why)
    return found


def _judged(folder: Path) -> bool:
    """Whether a folder looks like a set of judged texts or pairs, by the first row of its files alone."""
    from ..judging.preferences import shows_pair

    for file in sorted(folder.rglob("*.json*")):
        row = _first_row(file) if file.is_file() else {}
        if shows_pair(row) or (file.parent == folder and _kind(row) is not None):
            return True
    return False


def _first_row(file: Path) -> dict[str, Any]:
    """The first object of a file, one a line or in a list; an empty one where there is none to be read."""
    try:
        with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
            text = lines.read(_PEEK).lstrip("[ \n\r\t")
        row: Any = json.JSONDecoder().raw_decode(text)[0]
    except (OSError, EOFError, ValueError):
        return {}
    return row if isinstance(row, dict) else {}


def _kind(row: Mapping[str, Any]) -> str | None:
    """What a row holds: pairs, or a document's systems; None for neither."""
    if {"ref", "better", "worse"} <= row.keys():
        return "pairs"
    return "systems" if isinstance(row.get("systems"), list) else None


def holds_pairs(path: Path) -> bool:
    """Whether a set is of pairs that people compared, replies to a request (see judging/preferences.py)."""
    from ..judging.preferences import preferences

    try:
        return bool(preferences(path))
    except BadInput:
        return False


def judge_the_judges(
    named: str, metrics: Sequence[str] = METRICS, times: int = 300, most: int | None = None
) -> Iterator[Agreement]:
    """Every metric's agreement with people, per file and quality of a set; `most` takes the first rows of each alone.

    Metrics are graders by name, each with its higher-is-better score. Raises BadInput where the folder holds no judged
    set, MissingExtra where a metric's package is not installed.
    """
    path = folder_of(named)
    files = sorted(path.glob("*.jsonl*")) if path.is_dir() else [path]
    some = False
    for file in files:
        rows = _rows(file)[:most]
        kind = _kind(rows[0]) if rows else None
        if kind is None:
            continue
        some = True
        name = file.name.partition(".")[0]
        yield from (_pairs if kind == "pairs" else _graded)(name, rows, metrics, times)
    if not some:
        raise BadInput(f"{path} holds no judged texts.", hint="Rows need ref and systems, or ref, better and worse.")


def _rows(file: Path) -> list[dict[str, Any]]:
    """A file's documents, their systems named, or its pairs, as its first row is; BadInput by line where one is not.

    Other files' rows come as they are.
    """
    data = file.read_bytes()
    text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
    rows: list[dict[str, Any]] = []
    for at, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as broken:
            raise BadInput(f"{file}, line {at} is not JSON.", hint="A judged set has an object a line.") from broken
        kind = _kind(rows[0] if rows else row)
        if kind is not None and (_kind(row) != kind or not _whole(row)):
            raise BadInput(
                f"{file}, line {at} is no judged row.",
                hint="Rows need ref or refs and systems, each with text, scores and a name of its own as 'system' "
                "(or none has one); or ref, better and worse.",
            )
        rows.append(_named(row) if kind == "systems" else row)
    return rows


def _whole(row: Mapping[str, Any]) -> bool:
    """Whether a row's references are there, and texts and marks of its systems, under names that differ."""
    if "systems" not in row:
        return True
    systems: list[Any] = row["systems"]
    whole = all(isinstance(s, dict) and isinstance(s.get("text"), str) and isinstance(s.get("scores"), dict)
                for s in systems)  # fmt: skip
    names = [s.get("system") for s in systems] if whole else []
    return whole and bool(row.get("refs") or row.get("ref")) and (not any(names) or len({*names}) == len(names))


def _named(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"systems": [{"system": str(i)} | s for i, s in enumerate(row["systems"], 1)]}


def _dataset(name: str, rows: Sequence[tuple[list[str], Mapping[str, str]]]) -> Dataset:
    """References and texts by system as examples with calls."""
    examples = [
        Example(
            str(i),
            Request.of(f"{name} {i}"),
            refs[0],
            tuple(Call(system, Reply(text, system)) for system, text in texts.items()),
            meta={"targets": refs},
        )
        for i, (refs, texts) in enumerate(rows)
    ]
    return Dataset(tuple(examples), name)


def _graded(name: str, rows: list[dict[str, Any]], metrics: Sequence[str], times: int) -> Iterator[Agreement]:
    texts = [{str(s["system"]): str(s["text"]) for s in r["systems"]} for r in rows]
    data = _dataset(name, [(list(r.get("refs") or [r["ref"]]), t) for r, t in zip(rows, texts, strict=True)])
    scores = {m: _scores(data, m) for m in metrics}
    for quality in dict.fromkeys(q for r in rows for s in r["systems"] for q in s["scores"]):
        marked = [{str(s["system"]): s["scores"].get(quality) for s in r["systems"]} for r in rows]
        human = np.array([[_mark(m.get(system)) for system in data.models] for m in marked])
        if not np.isfinite(human).any():
            continue
        pearson = {m: _or_none(human, s, "segment", "pearson", times) for m, s in scores.items()}
        best = max(metrics, key=lambda m: e.value if (e := pearson[m]) else -2.0)
        behind = _behind(human, scores, pearson, best)
        for metric in metrics:
            found = {
                f"{level}, {how}": pearson[metric]
                if (level, how) == ("segment", "pearson")
                else _or_none(human, scores[metric], level, how, times)
                for level in LEVELS
                for how in HOWS
            }
            accuracy = pairwise_accuracy(human, scores[metric]) if len(data.models) > 1 else None
            told = (accuracy.value, accuracy.tie) if accuracy else (None, None)
            unmarked = sum(not np.isfinite(_mark(m[s])) for m in marked for s in m)
            yield Agreement(name, quality, metric, len(rows), found, *told, behind.get(metric), unmarked)


def _mark(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _scores(data: Dataset, metric: str) -> Floats:
    return grade(data, metric).scores(data.models)


def _or_none(human: Floats, scores: Floats, level: Any, how: Any, times: int) -> Estimate | None:
    """The correlation with its interval; None where nothing varies at this level."""
    try:
        return correlated(human, scores, level, how, times=times)
    except BadInput:
        return None


def _behind(
    human: Floats, scores: Mapping[str, Floats], pearson: Mapping[str, Estimate | None], best: str
) -> dict[str, float]:
    """Each metric's p, but for the best: permuted by document, and Holm's over all ordered pairs of metrics.

    Over all pairs, not only those with the best: which one is the best was found on the same rows.
    """
    told = [m for m in scores if m != best and pearson[m] is not None] if pearson[best] is not None else []
    if len(human) < FEWEST:
        return {}
    alone = {m: swapped(human, scores[best], scores[m]) for m in told}
    found, least, left = dict[str, float](), 0.0, (len(told) + 1) * len(told)
    for metric in sorted(alone, key=lambda m: alone[m]):
        found[metric] = least = max(least, min(1.0, alone[metric] * left))
        left -= 1
    return found


def _pairs(name: str, rows: list[dict[str, Any]], metrics: Sequence[str], times: int) -> Iterator[Agreement]:
    """Kendall's tau of the pairs: concordant less discordant over all, a metric's tie being discordant, as at WMT."""
    data = _dataset(name, [([r["ref"]], {"better": r["better"], "worse": r["worse"]}) for r in rows])
    units = [r["ref"] for r in rows]
    for metric in metrics:
        scores = _scores(data, metric)
        won = (scores[:, 0] > scores[:, 1]).astype(np.float64)
        rate = widened(bootstrap(_mean, won, units=units, times=times))
        tau = Estimate(2 * rate.value - 1, 2 * rate.low - 1, 2 * rate.high - 1, rate.units)
        yield Agreement(name, "preference", metric, len(rows), {"segment, kendall": tau}, rate.value, 0.0, None)


def _mean(values: Floats) -> float:
    return float(values.mean())
