"""How a call failed below HTTP, in a sentence each, whichever client carried it; checked in tests/endpoints."""

from __future__ import annotations

from typing import TypeVar

from ..errors import BadInput, EndpointError, Garbled, TimedOut, Unreachable
from .http import Call, scrub

Failure = TypeVar("Failure", bound=EndpointError)


def _who(call: Call) -> str:
    return f"'{call.name}' at {call.url}"


def _unsent(error: Failure) -> Failure:
    error.sent = False
    return error


def not_accepted(call: Call) -> TimedOut:
    """No connection within the time for it."""
    return _unsent(TimedOut(f"{_who(call)} did not accept a connection within {call.connect_timeout:g} s."))


def no_answer(call: Call, seconds: float) -> TimedOut:
    """No answer, or no more of it, within some seconds."""
    hint = "Raise its timeout, or ask for fewer tokens."
    return TimedOut(f"{_who(call)} gave no answer within {seconds:g} s.", hint=hint, billable=True)


def not_trusted(call: Call) -> Unreachable:
    """Its certificate is not known."""
    hint = "Its certificate is not trusted here; SSL_CERT_FILE may name a file with the one that it is signed by."
    return _unsent(Unreachable(f"{_who(call)} can't be reached.", hint=hint))


def not_reached(call: Call, hint: str = "Is the server running, and the url right?") -> Unreachable:
    """No connection could be made."""
    return _unsent(Unreachable(f"{_who(call)} can't be reached.", hint=hint))


def not_asked(call: Call, error: Exception) -> BadInput:
    """The call can't be sent at all."""
    return BadInput(f"{_who(call)} can't be asked: {scrub(call.secret, str(error))}.")


def not_decoded(call: Call) -> Garbled:
    """The body is not what its coding says."""
    return Garbled(f"{_who(call)} sent a body that can't be decoded.", billable=True)


def broken(call: Call) -> Unreachable:
    """The connection ended too early, or what came on it was no HTTP."""
    return Unreachable(f"The connection to {_who(call)} broke.", billable=True)
