"""A trust while its reply is still being written: between which two values can it come to lie?

What `watchful` reads. Each such signal has a law: fed a reply piece by piece, its bounds only close in, and end where
`trust` of the whole reply lies; so stopping as soon as the upper one falls below a threshold decides exactly as the
whole reply would have. Checked with hypothesis in tests/combine/test_watchful_laws.py.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from ..core import Piece, Request


class Running(Protocol):
    """One reply's trust in the making. Draft 0 is the reply; the others are what `beside` names, in that order.

    Optional: `failed()`, which is called where the reply's own endpoint failed, so that there is no trust in it.
    """

    @property
    def beside(self) -> tuple[Any, ...]:
        """Models whose replies to the same request are written beside it."""
        ...

    def wants(self) -> int:
        """The draft to look at next."""
        ...

    def take(self, which: int, piece: Piece | None) -> None:
        """A piece of a draft, None at its end."""
        ...

    def within(self) -> tuple[float, float]:
        """The least and the most that the trust can come to; CannotDo where the reply can't be judged."""
        ...


@runtime_checkable
class Runs(Protocol):
    """A signal that has a running form."""

    @property
    def needs(self) -> Any:
        """What it reads of a reply."""
        ...

    def running(self, request: Request) -> Running:
        """A reply's trust in the making."""
        ...


class Alone:
    """What running trusts share that read the reply alone."""

    beside: tuple[Any, ...] = ()

    def wants(self) -> int:
        """The reply."""
        return 0
