"""Escalation before the draft ends, through the gateway over HTTP: time to first token, total time and cost.

    python benchmarks/gateway_escalation.py [--short]

Three ways, all streamed: `watchful`, which holds the small model's draft only until it can be judged; `cascade`, which
reads the whole draft and judges it by the same signal, so that both give the same texts; the large model alone. The
threshold is the lowest that kept the large model's quality to within a point on other rows. On the aquarium, whose
models really write (one request at a time); and on an upstream that waits as hosted models do: to the first token .15
and .4 s, then 8 and 20 ms for each of about 60 (eight requests at once). There the small model's confidence is drawn:
right replies dip to a log-probability of -.4 on average somewhere, wrong ones to -1.6. Intervals are 95 % bootstrap
intervals over the requests, paired for differences.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import uvicorn
from aiohttp import web
from measured import header, table, write

import sprat
from sprat import aquarium
from sprat.core import Request
from sprat.gateway.app import Gateway
from sprat.gateway.served import of
from sprat.prices import Price, built_in
from sprat.reading import read
from sprat.signals import logprob

TRUST = logprob("min", first=20)
WORDS = 60
PACE = {"small": (0.15, 0.008), "large": (0.4, 0.02)}  # seconds to the first token, and for each further one


def drawn(number: int) -> tuple[list[float], bool, bool]:
    """A request's log-probabilities of the small model's tokens, and whether each model is right."""
    rng = np.random.default_rng(number)
    small, large = rng.random() < 0.7, rng.random() < 0.92
    found = -rng.exponential(0.05, WORDS)
    for at in rng.integers(0, 20, 3):  # where it is unsure, it is so early
        found[at] = -rng.exponential(0.4 if small else 1.6)
    return found.tolist(), bool(small), bool(large)


async def completions(request: web.Request) -> web.StreamResponse:
    """Write word by word as the model would, until the client leaves; or all at once where no stream is asked for."""
    body = await request.json()
    model, number = body["model"], int(body["messages"][-1]["content"].split()[-1])
    first, each = PACE[model]
    logprobs = drawn(number)[0]
    if not body.get("stream"):
        await asyncio.sleep(first + each * (WORDS - 1))
        text = "".join(f"{model}{i} " for i in range(WORDS))
        listed = {"content": [{"token": "w ", "logprob": x, "top_logprobs": []} for x in logprobs]}
        message = {"role": "assistant", "content": text}
        whole = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": listed}
        usage = {"prompt_tokens": 400, "completion_tokens": WORDS, "total_tokens": 400 + WORDS}
        return web.json_response({"choices": [whole], "usage": usage})
    answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await asyncio.sleep(first)
    with suppress(ConnectionError):
        await stream(request, answer, model, logprobs)
    return answer


async def stream(request: web.Request, answer: web.StreamResponse, model: str, logprobs: list[float]) -> None:
    each, usage = PACE[model][1], {}
    await answer.prepare(request)
    for i in range(WORDS):
        if i:
            await asyncio.sleep(each)
        told = {"content": [{"token": "w ", "logprob": logprobs[i], "top_logprobs": []}]}
        choice = {"index": 0, "delta": {"content": f"{model}{i} "}, "finish_reason": None, "logprobs": told}
        usage = {"prompt_tokens": 400, "completion_tokens": i + 1, "total_tokens": 401 + i}
        await answer.write(f"data: {json.dumps({'choices': [choice], 'usage': usage})}\n\n".encode())
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
    await answer.write(f"data: {json.dumps({'choices': [choice], 'usage': usage})}\n\ndata: [DONE]\n\n".encode())


class Running:
    """A gateway in a thread of its own; what it logged is in `kept`."""

    def __init__(self, model: Any) -> None:
        self.kept: list[Any] = []
        self.server = uvicorn.Server(
            uvicorn.Config(Gateway(of(model), store=self), port=0, log_level="error", ws="none")
        )
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def put(self, exchange: Any) -> None:
        self.kept.append(exchange)

    async def close(self) -> None:
        """Nothing is kept beyond the run."""

    def __enter__(self) -> Running:
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}/v1/chat/completions"
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(10)


async def asked(session: aiohttp.ClientSession, url: str, prompt: str) -> tuple[float, float, str]:
    """Seconds to the first text and to the end, and the text."""
    began, first, text = time.perf_counter(), math.nan, ""
    body = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    async with session.post(url, json=body) as answer:
        async for line in answer.content:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            if "error" in event:
                raise RuntimeError(event["error"])
            said = "".join(c["delta"].get("content") or "" for c in event["choices"])
            if said and not text:
                first = time.perf_counter() - began
            text += said
    return first, time.perf_counter() - began, text


async def run(model: Any, prompts: list[str], at_once: int) -> dict[str, Any]:
    """Ask everything; per request the times, the text, the dollars, and who wrote it."""
    with Running(model) as gateway:
        gate = asyncio.Semaphore(at_once)
        async with aiohttp.ClientSession() as session:
            await asked(session, gateway.url, prompts[0])  # the first of all loads what is lazy
            gateway.kept.clear()

            async def one(prompt: str) -> tuple[float, float, str]:
                async with gate:
                    return await asked(session, gateway.url, prompt)

            found = await asyncio.gather(*(one(p) for p in prompts))
        deadline = time.monotonic() + 5
        while len(gateway.kept) < len(prompts) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        logged = {e.request_key: e for e in gateway.kept}
        rows = [logged[Request.of(p).key] for p in prompts]
        costs = np.array([math.nan if e.cost is None else e.cost for e in rows])
        first, total, texts = (list(column) for column in zip(*found, strict=True))
        by = [e.model for e in rows]
    return {"first": np.array(first), "total": np.array(total), "texts": texts, "costs": costs, "by": by}


def lowest(trust: np.ndarray, small: np.ndarray, large: np.ndarray, within: float = 0.01) -> float:
    """The lowest threshold that keeps the large model's quality to within a point on these rows."""
    for t in [0.0, *sorted(set(trust.tolist()))]:
        if np.where(trust >= t, small, large).mean() >= large.mean() - within:
            return float(t)
    return 1.01


