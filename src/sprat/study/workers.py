"""Spreads independent pieces of a study over the machine's cores by forking; in turn where forking is not to be had.

Forked workers share the data as they stand, so nothing large travels: a piece is named by its number.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

_work: Callable[[int], Any] | None = None
_one = threading.Lock()  # studies in several threads share this module, and fork what it holds


def each(n: int, work: Callable[[int], Any], finished: Callable[[int], None], workers: int | None = None) -> list[Any]:
    """`work(i)` for i below n, in order; `finished(i)` is told as each comes in. A piece's error is raised."""
    global _work
    many = min(workers or _cores(), n)
    if many < 2 or sys.platform != "linux":
        return [_told(work(i), i, finished) for i in range(n)]
    found: list[Any] = [None] * n
    _one.acquire()
    _work = work
    gc.freeze()  # collecting in a worker what was here before would only copy the pages that are shared
    try:
        with ProcessPoolExecutor(many, multiprocessing.get_context("fork"), initializer=_quiet) as pool:
            waiting = {pool.submit(_do, i): i for i in range(n)}
            try:
                for future in as_completed(waiting):
                    i = waiting[future]
                    found[i] = _told(future.result(), i, finished)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        _work = None
        gc.unfreeze()
        _one.release()
    return found


def _told(value: Any, i: int, finished: Callable[[int], None]) -> Any:
    finished(i)
    return value


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quiet() -> None:
    """Leave Ctrl-C to the parent, which ends the pool; the workers would each print a traceback."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _do(i: int) -> Any:
    assert _work is not None
    return _work(i)
