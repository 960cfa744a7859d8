"""`sprat keys`: the gateway's virtual keys; a running server follows within seconds."""

from __future__ import annotations

import json
import os
import re
import time
import tomllib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ..errors import BadInput, MissingExtra, nearest

if TYPE_CHECKING:
    from ..gateway.ledger.store import Store

keys = App(
    name="keys",
    help="Make, list and disable the gateway's keys.\n\nExample: sprat keys create --name search --budget 50/month",
)
_Json = Annotated[bool, Parameter(name="--json", negative="")]


@keys.command
def create(
    *,
    name: str,
    budget: str | None = None,
    rate: str | None = None,
    tokens: str | None = None,
    models: str = "",
    expires: str | None = None,
    priced_only: Annotated[bool, Parameter(negative="")] = False,
    store: str | None = None,
    as_json: _Json = False,
) -> None:
    """Make a key and show its secret, this once.

    Example: sprat keys create --name search --budget 50/month --rate 60/min --models auto,small

    Parameters
    ----------
    name
        What it is called in logs.
    budget
        Dollars that are not passed, such as 50/month or 2/day (UTC).
    rate
        Requests per minute, such as 60/min.
    tokens
        Tokens per minute, such as 100000/min.
    models
        The models that may be asked, separated by commas; all unless given. Where a serve.toml is beside the store they
        must be its own.
    expires
        When it ends: a date (2027-01-31) or a time from now (30d, 12h).
    priced_only
        Refuse requests whose cost is not known beforehand.
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    as_json
        Print the key as JSON.
    """
    wanted = [m.strip() for m in models.split(",") if m.strip()]
    _served(wanted, store)
    with open_store(store, create=True) as opened:
        from ..gateway.access import keys as room
        from ..gateway.access.limits import Budget, per_minute

        key, secret = room.create(
            opened.engine,
            name,
            budget=Budget.of(budget) if budget else None,
            rate=per_minute(rate, "rate") if rate else None,
            tokens=per_minute(tokens, "rate of tokens") if tokens else None,
            models=wanted,
            expires=_expires(expires),
            priced_only=priced_only,
        )
        where = opened.name
    if as_json:
        print(json.dumps({"secret": secret, **asdict(key)}))
    else:
        print(secret)
        print(f"This is the key '{key.name}' ({key.id}) in {where}. It is shown this once; only its hash is kept.")


def _served(wanted: list[str], store: str | None) -> None:
    """Raise BadInput for a model that the serve.toml beside the store lacks; where there is none, all may be right."""
    store = store or os.environ.get("SPRAT_STORE") or ""
    file = Path("" if "://" in store else store).parent / "serve.toml"
    try:
        table: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    known = ["auto", *table.get("models", {}), *table.get("encoders", {})]
    for name in wanted:
        if name not in known:
            raise BadInput(f"{file} has no model '{name}'.", hint=nearest(name, known))


@keys.command(name="list")
def show(*, store: str | None = None, as_json: _Json = False) -> None:
    """List the keys with what they may and what they have spent.

    Example: sprat keys list

    Parameters
    ----------
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    as_json
        Print them as JSON.
    """
    now = time.time()
    with open_store(store) as opened:
        from ..gateway.access import keys as room
        from ..gateway.access.limits import Per, Spent, span

        known = room.listed(opened.engine)
        pers: tuple[Per, Per] = ("day", "month")
        spent = {per: opened.spent_in(span(per, now)) for per in pers}
    rows: list[dict[str, Any]] = []
    for key in known:
        window = spent[key.budget.per if key.budget else "month"].get(key.id, Spent())
        rows.append({**asdict(key), "spent": window._asdict(), "expired": bool(key.expires and now >= key.expires)})
    if as_json:
        print(json.dumps(rows))
        return
    from rich.table import Table

    table = Table("name", "key", "budget", "spent", "rate", "models", "state", box=None, pad_edge=False)
    for key, row in zip(known, rows, strict=True):
        state = "disabled" if key.disabled else "expired" if row["expired"] else "on"
        rates = [f"{key.rate}/min"] if key.rate else []
        rates += [f"{key.tokens} tokens/min"] if key.tokens else []
        paid = f"${row['spent']['dollars']:.4f}{unsure(row['spent']['unknown'], row['spent']['at_most'])}"
        per = key.budget.per if key.budget else "month"
        cells = (key.name, key.shown, str(key.budget or "-"), f"{paid} this {per}", ", ".join(rates) or "-")
        table.add_row(*map(plain, (*cells, ", ".join(key.models) or "all", state)))
    console().print(table if rows else "There are no keys yet. Make one with: sprat keys create --name NAME")


@keys.command
def disable(name: str, *, store: str | None = None, as_json: _Json = False) -> None:
    """Disable a key by its name or id; a running server refuses it within seconds.

    Example: sprat keys disable search

    Parameters
    ----------
    name
        The key's name or id.
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    as_json
        Print the outcome as JSON.
    """
    _turn(name, store, as_json, True)


@keys.command
def enable(name: str, *, store: str | None = None, as_json: _Json = False) -> None:
    """Enable a key again.

    Example: sprat keys enable search

    Parameters
    ----------
    name
        The key's name or id.
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    as_json
        Print the outcome as JSON.
    """
    _turn(name, store, as_json, False)


def _turn(name: str, store: str | None, as_json: bool, disabled: bool) -> None:
    with open_store(store) as opened:
        from ..gateway.access import keys as room

        key = room.disable(opened.engine, name, disabled)
    word = "disabled" if disabled else "enabled"
    print(json.dumps({"id": key.id, "name": key.name, "disabled": disabled}) if as_json else f"'{key.name}' is {word}.")


def open_store(store: str | None, create: bool = False) -> Store:
    """The store to read: as given, else $SPRAT_STORE, else sprat.db here; raises BadInput, or MissingExtra."""
    try:
        from ..gateway.ledger.store import DEFAULT, Store
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("sqlalchemy", "orjson"):
            raise
        raise MissingExtra("gateway", "The gateway's store") from None
    return Store.read(store or os.environ.get("SPRAT_STORE") or DEFAULT, create=create)


def seconds(text: str, what: str) -> float:
    """A span of time such as 90s, 15m, 1h or 7d, in seconds; raises BadInput."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", text)
    if not match:
        raise BadInput(f"{what} is '{text}'; it needs a span of time.", hint="Such as 15m, 1h or 7d.")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def _expires(text: str | None) -> float | None:
    if text is None:
        return None
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip()):
        try:
            return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise BadInput(f"--expires is '{text}', which is no date.", hint="Such as 2027-01-31.") from None
    return time.time() + seconds(text, "--expires")


def console() -> Any:
    """Where tables go: as wide as the terminal, and wide enough for all where the output goes elsewhere."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=240)


def unsure(calls: int, dollars: float, what: str = "calls") -> str:
    """What a sum leaves out: those of unknown cost, and what a cap counts for them."""
    most = f" (up to ${dollars:.4f} more)" if dollars else ""
    return f" + {calls:,} {what} of unknown cost{most}" if calls else ""


def plain(text: str) -> Any:
    """Text for a terminal: no markup, and no control characters that came from outside."""
    from rich.text import Text

    return Text("".join(c if c.isprintable() else "�" for c in text))
