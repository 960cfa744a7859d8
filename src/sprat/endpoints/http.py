"""One HTTP call as every endpoint makes it: one client per event loop, retries, time limits, errors in a sentence.

Retries follow full jitter (capped exponential back-off) and Retry-After; nothing is retried once a part of a stream has
come. Checked against a mock server with scripted faults in tests/endpoints.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from ..errors import (
    BadInput,
    EndpointError,
    Garbled,
    RateLimited,
    Refused,
    ServerFailed,
    TimedOut,
    Unreachable,
    nearest,
)

if TYPE_CHECKING:
    import httpx2

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_keepers: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, AsyncGenerator[Any]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Call:
    """One POST of JSON: where, what, and how long it may take; `secret` is shown nowhere."""

    name: str
    url: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    secret: str = field(default="", repr=False)
    key_env: str = ""
    timeout: float = 600.0
    connect_timeout: float = 10.0
    read_timeout: float | None = None
    retries: int = 4


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


def read_key(name: str, key: Callable[[], str] | None, key_env: str) -> str:
    """The key from the callable, else from the environment; "" where there is none. BadInput where unusable."""
    secret = (key() if key else os.environ.get(key_env, "") if key_env else "").strip()
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        source = key_env or "the given callable"
        raise BadInput(f"The key of '{name}' holds characters that no header can carry.", hint=f"Look at {source}.")
    return secret


async def client() -> httpx2.AsyncClient:
    """The running loop's client, made at first need; it closes when the loop shuts down its async generators."""
    loop = asyncio.get_running_loop()
    found = _keepers.get(loop)
    if found is None or found[0].is_closed:
        keeper = _keep()
        found = _keepers[loop] = (await anext(keeper), keeper)
    return found[0]


async def _keep() -> AsyncGenerator[httpx2.AsyncClient]:
    import httpx2

    # Loopback never goes through a proxy, whatever the environment says.
    direct = {"all://localhost": None, "all://127.0.0.1": None, "all://[::1]": None}
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30.0)
    made = httpx2.AsyncClient(mounts=direct, limits=limits)
    try:
        yield made
    finally:
        await made.aclose()


async def post(call: Call) -> Any:
    """The JSON that the server answers; raises an EndpointError after the last retry."""
    deadline = asyncio.get_running_loop().time() + call.timeout
    for attempt in count():
        try:
            with _translated(call):
                async with asyncio.timeout_at(deadline):
                    response = await _send(call)
                    await response.aread()
            if response.status_code != 200:
                raise await _failure(call, response)
            return parse(call, response.text)
        except EndpointError as error:
            await _pause(call, error, attempt, deadline)
    raise AssertionError


async def events(call: Call) -> AsyncGenerator[tuple[str, str]]:
    """(event, data) of a server-sent stream, or one ("json", body) from a server that did not stream."""
    deadline = asyncio.get_running_loop().time() + call.timeout
    for attempt in count():
        begun = False
        try:
            async with aclosing(_events(call, deadline)) as stream:
                async for event in stream:
                    begun = True
                    yield event
            return
        except EndpointError as error:
            if begun:
                raise
            await _pause(call, error, attempt, deadline)


async def _events(call: Call, deadline: float) -> AsyncGenerator[tuple[str, str]]:
    with _translated(call):
        async with asyncio.timeout_at(deadline):
            response = await _send(call)
    try:
        if response.status_code != 200 or "event-stream" not in response.headers.get("content-type", ""):
            with _translated(call):
                async with asyncio.timeout_at(deadline):
                    await response.aread()
            if response.status_code != 200:
                raise await _failure(call, response)
            yield "json", response.text
            return
        chunks = response.aiter_bytes()
        held, event, data = b"", "", list[str]()
        while True:
            with _translated(call):
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(chunks, None)
            # Split on \n alone: JSON may hold other line separators unescaped.
            *lines, held = (held + (b"\n\n" if chunk is None else chunk)).split(b"\n")
            for raw in lines:
                line = raw.decode("utf-8", "replace").rstrip("\r")
                if line.startswith("data:"):
                    data.append(line[5:].removeprefix(" "))
                elif line.startswith("event:"):
                    event = line[6:].strip()
                elif not line and data:
                    yield event, "\n".join(data)
                    event, data = "", []
            if chunk is None:
                return
    finally:
        await response.aclose()


