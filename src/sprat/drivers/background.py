"""One event loop on a daemon thread, shared by every synchronous call that needs asynchronous work.

So an HTTP endpoint is written once, keeps its connections between calls, and works inside a notebook's running loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
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
    """Run a coroutine on the background loop and wait for its value; Ctrl-C cancels it, at whatever moment it comes."""
    loop = _running()
    outcome: Future[Any] = Future()
    begun: list[asyncio.Task[Any]] = []

    def begin() -> None:
        begun.append(loop.create_task(coroutine))
        begun[0].add_done_callback(settle)

    def settle(task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            outcome.cancel()
        elif error := task.exception():
            outcome.set_exception(error)
        else:
            outcome.set_result(task.result())

    def cancel() -> None:
        for task in begun:
            task.cancel()
        if not begun:
            coroutine.close()

    try:
        # The loop may begin, and the interruption come, before this call returns: so it is inside.
        loop.call_soon_threadsafe(begin)
        return outcome.result()
    except BaseException:
        loop.call_soon_threadsafe(cancel)  # after `begin`, if that was reached
        raise
