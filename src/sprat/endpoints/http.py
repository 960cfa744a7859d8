"""One HTTP call as every endpoint makes it: retries, time limits, streams, errors in a sentence (bytes: upstream.py).

Retries follow full jitter (capped exponential back-off) and Retry-After; nothing is retried once a part of a stream has
come. Each attempt is told to the gate of attempts.py. Checked against a mock server with scripted faults in
tests/endpoints.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Container, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from ..errors import (
    BadInput,
    EndpointError,
    Garbled,
    RateLimited,
    Refused,
    ServerFailed,
    TimedOut,
    nearest,
)
from .attempts import Attempt, broke
from .attempts import begun as attempt
from .server_events import ServerEvents

if TYPE_CHECKING:
    from .upstream import Upstream

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
T = TypeVar("T")
# What reading an answer raises that is JSON, but not of the shape that the protocol says.
UNREADABLE = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError)


@dataclass(frozen=True)
class Call:
    """One POST of JSON: where, what (bytes go as they are), and how long it may take; `secret` is shown nowhere."""

    name: str
    url: str
    body: Mapping[str, Any] | bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    secret: str = field(default="", repr=False)
    key_env: str = ""
    timeout: float = 600.0
    connect_timeout: float = 10.0
    read_timeout: float | None = None
    retries: int = 4
    largest: int = 256 * 2**20
    first_timeout: float | None = None


# Hears of every call before it is sent, repeated ones too, and gives headers to add: a trace's context, say.
announced: ContextVar[Callable[[Call], Mapping[str, str]] | None] = ContextVar("announced", default=None)


@lru_cache(maxsize=256)
def check_url(name: str, url: str, where: str) -> str:
    """The endpoint's URL without a closing slash; BadInput where it is empty, not HTTP, or carries a password."""
    if not url:
        place = f"Fill in its url in {where}." if where else "Give its url, such as http://localhost:8000/v1."
        raise BadInput(f"'{name}' has no url, so it can't be asked.", hint=place)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"The url of '{name}' is not an HTTP address.", hint="Needed: such as http://localhost:8000/v1.")
    if parts.username or parts.password or parts.query:
        raise BadInput(f"The url of '{name}' carries more than an address.", hint="Put keys into the environment.")
    return url.rstrip("/")


def check_times(endpoint: Any) -> None:
    """BadInput where a limit of the endpoint's is no number of seconds above 0, or `retries` none from 0 on."""
    for name in ("timeout", "connect_timeout", "read_timeout", "first_timeout"):
        value = getattr(endpoint, name, None)
        if value is not None and not 0 < value < float("inf"):
            raise BadInput(f"The {name} of '{endpoint.name}' is {value!r}.", hint="Needed: seconds above 0.")
    if endpoint.retries < 0:
        raise BadInput(f"The retries of '{endpoint.name}' are {endpoint.retries}.", hint="Needed: 0 or more.")


async def post(call: Call, read: Callable[[dict[str, Any]], Any] = lambda found: found) -> Any:
    """What is read out of the JSON that the server answers; raises an EndpointError after the last retry."""

    async def once(deadline: float) -> Any:
        upstream = await _opened(call, deadline)
        return _understood(call, partial(read, parse(call, await upstream.text())))

    return await _tried(call, once)


def heard(call: Call, read: Callable[[], T]) -> T:
    """What is read out of a part of a stream; where that can't be, Garbled, which counts against the server."""
    try:
        return _understood(call, read)
    except EndpointError as error:
        broke(call, error)
        raise


def _understood(call: Call, read: Callable[[], T]) -> T:
    try:
        return read()
    except UNREADABLE as error:
        what = f"What '{call.name}' answered is not what its protocol says"
        raise Garbled(f"{what}: {type(error).__name__} {error}.", billable=True) from error


def unfinished(call: Call) -> Garbled:
    """The error of a stream that ended too early, told to the gate."""
    error = Garbled(f"The stream of '{call.name}' ended before its reply was finished.", billable=True)
    broke(call, error)
    return error


@dataclass(frozen=True)
class Whole:
    """An answer as it came: its status and the decoded body."""

    status: int
    body: bytes
    upstream: Upstream

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """What may be handed on, names in lower case."""
        return self.upstream.headers


async def raw(call: Call, relay: Container[int] = range(200, 300)) -> Whole:
    """The server's answer as it came; a status that is not in `relay` is raised, and retried, as in `post`."""

    async def once(deadline: float) -> Whole:
        upstream = await _opened(call, deadline, relay, plain=True)
        return Whole(upstream.status, await upstream.whole(), upstream)

    return await _tried(call, once)


