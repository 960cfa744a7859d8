"""CPU time of one HTTP call: httpx2, as it was in git, against today's two carriers, direct.py and aiohttp.

Plain and streaming. A mock server in its own process answers on loopback. Client CPU only (process_time, user and
system), in turn: the same load by one client and then by the others. aiohttp carries where there is a proxy. Needs
httpx2, which the development tools bring.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from multiprocessing import Pipe, get_context
from pathlib import Path
from typing import Any

import numpy as np
from measured import header, table, write

import sprat.endpoints.http as new
from sprat.endpoints import upstream

BEFORE = "f85ba5c"
CALLS, STREAMS, EVENTS, PAUSE = 300, 6, 100, 0.002
BODY: dict[str, Any] = {"model": "mock", "messages": [{"role": "user", "content": "word " * 100}], "temperature": 0}
CHUNK = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "mock"}
EVENT = b"data: " + json.dumps({**CHUNK, "choices": [{"index": 0, "delta": {"content": " word"}}]}).encode() + b"\n\n"
ANSWER = json.dumps({"choices": [{"message": {"role": "assistant", "content": "word " * 200}}], "usage": {}}).encode()


def before() -> Any:
    """The client as it was, out of git."""
    where = f"{BEFORE}:src/sprat/endpoints/http.py"
    source = subprocess.check_output(["git", "show", where], text=True, cwd=Path(__file__).parent)
    spec = importlib.util.spec_from_loader("sprat.endpoints.http_before", loader=None)
    assert spec is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    exec(compile(source, where, "exec"), made.__dict__)
    return made


def serve(told: Any) -> None:
    """Answer every request: EVENTS events, each PAUSE seconds after the last, under /paced; at once under /burst."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n%s\r\n\r\n"
        event = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
        done = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
        try:
            while asked := await reader.readuntil(b"\r\n\r\n"):
                lines = asked.lower().split(b"\r\n")
                size = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
                await reader.readexactly(size)
                path = lines[0].split()[1]
                if path == b"/plain":
                    writer.write(head % (b"application/json", b"content-length: %d" % len(ANSWER)) + ANSWER)
                    continue
                writer.write(head % (b"text/event-stream", b"transfer-encoding: chunked"))
                for _ in range(EVENTS if path != b"/none" else 0):
                    writer.write(event)
                    if path == b"/paced":
                        await asyncio.sleep(PAUSE)
                writer.write(done)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def posted(http: Any, url: str) -> None:
    """One plain call."""
    await http.post(http.Call("mock", f"{url}/plain", BODY))


async def streamed(http: Any, url: str, path: str) -> None:
    """One stream, read as events."""
    async with aclosing(http.events(http.Call("mock", f"{url}/{path}", {**BODY, "stream": True}))) as events:
        async for _, data in events:
            if data == "[DONE]":
                break


async def raw(_: Any, url: str) -> None:
    """One plain call, passed through: today's client alone."""
    await new.raw(new.Call("mock", f"{url}/plain", json.dumps(BODY).encode()))


async def raw_stream(_: Any, url: str, path: str) -> None:
    """One stream, passed through: today's client alone."""
    async with aclosing(await new.stream_raw(new.Call("mock", f"{url}/{path}", json.dumps(BODY).encode()))) as came:
        async for _ in came:
            pass


