"""The dashboard's addresses under /sprat/: the page, its files, its login, and the JSON that it reads.

Every answer carries a policy that lets the browser load nothing from elsewhere and run no script of a page's own text
(with trusted types, so that text can't become markup by mistake). A name other than this machine's must be configured,
so that a rebound name of somebody else's is refused; a post must come from this very origin and carry its token.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from functools import cache
from html import escape
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...endpoints.routes import is_loopback
from ...errors import BadInput, StoreFailed
from ..app import Call, Gateway, log
from ..asgi import Headers, read_body, respond
from ..ledger.schema import cause
from ..ledger.store import Store
from ..ledger.tally import WINDOWS
from ..wire.problem import Problem, dumped
from .login import Operator, Session
from .marks import Marks
from .overview import Overview

HOME = "/sprat/"
_LOGIN, _POSTED = HOME + "login", 4096
_PAGES = {"": "overview.html", "marks": "marks.html"}
_KINDS = {".html": b"text/html", ".css": b"text/css", ".js": b"text/javascript", ".svg": b"image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_GUARDS: Headers = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer a form's post says no origin
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
_FRESH = (b"cache-control", b"no-store")
_FILES = (Path(__file__).parent / "pages").absolute()


class Dashboard:
    """One worker's dashboard: its login, and what was last read of the store."""

    def __init__(self, store: Store, hours: float) -> None:
        self.operator, self.overview, self.marks = Operator(store, hours), Overview(store), Marks(store)
        self._lock = asyncio.Lock()
        self._last: dict[str, tuple[float, bytes]] = {}

    async def shown(self, gateway: Gateway, window: str) -> bytes:
        """The overview as JSON, at most a second old; whoever asks meanwhile waits for the same."""
        async with self._lock:
            at, body = self._last.get(window, (0.0, b""))
            if time.monotonic() - at >= 1.0 or not body:
                body = dumped(await asyncio.to_thread(self.overview.read, gateway, window))
                self._last[window] = time.monotonic(), body
            return body

    async def read(self, what: Any, *told: Any) -> Any:
        """Read something else of the store, one at a time."""
        async with self._lock:
            return await asyncio.to_thread(what, *told)


async def dashboard(gateway: Gateway, call: Call) -> None:
    """Answer anything under /sprat/ that is not the API's."""
    try:
        await _site(gateway, call)
    except (Problem, ValueError, StoreFailed, DBAPIError, PoolTimeout) as error:
        problem = error if isinstance(error, Problem) else Problem(400, "The question can't be read.")
        if isinstance(error, (StoreFailed, DBAPIError, PoolTimeout)):
            log.error("The dashboard can't read the store: %s.", cause(error))
            problem = Problem(503, "The store can't be read now; the log says why.", code="store_failed", after=5.0)
        body = {"error": {"message": problem.message, "code": problem.code or None}}
        await _respond(call, problem.status, dumped(body), "json", problem.headers)


async def _site(gateway: Gateway, call: Call) -> None:
    name = _host(gateway, call)
    path = call.path.removeprefix(HOME)
    if call.path + "/" == HOME:
        await _redirect(call, HOME)
        return
    if call.scope["method"] == "GET" and path in _files():
        await _respond(call, 200, _files()[path], path, [])
        return
    here = _of(gateway)
    cookies = _cookies(call)
    session = await here.operator.session(cookies.get(_cookie(call), ""), call.at)
    if call.scope["method"] == "POST":
        await _posted(call, here, session, cookies, name)
    elif path == "login":
        await (_redirect(call, HOME) if session else _form(call, here))
    elif path in _PAGES:
        await (_page(call, session, _PAGES[path]) if session else _redirect(call, _LOGIN))
    elif path.startswith("api/"):
        if session is None:
            raise Problem(401, "Log in first.", code="login")
        await _api(gateway, call, here, path.removeprefix("api/"))
    else:
        raise Problem(404, "There is nothing here.", code="not_found")


def _of(gateway: Gateway) -> Dashboard:
    """The gateway's dashboard; Problem 503 where there is no store to read."""
    if gateway.dashboard is None:
        if not isinstance(gateway.store, Store):
            raise Problem(503, "There is no store to show.", code="no_store")
        gateway.dashboard = Dashboard(gateway.store, gateway.served.settings.session_hours)
    return gateway.dashboard


def _host(gateway: Gateway, call: Call) -> str:
    """The name by which it was asked for; Problem where it could be somebody else's that was pointed here."""
    given = call.headers.get(b"host", b"").decode("latin-1")
    try:
        name = (urlsplit(f"//{given}").hostname or "").lower().rstrip(".")
    except ValueError:
        name = ""
    try:
        ip_address(name)
        return name
    except ValueError:
        if name and (is_loopback(name) or name in gateway.served.settings.dashboard_hosts):
            return name
    hint = "add it to dashboard_hosts under [gateway], or use an address such as 127.0.0.1."
    raise Problem(421, f"The dashboard is not known as '{name[:100]}': {hint}", code="host_not_known")


def _cookie(call: Call, kind: str = "session") -> str:
    """A cookie's name; cookies are shared by all ports of a host, so each gateway has its own."""
    port = call.headers.get(b"host", b"").rpartition(b":")[2]
    return f"sprat_{kind}_{port.decode() if port.isdigit() else 'https'}"


def _cookies(call: Call) -> Mapping[str, str]:
    try:
        found = SimpleCookie(call.headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in found.items()}


def _set_cookie(call: Call, name: str, kind: str, value: str, seconds: int) -> tuple[bytes, bytes]:
    secure = "" if is_loopback(name) else "; Secure"
    said = f"{_cookie(call, kind)}={value}; Path={HOME}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    return b"set-cookie", said.encode()


