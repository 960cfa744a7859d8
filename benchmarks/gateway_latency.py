"""What the gateway adds to a call: sequential latency, closed loops, streams, memory; on loopback, one worker each.

    python benchmarks/gateway_latency.py [--litellm PYTHON] [--requests 3000]

The upstream is a process of its own that answers at once. The gateway is `sprat serve` with a key required, the ledger
in SQLite and metrics on; `auto` is a route by a ridge router of the real shape over the embedded encoder (its weights
are drawn at random: that changes who is asked, not how long it takes), and every prompt is new, so nothing is cached.
CPU per request is read off the process, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from gateway_upstream import CHUNKS, Client, body_of
from measured import header, table, write

HERE = Path(__file__).parent
_LITE_KEY = "sk-lite-0123456789abcdef"


def serve_file(folder: Path, url: str) -> Path:
    """serve.toml with a route by a ridge router of the real shape."""
    from dataclasses import replace

    import sprat
    from sprat.config import dump
    from sprat.prices import Price
    from sprat.signals import ridge_gain
    from sprat.signals.surface import surfaces

    draw = np.random.default_rng(0)
    router = ridge_gain()
    looks = surfaces(["a text"]).shape[1]
    weights = draw.normal(0, 0.1, router.encoder.dim).astype(np.float32)
    router = replace(router, weights=weights, seen=draw.normal(0, 0.01, looks))
    small = sprat.openai("small", f"{url}/v1", price=Price(0.1, 0.4))
    large = sprat.openai("large", f"{url}/v1", price=Price(1.0, 4.0))
    dump(sprat.route(small, large, trust=router, at_least=0.5), folder / "serve.toml")
    return folder / "serve.toml"


class Process:
    """A server in a process of its own: its address, its CPU seconds and its memory."""

    def __init__(self, command: list[str], pattern: str, **told: Any) -> None:
        # A file, not a pipe: a server that says much would fill a pipe, and wait.
        log = Path(tempfile.mkstemp(suffix=".log")[1])
        with log.open("w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, **told)
        while not (found := re.search(pattern, log.read_text())):
            if self.process.poll() is not None:
                raise SystemExit(f"{command} ended: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        self.said = log.read_text()
        log.unlink()
        self.port = int(found[1])

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        said = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", said)[1]) / 1024  # type: ignore[index]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()


async def sequential(ways: dict[str, Client], rounds: int, each: int) -> dict[str, np.ndarray]:
    """Milliseconds of calls one after another, the ways taking turns."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, client in ways.items():
            for _ in range(each):
                began = time.perf_counter()
                await client.ask()
                if turn:  # the first round warms up
                    found[name].append((time.perf_counter() - began) * 1e3)
    return {name: np.array(v) for name, v in found.items()}


async def closed(make: Any, at_once: int, requests: int, process: Process | None) -> dict[str, float]:
    """A closed loop: so many connections, each asking again as soon as it is answered."""
    clients = [await make().open() for _ in range(at_once)]
    times: list[float] = []
    left = requests

    async def work(client: Client) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            began = time.perf_counter()
            await client.ask()
            times.append((time.perf_counter() - began) * 1e3)

    for client in clients:
        await client.ask()
    began, used = time.perf_counter(), process.cpu() if process else 0.0
    await asyncio.gather(*map(work, clients))
    seconds = time.perf_counter() - began
    cpu = (process.cpu() - used) if process else 0.0
    for client in clients:
        client.close()
    p50, p99 = np.percentile(times, [50, 99])
    found = {"rps": requests / seconds, "p50_ms": float(p50), "p99_ms": float(p99)}
    return found | {"cpu_ms": 1e3 * cpu / requests, "rps_per_core": requests / cpu if cpu else float("nan")}