def between(values: np.ndarray, rng: np.random.Generator) -> list[float]:
    """The mean with its 95 % bootstrap interval."""
    means = values[rng.integers(0, len(values), (2000, len(values)))].mean(axis=1)
    return [float(values.mean()), *(float(q) for q in np.quantile(means, [0.025, 0.975]))]


def ratio(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> list[float]:
    """The ratio of two means over the same requests, with its interval."""
    at = rng.integers(0, len(a), (2000, len(a)))
    ratios = a[at].mean(axis=1) / b[at].mean(axis=1)
    return [float(a.mean() / b.mean()), *(float(q) for q in np.quantile(ratios, [0.025, 0.975]))]


async def compare(
    name: str, small: Any, large: Any, prompts: list[str], at_least: float, at_once: int, right: Callable[..., Any]
) -> dict[str, Any]:
    """The three ways on the same requests; `right(i, text)` is 1 where a reply is right."""
    rng = np.random.default_rng(0)
    ways = {
        "watchful": sprat.watchful(small, large, trust=TRUST, at_least=at_least),
        "cascade": sprat.cascade(small, large, trust=TRUST, at_least=at_least),
        "large": large,
    }
    found = {way: await run(model, prompts, at_once) for way, model in ways.items()}
    quality = {w: np.array([right(i, t) for i, t in enumerate(f["texts"])], float) for w, f in found.items()}
    record: dict[str, Any] = {"workload": name, "requests": len(prompts), "at_least": at_least, "ways": {}}
    record["same_texts_as_cascade"] = sum(
        a == b for a, b in zip(found["watchful"]["texts"], found["cascade"]["texts"], strict=True)
    )
    for way, f in found.items():
        record["ways"][way] = {
            "quality": between(quality[way], rng),
            "first_ms": between(1e3 * f["first"], rng),
            "total_ms": between(1e3 * f["total"], rng),
            "dollars_per_1000": between(1e3 * f["costs"], rng),
            "unknown_costs": int(np.isnan(f["costs"]).sum()),
            "by_small": f["by"].count("small") / len(prompts) if at_once > 1 else f["by"].count("sprat") / len(prompts),
        }
    for other in ("cascade", "large"):
        w, o = found["watchful"], found[other]
        record[f"against_{other}"] = {
            "first": ratio(w["first"], o["first"], rng),
            "total": ratio(w["total"], o["total"], rng),
            "dollars": ratio(w["costs"], o["costs"], rng),
            "quality_points": [100 * v for v in between(quality["watchful"] - quality[other], rng)],
        }
    return record


async def on_aquarium(n: int) -> dict[str, Any]:
    """The aquarium's models, writing; fitted on the first half of the recorded prompts."""
    data = list(read(aquarium.recordings()))
    fit, rest = data[: len(data) // 2], data[len(data) // 2 :][:n]
    trust = np.array([math.exp(min(e.reply("sprat").logprobs[:20])) for e in fit])
    scores = [np.array([e.reply(m).score for e in fit]) for m in ("sprat", "mackerel")]
    small, large = (sprat.tiny(m, price=built_in().of(m)) for m in ("sprat", "mackerel"))
    prompts = [e.request.text for e in rest]
    at_least = lowest(trust, *scores)
    return await compare(
        "aquarium", small, large, prompts, at_least, 1, lambda i, text: text.strip() == str(rest[i].target)
    )


async def on_paced(n: int) -> dict[str, Any]:
    """An upstream that waits as hosted models do; fitted on other draws."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", completions)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"  # type: ignore[union-attr]
    fit = [drawn(1_000_000 + i) for i in range(2000)]
    trust = np.array([math.exp(min(f[0][:20])) for f in fit])
    at_least = lowest(trust, *(np.array([f[k] for f in fit], float) for k in (1, 2)))
    price = {"small": Price(0.1, 0.4), "large": Price(1.0, 4.0)}
    small = sprat.openai("small", url, price=price["small"], logprobs=True, continuous_usage=True)
    large = sprat.openai("large", url, price=price["large"], continuous_usage=True)

    def right(i: int, text: str) -> bool:
        _, by_small, by_large = drawn(i)
        return by_large if text.startswith("large") else by_small

    try:
        return await compare("paced", small, large, [f"question {i}" for i in range(n)], at_least, 8, right)
    finally:
        await runner.cleanup()


def form(values: list[float], digits: int = 2) -> str:
    return f"{values[0]:.{digits}f} [{values[1]:.{digits}f}, {values[2]:.{digits}f}]"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help="few requests, nothing written")
    given = parser.parse_args()
    began = time.time()
    found = [
        asyncio.run(on_aquarium(40 if given.short else 600)),
        asyncio.run(on_paced(16 if given.short else 240)),
    ]
    text = ["# Escalation before the draft ends", "", *(__doc__ or "").strip().split("\n\n")[2:], ""]
    for record in found:
        text.append(
            f"## {record['workload']}: {record['requests']} requests, threshold {record['at_least']:.3f}, "
            f"{record['same_texts_as_cascade']} of the texts are the cascade's"
        )
        text.append("")
        rows = [
            {
                "way": way,
                "right": form(v["quality"], 3),
                "by the small one": f"{v['by_small']:.2f}",
                "first token, ms": form(v["first_ms"], 1),
                "total, ms": form(v["total_ms"], 1),
                "$ per 1,000": form(v["dollars_per_1000"], 4),
            }
            for way, v in record["ways"].items()
        ]
        text += table(rows)
        rows = [
            {
                "watchful against": other,
                "first token": form(record[f"against_{other}"]["first"]),
                "total": form(record[f"against_{other}"]["total"]),
                "cost": form(record[f"against_{other}"]["dollars"]),
                "quality, points": form(record[f"against_{other}"]["quality_points"], 1),
            }
            for other in ("cascade", "large")
        ]
        text += table(rows)
    print("\n".join(text))
    if not given.short:
        about = header(f"python benchmarks/{Path(sys.argv[0]).name}", 0, time.time() - began)
        write("gateway_escalation", {"about": about, "workloads": found}, text)


if __name__ == "__main__":
    main()
