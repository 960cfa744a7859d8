"""Foretells how well a large model will do on a language or task from what small models did there, with intervals.

ProxyLM (arXiv 2406.09334): boosted trees (scikit-learn's) on the proxies' scores, features of the data and distances of
the languages; its splits, at random and leaving each language out whole. Intervals are conformal, from errors out of
fold (cross-conformal, arXiv 1208.0806), each language counted alike where a new language is foretold. Checked against
hand-made tables, and by benchmarks/proxylm.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput, MissingExtra, nearest
from ..measure.resampling import Estimate, bootstrap
from ..splits import folds

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FEWEST = 40
FOLDS = 10


@dataclass(frozen=True, eq=False)
class Table:
    """Settings (rows): the target's score (NaN: to be foretold), features (n, d), the languages each names, a group."""

    target: Floats
    features: Floats
    names: tuple[str, ...]
    languages: tuple[frozenset[str], ...]
    groups: tuple[str, ...] = ()

    @property
    def known(self) -> Ints:
        """The rows whose score is known."""
        return np.flatnonzero(np.isfinite(self.target)).astype(np.int64)

    def of(self, names: Sequence[str]) -> Table:
        """The table with these features alone; BadInput for one that it lacks."""
        missing = [n for n in names if n not in self.names]
        if missing:
            raise BadInput(f"The table has no feature '{missing[0]}'.")
        return replace(self, features=self.features[:, [self.names.index(n) for n in names]], names=tuple(names))


@dataclass(frozen=True, eq=False)
class Foretold:
    """Out-of-fold predictions (n,) of the known rows with their intervals (n,), and the errors by one way of splitting.

    `rmse` has a bootstrap interval by language or group where these were left out, else by row; `mean_rmse` is that of
    always foretelling the mean. `coverage` is the share of the intervals that hold, each fold counted alike; `half` is
    the half-width for a new row. Intervals are infinite where errors are too few for the confidence; `note` says so.
    """

    split: str
    rows: Ints
    predicted: Floats
    low: Floats
    high: Floats
    rmse: Estimate
    mean_rmse: float
    mae: float
    coverage: float
    width: float
    half: float
    note: str = ""


