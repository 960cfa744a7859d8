"""Loads for a gateway: calls one after another, closed loops, an open loop, streams; and servers on one core."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gateway_upstream import CHUNKS, Client

Make = Callable[[], Client]


class Process:
    """A server in a process of its own, kept to one core where one is named: its address, CPU seconds and memory."""

    def __init__(self, command: list[str], pattern: str, core: int | None = None, **told: Any) -> None:
        # A file, not a pipe: a server that says much would fill a pipe, and wait.
        log = Path(tempfile.mkstemp(suffix=".log")[1])
        pinned = ["taskset", "-c", str(core)] if core is not None else []
        with log.open("w") as out:
            self.process = subprocess.Popen([*pinned, *command], stdout=out, stderr=subprocess.STDOUT, **told)
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
    """Milliseconds of calls one after another, (rounds, each); the ways take turns."""
    found: dict[str, list[list[float]]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, client in ways.items():
            times: list[float] = []
            for _ in range(each):
                began = time.perf_counter()
                await client.ask()
                times.append((time.perf_counter() - began) * 1e3)
            if turn:  # the first round warms up
                found[name].append(times)
    return {name: np.array(v) for name, v in found.items()}


async def closed(make: Make, at_once: int, requests: int, process: Process | None) -> dict[str, float]:
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

    await asyncio.gather(*(client.ask() for client in clients))
    began, used = time.perf_counter(), process.cpu() if process else 0.0
    await asyncio.gather(*map(work, clients))
    seconds = time.perf_counter() - began
    cpu = (process.cpu() - used) if process else 0.0
    for client in clients:
        client.close()
    p50, p99 = np.percentile(times, [50, 99])
    found = {"rps": requests / seconds, "p50_ms": float(p50), "p99_ms": float(p99)}
    return found | {"cpu_ms": 1e3 * cpu / requests if process else float("nan")}


async def open_loop(make: Make, rate: float, seconds: float, seed: int) -> dict[str, float]:
    """Requests that arrive by a Poisson process, however long the ones before take; each has a connection of its own.

    A latency counts from when the request should have been sent, so a stall is charged to all that it delays.
    """
    due = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, max(1, round(rate * seconds))))
    idle = [await make().open() for _ in range(32)]
    await asyncio.gather(*(client.ask() for client in idle))
    times: list[float] = []
    late: list[float] = []
    start = time.perf_counter() + 0.05

    async def one(at: float) -> None:
        late.append((time.perf_counter() - at) * 1e3)
        client = idle.pop() if idle else await make().open()
        await client.ask()
        times.append((time.perf_counter() - at) * 1e3)
        idle.append(client)

    async with asyncio.TaskGroup() as group:
        for at in due:
            wait = start + at - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            group.create_task(one(start + float(at)))
    seconds = time.perf_counter() - start
    for client in idle:
        client.close()
    p50, p99 = np.percentile(times, [50, 99])
    # How late the load itself was: what of the latency is not the server's.
    found = {"rate": rate, "answered_rps": len(times) / seconds, "p50_ms": float(p50), "p99_ms": float(p99)}
    return found | {"sent_late_p99_ms": float(np.percentile(late, 99))}


async def streams(ways: dict[str, Client], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds to the first byte of a stream, and microseconds per chunk after it."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(rounds + 5):
        for name, client in ways.items():
            first, whole = await client.stream()
            if turn > 4:
                found[name].append((first * 1e3, (whole - first) * 1e6 / CHUNKS))
    medians = {name: np.median(np.array(v), axis=0) for name, v in found.items()}
    return {name: {"first_ms": float(m[0]), "chunk_us": float(m[1])} for name, m in medians.items()}


async def memory(make: Make, process: Process, marks: list[int], at_once: int = 16) -> dict[str, float]:
    """Megabytes resident after so many requests."""
    found, done = {"0": process.memory()}, 0
    for mark in marks:
        await closed(make, at_once, mark - done, None)
        done = mark
        found[f"{mark:,}"] = process.memory()
    return found


def median(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Each measure's median over the rounds."""
    return {key: float(np.median([r[key] for r in rounds])) for key in rounds[0]}
