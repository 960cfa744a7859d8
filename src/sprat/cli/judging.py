"""Judges on the command line: models compared or graded, which judge or metric agrees with people, training a judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import Dataset
from ..errors import BadInput
from .progress import telling

if TYPE_CHECKING:
    from ..judging import Paired

SHOWN = ("system, pearson", "summary, spearman", "segment, spearman", "segment, kendall")

CAVEAT = (
    "p: permuted by document, Holm's over all pairs of a quality's metrics; not adjusted for several qualities or sets."
)


def show_judged(
    data: Dataset,
    judge: str,
    pairwise: str | None,
    how: Mapping[str, Any],
    scores: Path | None,
    as_json: bool,
    out: Path | None = None,
) -> None:
    """Print what a judge says: every two of the models of `pairwise`, else every model's mean grade (page in `out`)."""
    if pairwise is None:
        _show_graded(data, judge, how, scores, as_json, out)
        return
    from ..judging import compare

    models = [m.strip() for m in pairwise.split(",") if m.strip()]
    with telling() as tell:
        found = compare(data, judge_of(judge, how), models, tell=tell)
    _write(scores, list(found.rows))
    if as_json:
        print(json.dumps(found.summary(), allow_nan=False, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    title = f"Compared by {found.judge}; 95 % intervals"
    table = Table("", *(f"{p.a} against {p.b}" for p in found.pairs), title=title, title_justify="left")
    lines: list[tuple[str, Callable[[Paired], str]]] = [
        ("rows", lambda p: f"{p.n:,}"),
        ("win rate, a tie counts half", lambda p: _rate(p.win_rate)),
        ("the same at equal length", lambda p: _rate(p.controlled)),
        ("won, of those decided", lambda p: _rate(p.decided)),
        ("ties", lambda p: _rate(p.ties)),
        ("the first place won in both orders", lambda p: _rate(p.first)),
        ("the second place won in both orders", lambda p: _rate(p.second)),
        ("the longer reply won, of those decided", lambda p: _rate(p.longer)),
        ("mean confidence", lambda p: f"{p.confidence:.2f}"),
        ("not readable", lambda p: f"{p.unread:,}"),
    ]
    for name, of in lines:
        table.add_row(name, *(of(p) for p in found.pairs))
    console.print(table)
    if found.strengths:
        ranks = Table("model", "strength, log-odds", title="Bradley-Terry, ties half to each", title_justify="left")
        for s in found.strengths:
            e = s.strength
            ranks.add_row(s.model, f"{e.value:+.2f} [{e.low:+.2f}, {e.high:+.2f}]")
        console.print(ranks)
    from ..tree import money

    if found.calls:
        console.print(f"{found.calls:,} calls, {money(found.cost)}; {found.unread_calls:,} could not be read.")
    for note in found.notes:
        console.print(note)


def judge_of(name: str, how: Mapping[str, Any]) -> Any:
    """A judge of pairs: longer, shorter, a small judge's file, or a model."""
    from ..config import model_of
    from ..judging import LengthJudge, load, pairwise

    if name in ("longer", "shorter"):
        return LengthJudge(name == "longer")
    if how["weighted"]:
        raise BadInput("--weighted is of grades.", hint="Leave it out for pairs.")
    if _is_small(name):
        return load(name)
    temperature = 0.7 if how["temperature"] is None else how["temperature"]
    return pairwise(model_of(name), how["rubric"], draws=how["draws"], temperature=temperature)


def _is_small(name: str) -> bool:
    return name.endswith(".toml") and Path(name).is_file() and 'use = "pairrank"' in Path(name).read_text()


def grading_judge(name: str, how: Mapping[str, Any]) -> Any:
    """A judge that grades one reply: a model; BadInput for what only compares."""
    from ..config import model_of
    from ..measure.judge import graded

    if name in ("longer", "shorter") or _is_small(name):
        raise BadInput(f"'{name}' compares two replies, and grades none.", hint="Add --pairwise a,b.")
    temperature = 1.0 if how["temperature"] is None else how["temperature"]
    return graded(model_of(name), how["rubric"], draws=how["draws"], temperature=temperature, weighted=how["weighted"])


def _show_graded(
    data: Dataset, judge: str, how: Mapping[str, Any], scores: Path | None, as_json: bool, out: Path | None
) -> None:
    from ..measure.evaluation import evaluated
    from .evaluate import show

    found = evaluated(data, [grading_judge(judge, how)])
    _write(scores, list(found.rows))
    if out is not None:
        from ..study.report.evaluation_page import save

        save(found, data, out)
    if as_json:
        print(json.dumps(found.summary(), allow_nan=False, ensure_ascii=False))
        return
    show(found)


def _write(path: Path | None, rows: list[dict[str, Any]]) -> None:
    if path is not None:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def train_judge(named: str | None, to: Path | None, as_json: bool) -> None:
    """Learn a small judge from a set's pairs, say what it is worth on a fifth held out, and write it."""
    from ..judging import LengthJudge
    from ..judging.training import trained
    from ..study.judging import folder_of

    if named is None or to is None or to.suffix != ".toml":
        raise BadInput("train-judge needs pairs and a file.", hint="Give --set FILE --to judge.toml.")
    from ..judging import preferences

    made, found = trained(preferences(folder_of(named)), [LengthJudge(True), LengthJudge(False)])
    made.save(to)
    if as_json:
        print(json.dumps({"file": str(to), "held_out": [_told(a) for a in found]}))
        return
    from rich.console import Console

    console = Console(highlight=False)
    _show_people(console, found, "On a fifth of the requests, held out")
    console.print(f"Written to {to}, learnt from all pairs; use it as --judge {to}.", markup=False)


def judge_the_judge(
    named: str | None,
    metrics: str | None,
    judges: str | None,
    how: Mapping[str, Any],
    as_json: bool,
    out: Path | None = None,
) -> None:
    """Print every metric's or judge's agreement with people, as a page in `out` too; raises BadInput without a set."""
    from ..study.judging import METRICS, folder_of, holds_pairs, judge_the_judges

    if named is None:
        raise BadInput("judge-the-judge needs a set of judged texts.", hint="Give --set summ_judged, or a folder.")
    if holds_pairs(folder_of(named)):
        _people(named, judges, how, as_json, out)
        return
    if judges:
        raise BadInput(
            f"'{named}' holds marks, not pairs to compare; --judge is of pairs.", hint="Give --with METRICS."
        )
    asked = [m.strip() for m in metrics.split(",") if m.strip()] if metrics else list(METRICS)
    found = list(judge_the_judges(named, asked))
    if out is not None:
        from ..study.report.agreement_page import save

        save(found, Path(named).name, [_plain(asdict(a)) for a in found], out)
    if as_json:
        print(json.dumps([_plain(asdict(a)) | {"behind_is": CAVEAT} for a in found]))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for key in dict.fromkeys((a.set, a.quality, a.documents) for a in found):
        here = [a for a in found if (a.set, a.quality, a.documents) == key]
        shown = [s for s in SHOWN if any(a.correlations.get(s) for a in here)]
        title = f"{key[0]}: {key[1]} ({key[2]:,} {'pairs' if key[1] == 'preference' else 'documents'})"
        table = Table(
            "metric", *shown, "pairs right", "best is no better, adjusted p", title=title, title_justify="left"
        )
        for a in here:
            accuracy = "" if a.accuracy is None else f"{100 * a.accuracy:.1f} %"
            behind = "" if a.behind is None else "< 0.001" if a.behind < 0.001 else f"{a.behind:.3f}"
            table.add_row(a.metric, *(_text(a.correlations.get(s)) for s in shown), accuracy, behind)
        console.print(table)
        if here[0].unmarked:
            console.print(f"{here[0].unmarked:,} texts have no mark of this quality and are left out.")
    for line in _best(found):
        console.print(line)
    if any(a.behind is not None for a in found):
        console.print(CAVEAT)


def _best(found: list[Any]) -> list[str]:
    """For each quality the metric that goes with it most, by Pearson's correlation of all texts; what levels are."""
    lines = list[str]()
    for key in dict.fromkeys((a.set, a.quality) for a in found):
        known = [(e, a.metric) for a in found if (a.set, a.quality) == key
                 and (e := a.correlations.get("segment, pearson")) is not None]  # fmt: skip
        if len(known) > 1:
            best, metric = max(known, key=lambda k: k[0].value)
            near = [m for e, m in known if m != metric and e.high >= best.low]
            also = f"; intervals overlap: {', '.join(near)}" if near else ""
            lines.append(f"{key[0]}, {key[1]}: highest is {metric}, Pearson {_text(best)} over all texts{also}")
    told = "system: of the systems' means; summary: within a document, averaged; segment: of all texts pooled."
    return [*lines, told] if lines else []


def _people(named: str, judges: str | None, how: Mapping[str, Any], as_json: bool, out: Path | None) -> None:
    from ..judging import agreement, preferences
    from ..study.judging import folder_of

    pairs = preferences(folder_of(named))
    asked = [j.strip() for j in (judges or "longer,shorter").split(",") if j.strip()]
    with telling() as tell:
        found = [
            agreement([p for p in pairs if p.set == name], judge, tell)
            for name in dict.fromkeys(p.set for p in pairs)
            for judge in [*(judge_of(j, how) for j in asked), *stored(pairs, name)]
        ]
    if out is not None:
        from ..study.report.agreement_page import save_people

        save_people(found, Path(named).name, [_told(a) for a in found], out)
    if as_json:
        print(json.dumps([_told(a) for a in found]))
        return
    from rich.console import Console

    console = Console(highlight=False)
    for name in dict.fromkeys(a.set for a in found):
        _show_people(console, [a for a in found if a.set == name], name)


def stored(pairs: Any, name: str) -> list[str]:
    """The names of the judges whose verdicts came with a set's pairs."""
    return list(dict.fromkeys(judge for p in pairs if p.set == name for judge in p.stored))


def _show_people(console: Any, found: list[Any], title: str) -> None:
    from rich.table import Table

    some = found[0]
    title = f"{title} ({some.n:,} pairs; people took the longer reply in {_rate(some.people_longer)})"
    table = Table(title=title, title_justify="left")
    for heading in ("judge", "agrees", "kappa", "ties", "the order decided", "took the longer", "unread", "calls"):
        table.add_column(heading, min_width=9 if heading == "kappa" else None)
    for a in found:
        table.add_row(a.judge, _rate(a.accuracy), _text(a.kappa), _rate(a.ties), _rate(a.flips), _rate(a.longer),
                      f"{a.unread:,}", f"{a.calls:,}")  # fmt: skip
    console.print(table)


def _rate(e: Any) -> str:
    if e is None or e.value is None:
        return "\u2013"
    return f"{100 * e.value:.1f} % [{100 * e.low:.1f}, {100 * e.high:.1f}]"


def _text(e: Any) -> str:
    return "\u2013" if e is None else f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"


def _told(a: Any) -> dict[str, Any]:
    return {k: v._asdict() if hasattr(v, "_asdict") else v for k, v in vars(a).items()}


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    named = {k: None if e is None else e._asdict() for k, e in told["correlations"].items()}
    return told | {"correlations": named}
