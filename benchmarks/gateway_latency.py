"""What the gateway adds to a call: sequential latency, closed and open loops, streams, memory; on loopback, one worker.

    python benchmarks/gateway_latency.py [--litellm PYTHON] [--short]

The gateway, and LiteLLM's proxy beside it, is kept to one core by taskset; the load and the upstream, a process of its
own that answers at once, have the others. The gateway is `sprat serve` with a key required, the ledger in SQLite and
metrics on. `auto` is the route that a study writes: the mean of ridge, nearest neighbours and matrix factors, where
a prompt is known, fitted on 960 prompts of eight kinds to scores drawn at random (that changes who is asked, not how
long it takes). Every prompt is new, so nothing is cached. The ways take turns, and each number is the median of the
rounds, so that a busy neighbour does not decide; CPU per request is read off the process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from gateway_load import Process, closed, median, memory, open_loop, sequential, streams
from gateway_upstream import Client, prompt
from measured import header, table, write

HERE = Path(__file__).parent
_LITE_KEY = "sk-lite-0123456789abcdef"
_FIT = 960


def serve_file(folder: Path, url: str) -> tuple[Path, float]:
    """serve.toml with a study's route, and the share of new prompts that its router knows."""
    import sprat
    from sprat.config import dump
    from sprat.core import Request
    from sprat.data import Lessons
    from sprat.drivers import drive
    from sprat.prices import Price
    from sprat.signals import ensemble_router, known_groups

    draw = np.random.default_rng(0)
    requests = [Request.of(prompt(10_000_000 + i)) for i in range(_FIT + 400)]
    scores = (draw.random((_FIT, 2)) < (0.6, 0.8)).astype(np.float64)
    lessons = Lessons(tuple(requests[:_FIT]), ("small", "large"), scores, np.ones((_FIT, 2)), {}, seed=0)
    router = known_groups(ensemble_router()).fit(lessons)
    trusts = drive(router.trusts(requests[_FIT:]))
    small = sprat.openai("small", f"{url}/v1", price=Price(0.1, 0.4))
    large = sprat.openai("large", f"{url}/v1", price=Price(1.0, 4.0))
    at_least = float(np.median(trusts))
    dump(sprat.route(small, large, trust=router, at_least=at_least), folder / "serve.toml")
    return folder / "serve.toml", float(np.mean(trusts > 0))


