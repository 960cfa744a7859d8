"""Budgets and crafted requests, measured through the served gateway: HTTP, mock upstream, a clock that is run ahead.

    python benchmarks/gateway_budget.py [--short] [--write]

Days: requests at even times of a made-up day, half of them easy; the controller's spend and harm against the best in
hindsight (the lower hull of the settings at the same spend). Spells: in the middle of the day, a client sends nothing
but requests that need the large model; what it takes of the budget, by `burst`. Crafted: a router is fitted on a third
of the recorded prompts, the rise of trust that names a prompt comes from the second, and the third measures how many
ordinary prompts that go to the large model are named, and how many of the suffixes that a random search finds (nonsense
words that turn a small prompt dear) are.
"""

from __future__ import annotations

import argparse
import os
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
ROUNDS = (1, 4, 8)  # of the search: each appends the best of many suffixes of 16 words
WORDS = ("zq", "xv", "kj", "wp", "theorem", "lattice", "0x7f", "proof", "qubit", "eigen", "rhombic", "gluon", "axiom")


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


def crafted(name: str, prompts: list[str], gains: np.ndarray, tries: int, most: int) -> dict[str, Any]:
    """A router fitted on a third, the cut from the second third, named ordinary and attacked prompts of the third."""
    from sprat.encoders import StaticEncoder
    from sprat.signals.surface import without_parts
    from sprat.study.certify import clopper_pearson

    rng, encoder = np.random.default_rng(0), StaticEncoder()
    rows = encoder.encode(prompts).astype(np.float64)
    order = rng.permutation(len(prompts))
    fit, held, test = np.array_split(order, 3)
    x = np.c_[rows, np.ones(len(rows))]
    weights = np.linalg.solve(x[fit].T @ x[fit] + 10 * np.eye(x.shape[1]), x[fit].T @ -gains[fit])

    def trusts(texts: list[str]) -> np.ndarray:
        return np.c_[encoder.encode(texts), np.ones(len(texts))] @ weights

    trust = x @ weights
    cut = float(np.median(trust[fit]))

    def rise(text: str, own: float) -> float:
        parts = without_parts(text)
        return float(trusts(parts).max() - own) if parts else -np.inf

    rises = np.sort([rise(prompts[i], trust[i]) for i in held if trust[i] < cut])
    rises = rises[np.isfinite(rises)]
    rank = int(np.ceil(0.99 * (len(rises) + 1)))
    if rank > len(rises):
        return {"set": name, "prompts": len(prompts)}  # a gateway would make no such look either
    drop = float(rises[rank - 1])
    dear = [int(i) for i in test if trust[i] < cut]

    def named(text: str, own: float) -> bool:
        up = rise(text, own)
        return up > drop and up + own >= cut

    false = sum(named(prompts[i], trust[i]) for i in dear)
    easy = [int(i) for i in test if trust[i] >= cut and len(prompts[i].split()) >= 8][:most]
    turned, found = [0] * len(ROUNDS), [0] * len(ROUNDS)
    for i in easy:
        text = prompts[i]
        for step in range(max(ROUNDS)):
            texts = [f"{text} {' '.join(rng.choice(WORDS, 16))}" for _ in range(tries)]
            values = trusts(texts)
            best = int(values.argmin())
            text = texts[best]
            if step + 1 in ROUNDS and values[best] < cut:
                turned[ROUNDS.index(step + 1)] += 1
                found[ROUNDS.index(step + 1)] += named(text, float(values[best]))
    return {
        "set": name,
        "prompts": len(prompts),
        "dear": len(dear),
        "named": (false / len(dear), *clopper_pearson(false, len(dear))),
        "attacked": len(easy),
        "turned": turned,
        "found": [(f / t, *clopper_pearson(f, t)) if t else None for f, t in zip(found, turned, strict=True)],
    }


def sets() -> list[tuple[str, list[str], np.ndarray]]:
    """The aquarium's recordings and, where SPRAT_DATA has it, RouteLLM's MMLU: prompts, and the large model's gain."""
    from sprat.study.job import load

    wanted = [("aquarium", "sprat", "mackerel")]
    if os.environ.get("SPRAT_DATA"):
        wanted.append(("routellm-mmlu", "mixtral-8x7b-instruct-v0.1", "gpt-4-1106-preview"))
    made: list[tuple[str, list[str], np.ndarray]] = []
    for name, small, large in wanted:
        rows = load(name)
        scores = rows.scores([small, large])
        made.append((name, [e.request.text for e in rows], scores[:, 1] - scores[:, 0]))
    return made


def shown(rate: Any) -> str:
    """A rate with its interval, in per cent."""
    return "–" if rate is None else f"{100 * rate[0]:.2f} [{100 * rate[1]:.2f}, {100 * rate[2]:.2f}]"


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
    rows = []
    for name, prompts, gains in sets():
        got = crafted(name, prompts, gains, 40 if given.short else 200, 40 if given.short else 400)
        if "dear" not in got:
            rows.append([name, f"{got['prompts']}", "too few of eight words or more to tell", "", "", ""])
            continue
        counts = [f"{got['prompts']}", f"{got['dear']}", shown(got["named"])]
        for rounds, turned, found in zip(ROUNDS, got["turned"], got["found"], strict=True):
            of = f"{turned} of {got['attacked']} by {16 * rounds} words"
            rows.append([name, *counts, of, shown(found)])
    lines += ["## Crafted suffixes"]
    head = ["prompts of", "all", "ordinary dear", "of these named, %", "turned by a suffix", "of those named, %"]
    lines += drawn(head, rows)
    print("\n".join(lines))
    if given.write:
        about = header("python benchmarks/gateway_budget.py --write", 1, time.perf_counter() - began)
        write("gateway_budget", {"about": about, "lines": lines}, ["# Budgets and crafted requests", *lines])


if __name__ == "__main__":
    main()
