"""The engine of run, batch and replay: processes in lock step, their asks grouped per endpoint into one call."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ..core import Look, Reply
from ..errors import SpratError
from .background import blocking
from .concurrent import look_at
from .process import Done, Fork, Leaf, Process, answer_all

Swap = Callable[[Any], Any]


@dataclass(eq=False)
class _Job:
    steps: Process
    finish: Callable[[Any], None]


@dataclass(eq=False)
class _ForkState:
    fork: Fork
    parent: _Job
    outcomes: list[Any] = field(default_factory=list[Any])


def lock_step(processes: Sequence[Process], swap: Swap | None = None, at_once: bool = False) -> list[Any]:
    """Run processes together; each comes to Done.

    `swap` replaces an endpoint (a replay's recording); `at_once` counts time and cancels as concurrency would.
    """
    with _collector_paused(swap is not None):
        return _lock_step(processes, swap, at_once)


@contextmanager
def _collector_paused(paused: bool) -> Generator[None]:
    # Thousands of live processes are not garbage, yet each search for reference cycles walks them: over a third of the
    # time with 7,000. Only in a replay, which is short: live calls may take hours, and what they leave must go.
    paused = paused and gc.isenabled()
    if paused:
        gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def _lock_step(processes: Sequence[Process], swap: Swap | None, at_once: bool) -> list[Any]:
    results: list[Any] = [None] * len(processes)
    ready: deque[tuple[_Job, Any]] = deque()
    waiting: list[tuple[_Job, Leaf]] = []

    def root(i: int) -> Callable[[Any], None]:
        return lambda outcome: results.__setitem__(i, outcome)

    def step(job: _Job, send: Any) -> None:
        try:
            effect = job.steps.throw(send) if isinstance(send, BaseException) else job.steps.send(send)
        except StopIteration as stop:
            return job.finish(stop.value)
        if isinstance(effect, Leaf):
            waiting.append((job, effect))
        elif isinstance(effect, Fork):
            begin(_ForkState(effect, job))
        else:
            ready.append((job, _look_now(effect, swap)))
        return None

    def begin(state: _ForkState) -> None:
        children = state.fork.processes
        if at_once or state.fork.until is None:
            state.outcomes = [None] * len(children)
            left = [len(children)]

            def finish(i: int) -> Callable[[Any], None]:
                def arrived(outcome: Any) -> None:
                    state.outcomes[i] = outcome
                    left[0] -= 1
                    if not left[0]:
                        settle = _settle_at_once if at_once else _settle_in_turn
                        ready.append((state.parent, settle(state)))

                return arrived

            ready.extend((_Job(child, finish(i)), None) for i, child in enumerate(children))
        else:
            turn(state)

    def turn(state: _ForkState) -> None:
        def arrived(outcome: Any) -> None:
            state.outcomes.append(outcome)
            replies = [o.value for o in state.outcomes if not o.error]
            enough = bool(replies) and state.fork.until is not None and state.fork.until(replies)
            if enough or len(state.outcomes) == len(state.fork.processes):
                for unasked in state.fork.processes[len(state.outcomes) :]:
                    unasked.close()
                    state.outcomes.append(None)
                ready.append((state.parent, _settle_in_turn(state)))
            else:
                turn(state)

        ready.append((_Job(state.fork.processes[len(state.outcomes)], arrived), None))

    ready.extend((_Job(steps, root(i)), None) for i, steps in enumerate(processes))
    while ready or waiting:
        while ready:
            step(*ready.popleft())
        groups: dict[int, list[tuple[_Job, Leaf]]] = {}
        for pair in waiting:
            groups.setdefault(id(pair[1].endpoint), []).append(pair)
        waiting.clear()
        for group in groups.values():
            endpoint = swap(group[0][1].endpoint) if swap else group[0][1].endpoint
            outcomes = answer_all(endpoint, [leaf.payload for _, leaf in group])
            ready.extend((job, outcome) for (job, _), outcome in zip(group, outcomes, strict=True))
    return results


def _seconds(outcome: Any) -> float | None:
    return outcome.node.seconds if isinstance(outcome, Done) and not outcome.error else 0.0


def _total(times: Sequence[float | None]) -> float | None:
    return None if any(t is None for t in times) else float(sum(t for t in times if t is not None))


def _settle_in_turn(state: _ForkState) -> tuple[list[Any], float | None]:
    return state.outcomes, _total([_seconds(o) for o in state.outcomes])


def _settle_at_once(state: _ForkState) -> tuple[list[Any], float | None]:
    """Order the outcomes by when each would have arrived; what arrives after `until` holds is cancelled.

    A cancelled call is charged in full: what a provider bills for it is not in the recording, and more is safe.
    """
    times = [_seconds(o) for o in state.outcomes]
    order = sorted(range(len(times)), key=lambda i: (times[i] is None, times[i] or 0.0, i))
    seen: list[Reply] = []
    outcomes, elapsed = list(state.outcomes), 0.0 if None not in times else None
    stopped = False
    for i in order:
        outcome = outcomes[i]
        if stopped:
            if not outcome.error:
                outcomes[i] = replace(outcome.node, text=None, cancelled=True)
            continue
        time_i = times[i]
        elapsed = None if elapsed is None or time_i is None else max(elapsed, time_i)
        if not outcome.error:
            seen.append(outcome.value)
            stopped = state.fork.until is not None and state.fork.until(seen)
    return outcomes, elapsed


def _look_now(look: Look, swap: Swap | None) -> Any:
    """A look at a draft, in turn: its pieces come from the background loop."""
    try:
        return blocking(look_at(look, swap))
    except SpratError as error:
        return error
