"""Everything that sprat raises on purpose.

SpratError                 has `hint` (what to do), `retryable` (would the same call work later?), `spent` (dollars)
├── BadInput               a file, option or argument is not what was needed
│   ├── BadRow             ... at a line of a file
│   ├── BadKey             ... a key for an endpoint can't be used
│   └── StoreFailed        ... the gateway's store can't be read or written
├── MissingExtra           an optional dependency is not installed
├── CannotDo               a model lacks what a technique needs (text < logprobs < logits)
├── NotRecorded            a replay asked for a call that the recording does not hold
├── WrongAwait             a technique awaited something that is not one of the verbs
├── OverBudget             the next call could pass the budget
└── EndpointError          a model's endpoint failed
    ├── Unreachable        no connection, or it broke                        (retryable)
    ├── TimedOut           no answer in time                                 (retryable)
    ├── RateLimited        asked to slow down; `after` seconds where told    (retryable)
    ├── ServerFailed       the server's own fault, 5xx                       (retryable)
    ├── Refused            the server said no to this request, 4xx
    └── Garbled            the answer is not what the protocol says
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class SpratError(Exception):
    """One sentence on what happened; `hint` says what to do about it.

    `spent` is what was paid for answers before it happened, None where unknown. `said` are the pieces that the client
    had seen by then; None: some, which were not kept. `tree` is the Reply that failed, with what it had asked.
    """

    retryable: bool = False
    spent: float | None = 0.0
    said: tuple[Any, ...] | None = ()
    tree: Any = None

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = str(self.args[0])
        return f"{message} {self.hint}" if self.hint else message


class BadInput(SpratError):
    """A file, an option or an argument is not what was needed."""


class BadRow(BadInput):
    """A line of a file cannot be used."""

    def __init__(self, path: object, line: int, why: str) -> None:
        super().__init__(
            f"{path}, line {line}: {why}.", hint="Mend the line, or pass --skip-bad to count and skip such."
        )
        self.path, self.line, self.why = str(path), line, why


class BadKey(BadInput):
    """The key of an endpoint can't be used: its file is open to others, or no header can carry it."""


class StoreFailed(BadInput):
    """The gateway's store can't be used: its database is away, held by another, or not its own."""


class MissingExtra(SpratError):
    """An optional dependency is not installed."""

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the extra '{extra}'.", hint=f"Install it with: pip install 'sprat[{extra}]'"
        )
        self.extra = extra


class CannotDo(SpratError):
    """A model lacks what a technique needs."""


class NotRecorded(SpratError):
    """A replay asked for a call that the recording does not hold."""


class WrongAwait(SpratError):
    """A technique awaited something that is not one of the verbs."""


class OverBudget(SpratError):
    """The next call could pass the budget."""


class EndpointError(SpratError):
    """A model's endpoint failed; `status` is the HTTP status where there was one, `billable`: it may be billed.

    `sent` is False where no attempt came as far as sending the request; `what` happened, in a few words. `param` and
    `code` are the server's own, where it gave them.
    """

    sent, what = True, "it failed"
    param = code = ""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int | None = None,
        after: float | None = None,
        billable: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status, self.after, self.billable = status, after, billable


class Unreachable(EndpointError):
    """No connection could be made, or it broke."""

    retryable, what = True, "no connection"


class TimedOut(EndpointError):
    """No answer came in time."""

    retryable, what = True, "no answer in time"


class RateLimited(EndpointError):
    """The server asked to slow down; `after` is its Retry-After in seconds, where told."""

    retryable, what = True, "it asked to slow down"


class ServerFailed(EndpointError):
    """The server failed by its own account (5xx)."""

    retryable, what = True, "its server failed"


class Refused(EndpointError):
    """The server said no to this very request (4xx)."""

    what = "it refused the request"


class Garbled(EndpointError):
    """The answer is not what the protocol says it is."""

    what = "its answer can't be read"


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known word, or lists what is known."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(options)}." if options else ""
