"""What goes wrong, as a client may be told: a status, a sentence, and each dialect's shape for it; never a secret."""

from __future__ import annotations

from typing import Any

from ...errors import (
    BadInput,
    BadKey,
    CannotDo,
    EndpointError,
    MissingExtra,
    NotRecorded,
    OverBudget,
    RateLimited,
    Refused,
    SpratError,
    StoreFailed,
    TimedOut,
)
from ..compact import compact
from .struck import for_clients, struck

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
# The client's own fault, by the upstream's word; what else an upstream refuses is between it and the gateway.
PASSED_ON = (400, 413, 415, 422)
UNTOLD = ("internal_error", "upstream_key", "store_failed")  # the codes of what only the log says


class Problem(Exception):
    """A request that gets no answer: `status`, one sentence, which `param` is at fault, seconds to wait `after`.

    `detail` is what the operator alone is told: an upstream's own words, its address, what to do. `allow` names the
    methods that an address takes.
    """

    detail = allow = ""

    def __init__(self, status: int, message: str, *, param: str = "", code: str = "", after: float | None = None):
        super().__init__(message)
        self.status, self.message, self.param, self.code, self.after = status, message, param, code, after

    @property
    def kind(self) -> str:
        """The error's type, in the word that both protocols know."""
        return _KINDS.get(self.status, "api_error" if self.status >= 500 else "invalid_request_error")

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Retry-After where there is something to wait for, Allow where the method is at fault."""
        found = [(b"allow", self.allow.encode())] if self.allow else []
        if self.after is not None:
            found.append((b"retry-after", str(max(1, round(self.after + 0.5))).encode()))
        return found


def problem_of(error: Exception) -> Problem:
    """What a client is told of an error: the upstream's address, hints for the operator and secrets are left out."""
    if isinstance(error, Problem):
        return error
    if not isinstance(error, SpratError):
        return Problem(500, "The gateway failed; its log says how.", code="internal_error")
    said = for_clients(str(error.args[0]))
    if isinstance(error, RateLimited):
        return Problem(429, said, code="rate_limit_exceeded", after=error.after if error.after is not None else 1.0)
    if isinstance(error, TimedOut):
        return Problem(504, said, code="upstream_timeout")
    if isinstance(error, Refused) and error.status in PASSED_ON:
        return Problem(error.status, said, param=error.param, code=struck(error.code) or "upstream_refused")
    if isinstance(error, EndpointError):
        full = error.status in (503, 529)
        # Who may not ask, and which key was wrong, is between the gateway and its upstream.
        who, refused, _ = said.partition(" answered HTTP")
        said = f"{who} refused the gateway." if refused and isinstance(error, Refused) else said
        problem = Problem(503 if full else 502, said, code="upstream_failed", after=error.after)
        problem.detail = str(error)
        return problem
    if isinstance(error, OverBudget):
        return Problem(429, said, code="insufficient_quota")
    if isinstance(error, StoreFailed):
        return Problem(503, "The store can't be read now; the log says why.", code="store_failed", after=5.0)
    if isinstance(error, BadKey):
        return Problem(502, "The gateway's key for an upstream can't be used; its log says why.", code="upstream_key")
    if isinstance(error, (BadInput, CannotDo)):
        return Problem(400, struck(str(error)))
    if isinstance(error, (MissingExtra, NotRecorded)):
        return Problem(501, said)
    return Problem(500, said, code="internal_error")


def openai_error(problem: Problem) -> dict[str, Any]:
    """The error as OpenAI's API says it."""
    error = {
        "message": problem.message,
        "type": problem.kind,
        "param": problem.param or None,
        "code": problem.code or None,
    }
    return {"error": error}


def anthropic_error(problem: Problem) -> dict[str, Any]:
    """The error as Anthropic's API says it."""
    kind = "overloaded_error" if problem.status == 503 else problem.kind
    return {"type": "error", "error": {"type": kind, "message": problem.message}}


def dumped(value: Any) -> bytes:
    """Compact JSON; what is no JSON number becomes null."""
    return compact(value, _plain)


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "keys") else value.tolist() if hasattr(value, "tolist") else str(value)