def spent(job: Callable[[], Awaitable[None]], times: int, at_once: int) -> float:
    """CPU microseconds of a job in a loop of its own, after a first few that open the connections."""

    async def run() -> float:
        async def several(n: int) -> None:
            for _ in range(n):
                await job()

        await asyncio.gather(*(several(2) for _ in range(at_once)))
        gc.collect()
        began = time.process_time()
        await asyncio.gather(*(several(times // at_once) for _ in range(at_once)))
        return (time.process_time() - began) * 1e6 / (times // at_once * at_once)

    return asyncio.run(run())


def loads(url: str) -> dict[str, tuple[Callable[[Any], Awaitable[None]], Any, int, int]]:
    """What is measured: by name, the job, the job to pass bytes through, how many and how many at once."""
    found: dict[str, Any] = {}
    for at_once in (1, 16):
        found[f"plain call, {at_once} at once"] = (
            lambda h: posted(h, url),
            lambda h: raw(h, url),
            CALLS,
            at_once,
        )
    for path, times in (("none", CALLS), ("paced", STREAMS), ("burst", STREAMS * 4)):
        found[path] = (
            lambda h, p=path: streamed(h, url, p),
            lambda h, p=path: raw_stream(h, url, p),
            times,
            1,
        )
    return found


@contextmanager
def carried_by_aiohttp(wanted: bool) -> Iterator[None]:
    """Calls of event loops that begin herein go by aiohttp, as behind a proxy."""
    made = upstream._direct  # pyright: ignore[reportPrivateUsage]
    if wanted:
        upstream._direct = lambda: None  # pyright: ignore[reportPrivateUsage]
    try:
        yield
    finally:
        upstream._direct = made  # pyright: ignore[reportPrivateUsage]


def interval(values: np.ndarray) -> list[float]:
    """Median, and a 95 % bootstrap interval of it."""
    drawn = np.random.default_rng(0).choice(values, (4000, len(values)))
    return [float(np.median(values)), *(float(x) for x in np.quantile(np.median(drawn, axis=1), (0.025, 0.975)))]


def main() -> int:
    """Print the table; 1 where today's client is the slower one somewhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--write", action="store_true", help="record the results")
    asked, began, old = parser.parse_args(), time.monotonic(), before()
    context = get_context("spawn")
    ours, theirs = Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    jobs = loads(f"http://127.0.0.1:{ours.recv()}")
    runs: dict[str, list[list[float]]] = {name: [] for name in jobs}
    for i in range(asked.pairs):
        for name, (job, passed, times, at_once) in jobs.items():
            clients: list[Callable[[], Awaitable[None]]] = [
                lambda j=job: j(old),
                lambda j=job: j(new),
                lambda j=job: j(new),
                lambda j=passed: j(new),
            ]
            by: dict[int, float] = {}
            for k in range(4) if i % 2 else reversed(range(4)):
                with carried_by_aiohttp(k == 1):
                    by[k] = spent(clients[k], times, at_once)
            runs[name].append([by[k] for k in range(4)])
    server.terminate()
    taken = {name: np.array(r) for name, r in runs.items()}
    none = taken.pop("none")
    taken["stream without events, 1 at once"] = none
    for path, words in (("paced", f"an event, one each {PAUSE * 1e3:g} ms"), ("burst", "an event, all at once")):
        taken[words] = (taken.pop(path) - none) / EVENTS
    found = {
        name: {
            "httpx2": interval(t[:, 0]),
            "aiohttp": interval(t[:, 1]),
            "direct": interval(t[:, 2]),
            "passed through": interval(t[:, 3]),
            "httpx2 / direct": interval(t[:, 0] / t[:, 2]),
            "aiohttp / direct": interval(t[:, 1] / t[:, 2]),
        }
        for name, t in taken.items()
    }
    rows = [
        {"CPU us of": name} | {k: "{:.1f} [{:.1f}, {:.1f}]".format(*v) for k, v in f.items()}
        for name, f in found.items()
    ]
    text = [
        "# What an HTTP call costs",
        f"CPU microseconds of the client, user and system: medians of {asked.pairs} runs in turn, 95 % by bootstrap.",
        f"`httpx2`: `endpoints/http.py` at {BEFORE}. `direct`: today's own carrier; `passed through`: `raw` and",
        "`stream_raw`. An event: a stream of",
        f"{EVENTS} less one of none, by {EVENTS}. Loopback, a busy machine of two cores.",
        "",
        *table(rows),
    ]
    print("\n".join(text[1:]))
    if asked.write:
        about = header("python benchmarks/http_client.py --write", 0, time.monotonic() - began)
        write("http_client", {"about": about, "found": found, "runs": {n: t.tolist() for n, t in taken.items()}}, text)
    return int(any(min(f["httpx2 / direct"][0], f["aiohttp / direct"][0]) < 1 for f in found.values()))


if __name__ == "__main__":
    sys.exit(main())
