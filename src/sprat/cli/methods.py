"""`sprat methods`: every technique, signal, endpoint and encoder that is installed."""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter


def methods(
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    as_markdown: Annotated[bool, Parameter(name="--markdown", negative="")] = False,
) -> int:
    """List every technique, signal, endpoint and encoder: what it needs, whether it learns, and its paper.

    Example: sprat methods --json

    Parameters
    ----------
    as_json
        Print a JSON list.
    as_markdown
        Print the page docs/methods.md.
    """
    from .. import methods as found
    from ..methods import TITLES, page

    if as_json:
        print(json.dumps([m.row() for m in found()], indent=1, ensure_ascii=False))
        return 0
    if as_markdown:
        print(page(), end="")
        return 0
    from rich.console import Console
    from rich.table import Table

    for folder, title in TITLES.items():
        rows = [m for m in found() if m.folder == folder]
        if rows:
            table = Table("name", "needs", "learns", "arXiv", "what it does", title=title, title_justify="left")
            for m in rows:
                table.add_row(m.name, m.needs, "yes" if m.learns else "", " ".join(m.papers), m.summary)
            Console().print(table)
    return 0