async def stream_raw(call: Call, relay: Container[int] = range(200, 300)) -> Upstream:
    """The server's answer with its first bytes there: `status`, `headers`, and chunks as they come; `close` it.

    A status that is not in `relay`, and what fails before the first byte, is raised and retried as in `post`.
    """

    async def once(deadline: float) -> Upstream:
        return await _first(call, deadline, relay)

    return await _tried(call, once)


async def _first(call: Call, deadline: float, fine: Container[int]) -> Upstream:
    """The server's answer with its first bytes there; raises TimedOut where they take longer than they may."""
    try:
        async with asyncio.timeout(call.first_timeout):
            upstream = await _opened(call, deadline, fine, plain=True)
            try:
                await upstream.begin()
            except BaseException:
                upstream.close()
                raise
            return upstream
    except TimeoutError as error:
        said = f"'{call.name}' at {call.url} did not begin to answer within {call.first_timeout:g} s."
        raise TimedOut(said, billable=True) from error


async def events(call: Call) -> AsyncGenerator[tuple[str, str]]:
    """(event, data) of a server-sent stream, or one ("json", body) from a server that did not stream."""
    deadline = asyncio.get_running_loop().time() + call.timeout
    before: EndpointError | None = None
    for tried in count():
        begun = ended = False
        upstream: Upstream | None = None
        one = _attempt(call, before)
        try:
            upstream = await _first(call, deadline, (200,))
            one.passed()
            if "event-stream" not in upstream.header("content-type"):
                text = await upstream.text()
                begun = True
                yield "json", text
                return
            reader = ServerEvents()
            async for chunk in upstream:
                for event in reader.feed(chunk):
                    begun, ended = True, event[1] == "[DONE]" or event[0] == "message_stop"
                    yield event
                if reader.held > call.largest:
                    raise too_large(call)
            for event in reader.end():
                begun = True
                yield event
            return
        except EndpointError as error:
            if begun:
                broke(call, error)
                raise
            one.failed(error)
            before = _after(before, error)
            await _pause(call, error, tried, deadline)
        finally:
            one.left()
            if upstream is not None:
                upstream.leave() if ended else upstream.close()


async def _tried(call: Call, once: Callable[[float], Awaitable[T]]) -> T:
    """What an attempt with the call's deadline gives; raises its error after the last one."""
    deadline = asyncio.get_running_loop().time() + call.timeout
    before: EndpointError | None = None
    for tried in count():
        one = _attempt(call, before)
        try:
            found = await once(deadline)
            one.passed()
            return found
        except EndpointError as error:
            one.failed(error)
            before = _after(before, error)
            await _pause(call, error, tried, deadline)
        finally:
            one.left()
    raise AssertionError


async def _opened(call: Call, deadline: float, fine: Container[int] = (200,), plain: bool = False) -> Upstream:
    """The server's answer, of a status that is fine; raises the error that it is otherwise."""
    from .upstream import send  # aiohttp takes a tenth of a second to import

    announce = announced.get()
    sent = call if announce is None else replace(call, headers={**call.headers, **announce(call)})
    upstream = await send(sent, deadline, plain=plain)
    if upstream.status not in fine:
        raise await _failure(call, upstream)
    return upstream


async def models(name: str, url: str, headers: Mapping[str, str], timeout: float = 10.0) -> list[str]:
    """The ids that the server's /models lists; raises an EndpointError."""
    call = Call(name, f"{url}/models", {}, headers, timeout=timeout)
    from .upstream import send

    upstream = await send(call, asyncio.get_running_loop().time() + timeout, method="GET")
    text = await upstream.text()
    if upstream.status != 200:
        raise Refused(f"'{name}' does not list its models (HTTP {upstream.status}).", status=upstream.status)
    listed = parse(call, text).get("data")
    if not isinstance(listed, list):
        raise Garbled(f"'{name}' lists its models in a form that is not known.")
    return [str(entry["id"]) for entry in cast("list[Any]", listed) if isinstance(entry, dict) and "id" in entry]


def _attempt(call: Call, before: EndpointError | None) -> Attempt:
    try:
        return attempt(call)
    except EndpointError as error:
        raise _after(before, error) from None


def _after(before: EndpointError | None, error: EndpointError) -> EndpointError:
    """The error, which answers for the attempts before it too."""
    if before is not None:
        error.billable, error.sent = before.billable or error.billable, before.sent or error.sent
    return error