def grow(x: Floats, y: Floats, seed: int = 0) -> Callable[[Floats], Floats]:
    """A predictor learnt from rows (n, d), missing numbers and all; MissingExtra without scikit-learn."""
    try:
        ensemble: Any = import_module("sklearn.ensemble")
    except ImportError as missing:
        raise MissingExtra("study", "Foretelling a score") from missing
    fewest = max(2, min(20, len(y) // 20))
    made = ensemble.HistGradientBoostingRegressor(
        max_iter=200, learning_rate=0.08, max_leaf_nodes=15, min_samples_leaf=fewest, random_state=seed
    ).fit(x, y)
    return lambda rows: np.asarray(made.predict(rows), np.float64)


def parts(table: Table, rows: Ints, split: str, seed: int) -> list[tuple[Ints, Ints]]:
    """(taught, foretold) row numbers: "random" folds; each "group" left out; or each "language" with all its rows.

    A row is foretold with the language that it shares with fewest others, so that a hub such as English is none.
    """
    if split == "random":
        return [(np.setdiff1d(rows, rows[part]), rows[part]) for part in folds(np.arange(len(rows)), FOLDS, seed)]
    if split == "group":
        return _by_group(table, rows)
    if split != "language":
        raise BadInput(f"There is no split '{split}'.", hint="Say random, language or group.")
    own = owners(table, rows)
    found: list[tuple[Ints, Ints]] = []
    for language in sorted(set(own)):
        out = rows[[o == language for o in own]]
        names = [language in table.languages[i] for i in rows]
        taught = rows[~np.array(names)]
        if len(taught) >= FEWEST // 2:
            found.append((taught, out))
    if len(found) < 3:
        raise BadInput("Leaving languages out needs at least 3 that are not in every row.", hint="Split at random.")
    return found


def _by_group(table: Table, rows: Ints) -> list[tuple[Ints, Ints]]:
    groups = np.array([table.groups[i] for i in rows] if table.groups else [])
    found = [(rows[groups != g], rows[groups == g]) for g in sorted(set(groups.tolist()))]
    if len(found) < 3 or any(len(taught) < FEWEST // 2 for taught, _ in found):
        raise BadInput(f"Leaving groups out needs at least 3 of them, and {FEWEST // 2} rows in the others.")
    return found


def owners(table: Table, rows: Ints) -> list[str]:
    """Each row's own language: of those it names, the one that fewest rows do (the later in the alphabet of equals)."""
    counts: dict[str, int] = {}
    for i in rows:
        for language in table.languages[i]:
            counts[language] = counts.get(language, 0) + 1
    if any(not table.languages[i] for i in rows):
        raise BadInput("Some rows name no language.", hint="Name the columns: --languages source_lang,target_lang.")
    return [max(table.languages[i], key=lambda n: (-counts[n], n)) for i in rows]


def foretell(table: Table, split: str = "random", confidence: float = 0.9, seed: int = 0) -> Foretold:
    """How well the known rows are foretold from others, with an interval for each; raises BadInput under 40 of them.

    A row's interval comes from the errors of the rows outside its own fold (or language), made by models that saw
    neither: conformal by folds. It holds for a new row like these, or a new language like these, on average.
    """
    rows = table.known
    if len(rows) < FEWEST:
        raise BadInput(f"Foretelling needs at least {FEWEST} rows with a known score; there are {len(rows)}.")
    if not 0 < confidence < 1:
        raise BadInput(f"The confidence must lie between 0 and 1, not {confidence}.")
    predicted, fold = np.full(len(table.target), np.nan), np.full(len(table.target), -1)
    middle = np.full(len(table.target), np.nan)
    for k, (taught, out) in enumerate(parts(table, rows, split, seed)):
        predicted[out] = grow(table.features[taught], table.target[taught], seed)(table.features[out])
        middle[out], fold[out] = table.target[taught].mean(), k
    rows = rows[fold[rows] >= 0]
    y, p = table.target[rows], predicted[rows]
    wrong = np.abs(y - p)
    alike, of_row = split != "random", fold[rows]
    half = np.array([_half(wrong, of_row, k, confidence, alike) for k in range(int(fold.max()) + 1)])[of_row]
    units = of_row if alike else np.arange(len(rows))
    rmse = bootstrap(_rms, wrong, units=units.tolist(), times=500, seed=seed)
    return Foretold(
        split,
        rows,
        p,
        p - half,
        p + half,
        rmse,
        float(np.sqrt(np.mean((y - middle[rows]) ** 2))),
        float(wrong.mean()),
        float(np.mean([np.mean((wrong <= half)[of_row == k]) for k in np.unique(of_row)])),
        float(2 * half.mean()),
        _half(wrong, of_row, -1, confidence, alike),
        _too_few(half, len(np.unique(units)), f"{split}s" if alike else "rows", confidence),
    )


def _too_few(half: Floats, left_out: int, what: str, confidence: float) -> str:
    """What an interval of this confidence would need, where the half-widths of some rows are infinite."""
    if np.isfinite(half).all():
        return ""
    needed = ceil(confidence / (1 - confidence) - 1e-9)
    return (
        f"An interval that holds for {100 * confidence:.4g} % needs the errors of at least {needed:,} {what}, and to "
        f"be checked those of {needed + 1:,}; there are {left_out:,}."
    )


def _rms(wrong: Floats) -> float:
    return float(np.sqrt(np.mean(wrong**2)))


def _half(wrong: Floats, fold: Ints, own: int, confidence: float, alike: bool) -> float:
    """The half-width for the rows of one fold: the conformal quantile of the others' errors, each row counted alike.

    `alike` counts each fold so instead: a language counts once, as the next one to come will. The row, or the language,
    that is foretold counts too, with an error beyond all others: where it is needed the half-width is infinite.
    """
    others = fold != own
    _, at, size = np.unique(fold[others], return_inverse=True, return_counts=True)
    weight = 1 / size[at] / (len(size) + 1) if alike else np.full(len(at), 1 / (len(at) + 1))
    order = np.argsort(wrong[others])
    place = int(np.searchsorted(np.cumsum(weight[order]), confidence - 1e-12))
    return float(wrong[others][order][place]) if place < len(order) else float("inf")


def worth_tuning(
    tuned: tuple[ArrayLike, ArrayLike, ArrayLike], now: ArrayLike, gain: float
) -> list[tuple[str, float, float, float]]:
    """Per row "yes", "no" or "unsure", and the foretold gain with its interval, against the score `now` (n,).

    `tuned` are the foretold scores after fine-tuning and their intervals' ends. It is worth it where the lower end
    gains at least `gain`, not worth it where the upper end does not.
    """
    value, low, high = (np.asarray(v, float) - np.asarray(now, float) for v in tuned)
    said = np.where(low >= gain, "yes", np.where(high < gain, "no", "unsure"))
    return [(str(s), float(v), float(a), float(b)) for s, v, a, b in zip(said, value, low, high, strict=True)]


def foretell_new(
    table: Table,
    by_row: Foretold,
    by_language: Foretold | None = None,
    by_group: Foretold | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The rows whose score is unknown, foretold from all known ones, with their intervals.

    A row that names a language, or is of a group, which no known row does or is, has the interval of a new one (of
    both, the wider): an infinite one where that was not measured, for the other rows' errors say nothing of it.
    """
    rows = np.flatnonzero(~np.isfinite(table.target))
    if not len(rows):
        return []
    seen = frozenset().union(*(table.languages[i] for i in table.known))
    groups = {table.groups[i] for i in table.known} if table.groups else set[str]()
    value = grow(table.features[table.known], table.target[table.known], seed)(table.features[rows])
    found: list[dict[str, Any]] = []
    for row, v in zip(rows.tolist(), value.tolist(), strict=True):
        new = not table.languages[row] <= seen
        other = bool(table.groups) and table.groups[row] not in groups
        ways = [way for is_new, way in ((new, by_language), (other, by_group)) if is_new] or [by_row]
        half = max(float("inf") if way is None else way.half for way in ways)
        ends = {"foretold": v, "low": v - half, "high": v + half}
        found.append({"row": row, **ends, "new language": new, "new group": other})
    return found


@dataclass(frozen=True)
class Columns:
    """Which column is the target's score, which are its proxies', which are features of data and languages."""

    target: str
    proxies: tuple[str, ...]
    others: tuple[str, ...]
    languages: tuple[str, ...]
    untuned: str | None


def find_columns(
    rows: Sequence[Mapping[str, Any]],
    target: str,
    proxies: Sequence[str] = (),
    languages: Sequence[str] = (),
) -> Columns:
    """What is what in a table: columns are MODEL_MEASURE, or MODEL_ft_MEASURE and MODEL_noft_MEASURE.

    `target` is a column or a model (its first column); `proxies` are columns, or beginnings of them that are models',
    all models but the target unless given. Every other column of numbers that belongs to no model is a feature.
    Raises BadInput for a name that no column has.
    """
    header = list(dict.fromkeys(k for row in rows for k in row))
    own = target if target in header else next((c for c in header if c.startswith(f"{target}_")), None)
    if own is None:
        raise BadInput(f"No column is called '{target}', nor begins with it.", hint=nearest(target, header))
    model, measure = _split(own, target if own != target else "")
    scored = [c for c in header if c.endswith(f"_{measure}")]
    models = {_split(c, "", measure)[0] for c in scored}
    same = [c for c in scored if c != own and not c.startswith(f"{model}_ft_")]
    if proxies:
        chosen = [c for c in same if any(c == p or c.startswith(f"{p}_") for p in proxies)]
        for p in proxies:
            if not any(c == p or c.startswith(f"{p}_") for c in same):
                raise BadInput(f"No score of a proxy is called '{p}'.", hint=nearest(p, same))
    else:
        chosen = same
    told = list(languages) or [c for c in header if c.endswith("_lang") or c == "language"]
    for c in told:
        if c not in header:
            raise BadInput(f"There is no column '{c}'.", hint=nearest(c, header))
    rest = [c for c in header if c not in told and c != own and not any(c.startswith(f"{m}_") for m in models)]
    numeric = [c for c in rest if any(_is_number(r.get(c)) for r in rows[:200])]
    untuned = f"{model}_noft_{measure}"
    return Columns(own, tuple(chosen), tuple(numeric), tuple(told), untuned if untuned in header else None)


def _split(column: str, model: str, measure: str = "") -> tuple[str, str]:
    """A column's model and measure, whether it was fine-tuned left out."""
    if measure:
        left = column.removesuffix(f"_{measure}")
    else:
        first = model or column.partition("_")[0]
        rest = column.removeprefix(f"{first}_")
        for how in ("ft_", "noft_"):
            rest = rest.removeprefix(how)
        return first, rest
    return left.removesuffix("_noft").removesuffix("_ft"), measure


def _is_number(value: Any) -> bool:
    return bool(np.isfinite(number(value)))


def number(value: Any) -> float:
    """A cell as a number, NaN where it is empty or none."""
    try:
        return float(value) if value is not None and value != "" else float("nan")
    except (TypeError, ValueError):
        return float("nan")


def table_of(rows: Sequence[Mapping[str, Any]], columns: Columns, by: str | None = None) -> Table:
    """The table's arrays, its groups by the column `by`; raises BadInput without a feature, or such a column."""
    names = (*columns.proxies, *columns.others)
    if not names:
        raise BadInput("There is neither a proxy's score nor a feature to foretell from.", hint="Name --proxies.")
    return Table(
        np.array([number(r.get(columns.target)) for r in rows]),
        np.array([[number(r.get(c)) for c in names] for r in rows]).reshape(len(rows), len(names)),
        names,
        tuple(frozenset(str(r[c]) for c in columns.languages if r.get(c) not in (None, "")) for r in rows),
        () if by is None else tuple(_group(r, by, i) for i, r in enumerate(rows)),
    )


def _group(row: Mapping[str, Any], by: str, at: int) -> str:
    if row.get(by) in (None, ""):
        raise BadInput(f"Row {at + 1} has no '{by}'.", hint=nearest(by, row))
    return str(row[by])
