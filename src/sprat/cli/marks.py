"""`sprat marks`: the mean human mark from few marks and many cheap scores, and which rows to mark next."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..errors import BadInput, nearest


def marks(
    source: Path,
    *,
    human: str = "human",
    score: str = "score",
    weight: str | None = None,
    next_: Annotated[int, Parameter(name="--next")] = 0,
    doubt: str | None = None,
    confidence: float = 0.95,
    bounds: str | None = None,
    seed: int = 0,
    out: Path = Path("to_mark.csv"),
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Estimate the mean human mark of all rows from the few that are marked and a cheap score of every row.

    Example: sprat marks judged.csv --human human --score judge --next 50

    The marked rows must have been drawn at random, or with the weights in --weight. The interval is never longer than
    that of the marks alone (but with --weight), and nothing is assumed of the score.

    Parameters
    ----------
    source
        A table (CSV, JSON lines, Parquet), a row per item; an empty cell is a row that is not marked.
    human
        The column of human marks.
    score
        The column of the cheap score, known for every row.
    weight
        The column with each marked row's weight, 1 / the chance that it had of being drawn, as --next writes it.
    next
        Draw about so many more rows to mark, the doubtful ones more often, and write them with their weights to --out.
        Each is drawn by itself, so that somewhat more or fewer come; all of them must be marked.
    doubt
        A column that says how far off the score may be; as learnt from the marked rows unless given.
    confidence
        The chance that the interval holds.
    bounds
        The least and the most that a mark can be, such as 0:1: needed where all marks so far are equal.
    seed
        Draws other rows.
    out
        The file that --next writes: your columns, `weight`, and `to_mark` (1 where a mark is wanted). Fill in the
        marks and give it back with --weight weight, also with --next again.
    as_json
        Print the findings as JSON.
    """
    from ..measure.prediction_powered import TUNED, next_rows, summed_up

    rows = _rows(source)
    y = [_number(r, human, source, i) for i, r in enumerate(rows)]
    f = _known(rows, score, source)
    v = _known(rows, weight, source) if weight else None
    if v is not None:
        _all_marked(rows, y, source)
    found = summed_up(y, f, v, confidence, _bounds(bounds))
    said: dict[str, Any] = {k: v for k, v in found.items() if k != "corrected" and k != "alone"}
    said |= {k: found[k]._asdict() for k in ("corrected", "alone")}
    if next_:
        doubts = _known(rows, doubt, source) if doubt else None
        weights, drawn = next_rows(y, f, next_, weights=v, doubt=doubts, seed=seed)
        _write(out, rows, weights, set(drawn.tolist()))
        said["to_mark"] = len(drawn)
    if as_json:
        print(json.dumps(said))
        return
    percent = f"{100 * confidence:.4g} %"
    print(
        f"{len(rows):,} rows, {found['alone'].marked:,} marked; marks and scores correlate {found['correlation']:.2f}."
    )
    print(f"  marks alone           {_text(found['alone'])}")
    print(f"  with the cheap score  {_text(found['corrected'])}   ({percent} intervals)")
    print(f"As if {found['worth']:,} rows had been marked.")
    if weight is None and found["alone"].marked < TUNED:
        print(f"The score is used from {TUNED} marks on: how much to trust it can't be learnt from fewer.")
    if next_:
        print(f"Wrote {out}: mark the {said['to_mark']:,} rows where to_mark is 1, then give it with --weight weight.")


def _bounds(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        least, most = map(float, text.split(":"))
    except ValueError:
        raise BadInput(f"--bounds is '{text}'; it needs the least and the most that a mark can be, as 0:1.") from None
    return least, most


def _text(mean: Any) -> str:
    return f"{mean.value:.4f} [{mean.low:.4f}, {mean.high:.4f}]"


def _rows(path: Path) -> Sequence[Mapping[str, Any]]:
    from ..reading.sources import open_source

    rows = [row for _, row in open_source(path, False, lambda _line, _why: None).rows]
    if not rows:
        raise BadInput(f"{path} holds no row.", hint="It needs a row per item.")
    return rows


def _number(row: Mapping[str, Any], column: str, path: Path, at: int) -> float:
    """The cell as a number, NaN where it is empty."""
    if column not in row and at == 0:
        raise BadInput(f"{path} has no column '{column}'.", hint=nearest(column, row))
    value = row.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise BadInput(f"{path}: '{column}' of row {at + 1} is no number: {str(value)[:40]}.") from None


def _known(rows: Sequence[Mapping[str, Any]], column: str, path: Path) -> list[float]:
    found = [_number(r, column, path, i) for i, r in enumerate(rows)]
    lacking = sum(v != v for v in found)
    if lacking:
        raise BadInput(f"{path}: '{column}' is missing in {lacking:,} rows.", hint="Every row needs it.")
    return found


def _all_marked(rows: Sequence[Mapping[str, Any]], marks: Sequence[float], path: Path) -> None:
    """Refuse drawn rows without a mark: who was left out is not left out at random, and the weights don't know it."""
    wanted = [i for i, r in enumerate(rows) if str(r.get("to_mark") or "").strip() in ("1", "1.0", "True")]
    lacking = sum(marks[i] != marks[i] for i in wanted)
    if lacking:
        raise BadInput(
            f"{path}: {lacking:,} of the {len(wanted):,} rows drawn (to_mark is 1) have no mark, so weights mislead.",
            hint="Mark them all; which rows are left out must not depend on who marks.",
        )


def _write(path: Path, rows: Sequence[Mapping[str, Any]], weights: Any, drawn: set[int]) -> None:
    from ..config import write_whole

    head = [c for c in dict.fromkeys(k for r in rows for k in r) if c not in ("weight", "to_mark")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*head, "weight", "to_mark"])
    for i, row in enumerate(rows):
        writer.writerow([*(row.get(c) for c in head), repr(float(weights[i])), int(i in drawn)])
    write_whole(path, text.getvalue().encode())
