"""A study in the terminal: the verdict, the ways worth a look, where small is not enough, and the certificate card."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..result import Result, Way
from .card import card
from .numbers import counted, level, percent, plus_minus, rough, seconds, span

MOST = 14
WIDE = 100


def show(result: Result, folder: str | Path = "study", console: Console | None = None) -> None:
    """Print the study; colour and width are the terminal's own, plain where the output is not a terminal."""
    (console or Console(highlight=False)).print(drawn(result, folder))


def plain(result: Result, folder: str | Path = "study", width: int = 80) -> str:
    """What `show` prints, as text of this width."""
    console = Console(file=StringIO(), width=width, highlight=False, color_system=None, force_terminal=False)
    show(result, folder, console)
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def drawn(result: Result, folder: str | Path = "study") -> Group:
    """The study as something rich can print."""
    return Group(*_parts(result, str(folder).rstrip("/")))


def _parts(result: Result, folder: str) -> Iterator[Any]:
    models = ", ".join((result.small, *result.peers, result.large))
    yield Text(f"{result.name} · {result.rows:,} rows · recorded: {models} · quality = {result.quality}", style="dim")
    yield Text(f"Fitted on {result.fit_rows:,} rows; shown on {result.shown_on}.", style="dim")
    yield Text()
    yield Text(result.verdict, style="bold" if result.shown else "bold yellow")
    yield Text()
    picked, rest = _picked(result)
    yield _Table(result, picked)
    dominated = f"; {rest} more in {folder}/index.html" if rest else ""
    yield Padding(Text(f"* certified   · no other is both cheaper and better{dominated}", style="dim"), (0, 0, 1, 0))
    if result.promises:
        yield _promises(result)
        yield Text()
    if result.weak:
        worst = "; ".join(
            f"{w.name} (n = {w.rows}: {percent(w.small.value)} against {percent(w.large.value)})"
            for w in result.weak[:3]
        )
        yield Text(f"{result.small} is not enough for: {worst}.")
    for line in (*result.advice, *result.notes):
        yield Text(line)
    yield Text()
    yield _card(result, folder)
    yield Text()
    yield Text(f"Report: {folder}/index.html")


def _picked(result: Result) -> tuple[list[Way], int]:
    """The ways worth a line: the certified, the models alone, the baselines, and what nothing beats."""
    worth = [
        w for w in result.ways if w.status in ("certified", "reference", "baseline") or w.kind == "alone" or w.on_front
    ]
    if len(worth) > MOST:
        front = [w for w in worth if w.status not in ("certified", "reference", "baseline") and w.kind != "alone"]
        dropped = {id(w) for w in front[MOST - len(worth) :]}
        worth = [w for w in worth if id(w) not in dropped]
    return worth, len(result.ways) - len(worth)


class _Table:
    """The table of ways: as many columns as the console has room for."""

    def __init__(self, result: Result, ways: list[Way]) -> None:
        self.result, self.ways = result, ways

    def __rich_console__(self, console: Console, options: Any) -> Iterator[Table]:
        wide = options.max_width >= WIDE
        cost = counted(self.result)
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        table.add_column("", width=1)
        table.add_column("way of working", overflow="fold", ratio=None)
        heads = ["quality, %", "saves, %", *([cost.head] if cost.priced else []), "asks large, %"]
        heads += ["kept, %", "p50", "p95"] if wide else []
        for head in heads:
            table.add_column(head, justify="right", no_wrap=True)
        for way in self.ways:
            cells = [plus_minus(way.quality), plus_minus(way.saving, digits=0)]
            cells += [cost.text(way)] if cost.priced else []
            cells.append(plus_minus(way.large, digits=0))
            cells += [plus_minus(way.kept), seconds(way.p50), seconds(way.p95)] if wide else []
            style = "bold green" if way.status == "certified" else "dim" if way.status == "baseline" else ""
            mark = "*" if way.status == "certified" else "·" if way.on_front else ""
            table.add_row(mark, way.name, *cells, style=style)
        yield table


def _promises(result: Result) -> Table:
    """The curve of promise against saving as two lines."""
    kind = result.certificate.kind
    ordered = sorted(result.promises, key=lambda p: -p.level if kind == "keep" else p.level)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("keeps" if kind == "keep" else "within")
    table.add_column("saves", no_wrap=True)
    table.add_column("by", overflow="fold")
    for p in ordered:
        asked = abs(p.level - result.certificate.level) < 1e-9
        if p.way is None:
            cells = "not shown", _needs(p.rows_needed, result.certificate.units)
        else:
            cells = span(p.saving), p.way
        table.add_row(level(kind, p.level), *cells, style="bold" if asked else "")
    return table


def _needs(rows: int | None, units: int) -> str:
    if rows is None:
        return "no way kept it on the fit rows"
    return f"needs about {rough(rows):,} rows to calibrate" if rows > units else f"by these {units:,} rows"


def _card(result: Result, folder: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False, title_justify="left")
    table.title = Text("Certificate", style="bold")
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in card(result.certificate, f"{folder}/"):
        table.add_row(label, Text(text))
    return table
