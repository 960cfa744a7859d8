"""`sprat promise`: how the certified promise stands in the traffic; marks by a person; renewing and suspending."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ..errors import BadInput
from .keys import console, open_store, plain

if TYPE_CHECKING:
    from ..gateway.ledger.store import Store

promise = App(
    name="promise",
    help="How the promise stands; mark pairs, renew, suspend.\n\nExample: sprat promise status",
)
_Json = Annotated[bool, Parameter(name="--json", negative="")]
_WAIT = 10.0  # seconds that a command waits for the gateway to do it


@promise.command
def status(*, store: str | None = None, as_json: _Json = False) -> int:
    """Show how the promise stands; the exit code is 0, or 3 where it is broken.

    Example: sprat promise status

    Parameters
    ----------
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    as_json
        Print it as JSON.
    """
    with open_store(store) as opened:
        found = _found(opened)
    if as_json:
        print(json.dumps(found))
    else:
        for line in _sentences(found):
            print(line)
    return 3 if found["state"] == "broken" else 0


@promise.command
def mark(
    pair: str = "",
    scores: Annotated[list[float] | None, Parameter(consume_multiple=True, negative="")] = None,
    *,
    skip: Annotated[bool, Parameter(negative="")] = False,
    show: Annotated[bool, Parameter(name="--list", negative="")] = False,
    limit: int = 20,
    store: str | None = None,
    as_json: _Json = False,
) -> None:
    """Mark the pairs that wait, one after the other; or list them, or give one its scores.

    The replies are shown in a random order, and who wrote them is not said. Scores go from 0 (wrong) to 1 (right), in
    the order in which the replies are shown.

    Example: sprat promise mark

    Example: sprat promise mark 4f1c 1 0.5

    Parameters
    ----------
    pair
        The pair to mark, by its id or its beginning; where not given, all that wait are asked for.
    scores
        Its replies' scores.
    skip
        The pair can't be judged; it then counts as what speaks most for the present state.
    show
        List what waits instead.
    limit
        How many to list, or to ask for.
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    as_json
        Print the list, or the outcome, as JSON.
    """
    with open_store(store) as opened:
        from ..gateway.promise import evidence

        if pair:
            if not skip and not scores:
                raise BadInput("No scores were given.", hint="Such as: sprat promise mark ID 1 0.5, or --skip.")
            known = [p.id for p in evidence.waiting(opened.engine, 100_000)[0] if p.id.startswith(pair)]
            if len(known) > 1:
                raise BadInput(f"{len(known)} pairs begin with '{pair}'.", hint="Give more of the id.")
            one = known[0] if known else pair
            evidence.mark(opened.engine, one, None if skip else scores, time.time())
            print(json.dumps({"marked": one}) if as_json else f"{one} is marked.")
            return
        waiting, total = evidence.waiting(opened.engine, limit)
        if as_json:
            print(json.dumps({"waiting": total, "pairs": [asdict(p) for p in waiting]}))
        elif not waiting:
            print("No pair waits for marks.")
        elif show:
            for one in waiting:
                _show(one)
            print(f"{total} pairs wait. Mark them one after the other with: sprat promise mark")
        else:
            _ask(opened, waiting, total)


def _ask(store: Store, waiting: list[Any], total: int) -> None:
    from ..gateway.promise import evidence

    print(f"{total} pairs wait. Scores from 0 (wrong) to 1 (right); s skips one that can't be judged, q ends.")
    for one in waiting:
        _show(one)
        while True:
            try:
                said = input("score: " if len(one.replies) == 1 else "scores of A and B: ").split()
            except EOFError:
                return
            if said[:1] == ["q"]:
                return
            try:
                evidence.mark(
                    store.engine, one.id, None if said[:1] == ["s"] else [float(s) for s in said], time.time()
                )
                break
            except ValueError:
                print("Needed: numbers from 0 to 1, s or q.")
            except BadInput as error:
                print(error)


def _show(pair: Any) -> None:
    out = console()
    out.rule(f"{pair.id[:12]}  {datetime.fromtimestamp(pair.at):%m-%d %H:%M}")
    out.print(plain_lines(pair.question))
    for name, text in zip("AB", pair.replies, strict=False):
        out.print(f"--- {name}")
        out.print(plain_lines(text or "(nothing)"))


def plain_lines(text: str) -> Any:
    """Several lines for a terminal, without markup and control characters."""
    from rich.text import Text

    return Text("\n").join(plain(line) for line in text.splitlines())


@promise.command
def renew(*, store: str | None = None, as_json: _Json = False) -> int:
    """Begin a new watch, where the pairs since the alarm show that the promise holds again.

    Example: sprat promise renew

    Parameters
    ----------
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    as_json
        Print the outcome as JSON.
    """
    with open_store(store) as opened:
        found = _found(opened)
        if found["state"] != "broken":
            raise BadInput(f"The promise is {found['state']}: there is nothing to renew.")
        if not found["restorable"]:
            raise BadInput("The promise cannot be renewed yet.", hint=found["sentence"])
        return _told(opened, "renew", "", "holding", as_json)


@promise.command
def suspend(why: str, *, store: str | None = None, as_json: _Json = False) -> int:
    """Say that what is served is not what was certified: nothing is counted until it is resumed.

    Example: sprat promise suspend "load test until noon"

    Parameters
    ----------
    why
        The reason, which the status shows.
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    as_json
        Print the outcome as JSON.
    """
    with open_store(store) as opened:
        state = _found(opened)["state"]
        if state != "holding":
            raise BadInput(f"The promise is {state}: it can't be suspended.")
        return _told(opened, "suspend", why, "suspended", as_json)


@promise.command
def resume(*, store: str | None = None, as_json: _Json = False) -> int:
    """End a suspension; the watch goes on where it was.

    Example: sprat promise resume

    Parameters
    ----------
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    as_json
        Print the outcome as JSON.
    """
    with open_store(store) as opened:
        state = _found(opened)["state"]
        if state != "suspended":
            raise BadInput(f"The promise is {state}: there is nothing to resume.")
        return _told(opened, "resume", "", "holding", as_json)


def _found(store: Store) -> dict[str, Any]:
    """The status as it is published, with what waits for marks now."""
    from ..gateway.promise import evidence

    with store.engine.connect() as connection:
        saved = evidence.watch(connection)
        if saved is None:
            hint = "Start sprat serve with a file that has a [promise] table, as sprat study writes it."
            raise BadInput(f"No promise is watched in {store.name}.", hint=hint)
        marks, behind = evidence.waits(connection, saved.watch)
    from ..gateway.access.limits import Spent, span

    spent = store.spent_in(span("month", time.time())).get("promise", Spent())
    watched_now = saved.until > time.time()
    return {
        **saved.status,
        "marks_waiting": marks,
        "behind_marks": behind,
        "watched_now": watched_now,
        "watching": spent._asdict(),
    }


def _sentences(found: Mapping[str, Any]) -> list[str]:
    level = f"{found['level']:g}"
    of = f"keep {level} of" if found["kind"] == "keep" else f"within {level} of"
    setting = f" by '{found['setting']}'" if found.get("setting") else ""
    lines = [f"The promise: {of} {found['reference']}{setting}, wrong with probability at most {found['delta']:g}."]
    lines.append(found["sentence"])
    since = f"{datetime.fromtimestamp(found['since']):%Y-%m-%d %H:%M}"
    lines.append(f"In this state since {since}; {found['how']}.")
    if found["mean_loss"] is not None:
        lines.append(
            f"Mean loss {found['mean_loss']:.4f} over {found['pairs']} pairs; the promise is that it is at most 0."
            + (f" In words: {found['kept']}." if found.get("kept") else "")
        )
    if found["state"] == "broken":
        shadowed = f"; the policy is shadowed on {found['share']:.2%} of requests" if found["share"] else ""
        lines.append(f"{found['reference']} answers alone{shadowed}.")
        if found["restorable"]:
            lines.append("Renew it with: sprat promise renew")
    if found["marks_waiting"]:
        behind = f"; {found['behind_marks']} more wait behind them" if found["behind_marks"] else ""
        lines.append(f"{found['marks_waiting']} pairs wait for a person's marks{behind}: sprat promise mark")
    paid = found["watching"]
    unknown = f", and {paid['unknown']} of unknown cost" if paid["unknown"] else ""
    lines.append(f"Watching took ${paid['dollars']:.4f} this month, {paid['calls']} calls{unknown}.")
    if not found["watched_now"]:
        lines.append("No gateway watches it at the moment: this is what the last one left.")
    return lines


def _told(store: Store, kind: Any, why: str, wanted: str, as_json: bool) -> int:
    """Tell the gateway, and wait until it is done; 1 where none does it in time."""
    from ..gateway.promise import evidence

    evidence.tell(store.engine, kind, time.time(), why)
    end = time.monotonic() + (_WAIT if _found(store)["watched_now"] else 0.0)
    while (found := _found(store))["state"] != wanted and time.monotonic() < end:
        time.sleep(0.1)
    done = found["state"] == wanted
    if as_json:
        print(json.dumps({"done": done, "state": found["state"]}))
    elif done:
        print(f"The promise is {found['state']}.")
    else:
        print("No gateway does it at the moment; the next one that watches this store will.")
    return 0 if done else 1