async def _posted(call: Call, here: Dashboard, session: Session | None, cookies: Mapping[str, str], name: str) -> None:
    origin = call.headers.get(b"origin", b"").decode("latin-1")
    scheme, _, place = origin.partition("://")
    if not place or place.encode() != call.headers.get(b"host", b"").lower():
        raise Problem(403, "This did not come from the dashboard's own page.", code="origin")
    body = await read_body(call.headers, call.receive, _POSTED)
    form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20))
    path = call.path.removeprefix(HOME)
    if path == "login":
        if scheme != "https" and not is_loopback(name):
            said = "Off this machine the login needs HTTPS: put a proxy with TLS before it, or reach it by ssh -L."
            raise Problem(403, said, code="https_needed")
        await _login(call, here, form, cookies, name)
        return
    if session is None:
        raise Problem(401, "Log in first.", code="login")
    if not secrets.compare_digest(form.get("token", "").encode(), session.token.encode()):
        raise Problem(403, "This form has no valid token; load the page again.", code="token")
    if path == "logout":
        await here.operator.end(session, call.at)
        await _redirect(call, _LOGIN, [_set_cookie(call, name, "session", "", 0)])
    elif path == "api/marks":
        try:
            await here.read(here.marks.mark, form.get("pair", ""), form.get("scores", ""), call.at)
        except BadInput as error:
            raise Problem(409, str(error), code="mark") from None
        await _respond(call, 200, dumped(await here.read(here.marks.waiting)), "json", [_FRESH])
    else:
        raise Problem(404, "There is nothing here.", code="not_found")


async def _login(call: Call, here: Dashboard, form: Mapping[str, str], cookies: Mapping[str, str], name: str) -> None:
    operator = here.operator
    nonce = cookies.get(_cookie(call, "form"), "")
    token = await operator.form_token(nonce)
    if not nonce or not token or not secrets.compare_digest(form.get("token", "").encode(), token.encode()):
        await _form(call, here, 403, "The form was too old. Please try again.")
        return
    address = str((call.scope.get("client") or ("",))[0])
    if wait := operator.wait(address):
        said = f"Too many attempts. Try again in {max(1, round(wait + 0.5))} seconds."
        await _form(call, here, 429, said, [(b"retry-after", str(max(1, round(wait + 0.5))).encode())])
        return
    if not await operator.check(form.get("password", "").strip()):
        await _form(call, here, 403, "That is not the password.")
        return
    operator.succeeded(address)
    lasts = int(operator.hours * 3600)
    cookie = _set_cookie(call, name, "session", await operator.begin(call.at), lasts)
    await _redirect(call, HOME, [cookie, _set_cookie(call, name, "form", "", 0)])


async def _form(call: Call, here: Dashboard, status: int = 200, said: str = "", headers: Headers | None = None) -> None:
    nonce = secrets.token_urlsafe(18)
    token = await here.operator.form_token(nonce)
    said = said if token else "No password was set yet. Set one in a terminal: sprat dashboard password"
    name = _host_name(call)
    shown = _files_text("login.html").replace("{{token}}", token)
    shown = shown.replace("{{said}}", f'<p id="said" class="refused" role="alert">{escape(said)}</p>' if said else "")
    cookie = _set_cookie(call, name, "form", nonce, 3600)
    await _respond(call, status, shown.encode(), ".html", [*(headers or ()), cookie, _FRESH])


async def _page(call: Call, session: Session, file: str) -> None:
    shown = _files_text(file).replace("{{token}}", escape(session.token))
    await _respond(call, 200, shown.encode(), ".html", [_FRESH])


async def _api(gateway: Gateway, call: Call, here: Dashboard, path: str) -> None:
    asked = dict(parse_qsl(call.scope.get("query_string", b"").decode("latin-1"), max_num_fields=20))
    if path == "overview":
        window = asked.get("window", "day")
        if window not in WINDOWS:
            raise Problem(400, f"The window is one of {', '.join(WINDOWS)}.", param="window")
        body = await here.shown(gateway, window)
    elif path == "marks":
        body = dumped(await here.read(here.marks.waiting))
    elif path == "decisions":
        body = dumped(await here.read(here.overview.decisions, asked))
    elif path.startswith("decision/"):
        found = await here.read(here.overview.decision, gateway, path.removeprefix("decision/"))
        if found is None:
            raise Problem(404, "There is no such decision, or it is no longer kept.", code="not_found")
        body = dumped(found)
    else:
        raise Problem(404, "There is nothing here.", code="not_found")
    await _respond(call, 200, body, "json", [_FRESH])


def _host_name(call: Call) -> str:
    return urlsplit(f"//{call.headers.get(b'host', b'').decode('latin-1')}").hostname or ""


@cache
def _files() -> Mapping[str, bytes]:
    """What anyone may load: styles, scripts and the icon; pages are filled in."""
    return {p.name: p.read_bytes() for p in sorted(_FILES.iterdir()) if p.suffix in (".css", ".js", ".svg")}


@cache
def _files_text(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


async def _redirect(call: Call, to: str, headers: Headers | None = None) -> None:
    await _respond(call, 303, b"", "json", [(b"location", to.encode()), *(headers or ()), _FRESH])


async def _respond(call: Call, status: int, body: bytes, name: str, headers: Headers) -> None:
    suffix = name[name.rfind(".") :] if "." in name else ""
    kind = _KINDS[suffix] + b"; charset=utf-8" if suffix else b"application/json"
    await respond(call.send, status, body, [(b"content-type", kind), *_GUARDS, *headers])