async def _pause(call: Call, error: EndpointError, tried: int, deadline: float) -> None:
    """Wait before the next attempt; raises the error where there is to be none."""
    if not error.retryable or tried >= call.retries:
        raise error
    pause = backoff(tried, error.after)
    if asyncio.get_running_loop().time() + pause >= deadline:
        raise error
    await asyncio.sleep(pause)


def backoff(attempt: int, after: float | None = None) -> float:
    """Seconds to wait before another attempt: what the server asked for, and full jitter."""
    jitter = random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt))
    return jitter if after is None else after + min(jitter, 0.1 * after)


def scrub(secret: str, text: str) -> str:
    """The text without the secret."""
    return text.replace(secret, "[key]") if secret else text


def too_large(call: Call) -> Garbled:
    """The error of an answer that is larger than the call allows."""
    return Garbled(f"'{call.name}' at {call.url} sent more than {call.largest:,} bytes.", billable=True)


def parse(call: Call, text: str) -> dict[str, Any]:
    """The JSON object in a body; raises Garbled."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        said = scrub(call.secret, " ".join(text[:80].split()))
        hint = "Is the url that of the API (it often ends in /v1)?"
        raise Garbled(
            f"'{call.name}' at {call.url} did not answer with JSON but with: {said!r}.", hint=hint, billable=True
        )
    return cast("dict[str, Any]", found)


def failure_of(call: Call, status: int, said: str, after: float | None = None, code: str = "") -> EndpointError:
    """The error of a status and the server's own words."""
    words = scrub(call.secret, " ".join(said.split()))[:300].rstrip(".")
    what = f"'{call.name}' answered HTTP {status}" + (f": {words}." if words else ".")
    if status in (401, 403):
        if not call.secret:
            env = call.key_env
            hint = f"Set the environment variable {env}." if env else "Name the variable with its key in key_env."
        else:
            hint = f"Is the key in {call.key_env or 'the given callable'} the right one for this server?"
        return Refused(what, hint=hint, status=status)
    if status == 408:
        return TimedOut(what, status=status, after=after, billable=True)
    if status == 429 and "quota" not in f"{code} {words}".lower():
        hint = f"Wait {after:g} s." if after is not None else "Ask less at once."
        return RateLimited(what, hint=hint, status=status, after=after)
    if status >= 500:
        return ServerFailed(what, status=status, after=after)
    return Refused(what, status=status)


async def _failure(call: Call, upstream: Upstream) -> EndpointError:
    said, code, param, own = await upstream.text(), "", None, None
    try:
        body: Any = json.loads(said)
        told: Any = body.get("error", body.get("detail", said))
        said = str(told.get("message", told) if isinstance(told, dict) else told)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        param, own = (told.get("param"), told.get("code")) if isinstance(told, dict) else (None, None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        code = str(own or told.get("type") or "") if isinstance(told, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    except (ValueError, AttributeError, RecursionError):
        pass
    status = upstream.status
    if 300 <= status < 400:
        return Refused(
            f"'{call.name}' at {call.url} has moved.",
            hint=f"Its url is now {upstream.header('location') or 'not told'}.",
        )
    error = failure_of(call, status, said, retry_after(upstream.header("retry-after")), code)
    error.param, error.code = (scrub(call.secret, v)[:200] if isinstance(v, str) else "" for v in (param, own))
    if status == 404:
        error.hint = await _what_is_there(call)
    return error


def _asked(call: Call) -> Mapping[str, Any]:
    try:
        found = json.loads(call.body) if isinstance(call.body, bytes) else call.body
    except ValueError:
        found = None
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


async def _what_is_there(call: Call) -> str:
    wanted = str(_asked(call).get("model", ""))
    url = call.url.removesuffix("/chat/completions").removesuffix("/messages")
    try:
        offered = await models(call.name, url, call.headers)
    except EndpointError:
        return f"The model asked for is '{wanted}'; check it and the url (it often ends in /v1)."
    listed = ", ".join(offered[:12]) + (f" and {len(offered) - 12} more" if len(offered) > 12 else "")
    close = nearest(wanted, offered)
    guess = f" {close}" if close.startswith("Did") else ""
    return f"The model asked for is '{wanted}'; the server offers: {listed or 'none'}.{guess}"


def retry_after(value: str | None) -> float | None:
    """Seconds to wait from a Retry-After header: seconds, or an HTTP date; None where it says neither."""
    if not value:
        return None
    try:
        seconds = float(value)
        return seconds if 0 <= seconds < float("inf") else None
    except ValueError:
        pass
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(value)
    except UNREADABLE:
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
