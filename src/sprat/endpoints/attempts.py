"""Who may say no to a call before it is made, and is told how each attempt went: the gateway's circuit breaker.

Where nobody is set, calls go ahead: a script, a study and a test have no traffic to protect an upstream from.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from ..errors import EndpointError

if TYPE_CHECKING:
    from .http import Call


class Attempt(Protocol):
    """One attempt of a call. Only what is told first counts; an attempt that just ends says nothing of the upstream."""

    def passed(self) -> None:
        """The upstream answered."""
        ...

    def failed(self, error: EndpointError) -> None:
        """It did not."""
        ...

    def left(self) -> None:
        """It is over, whatever it came to."""
        ...


class Gate(Protocol):
    """Lets attempts begin."""

    def enter(self, call: Call) -> Attempt:
        """An attempt; raises an EndpointError where none is to be made now."""
        ...

    def broke(self, call: Call, error: EndpointError) -> None:
        """An answer that had begun broke off."""
        ...


class _Free:
    def passed(self) -> None: ...

    def failed(self, error: EndpointError) -> None: ...

    def left(self) -> None: ...


gate: ContextVar[Gate | None] = ContextVar("gate", default=None)
_FREE = _Free()


def begun(call: Call) -> Attempt:
    """An attempt of the call; raises an EndpointError where the gate is shut."""
    found = gate.get()
    return _FREE if found is None else found.enter(call)


def broke(call: Call, error: EndpointError) -> None:
    """An answer that had begun broke off."""
    found = gate.get()
    if found is not None:
        found.broke(call, error)