async def models(name: str, url: str, headers: Mapping[str, str], timeout: float = 10.0) -> list[str]:
    """The ids that the server's /models lists; raises an EndpointError."""
    call = Call(name, f"{url}/models", {}, headers, timeout=timeout)
    with _translated(call):
        response = await (await client()).get(call.url, headers=dict(headers), timeout=timeout)
    if response.status_code != 200:
        raise Refused(f"'{name}' does not list its models (HTTP {response.status_code}).", status=response.status_code)
    listed = parse(call, response.text).get("data")
    if not isinstance(listed, list):
        raise Garbled(f"'{name}' lists its models in a form that is not known.")
    return [str(entry["id"]) for entry in cast("list[Any]", listed) if isinstance(entry, dict) and "id" in entry]


async def _send(call: Call) -> httpx2.Response:
    import httpx2

    http = await client()
    limits = httpx2.Timeout(call.read_timeout or call.timeout, connect=call.connect_timeout)
    headers = {"content-type": "application/json", **call.headers}
    content = json.dumps(call.body, ensure_ascii=False, default=_plain).encode("utf-8", "surrogatepass")
    return await http.send(
        http.build_request("POST", call.url, content=content, headers=headers, timeout=limits), stream=True
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    if hasattr(value, "tolist"):
        return value.tolist()
    raise BadInput(f"A request holds a {type(value).__name__}, which JSON can't carry.")


@contextmanager
def _translated(call: Call) -> Generator[None]:
    """What the HTTP library and the clock raise, as the endpoint's errors."""
    import httpx2

    who = f"'{call.name}' at {call.url}"
    try:
        yield
    except httpx2.ConnectTimeout as error:
        raise TimedOut(f"{who} did not accept a connection within {call.connect_timeout:g} s.") from error
    except httpx2.ConnectError as error:
        raise Unreachable(f"{who} can't be reached.", hint="Is the server running, and the url right?") from error
    except (httpx2.TimeoutException, TimeoutError) as error:
        limit = call.read_timeout if isinstance(error, httpx2.TimeoutException) else call.timeout
        hint = "Raise its timeout, or ask for fewer tokens."
        raise TimedOut(f"{who} gave no answer within {limit or call.timeout:g} s.", hint=hint, billable=True) from error
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError) as error:
        raise BadInput(f"{who} can't be asked: {scrub(call.secret, str(error))}.") from None
    except httpx2.DecodingError as error:
        raise Garbled(f"{who} sent a body that can't be decoded.", billable=True) from error
    except httpx2.TransportError as error:
        raise Unreachable(f"The connection to {who} broke.", billable=True) from error


async def _pause(call: Call, error: EndpointError, attempt: int, deadline: float) -> None:
    """Wait before the next attempt; raises the error where there is to be none."""
    if not error.retryable or attempt >= call.retries:
        raise error
    pause = backoff(attempt, error.after)
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


def parse(call: Call, text: str) -> dict[str, Any]:
    """The JSON object in a body; raises Garbled."""
    try:
        found = json.loads(text)
    except ValueError:
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


async def _failure(call: Call, response: httpx2.Response) -> EndpointError:
    said, code = response.text, ""
    try:
        body: Any = json.loads(said)
        told: Any = body.get("error", body.get("detail", said))
        said = str(told.get("message", told) if isinstance(told, dict) else told)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        code = str(told.get("code") or told.get("type") or "") if isinstance(told, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    except (ValueError, AttributeError):
        pass
    status = response.status_code
    if 300 <= status < 400:
        return Refused(
            f"'{call.name}' at {call.url} has moved.", hint=f"Its url is now {response.headers.get('location')}."
        )
    error = failure_of(call, status, said, retry_after(response.headers.get("retry-after")), code)
    if status == 404:
        error.hint = await _what_is_there(call)
    return error


async def _what_is_there(call: Call) -> str:
    wanted = str(call.body.get("model", ""))
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
    except ValueError:
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