async def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    cores = sorted(os.sched_getaffinity(0))
    server, others = cores[0], cores[1:] or cores
    os.sched_setaffinity(0, others)
    upstream = Process([sys.executable, str(HERE / "gateway_upstream.py")], r"port (\d+)")
    file, known = serve_file(folder, f"http://127.0.0.1:{upstream.port}")
    run = "import sys; from sprat.cli import main; sys.exit(main(sys.argv[1:]))"
    served = [sys.executable, "-c", run, "serve", str(file), "--port", "0", "--key-required"]
    gateway = Process(served, r"base URL .*:(\d+)/v1(?s:.*)health", server)
    key = re.search(r"(sk-sprat-\S+)", gateway.said)[1]  # type: ignore[index]
    ports: dict[str, tuple[int, str, str, Process | None]] = {
        "direct": (upstream.port, "small", "", None),
        "pinned": (gateway.port, "small", key, gateway),
        "auto": (gateway.port, "auto", key, gateway),
    }
    proxy = None
    if given.litellm:
        proxy = lite(given.litellm, folder, upstream.port, server)
        ports["litellm"] = (proxy.port, "small", _LITE_KEY, proxy)
    try:

        def maker(name: str) -> Any:
            port, model, secret, _ = ports[name]
            return lambda: Client(port, model, secret)

        started = gateway.memory()
        ways = {name: await maker(name)().open() for name in ports}
        rows = added(await sequential(ways, given.rounds, 100))
        flow = await streams(ways, 10 * given.rounds)
        rounds: dict[str, list[dict[str, float]]] = {}
        for turn in range(given.rounds):
            for name in ports:
                n = given.requests if name != "litellm" else max(100, given.requests // 10)
                for at_once in (16, 64):
                    found = await closed(maker(name), at_once, n, ports[name][3])
                    rounds.setdefault(f"{name}, {at_once} at once", []).append(found)
            for name in ("pinned", "auto"):
                found = await open_loop(maker(name), given.rate, given.seconds, turn)
                rounds.setdefault(f"{name}, open", []).append(found)
        kept = {"started": started, **await memory(maker("auto"), gateway, given.marks)}
        kept |= {"litellm, started and asked": proxy.memory()} if proxy else {}
    finally:
        for process in (gateway, upstream, *([proxy] if proxy else [])):
            process.stop()
    loops = {name: median(found) for name, found in rounds.items()}
    return {"known": known, "sequential": rows, "streams": flow, "loops": loops, "rounds": rounds, "memory": kept}


def added(times: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Medians over the rounds of each way's p50 and p99, and what these are above the upstream's own of that round."""
    found: dict[str, dict[str, float]] = {}
    for name, ms in times.items():
        p50, p99 = np.percentile(ms, [50, 99], axis=1)
        base50, base99 = np.percentile(times["direct"], [50, 99], axis=1)
        told = {"p50_ms": p50, "p99_ms": p99, "added_p50_ms": p50 - base50, "added_p99_ms": p99 - base99}
        found[name] = {key: float(np.median(values)) for key, values in told.items()}
    return found


def lite(python: str, folder: Path, upstream: int, core: int) -> Process:
    """LiteLLM's proxy, one worker, no database, a master key."""
    told = {"model": "openai/small", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    settings = {"model_list": [{"model_name": "small", "litellm_params": told}]}
    file = folder / "litellm.json"
    file.write_text(json.dumps(settings))
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": _LITE_KEY}
    environment.pop("PYTHONPATH", None)
    command = [str(Path(python).parent / "litellm"), "--config", str(file), "--port", "18431", "--host", "127.0.0.1"]
    command += ["--num_workers", "1"]
    return Process(command, r"running on http://127.0.0.1:(\d+)", core, env=environment, cwd=folder)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=6000, help="of a closed loop; LiteLLM gets a tenth")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=750.0, help="of the open loop, requests a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of the open loop")
    parser.add_argument("--litellm", default="", help="the Python of an environment with litellm[proxy]")
    parser.add_argument("--short", action="store_true", help="a check that it runs, in half a minute; writes nothing")
    given = parser.parse_args()
    given.marks = [25_000, 50_000, 100_000]
    if given.short:
        given.requests, given.rounds, given.seconds, given.marks = 1000, 1, 3.0, [1000, 2000]
    began, before = time.time(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(given, Path(folder)))
    form = "{:.2f}".format
    shown = {
        "sequential": found["sequential"],
        "stream": found["streams"],
        "closed loop, one core": {n: r for n, r in found["loops"].items() if "open" not in n},
        "open loop, one core": {n: r for n, r in found["loops"].items() if "open" in n},
    }
    text = ["# What the gateway adds"]
    for what, rows in shown.items():
        text += table([{what: n, **{k: form(v) for k, v in row.items()}} for n, row in rows.items()])
    text += table([{"requests": n, "MB": form(v)} for n, v in found["memory"].items()])
    if given.litellm:
        rps = {name: row.get("rps", 0.0) for name, row in found["loops"].items()}
        times = [f"{way}, {n} at once: {rps[f'{way}, {n} at once'] / rps[f'litellm, {n} at once']:.1f}"
                 for way in ("pinned", "auto") for n in (16, 64)]  # fmt: skip
        text += [f"Times LiteLLM's requests a second: {'; '.join(times)}.", ""]
    text += [f"Of new prompts the router knows {100 * found['known']:.0f} %.", ""]
    load = f"Load average {before:.1f} at the start, {os.getloadavg()[0]:.1f} at the end, on {os.cpu_count()} cores."
    print("\n".join([*text, load]))
    if not given.short:
        command = "python benchmarks/gateway_latency.py" + (" --litellm PYTHON" if given.litellm else "")
        about = header(command, 0, time.time() - began)
        write("gateway_latency", {"about": about, "load": [before, os.getloadavg()[0]], **found}, [*text, load])


if __name__ == "__main__":
    main()
