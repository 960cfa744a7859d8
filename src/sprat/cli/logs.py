"""`sprat logs`: what went through the gateway, what it cost, and the calls for the next study."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from ..errors import BadInput
from .keys import console, open_store, plain, seconds, unsure

if TYPE_CHECKING:
    from ..gateway.ledger.exchange import Exchange
    from ..gateway.ledger.store import Totals
    from ..gateway.steering.evaluating import Evaluated

logs = App(
    name="logs",
    help="Show the gateway's requests and what they cost, or export them.\n\nExample: sprat logs --since 1h",
)
WATCHING = "promise"  # the key under which the gateway charges what its watch over the promise takes
_Json = Annotated[bool, Parameter(name="--json", negative="")]


@logs.default
def show(
    *,
    store: str | None = None,
    since: str | None = None,
    key: str | None = None,
    limit: int = 50,
    crafted: Annotated[bool, Parameter(negative="")] = False,
    as_json: _Json = False,
) -> None:
    """Show the newest requests, and totals with what was saved against the reference.

    Example: sprat logs --since 1h

    Parameters
    ----------
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    since
        How far back, such as 15m, 1h or 7d; all unless given.
    key
        The requests of this key alone, by its name or id.
    limit
        How many requests to list; the totals count all.
    crafted
        Only the requests that look crafted to force the dear model, and how that showed.
    as_json
        Print them as JSON.
    """
    if limit < 0:
        raise BadInput(f"--limit is {limit}.", hint="It needs a number of at least 0.")
    start = time.time() - seconds(since, "--since") if since else None
    with open_store(store) as opened:
        from ..gateway.access.keys import listed

        names = {k.id: k.name for k in listed(opened.engine)}
        only = next((i for i, name in names.items() if key in (i, name)), key)
        if only is not None and only not in (*names, WATCHING):
            raise BadInput(f"There is no key '{key}'.", hint="See: sprat keys list")
        found = opened.exchanges(start, None, only, limit, crafted=crafted)
        totals = opened.totals(start, None, only)
        watching = opened.spend(WATCHING, start)
    if as_json:
        rows = [{**asdict(e), "key_name": names.get(e.key, "")} for e in found]
        print(json.dumps({"exchanges": rows, "totals": asdict(totals), "watching": watching._asdict()}, default=str))
        return
    _table(found, names)
    if crafted:
        for e in reversed(found):
            print(f"{e.id}  {plain(e.crafted)}")
    for line in sentences(totals):
        print(line)
    if watching.calls and only is None:
        paid = f"${watching.dollars:.4f}{unsure(watching.unknown, watching.at_most)}"
        print(f"Of these, watching the promise: {watching.calls:,} calls, {paid}.")


@logs.command
def export(
    *,
    out: Path,
    purpose: Annotated[Literal["study"], Parameter(name="--for")] = "study",
    store: str | None = None,
    since: str | None = None,
    as_json: _Json = False,
) -> None:
    """Write the stored calls by request, with scores where labelled, as a file for `sprat study`.

    Example: sprat logs export --for study --out calls.jsonl

    Parameters
    ----------
    out
        The file to write: .jsonl, .csv or .parquet.
    purpose
        What it is for.
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    since
        How far back, such as 7d; all unless given.
    as_json
        Print what was written as JSON.
    """
    start = time.time() - seconds(since, "--since") if since else None
    from ..reading import write

    with open_store(store) as opened:
        data = opened.dataset(start)
    write(data, out)
    n_calls = sum(len(e.calls) for e in data)
    scored = sum(c.reply.score is not None for e in data for c in e.calls)
    told = {"out": str(out), "for": purpose, "requests": len(data), "calls": n_calls, "scored": scored}
    if as_json:
        print(json.dumps({**told, "models": data.models, "notes": data.notes}))
        return
    print(f"{out}: {len(data)} requests, {n_calls} calls of {', '.join(data.models)}; {scored} have scores.")
    for note in data.notes:
        print(note)
    if len(data.models) > 1 and scored:
        print(f"Next: sprat study {out} --small MODEL --large MODEL")


@logs.command
def evaluate(
    policy: str,
    *,
    outcome: Literal["cost", "score"] = "cost",
    file: Path | None = None,
    store: str | None = None,
    since: str | None = None,
    as_json: _Json = False,
) -> int:
    """Estimate what another setting would have cost or scored, from logged requests and their propensities.

    Example: sprat logs evaluate 2 --outcome score --store study/sprat.db

    Exits with 4 where the log can't tell, and says what exploration would be needed.

    Parameters
    ----------
    policy
        A setting of the served file by its name or number, safest first; where all are routes by one signal also
        at_least=NUMBER, or another serve.toml with that signal.
    outcome
        cost in dollars per request, or score: labels by people, else by a judge, else what the watch over the promise
        found; a request that failed scores 0.
    file
        The file that was served; serve.toml beside the store unless given.
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    since
        How far back, such as 7d; all unless given.
    as_json
        Print the estimates as JSON.
    """
    start = time.time() - seconds(since, "--since") if since else None
    with open_store(store) as opened:
        from ..gateway.served import load
        from ..gateway.steering.evaluating import evaluated

        beside = Path("serve.toml") if "://" in opened.name else Path(opened.name).parent / "serve.toml"
        if not (file or beside).exists():
            raise BadInput(f"{file or beside} is not there.", hint="Give the served file with --file.")
        served = load(file or beside)
        labels = [*opened.watched(served.ways[0].name if served.ways else "", start), *opened.labels(start)]
        found = evaluated(served, policy, opened.exchanges(start), labels, outcome)
    if as_json:
        print(json.dumps(asdict(found)))
    else:
        for line in told(found):
            print(line)
    return 4 if found.found.refused else 0


def told(evaluated: Evaluated) -> list[str]:
    """An evaluation in words."""
    e, found = evaluated, evaluated.found
    unit = "$" if e.outcome == "cost" else ""
    lines = [f"{e.policy}: {e.outcome} per request, from {found.rows:,} logged requests."]
    if found.refused:
        lines += [found.refused, e.needed]
    for one in found.estimates:
        interval = f"[{unit}{one.low:.4g}, {unit}{one.high:.4g}]"
        lines.append(f"  {one.name:<14} {unit}{one.value:.4g}   95 % {interval}")
    lines.append(f"  {'as logged':<14} {unit}{e.logged:.4g}   (what was really done)")
    lines.append(f"Worth {found.ess:.4g} independent requests for this policy.")
    lines += [found.left_out] if found.left_out else []
    if e.left_out:
        lines.append("Left out: " + "; ".join(f"{n:,} {why}" for why, n in e.left_out.items()) + ".")
    return [line for line in lines if line]


def sentences(totals: Totals) -> list[str]:
    """What the totals say, unknown costs named and never counted as nothing."""
    t = totals
    failed = f", {t.failed} failed" if t.failed else ""
    lines = [f"{t.requests:,} requests{failed}; {t.input_tokens:,} tokens read, {t.output_tokens:,} written."]
    lines.append(f"Cost: ${t.dollars:.4f}{unsure(t.unknown, t.at_most, 'requests')}.")
    if t.compared and t.reference > 0:
        word, share = ("Saved", t.saved / t.reference) if t.saved >= 0 else ("Paid more", -t.saved / t.reference)
        against = f"{word} ${abs(t.saved):.4f} ({share:.0%}) against the reference's ${t.reference:.4f}"
        rest = t.requests - t.compared
        lines.append(f"{against}; {rest:,} requests can't be compared." if rest else f"{against}.")
    return lines


def _table(found: list[Exchange], names: dict[str, str]) -> None:
    from rich.table import Table

    if not found:
        return
    rows: list[tuple[str, ...]] = []
    for e in reversed(found):
        at = datetime.fromtimestamp(e.at).strftime("%m-%d %H:%M:%S")
        tokens = f"{_known(e.input_tokens)}+{_known(e.output_tokens)}"
        cost = "?" if e.cost is None else f"${e.cost:.6f}"
        took = "?" if e.seconds is None else f"{e.seconds:.2f}"
        rows.append((at, e.model or e.asked, e.way, tokens, cost, took, str(e.status), names.get(e.key, e.key)))
    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(("time", "model", "way", "tokens", "cost", "seconds", "status", "key")):
        number = 3 <= i <= 6  # numbers and times are never cut, names are where the terminal is narrow
        least = max(len(column), *(len(row[i]) for row in rows)) if number or i == 0 else 4
        align: Literal["right", "left"] = "right" if number else "left"
        table.add_column(column, justify=align, no_wrap=True, overflow="ellipsis", min_width=least)
    for row in rows:
        table.add_row(*map(plain, row))
    console().print(table)


def _known(value: Any) -> str:
    return "?" if value is None else str(value)
