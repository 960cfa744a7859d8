"""Prometheus metrics of the gateway: requests, latency, tokens and cost; their labels are bounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .exchange import Exchange

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """Counters in a registry of their own; a model that is not served is counted as "other"."""

    def __init__(self, models: Iterable[str]) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

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
        self.working = Gauge("sprat_requests_in_progress", "Requests that are being answered.", **kinds)
        said = {"queued": "waiting to be written", "written": "written", "dropped": "dropped: the queue was full"}
        self._store = {n: Gauge(f"sprat_store_{n}", f"Records {words}.", **kinds) for n, words in said.items()}
        self._upstreams = Gauge("sprat_upstream_open", "1 where an upstream's circuit is open, .5 half-open.",
                                ("upstream",), **kinds)  # fmt: skip
        self._opened = Gauge("sprat_upstream_opened", "Times that its circuit opened.", ("upstream",), **kinds)
        self._children: dict[tuple[str, str, int], tuple[Any, ...]] = {}

    def store(self, health: Any) -> None:
        """Take over how the store fares."""
        for name, gauge in self._store.items():
            gauge.set(getattr(health, name, 0))

    def upstreams(self, status: Iterable[Mapping[str, Any]]) -> None:
        """Take over how the upstreams fare: see breaker.py."""
        self._upstreams.clear()
        self._opened.clear()
        for row in status:
            self._upstreams.labels(row["upstream"]).set({"open": 1.0, "half-open": 0.5}.get(row["state"], 0.0))
            self._opened.labels(row["upstream"]).set(row["opened"])

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
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self.registry), CONTENT_TYPE_LATEST
