"""Exchanges made up for the store's tests, and a real PostgreSQL where one is installed."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sprat.gateway.ledger.exchange import Exchange

NOW = 1_800_000_000.0


def made(i: int, **fields: Any) -> Exchange:
    """A finished request that says something in every field that is always kept."""
    told: dict[str, Any] = {
        "at": NOW + i,
        "key": "key_a",
        "asked": "auto",
        "model": "small",
        "way": "cascade",
        "thread": "t1",
        "request_key": f"{i:064x}",
        "input_tokens": 100,
        "output_tokens": 50,
        "cost": 0.001,
        "reference_cost": 0.01,
        "seconds": 0.5,
        "first_byte": 0.1,
        "streamed": True,
        "propensity": 0.95,
        "setting": "at .2",
        "drawn": "action",
        "trusts": {"small": 0.93},
        "card": {"because": "trust 0.93 is at least 0.9"},
    }
    return Exchange(f"x{i}", **{**told, **fields})


@dataclass(frozen=True)
class Server:
    """A PostgreSQL of our own: its address, and how it is stopped and started."""

    url: str
    control: list[str]

    def turn(self, what: str) -> None:
        """Stop or start it."""
        done = subprocess.run([*self.control, *what.split()], capture_output=True, text=True, **_user())
        assert done.returncode == 0, done.stderr + done.stdout


def _user() -> dict[str, Any]:
    return {"user": "postgres", "extra_groups": ()} if os.geteuid() == 0 else {}


def _programs() -> Path | None:
    if found := shutil.which("initdb"):
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@contextmanager
def postgresql() -> Iterator[Server]:
    """A PostgreSQL on a temporary folder, reached by a socket in it; skips where none is installed."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: neither initdb nor /usr/lib/postgresql/*/bin is there")
    pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="sprat-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        quiet = {"capture_output": True, "check": True, **_user()}
        subprocess.run([programs / "initdb", "-D", folder / "data", "-U", "sprat", "-A", "trust", "-N"], **quiet)
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write(f"listen_addresses = ''\nunix_socket_directories = '{folder}'\nfsync = off\n")
        control = [str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w", "-l", str(folder / "log")]
        server = Server(f"postgresql://sprat:planted-password@/postgres?host={folder}", control)
        server.turn("start")
        try:
            yield server
        finally:
            server.turn("stop -m immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(what: Any, seconds: float = 10.0) -> None:
    """Look every few milliseconds until something holds."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.01)


async def wait_for_it(what: Any, seconds: float = 10.0) -> None:
    """As wait_for, while the running loop goes on."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come true in time"
        await asyncio.sleep(0.01)
