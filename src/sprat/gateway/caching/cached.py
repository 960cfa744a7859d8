"""The cache of what is served now: made when it is first needed, and made anew when something else is served."""

from __future__ import annotations

from typing import Any

from ...encoders.static import StaticEncoder
from .cache import Cache, CacheSettings
from .semantic import Semantic


class Cached:
    """The cache with its index, and the calls under way that others may share; `cache` is None where none is kept."""

    def __init__(self) -> None:
        self.flights: dict[bytes, Any] = {}
        self.cache: Cache | None = None
        self.semantic: Semantic | None = None
        self._served: Any = None

    def of(self, served: Any, store: Any = None) -> Cache | None:
        """The cache; where something else is served than before, what no longer matches is dropped."""
        if served is self._served:
            return self.cache
        before, self._served = self.cache, served
        settings: CacheSettings | None = served.cache
        if self.semantic is not None:
            self.semantic.leave()
        self.semantic = self.cache = None
        if settings is None:
            return None
        now = self.cache = Cache(settings)
        marks = {now.mark(m) for m in (*served.models.values(), *(way.model for way in served.ways))}
        if before is not None:
            now.adopt(before, marks)
        if settings.semantic:
            encoder = served.encoders.get(settings.encoder) or StaticEncoder()
            judge = served.models[settings.judge] if settings.judge else None
            self.semantic = Semantic(now, settings, encoder, judge, " ".join(sorted(marks)))
            self.semantic.bind(store)
        return now

    def status(self) -> dict[str, Any] | None:
        """This worker's counts, and the semantic cache's evidence; None where nothing is cached."""
        cache = self.cache
        if cache is None:
            return None
        counts = {"hits": cache.hits, "shared": cache.shared, "misses": cache.misses, "saved": cache.saved}
        told = self.semantic.status() if self.semantic else None
        return {**counts, "entries": len(cache.rows), "bytes": cache.size, "semantic": told}
