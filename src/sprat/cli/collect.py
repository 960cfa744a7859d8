"""`sprat collect`: ask models for the calls that a study needs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ..errors import BadInput

if TYPE_CHECKING:
    from ..collect import Collection, Outcome, Plan, Progress

Doubt = Literal["ask", "retry", "skip"]


def collect(
    prompts: Path,
    *,
    models: Path,
    out: Path,
    budget: float | None = None,
    concurrency: int = 8,
    samples: int = 0,
    temperature: float | None = None,
    max_tokens: int | None = None,
    in_doubt: Doubt = "ask",
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="")] = False,
    skip_bad: Annotated[bool, Parameter(negative="")] = False,
    energy: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Ask every model every prompt, priced before, and write the calls for `sprat study`; run again to resume.

    Example: sprat collect prompts.jsonl --models models.toml --out calls.jsonl --budget 5.00

    Parameters
    ----------
    prompts
        A file with a prompt (or messages) per row, JSON lines, CSV or Parquet; calls that it holds are kept.
    models
        A TOML file with a table [models.NAME] each: url, model, key_env, price.input, price.output,
        defaults.max_tokens.
    out
        The file of calls to write; its journal stands beside it.
    budget
        Dollars that are never passed, counting each call's worst case and what was spent into this file before.
    concurrency
        Calls at a time.
    samples
        Draws per prompt and model beside the reply itself.
    temperature
        The temperature of these draws.
    max_tokens
        The longest reply, for models whose table sets none.
    in_doubt
        What to do with calls that were cut off and may have been paid: ask again (retry) or leave out (skip).
    dry_run
        Say what it would cost, and stop.
    yes
        Go ahead without asking.
    skip_bad
        Count and skip lines that can't be used.
    energy
        Say what this machine's work drew; sprat energy says it of the models.
    as_json
        Print the outcome as JSON.
    """
    from ..collect import Collection, plan
    from ..config import load_models
    from ..reading import read
    from .energy import metered, said

    data = read(prompts, prompts_only=True, skip_bad=skip_bad)
    planned = plan(data, load_models(models), samples=samples, temperature=temperature, max_tokens=max_tokens)
    told = sys.stderr if as_json else sys.stdout
    collection = Collection(planned, out)
    try:
        for line in _estimate(planned, collection, budget):
            print(line, file=told)
        if dry_run:
            return _report_dry(planned, collection) if as_json else 0
        retry = _settle_doubt(collection, in_doubt)
        _confirm(collection, budget, yes)
        with metered(energy) as running, _progress() as tell:
            outcome = collection.run(budget=budget, concurrency=concurrency, retry_in_doubt=retry, tell=tell)
    finally:
        collection.close()
    if as_json:
        drawn = {} if running is None else {"energy": running.energy.summary()}
        print(json.dumps({**asdict(outcome), "out": str(out), **drawn}))
    else:
        _report(outcome, out)
        for line in said(running):
            print(line)
    return 0 if outcome.complete else 1


def _estimate(planned: Plan, collection: Collection, budget: float | None) -> Iterator[str]:
    from ..collect import estimate

    left = collection.left
    yield f"{len(planned.data)} prompts, {len(planned.models)} models: {len(planned.calls)} calls, {len(left)} to make."
    if sum(len(c.rows) for c in planned.calls) > len(planned.calls):
        yield "Equal requests are asked once."
    for name in planned.models:
        mine = [c for c in left if c.model == name]
        if mine:
            yield f"  {name}: {len(mine)} calls, {_range(*estimate(mine))}"
    yield f"  together {_range(*estimate(left))}" + ("" if budget is None else f"; budget ${budget:.2f}")
    paid, perhaps = collection.spent
    if paid or perhaps:
        yield f"  spent before: ${paid:.4f}, and up to ${perhaps:.4f} on calls without an answer"


def _range(least: float | None, most: float | None) -> str:
    if least is None:
        return "cost unknown (no price given)"
    if most is None:
        return f"at least about ${least:.4f}, the most unknown (give max_tokens)"
    return "free" if most == 0 else f"about ${least:.4f} for reading, at most ${most:.4f} with the longest replies"


def _report_dry(planned: Plan, collection: Collection) -> int:
    from ..collect import estimate

    least, most = estimate(collection.left)
    print(json.dumps({"calls": len(planned.calls), "left": len(collection.left), "least": least, "most": most}))
    return 0


def _settle_doubt(collection: Collection, in_doubt: Doubt) -> bool:
    """Whether calls in doubt are asked again."""
    doubtful = collection.in_doubt
    if not doubtful or in_doubt != "ask":
        return in_doubt == "retry"
    what = f"{len(doubtful)} calls were cut off and may have been paid; asking again may pay them twice."
    if not sys.stdin.isatty():
        raise BadInput(what, hint="Say --in-doubt retry, or --in-doubt skip to leave them out.")
    return _asked(f"{what} Ask them again?")


def _confirm(collection: Collection, budget: float | None, yes: bool) -> None:
    from ..collect import estimate

    left = collection.left
    _, most = estimate(left)
    if yes or not left or most == 0:
        return
    if not sys.stdin.isatty():
        raise BadInput("These calls cost money.", hint="Say --yes to go ahead, or --dry-run to see the estimate alone.")
    if not _asked("Go ahead?" if budget is None else f"Go ahead, with at most ${budget:.2f}?"):
        raise BadInput("Nothing was asked.")


def _asked(question: str) -> bool:
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def _progress() -> Generator[Callable[[Progress], None]]:
    from .progress import telling

    with telling() as move:

        def tell(progress: Progress) -> None:
            failures = f", {progress.failed} failed" if progress.failed else ""
            move(f"asking, ${progress.spent:.4f}{failures}", progress.done, progress.total)

        yield tell


def _report(outcome: Outcome, out: Path) -> None:
    print(f"{outcome.done} of {outcome.total} calls are in {out}; they cost ${outcome.spent:.4f} by the given prices.")
    if outcome.unpriced:
        print(f"What {outcome.unpriced} of them cost is unknown: their models have no price.")
    if outcome.doubtful_spent:
        print(f"Calls without an answer may have cost up to ${outcome.doubtful_spent:.4f} more.")
    if outcome.stopped == "budget":
        print("Stopped: the next call could pass the budget. Raise --budget and run again to go on.")
    if outcome.in_doubt:
        print(f"{outcome.in_doubt} calls are in doubt: cut off, and perhaps paid. They were left out.")
    for said, n in outcome.failed.items():
        print(f"{n} failed: {said}")
    if outcome.failed:
        print("Run again to retry what failed.")
