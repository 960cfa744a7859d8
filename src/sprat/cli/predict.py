"""`sprat predict`: how well a large model will do, foretold from small ones, and whether fine-tuning it is worth it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, cast

from cyclopts import Parameter


def predict(
    source: Path,
    *,
    target: str,
    proxies: str = "",
    languages: str = "",
    by: str | None = None,
    confidence: float = 0.9,
    gain: float | None = None,
    out: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Foretell a model's score on new data or languages from small models' scores, with an interval.

    Example: sprat predict mt560.csv --target nllb --proxies trfm,small100,nllb_noft --gain 2 --out foretold.csv

    A row is one setting (a language pair, a data set). Rows where the target's score is empty are foretold; the others
    say how well that works, at random and with each language left out whole.

    Parameters
    ----------
    source
        A table (CSV, JSON lines, Parquet): scores as MODEL_MEASURE or MODEL_ft_MEASURE, and features as numbers.
    target
        The model to foretell, or its column.
    proxies
        The small models whose scores may be used, separated by commas; every other model unless given.
    languages
        The columns that name languages; those that end in _lang unless given.
    by
        A column, such as test_dataset or family: also leave out each of its values whole, as where a new one comes.
    confidence
        The share of the intervals that should hold.
    gain
        Say for each row whether fine-tuning gains at least so much over MODEL_noft_MEASURE.
    out
        Write every row's foretold score and interval to this CSV file.
    as_json
        Print the findings as JSON.
    """
    from ..errors import BadInput
    from ..reading.sources import open_source
    from ..study.performance import find_columns, foretell, foretell_new, number, table_of, worth_tuning

    rows = [row for _, row in open_source(source, False, lambda _line, _why: None).rows]
    if not rows:
        raise BadInput(f"{source} holds no row.", hint="It needs a row per setting.")
    columns = find_columns(rows, target, _listed(proxies), _listed(languages))
    table = table_of(rows, columns, by)
    by_row = foretell(table, "random", confidence)
    found = {"random": by_row}
    why = ""
    try:
        found["language"] = foretell(table, "language", confidence)
    except BadInput as error:
        why = str(error)
    if by is not None:
        found["group"] = foretell(table, "group", confidence)
    new = foretell_new(table, by_row, found.get("language"), found.get("group"))
    said: dict[str, Any] = {
        "target": columns.target,
        "proxies": columns.proxies,
        "features": columns.others,
        "rows": len(table.known),
        "splits": {
            name: {"rmse": f.rmse._asdict(), "rmse of the mean": f.mean_rmse, "mae": f.mae,
                   "coverage": f.coverage if isfinite(f.width) else None, "interval": f.width, "note": f.note}
            for name, f in found.items()
        },
        "new": new,
    }  # fmt: skip
    lines: list[dict[str, Any]] = [
        {"row": int(i), "foretold": float(p), "low": float(a), "high": float(b), "score": float(table.target[i])}
        for i, p, a, b in zip(by_row.rows, by_row.predicted, by_row.low, by_row.high, strict=True)
    ] + new
    if gain is not None:
        if columns.untuned is None:
            raise BadInput("--gain compares with the target without fine-tuning, which the table does not have.",
                           hint="It is the column MODEL_noft_MEASURE.")  # fmt: skip
        ends = tuple([line[k] for line in lines] for k in ("foretold", "low", "high"))
        now = [number(rows[line["row"]].get(columns.untuned)) for line in lines]
        judged = worth_tuning((ends[0], ends[1], ends[2]), now, gain)
        for line, (verdict, value, _, _) in zip(lines, judged, strict=True):
            line |= {"worth tuning": verdict, "gain": value}
        said["worth tuning"] = _checked(lines, now, gain)
    if out is not None:
        _write(out, rows, columns.languages, lines)
    if as_json:
        print(json.dumps(_finite(said), allow_nan=False))
    else:
        _show(said, why, confidence, gain, by)


def _finite(told: Any) -> Any:
    """What is told with None for an end of an interval that is infinite: nobody can say where it lies."""
    if isinstance(told, dict):
        return {k: _finite(v) for k, v in cast("dict[str, Any]", told).items()}
    if isinstance(told, (list, tuple)):
        return [_finite(v) for v in cast("list[Any]", told)]
    return None if isinstance(told, float) and not isfinite(told) else told


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _checked(lines: Sequence[Mapping[str, Any]], now: Sequence[float], gain: float) -> dict[str, Any]:
    """How often each verdict was given, and was right where the score is known."""
    found: dict[str, Any] = {}
    for verdict in ("yes", "no", "unsure"):
        here = [(line, n) for line, n in zip(lines, now, strict=True) if line["worth tuning"] == verdict]
        known = [(line["score"] - n >= gain) for line, n in here if "score" in line and n == n]
        found[verdict] = {"rows": len(here), "gained": sum(known), "known": len(known)}
    return found


def _write(
    path: Path, rows: Sequence[Mapping[str, Any]], languages: Sequence[str], lines: list[dict[str, Any]]
) -> None:
    from ..config import write_whole

    head = [k for k in dict.fromkeys(k for line in lines for k in line) if k != "row"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", *languages, *head])
    for line in sorted(lines, key=lambda r: r["row"]):
        told = [rows[line["row"]].get(c) for c in languages]
        writer.writerow([line["row"] + 1, *told, *("" if (v := _finite(line.get(k))) is None else v for k in head)])
    write_whole(path, text.getvalue().encode())


def _show(said: Mapping[str, Any], why: str, confidence: float, gain: float | None, by: str | None) -> None:
    print(
        f"{said['target']} foretold from {', '.join(said['proxies']) or 'no proxy'} "
        f"and {len(said['features'])} features."
    )
    print(f"{said['rows']:,} rows with a known score; intervals for {100 * confidence:.4g} %.\n")
    for name, f in said["splits"].items():
        rmse = f["rmse"]
        left = {"random": "rows left out at random", "group": f"each {by} left out whole"}
        how = f"{left.get(name, 'languages left out whole'):24}"
        text = (
            f"RMSE {rmse['value']:.2f} [{rmse['low']:.2f}, {rmse['high']:.2f}], of the mean {f['rmse of the mean']:.2f}"
        )
        held = (
            "" if f["coverage"] is None else f"; {100 * f['coverage']:.1f} % of intervals {f['interval']:.1f} wide hold"
        )
        print(f"  {how}  {text}{held}")
        if f["note"]:
            print(f"  {'':24}  {f['note']}")
    if why:
        print(f"  languages left out whole  {why}")
    for line in said["new"][:20]:
        new = [kind for kind, is_new in (("language", line["new language"]), (by, line["new group"])) if is_new]
        note = f", a new {' and a new '.join(map(str, new))}" if new else ""
        known = f" [{line['low']:.1f}, {line['high']:.1f}]" if isfinite(line["high"]) else ", no interval can be given"
        print(f"  row {line['row'] + 1}: {line['foretold']:.1f}{known}{note}")
    if gain is not None:
        print(f"\nDoes fine-tuning gain {gain:g}?")
        for verdict, n in said["worth tuning"].items():
            share = f"; of {n['known']:,} known rows {n['gained']:,} gained it" if n["known"] else ""
            print(f"  {verdict}: {n['rows']:,} rows{share}")
