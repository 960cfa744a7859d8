"""`sprat serve`: a way of working in the path of the requests."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..errors import BadInput, MissingExtra

if TYPE_CHECKING:
    from ..gateway.app import Gateway
    from ..gateway.served import Served


def serve(
    file: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    store: str = "",
    key_required: Annotated[bool, Parameter(negative="")] = False,
    workers: int = 1,
    check: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Serve a way of working behind OpenAI's and Anthropic's protocols; "auto" is the file's [way].

    SIGTERM lets running requests end, for as long as the file's `drain` says; a second one ends at once. A changed file
    is taken over while it runs (at SIGHUP too), but for one that is not sound: then the one before is still served.

    Example: sprat serve study/serve.toml

    Parameters
    ----------
    file
        The TOML file of a way of working, such as study/serve.toml.
    host
        The address to listen on; off loopback every request needs a key.
    port
        The port to listen on; 0 takes a free one.
    store
        Where requests are logged: a database's URL; else $SPRAT_STORE, else an SQLite file beside the TOML file.
    key_required
        Ask for a key on loopback too.
    workers
        How many processes answer; about one for each core. Rates, spend and metrics are those of all together.
    check
        Only say whether the file can be served: 0 where it can, 2 and a sentence where not.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # a request's products are small: more threads only wait for each other
    try:
        import aiohttp
        import orjson
        import prometheus_client
        import uvicorn
    except ImportError as error:
        raise MissingExtra("gateway", "sprat serve") from error
    from ..endpoints.routes import is_loopback
    from ..gateway.ledger.store import beside
    from ..gateway.reload import checked
    from ..gateway.served import load

    del aiohttp, orjson, prometheus_client, uvicorn
    if check:
        served = checked(file)
        _warn_of_keys(served)
        print(f"{file} can be served: auto, {', '.join(n for n in served.models if n != 'auto')}.")
        return 0
    if workers < 1:
        raise BadInput(f"There can't be {workers} workers.", hint="Give --workers 1 or more.")
    served, url, closed = (
        load(file),
        store or os.environ.get("SPRAT_STORE") or beside(file),
        key_required or not is_loopback(host),
    )
    _warn_of_keys(served)
    secret, password = _first_secrets(url)
    listening = _bound(host, port)
    at = listening.getsockname()[1]
    shown = _reached_by(host)
    print(f"Serving {file} as model 'auto'; by name: {', '.join(n for n in served.models if n != 'auto') or 'none'}.")
    print(f"  base URL  http://{shown}:{at}/v1")
    print(f"  key       {secret}   (shown once)" if secret else "  key       one of `sprat keys list`")
    print(f"  dashboard http://{shown}:{at}/sprat/" + (f"   password {password}   (shown once)" if password else ""))
    if served.promised is not None:
        print(f"  promise   {served.promised.how}")
    print(f"  health    http://{shown}:{at}/healthz   metrics at /metrics", flush=True)
    gc.collect()
    gc.freeze()  # what is loaded stays: the collector need not look at it again and again
    if workers == 1:
        return _answer(served, url, closed, listening)
    from ..gateway.reload import anew
    from ..gateway.workers import Workers

    def work(folder: Path, number: int) -> int:
        now = anew(served, folder)  # others may have taken a new file over
        return _answer(now, url, closed, listening, folder, number)

    return Workers(workers, work, served.settings.drain + 15.0).run()


def _warn_of_keys(served: Served) -> None:
    """Say on stderr which models name a variable for their key that is not set: their upstreams are asked without."""
    from ..shape import leaves

    for model in leaves(tuple(served.models.values())):
        env = getattr(model, "key_env", None)
        given = getattr(model, "key", None) or getattr(model, "key_file", None)
        if env and not given and not os.environ.get(env):
            said = f"{env} is not set, so '{model.name}' is asked without a key."
            print(f"Warning: {said}", file=sys.stderr)


def _reached_by(host: str) -> str:
    """The host in the addresses that are printed: for every address of this machine, its name."""
    import socket

    if host.strip("[]") in ("0.0.0.0", "::", ""):
        return socket.gethostname()
    return f"[{host.strip('[]')}]" if ":" in host else host


def _first_secrets(url: str | Path) -> tuple[str, str]:
    """The first key's secret and the dashboard's password, where they were made now."""
    from ..gateway.access import keys
    from ..gateway.dashboard.login import first_password
    from ..gateway.ledger.store import Store

    secret = ""
    with Store.read(url, create=True) as reading:
        if not keys.listed(reading.engine):
            _, secret = keys.create(reading.engine, "first")
        return secret, first_password(reading)


def _answer(
    served: Served, url: str | Path, closed: bool, listening: Any, folder: Path | None = None, worker: int = 0
) -> int:
    """Answer until told to stop; of several workers each has its number, and they have a folder in common."""
    import uvicorn

    from ..gateway.access import keys
    from ..gateway.access.rates import SharedRates
    from ..gateway.app import Gateway
    from ..gateway.bounds import protocol
    from ..gateway.ledger.store import Store
    from ..gateway.served import secrets_of
    from ..gateway.workers import NOT_STARTED

    async def opening() -> tuple[keys.Keys, Store]:
        asked = served.settings
        store = await Store.open(
            url,
            prompts=asked.store_prompts,
            durable=asked.durable,
            keep_days=asked.keep_days or None,
            secrets=secrets_of(served),
        )
        return await keys.Keys.open(store, SharedRates(folder) if folder else None), store

    gateway = Gateway(served, folder=folder, worker=worker)
    gateway.opening, gateway.open_keys = opening, not closed
    config = uvicorn.Config(
        gateway,
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=round(served.settings.drain),
        timeout_keep_alive=75,
        backlog=2048,
        loop=_loop(),  # pyright: ignore[reportArgumentType]
        http=protocol(served.settings.header_limit, _http()),
        h11_max_incomplete_event_size=served.settings.header_limit,
        ws="none",
        proxy_headers=False,
    )
    server = _server(config, gateway)
    server.run(sockets=[listening])
    if not server.started:
        return NOT_STARTED if folder else 1
    return 1 if server.force_exit else 0


def _server(config: Any, gateway: Gateway) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        """Says at /readyz that it drains as soon as it is told to stop; a second signal ends it at once."""

        def handle_exit(self, sig: int, frame: Any) -> None:
            # Not uvicorn's own: that would raise the signal again after the draining, and end with its status.
            self.force_exit = self.should_exit
            gateway.draining = self.should_exit = True

    return Server(config)


def _bound(host: str, port: int) -> Any:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix" and sys.platform != "cygwin":
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host.strip("[]"), port))
        made.listen(2048)  # from here on, whoever reads the address may connect
    except (OSError, OverflowError) as error:
        made.close()
        why = getattr(error, "strerror", None) or error
        raise BadInput(f"Nothing can listen at {host}:{port}: {why}.", hint="Give another --port or --host.") from error
    made.set_inheritable(True)
    return made


def _loop() -> str:
    from importlib.util import find_spec

    return "uvloop" if find_spec("uvloop") else "asyncio"


def _http() -> str:
    from importlib.util import find_spec

    return "httptools" if find_spec("httptools") else "h11"
