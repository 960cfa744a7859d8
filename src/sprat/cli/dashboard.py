"""`sprat dashboard`: the login of the gateway's dashboard."""

from __future__ import annotations

import getpass
import json
import sys
from typing import Annotated

from cyclopts import App, Parameter

from ..errors import BadInput
from .keys import open_store

dashboard = App(
    name="dashboard",
    help="Set the password of the gateway's dashboard.\n\nExample: sprat dashboard password --store study/sprat.db",
)


@dashboard.command
def password(
    *,
    own: Annotated[bool, Parameter(negative="")] = False,
    store: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Set another password and end all sessions; a running server follows within a second.

    Example: sprat dashboard password

    Parameters
    ----------
    own
        Ask for one (or read it from standard input) instead of making one at random.
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    as_json
        Print the outcome as JSON.
    """
    with open_store(store) as opened:
        from ..gateway.dashboard.login import generated, set_password

        chosen = _asked() if own else generated()
        set_password(opened, chosen)
        where = opened.name
    if as_json:
        print(json.dumps({"store": where, **({} if own else {"password": chosen})}))
        return
    if not own:
        print(chosen)
    shown = "" if own else " It is shown this once; only its hash is kept."
    print(f"This is the dashboard's password now, in {where}.{shown}")


def _asked() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    first = getpass.getpass("New password: ").strip()
    if getpass.getpass("The same again: ").strip() != first:
        raise BadInput("The two are not the same.", hint="Nothing was changed.")
    return first
