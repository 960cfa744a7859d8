"""Prometheus metrics of the gateway: requests, latency, tokens and cost; their labels are bounded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..ledger.exchange import Exchange

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """Counters in a registry of their own; a model that is not served is counted as "other".

    Where several workers count into one `folder`, as `worker` 0, 1 and so on, each answers for all of them, the dead
    ones too: a worker that is started in another's place goes on from its counters.
    """

    def __init__(self, models: Iterable[str], folder: Path | None = None, worker: int = 0) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

        self.folder = folder
        if folder is not None:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
            values.ValueClass = values.MultiProcessValue(lambda: worker)  # pyright: ignore[reportAttributeAccessIssue]
        self.models = frozenset(models)
        self.registry = CollectorRegistry()
        kinds: dict[str, Any] = {"registry": self.registry}
        by = ("model", "dialect")
        self._requests = Counter("sprat_requests", "Finished requests.", (*by, "status"), **kinds)
        self._seconds = Histogram(
            "sprat_request_seconds", "Seconds from request to end of reply.", by, buckets=_SECONDS, **kinds
        )
        self._first = Histogram("sprat_first_byte_seconds", "Seconds to a reply's first byte.", by, **kinds)
        self._tokens = Counter("sprat_tokens", "Tokens, where known.", (*by, "kind"), **kinds)
        self._cost = Counter("sprat_cost_dollars", "Dollars, where known.", by, **kinds)
        self._unpriced = Counter("sprat_cost_unknown", "Replies whose cost is unknown.", by, **kinds)
        live: dict[str, Any] = {**kinds, "multiprocess_mode": "livesum"}  # of the workers that are alive, together
        self.working = Gauge("sprat_requests_in_progress", "Requests that are being answered.", **live)
        self._queued = Gauge("sprat_store_queued", "Records waiting to be written.", **live)
        said = {"written": "written", "dropped": "dropped: the queue was full"}
        self._store = {n: Counter(f"sprat_store_{n}", f"Records {words}.", **kinds) for n, words in said.items()}
        self._counted = dict.fromkeys(said, 0)
        looks = "Requests that look crafted to force the dear model, by how that showed."
        self.crafted = Counter("sprat_crafted_requests", looks, ("how",), **kinds)
        self._cache = Counter("sprat_cache_requests", "Cacheable requests, by outcome.", ("result",), **kinds)
        self._spared = Counter("sprat_cache_saved_dollars", "Dollars that kept replies saved, where known.", **kinds)
        told = {"verified": "Semantic hits that were verified.", "false": "Verified semantic hits that were false.",
                "rate": "Share of false semantic hits.", "low": "Its exact 95 % interval's lower end.",
                "high": "Its exact 95 % interval's upper end.", "open": "1 where semantic hits are given."}  # fmt: skip
        last: dict[str, Any] = {**kinds, "multiprocess_mode": "mostrecent"}  # the store's, so all workers say the same
        self._semantic = {n: Gauge(f"sprat_cache_semantic_{n}", words, ("of",), **last) for n, words in told.items()}
        worst: dict[str, Any] = {**kinds, "multiprocess_mode": "livemax"}  # of the workers that are alive
        state = "1 where an upstream's circuit is open, 0.5 half-open, 0 closed; the worst of the workers'."
        self._open = Gauge("sprat_upstream_open", state, ("upstream",), **worst)
        self._opened = Counter("sprat_upstream_opened", "How often a circuit opened.", ("upstream",), **kinds)
        self._openings: dict[str, int] = {}
        self._children: dict[tuple[str, str, int], tuple[Any, ...]] = {}

    def store(self, health: Any) -> None:
        """Take over how the store fares."""
        if health is None:
            return
        self._queued.set(health.queued)
        for name, counter in self._store.items():
            now = getattr(health, name)
            counter.inc(now - self._counted[name])
            self._counted[name] = now

    def cached(self, result: str, saved: float = 0.0) -> None:
        """Count what the cache did for a request, and the dollars that it saved."""
        self._cache.labels(result).inc()
        if saved:
            self._spared.inc(saved)

    def cache(self, status: Any) -> None:
        """Take over what is known of semantic hits; where there are none, nothing is shown."""
        told = (status or {}).get("semantic")
        if told is None:
            return
        low, high = told["interval"]
        shown = {**told, "low": low, "high": high, "open": told["state"] == "open"}
        for name, gauge in self._semantic.items():
            if shown[name] is not None:
                gauge.labels("all").set(float(shown[name]))

    def upstreams(self, status: Iterable[Mapping[str, Any]]) -> None:
        """Take over this worker's circuits; where several have one name, the worst state and all openings."""
        found: dict[str, tuple[float, int]] = {}
        for row in status:
            state = {"open": 1.0, "half-open": 0.5}.get(row["state"], 0.0)
            before = found.get(row["upstream"], (0.0, 0))
            found[row["upstream"]] = max(before[0], state), before[1] + row["opened"]
        for name, (state, opened) in found.items():
            self._open.labels(name).set(state)
            # Circuits that were forgotten count anew from 0.
            self._opened.labels(name).inc(max(0, opened - self._openings.get(name, 0)))
            self._openings[name] = opened

    def note(self, exchange: Exchange) -> None:
        """Count a finished request."""
        model = exchange.model or exchange.asked
        name = model if model in self.models else "other"
        key = (name, exchange.dialect, exchange.status)
        made = self._children.get(key)
        if made is None:
            by = (name, exchange.dialect)
            made = self._children[key] = (
                self._requests.labels(*by, str(exchange.status)),
                self._seconds.labels(*by),
                self._first.labels(*by),
                self._tokens.labels(*by, "input"),
                self._tokens.labels(*by, "output"),
                self._cost.labels(*by),
                self._unpriced.labels(*by),
            )
        requests, seconds, first, read, wrote, cost, unpriced = made
        requests.inc()
        for child, value in ((seconds, exchange.seconds), (first, exchange.first_byte)):
            if value is not None:
                child.observe(value)
        for child, value in ((read, exchange.input_tokens), (wrote, exchange.output_tokens), (cost, exchange.cost)):
            if value:
                child.inc(value)
        if exchange.cost is None and exchange.status == 200:
            unpriced.inc()

    def page(self) -> tuple[bytes, str]:
        """The page that Prometheus reads, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self.registry
        if self.folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self.folder))
        return generate_latest(registry), CONTENT_TYPE_LATEST
