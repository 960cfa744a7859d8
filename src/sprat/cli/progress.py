"""Progress with a bar, the stage and the time left; silent off a terminal."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from ..study.tried import Tell


@contextmanager
def telling() -> Generator[Tell]:
    """A function (stage, done, total) that moves a bar on the terminal's error stream."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        "left",
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def tell(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        yield tell
