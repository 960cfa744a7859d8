"""HTML elements from Python calls: every text is escaped, once, and only here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

VOID = {"meta", "br", "col"}
PROSE = {"h1", "p", "li", "dt", "dd", "td", "th", "figcaption", "small"}


class Html(str):
    """Text that is HTML already; anything else is escaped when it is put into an element."""

    __slots__ = ()


Content = str | None | Iterable["Content"]


def join(content: Content) -> Html:
    """Content as HTML: strings escaped, None left out, iterables joined."""
    if content is None:
        return Html("")
    if isinstance(content, Html):
        return content
    if isinstance(content, str):
        return Html(escape(content, quote=False))
    return Html("".join(join(part) for part in content))


def tag(element: str, /, *content: Content, **attributes: str | bool | None) -> Html:
    """An element; attributes drop a trailing underscore and turn others into hyphens, True is bare, None left out."""
    if element in PROSE and attributes.get("class_") != "said":
        content = tuple(_kept_together(c) for c in content)
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if element in VOID:
        return Html(f"<{element}{written}>")
    return Html(f"<{element}{written}>{join(content)}</{element}>")


def _kept_together(content: Content) -> Content:
    """A number stays on the line of its per cent sign and its interval."""
    if isinstance(content, str) and not isinstance(content, Html):
        return re.sub(r"(?<=[\d=±]) (?=[%±\d])|(?<=n) (?==)", "\u00a0", content)
    return content
