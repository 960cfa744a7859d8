"""A served dashboard over a store of made-up traffic, and a real Chromium to look at it with."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from running import Running
from week import LARGE, SMALL, fill

from sprat import cascade, toy
from sprat.gateway.access import keys as room
from sprat.gateway.dashboard.login import set_password
from sprat.gateway.ledger.store import Store
from sprat.gateway.served import Served, of
from sprat.signals import logprob

PASSWORD = "correct horse battery"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_WATCH = {
    "watched": "the loss is watched as mackerel judges, corrected by a person's marks",
    "loss_watched": True,
    "share": 0.05,
    "delta": 0.05,
    "loss_alarm": 40.0,
    "drift_alarm": 40.0,
    "restorable": False,
}
HOLDING = _WATCH | {
    "state": "holding",
    "since": 0.0,
    "why": "",
    "loss_wealth": 1.84,
    "drift_wealth": 4.2,
    "pairs": 187,
    "requests": 3702,
    "mean_loss": -0.0113,
    "pairs_needed": 0,
    "marks_needed": None,
    "sentence": "Holding: evidence against it 1.84 (alarm at 40), drift evidence 4.2, 187 pairs seen.",
}
_PAID = {"spent": 0.84, "per": "month", "budget": "$5/month"}
_WHY = "the loss on shadowed requests is above the promised one (231 pairs)."
BROKEN = HOLDING | {
    "state": "broken",
    "why": _WHY,
    "loss_wealth": 43.1,
    "pairs": 12,
    "mean_loss": 0.081,
    "pairs_needed": 1240,
    "marks_needed": 124,
    "sentence": f"Broken: {_WHY} About 1240 more labelled pairs, 124 of them marked, are expected to restore it.",
}
_MONTH = {"scope": "all", "budget": 60.0, "per": "month", "spent": 24.82, "set_aside": 0.002, "elapsed": 0.8}
BUDGETS = [
    _MONTH | {"forecast": 31.4, "requests": 4000, "setting": "cascade at 0.62", "certified": True, "price": 0.0},
    _MONTH
    | {"scope": "search", "budget": 20.0, "spent": 19.1, "forecast": 21.9, "requests": 2672}
    | {"setting": "small alone", "certified": False, "price": 3.25},
]
CERTIFICATE = {
    "verdict": "shown",
    "claim": "mean quality over all traffic like these rows is at least 98 % of the reference's",
    "way of working": "cascade on the answer's features at 0.62",
    "confidence": "95 % (delta 0.05)",
    "evidence": "n = 1,440 units (1,440 calibration rows), held out",
}


class Keeper:
    """What a keeper says of its promise."""

    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status
        self.state, self.identity = status["state"], "promised"

    def status(self) -> dict[str, Any]:
        return (
            self._status
            | {"watching": _PAID, "lost": 2, "marks_waiting": 3, "behind_marks": 41, "trouble": "", "superseded": False}
            | {"since": time.time() - 4 * 86400}
        )

    async def close(self) -> None:
        self.state = "closed"


class Shown(Running):
    """`with Shown(folder, 4000, HOLDING) as shown`: a gateway over a store of so many exchanges."""

    def __init__(self, folder: Path, n: int = 0, promise: dict[str, Any] | None = None, **settings: Any) -> None:
        small, large = toy(SMALL, "small says", cost=0.0001, trusted=-0.05), toy(LARGE, "large says", cost=0.001)
        served = of(cascade(small, large, trust=logprob(), at_least=0.62), **settings)
        super().__init__(Served(served.models, {}, CERTIFICATE if promise else {}, served.settings))
        self.path = folder / "sprat.db"
        with Store.read(self.path, create=True) as store:
            self.made = fill(store, n) if n else []
            set_password(store, PASSWORD)
        self.app.opening = self._opening
        if promise is not None:
            self.app.policy.budgets = lambda: BUDGETS  # pyright: ignore[reportAttributeAccessIssue]
            self.app.keeper = Keeper(promise)  # pyright: ignore[reportAttributeAccessIssue]

    async def _opening(self) -> Any:
        store = await Store.open(self.path)
        return await room.Keys.open(store), store

    def page(self, chromium: Any, scheme: str = "light", size: tuple[int, int] = (1200, 900)) -> Any:
        """A fresh page at the login."""
        context = chromium.new_context(color_scheme=scheme, viewport={"width": size[0], "height": size[1]})
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.goto(f"{self.url}/sprat/")
        return page

    def log_in(self, page: Any) -> Any:
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.locator("#asof", has_text="as of").wait_for()
        return page


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium of the system's; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip group dev)")
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser was found: none of {', '.join(_NAMES)} is on the PATH")
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=found, args=["--disable-gpu", *sandbox])
        try:
            yield chromium
        finally:
            chromium.close()
