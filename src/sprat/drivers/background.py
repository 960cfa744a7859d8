"""One event loop on a daemon thread, shared by every synchronous call that needs asynchronous work.

So an HTTP endpoint is written once, keeps its connections between calls, and works inside a notebook's running loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def _running() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="sprat-background", daemon=True).start()
        return _loop


def blocking(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine on the background loop and wait for its value; Ctrl-C cancels it."""
    future = asyncio.run_coroutine_threadsafe(coroutine, _running())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
