"""`sprat curate`: keep the documents that are worth training on, and know why each of the others went."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from ..errors import BadInput
from .progress import telling

_VERBS = ("explain", "what-if", "restore")
curate = App(name="curate")
curate.command("sprat.cli.select:select", help="Draw the documents that look like a target.")
Json = Annotated[bool, Parameter(name="--json", negative="")]


@curate.default
def documents(
    *sources: str,
    recipe: str | None = None,
    out: Path | None = None,
    workers: int | None = None,
    longest: int = 16,
    rule: str | None = None,
    at: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    reason: Sequence[str] = (),
    as_json: Json = False,
) -> int:
    """Judge every document of JSON lines by a recipe, and keep all scores, so that no decision is final.

    Example: sprat curate raw/*.jsonl.gz --recipe web --out kept/

    A killed run goes on where it was when the same command is given again. Afterwards, without judging anew:

    `sprat curate explain kept/ DOC` says why a document was kept or dropped, and what was edited in it.
    `sprat curate what-if kept/ --rule gopher.alpha --at 0.7` says what another limit would keep.
    `sprat curate restore kept/ --reason gopher.alpha` keeps again what nothing else dropped.

    `sprat curate select FILES --target TARGET.jsonl` draws the documents that look like a target: see its own --help.

    Parameters
    ----------
    sources
        Files, patterns or folders of JSON lines, plain or gzip, one document a line; or one of the verbs above with the
        folder that a run wrote.
    recipe
        Which rules: gopher, c4, fineweb, web (repetition, gopher and c4; the default), or a TOML file.
    out
        The folder to write: kept/, dropped/, ledger/ (Parquet), quarantine/ (lines that could not be read).
    workers
        How many processes judge; as many as there are cores unless given. They change nothing but the time.
    longest
        The longest line that is read, in MiB; longer ones go to the quarantine.
    rule
        With what-if: the score whose limit is moved, such as gopher.alpha.
    at
        With what-if: where the limit lies then, for a score with one limit.
    at_least
        With what-if: the lower limit.
    at_most
        With what-if: the upper limit.
    reason
        With restore: the reasons to overrule; may be given several times.
    as_json
        Print the findings as JSON.
    """
    if not sources:
        raise BadInput("sprat curate needs files.", hint="Try: sprat curate raw/*.jsonl.gz --out kept/")
    if sources[0] in _VERBS and not Path(sources[0]).exists():
        return _afterwards(sources, rule, at, at_least, at_most, reason, as_json)
    if out is None:
        raise BadInput("sprat curate needs a folder to write.", hint="Say --out kept/")
    if longest < 1 or (workers is not None and workers < 1):
        raise BadInput("--longest and --workers are at least 1.")
    from ..curate import curate as run
    from ..curate import recipe as recipes
    from ..curate import summary

    with telling() as tell:
        folder = run(
            sources, recipes(recipe or "web"), out, workers, longest << 20, lambda done, of: tell("judging", done, of)
        )
    found = summary(folder)
    if as_json:
        print(json.dumps(asdict(found)))
    else:
        _show(found, folder)
    return 0


def _afterwards(
    sources: Sequence[str],
    rule: str | None,
    at: float | None,
    at_least: float | None,
    at_most: float | None,
    reason: Sequence[str],
    as_json: bool,
) -> int:
    from ..curate import explain, opened, restore, what_if

    verb, *rest = sources
    if not rest:
        raise BadInput(f"sprat curate {verb} needs a folder that sprat curate wrote.")
    folder = opened(rest[0])
    if verb == "explain":
        if len(rest) != 2:
            raise BadInput("sprat curate explain needs a folder and a document's id.")
        explained = explain(folder, rest[1])
        print(json.dumps([_plain(e) for e in explained], ensure_ascii=False) if as_json else _explained(explained))
        return 0
    if verb == "restore":
        if not reason:
            raise BadInput("sprat curate restore needs a reason to overrule.", hint="Say --reason gopher.alpha")
        count = restore(folder, reason)
        told = f"{count:,} documents are kept again."
        print(json.dumps({"restored": count}) if as_json else told)
        return 0
    if rule is None or (at is None and at_least is None and at_most is None):
        raise BadInput("sprat curate what-if needs a score and a limit.", hint="Say --rule gopher.alpha --at 0.7")
    if at is not None:
        at_least, at_most = _sides(folder, rule, at)
    found = what_if(folder, rule, at_least, at_most)
    if as_json:
        print(json.dumps({**asdict(found), "limit": str(found.limit)}, ensure_ascii=False))
        return 0
    print(f"With {found.limit}: {found.kept_then:,} of {found.documents:,} documents kept, now {found.kept:,}.")
    for count, what, ids in ((found.back, "come back", found.examples_back), (found.gone, "go", found.examples_gone)):
        if count:
            print(f"{count:,} {what}: {', '.join(ids)}{', ...' if count > len(ids) else ''}")
    return 0


def _sides(folder: Any, rule: str, at: float) -> tuple[float | None, float | None]:
    """The one limit that a score has, moved."""
    from math import isfinite

    limit = next(m for m in folder.limits if m.score == folder.score(rule))
    if isfinite(limit.at_least) == isfinite(limit.at_most):
        both = "two limits" if isfinite(limit.at_least) else "no limit"
        raise BadInput(f"{limit.score} has {both}, so --at is not enough.", hint="Say --at-least or --at-most.")
    return (at, None) if isfinite(limit.at_least) else (None, at)


def _show(found: Any, folder: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    share = f", {found.kept / found.documents:.1%}" if found.documents else ""
    console = Console()
    console.print(
        f"{found.kept:,} of {found.documents:,} documents kept{share}; {found.edited:,} edited; "
        f"{found.bad:,} lines could not be read.",
        highlight=False,
    )
    reasons = [r for r in found.first if found.first[r] or found.alone[r]]
    if reasons:
        table = Table(box=None, header_style="bold")
        for name in ("reason", "dropped first", "dropped alone"):
            table.add_column(name, justify="left" if name == "reason" else "right")
        for r in reasons:
            table.add_row(r, f"{found.first[r]:,}", f"{found.alone[r]:,}")
        console.print(table)
    console.print(
        f"The documents are in {folder.path}/kept; why one went: sprat curate explain {folder.path} ID",
        highlight=False,
        soft_wrap=True,
    )


def _plain(found: Any) -> dict[str, Any]:
    entry = asdict(found.entry)
    limits = [{"limit": str(m), "value": None if v != v else v, "holds": held} for m, v, held in found.limits]
    return {**entry, "scores": {k: None if v != v else v for k, v in entry["scores"].items()}, "limits": limits}


def _explained(found: Sequence[Any]) -> str:
    lines: list[str] = []
    for e in found:
        entry = e.entry
        how = "kept" if entry.kept else "dropped"
        over = f", though {' and '.join(entry.restored)} spoke against it" if entry.restored and entry.kept else ""
        lines.append(
            f"{entry.id} ({entry.file}, line {entry.line:,}; {entry.characters:,} characters) was {how}{over}."
        )
        for limit, value, held in e.limits:
            lines.append(f"  {'  ' if held else 'x '}{limit}: {value:.4g}")
        if entry.edits:
            lines.append(f"  {len(entry.edits)} lines were edited:")
            lines += [f"    {number + 1}: {why}: {was[:100]}" for number, why, was in entry.edits[:20]]
    return "\n".join(lines)
