"""Budgets, measured through the served gateway: HTTP, mock upstream, a clock that is run ahead.

    python benchmarks/gateway_budget.py [--short] [--write]

Days: requests at even times of a made-up day, half of them easy; the controller's spend and harm against the best in
hindsight (the lower hull of the settings at the same spend). Spells: in the middle of the day, a client sends nothing
but requests that need the large model, as crafted ones do; what it takes of the budget, by `burst`. How many crafted
requests are named is in gateway_crafted.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measured import header, table, write

HERE = Path(__file__).parent
for _folder in ("tests", "tests/gateway"):
    sys.path.insert(0, str(HERE.parent / _folder))

MIDNIGHT = 20_000 * 86_400.0
PRICE = "price = {{input = 0.0, output = 0.0, per_call = {}}}"
SMALL, LARGE = 0.001, 0.01


def gateway_of(folder: Path, url: str, table_: str) -> Any:
    """The gateway with the tests' settings (reference alone; routes at .6 and .2) over a mock upstream."""
    from promised import FILE
    from running import Running

    from sprat.gateway.served import load

    model = f'url = "{url}"\nmodel = "mock"\n'
    text = FILE.format(small=model + PRICE.format(SMALL), large=model + PRICE.format(LARGE))
    (folder / "serve.toml").write_text(text.replace("explore = 0.3\n", "") + table_)
    return Running(load(folder / "serve.toml"))


def day(url: str, budget: float, n: int, burst: float = 1.0, spell: int = 0) -> dict[str, float]:
    """One day of n requests (and `spell` crafted ones at noon): spent, harm, refused, and what the spell took."""
    from promised import asking

    rng = np.random.default_rng(1)
    harms = {"reference alone": 0.0, "at .6": 0.001, "at .2": 0.003}
    with tempfile.TemporaryDirectory() as made:
        found = {"harm": 0.0, "refused": 0.0, "spell": 0.0, "spell refused": 0.0}
        rules = f'[budget]\nall = "{budget}/day"\nburst = {burst}\nexpected = {n}'
        with gateway_of(Path(made), url, rules) as gateway:
            spending, now = gateway.app.policy.spending, [MIDNIGHT]
            spending.clock = lambda: (now[0], now[0])

            def ask(trust: float) -> str:
                body = {"model": "auto", "messages": asking(trust)}
                return gateway.kept[-1].setting if gateway.post("/v1/chat/completions", body)[0] == 200 else ""

            for i in range(n):
                now[0] = MIDNIGHT + 86_400 * i / n
                if i == n // 2:
                    before = gateway.app.policy.budgets()[0]["spent"]
                    found["spell refused"] = float(sum(not ask(0.0) for _ in range(spell)))
                    found["spell"] = gateway.app.policy.budgets()[0]["spent"] - before
                setting = ask(float(rng.random()))
                found["refused"] += not setting
                found["harm"] += harms.get(setting, 0.0)
            found["spent"] = gateway.app.policy.budgets()[0]["spent"]
    return found


def drawn(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table."""
    return table([dict(zip(head, row, strict=True)) for row in rows])


def main() -> None:
    """Run all parts and print the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--write", action="store_true")
    given, began = parser.parse_args(), time.perf_counter()
    from mock_server import MockServer

    n = 120 if given.short else 1500
    lines: list[str] = []
    with MockServer() as up:
        rows: list[list[str]] = []
        for part in (0.35, 0.6, 1.0):
            budget = round(n * LARGE * part, 6)
            got = day(up.url, budget, n)
            per = got["spent"] / n
            best = n * float(np.interp(per, [0.0028, 0.0064, 0.01], [0.003, 0.001, 0.0]))
            numbers = f"{got['spent']:.4g}", f"{got['harm']:.3g}", f"{best:.3g}", f"{got['refused']:.0f}"
            rows.append([f"{budget:g}", *numbers])
        lines += ["## Days", *drawn(["budget, $", "spent", "harm", "best in hindsight", "refused"], rows)]
        rows = []
        for burst in (1.0, 0.3, 0.1):
            budget = round(n * LARGE * 0.6, 6)
            got = day(up.url, budget, n, burst, spell=n)
            taken = f"{100 * got['spell'] / budget:.1f}"
            rows.append([f"{burst}", taken, f"{got['spell refused']:.0f} of {n}", f"{got['refused']:.0f} of {n}"])
        lines += ["## Spells of crafted requests at noon"]
        lines += drawn(["burst", "of the budget, %", "of the spell refused", "others refused that day"], rows)
    print("\n".join(lines))
    if given.write:
        about = header("python benchmarks/gateway_budget.py --write", 1, time.perf_counter() - began)
        write("gateway_budget", {"about": about, "lines": lines}, ["# Budgets", *lines])


if __name__ == "__main__":
    main()