async def streams(ways: dict[str, Client], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds to the first byte of a stream, and microseconds per chunk after it."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name, client in ways.items():
            first, whole = await client.stream()
            if turn > 4:
                found[name].append((first * 1e3, (whole - first) * 1e6 / CHUNKS))
    medians = {name: np.median(np.array(v), axis=0) for name, v in found.items()}
    return {name: {"first_ms": float(m[0]), "chunk_us": float(m[1])} for name, m in medians.items()}


async def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    upstream = Process([sys.executable, str(HERE / "gateway_upstream.py")], r"port (\d+)")
    file = serve_file(folder, f"http://127.0.0.1:{upstream.port}")
    run = "import sys; from sprat.cli import main; sys.exit(main(sys.argv[1:]))"
    served = [sys.executable, "-c", run, "serve", str(file), "--port", "0", "--key-required"]
    gateway = Process(served, r"base URL .*:(\d+)/v1(?s:.*)health")
    key = re.search(r"(sk-sprat-\S+)", gateway.said)[1]  # type: ignore[index]
    started = gateway.memory()
    ports = {"direct": (upstream.port, "small", "", None), "pinned": (gateway.port, "small", key, gateway)}
    ports["auto"] = (gateway.port, "auto", key, gateway)
    proxy = None
    if given.litellm:
        proxy = lite(given.litellm, folder, upstream.port)
        ports["litellm"] = (proxy.port, "small", _LITE_KEY, proxy)
    try:

        def maker(name: str) -> Any:
            port, model, secret, _ = ports[name]
            return lambda: Client(port, model, secret)

        ways = {name: await maker(name)().open() for name in ports}
        one = await sequential(ways, given.rounds, 100)
        base = one["direct"]
        rows: dict[str, Any] = {
            name: {"p50_ms": float(np.median(v)), "p99_ms": float(np.percentile(v, 99))} for name, v in one.items()
        }
        for row in rows.values():
            row["added_p50_ms"] = row["p50_ms"] - float(np.median(base))
            row["added_p99_ms"] = row["p99_ms"] - float(np.percentile(base, 99))
        flow = await streams(ways, 60)
        loops: dict[str, Any] = {}
        for name in ports:
            for at_once in (16, 64):
                n = given.requests if name != "litellm" else min(given.requests, 600)
                loops[f"{name}, {at_once}"] = await closed(maker(name), at_once, n, ports[name][3])
        memory = {"started_mb": started, "after_mb": gateway.memory()}
        memory |= {"litellm_mb": proxy.memory()} if proxy else {}
        return {"sequential": rows, "streams": flow, "loops": loops, "memory": memory}
    finally:
        for process in (gateway, upstream, *([proxy] if proxy else [])):
            process.stop()


def lite(python: str, folder: Path, upstream: int) -> Process:
    """LiteLLM's proxy, one worker, no database, a master key."""
    told = {"model": "openai/small", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    settings = {"model_list": [{"model_name": "small", "litellm_params": told}]}
    file = folder / "litellm.json"
    file.write_text(json.dumps(settings))
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": _LITE_KEY}
    command = [str(Path(python).parent / "litellm"), "--config", str(file), "--port", "18431", "--host", "127.0.0.1"]
    return Process(command, r"running on http://127.0.0.1:(\d+)", env=environment, cwd=folder)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--litellm", default="", help="the Python of an environment with litellm[proxy]")
    parser.add_argument("--quiet", action="store_true", help="write nothing")
    given = parser.parse_args()
    began = time.time()
    assert body_of("small", False)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(given, Path(folder)))
    form = "{:.2f}".format
    seq = [{"sequential": n, **{k: form(v) for k, v in row.items()}} for n, row in found["sequential"].items()]
    flow = [{"stream": n, **{k: form(v) for k, v in row.items()}} for n, row in found["streams"].items()]
    loops = [{"closed loop": n, **{k: form(v) for k, v in row.items()}} for n, row in found["loops"].items()]
    memory = [{"memory": k, "MB": form(v)} for k, v in found["memory"].items()]
    text = ["# What the gateway adds", *table(seq), *table(flow), *table(loops), *table(memory)]
    load = f"Load at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, shared with other work."
    print("\n".join([*text, load]))
    if not given.quiet:
        command = "python benchmarks/gateway_latency.py" + (" --litellm PYTHON" if given.litellm else "")
        about = header(command, 0, time.time() - began)
        write("gateway_latency", {"about": about, **found}, [*text, load])


if __name__ == "__main__":
    main()
