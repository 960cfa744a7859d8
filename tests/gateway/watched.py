"""Gateways whose promise is watched, over real HTTP, with a mock upstream whose small model is as wrong as told."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path
from typing import Any

from running import Running
from stored import wait_for

from mock_server import MockServer
from sprat.gateway.access.keys import Keys
from sprat.gateway.ledger.store import Store
from sprat.gateway.served import Served, load

FILE = """
[way]
use = "route"
models = ["small", "large"]
trust = [{{use = "random"}}]
at_least = [{at_least}]
[models.small]
url = "{url}"
model = "mock"
price = {{input = 1.0, output = 1.0}}
[models.large]
url = "{url}"
model = "mock-large"
price = {{input = 10.0, output = 10.0}}
[promise]
kind = "within"
level = 0.05
delta = 0.1
measure = "agreement"
losses = {{values = [-0.05, 0.95], counts = [97, 3]}}
"""


class Upstream(MockServer):
    """The large model says 4; the small one says 5 with probability `wrong`. A judge finds 4 right."""

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__(self._says, honours=False)
        self.wrong, self.random, self.lock = wrong, random.Random(1), threading.Lock()

    def _says(self, body: dict[str, Any]) -> str:
        asked = str(body["messages"][-1]["content"])
        if asked.startswith("You grade"):
            return "Score: 10" if "\n4\n[end of reply " in asked else "Score: 0"
        with self.lock:
            return "5" if body["model"] == "mock" and self.random.random() < self.wrong else "4"


def written(folder: Path, url: str, more: str = "", at_least: float = 0.0) -> Path:
    """A serve.toml there, with more lines of its [promise]."""
    file = folder / "serve.toml"
    file.write_text(FILE.format(url=url, at_least=at_least) + more)
    return file


class Watched(Running):
    """A gateway in a thread of this process, over a real store."""

    def __init__(self, file: Path, store: Path | str) -> None:
        served: Served = load(file)
        super().__init__(served)

        async def opening() -> tuple[Keys, Store]:
            self.loop = asyncio.get_running_loop()
            opened = await Store.open(store, prompts=served.settings.store_prompts)
            return await Keys.open(opened), opened

        self.app.opening = opening

    @property
    def keeper(self) -> Any:
        """The keeper."""
        return self.app.keeper

    def ask(self, n: int = 1, text: str = "What is 2 + 2?", **more: Any) -> str:
        """Ask auto n times, one after the other; who answered last."""
        for _ in range(n):
            body = {"model": "auto", "messages": [{"role": "user", "content": text}], **more}
            status, headers, _ = self.post("/v1/chat/completions", body)
            assert status == 200
        return headers["x-sprat-model"]


def counted(gateway: Watched, pairs: int) -> None:
    """Wait until so many pairs are counted."""
    wait_for(lambda: gateway.keeper.status()["pairs"] == pairs)
