"""Ask models for what a study needs: priced before, never over the budget, and resumed after any interruption.

Before each call an intent is on disk, after it the result; so a call that has an answer is never asked again. One with
an intent and no result is in doubt: only a server that honours the Idempotency-Key sent with every call (declared by
`idempotent = true`) surely bills it once. Checked by killing it at 50 instants in tests/test_collect_killed.py.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import secrets
import signal
from collections import deque
from collections.abc import Callable, Mapping
from collections.abc import Collection as Group
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from .core import Endpoint, Reply, Request
from .data import Call, Dataset, Example
from .endpoints.http import backoff
from .errors import BadInput, OverBudget, SpratError
from .journal import Journal
from .reading import cells
from .reading.writing import rows, write
from .wanted import Plan, Wanted, estimate, plan

__all__ = ["Collection", "Outcome", "Plan", "Progress", "Wanted", "estimate", "plan"]

_HOPELESS = frozenset({401, 403, 404})  # what one call meets, all will


@dataclass(frozen=True)
class Progress:
    """How far a collection is; dollars are those surely or possibly spent."""

    done: int
    total: int
    spent: float
    failed: int


@dataclass(frozen=True)
class Outcome:
    """What came of it: calls with answers, dollars spent on them and (at most) on others, and what failed and why.

    `unpriced` answers are not in `spent`, since their price is unknown; `in_doubt` calls may have been paid.
    """

    done: int
    total: int
    spent: float
    doubtful_spent: float
    unpriced: int
    failed: Mapping[str, int]
    in_doubt: int
    stopped: str = ""

    @property
    def complete(self) -> bool:
        """Whether every call has its answer."""
        return self.done == self.total


@dataclass
class _Ledger:
    """What the journal knows: answers, what was paid for them, and attempts that may have been paid without one."""

    plan: Plan
    salt: str = ""
    answers: dict[str, Reply] = field(default_factory=dict[str, Reply])
    paid: float = 0.0
    unpriced: int = 0
    open: dict[str, dict[int, float]] = field(default_factory=dict[str, dict[int, float]])
    failed: dict[str, str] = field(default_factory=dict[str, str])
    attempts: dict[str, int] = field(default_factory=dict[str, int])
    once: dict[str, bool] = field(default_factory=dict[str, bool])

    def take(self, entry: Mapping[str, Any]) -> None:
        """Learn what an entry of the journal says."""
        if entry["is"] == "opened":
            self.salt = entry["salt"]
            return
        key, attempt = entry["call"], int(entry["attempt"])
        if entry["is"] == "begun":
            self.attempts[key] = attempt + 1
            self.open.setdefault(key, {})[attempt] = entry["most"] or 0.0
            self.once[key] = bool(getattr(self.plan.models.get(entry["model"]), "idempotent", False))
            self.failed.pop(key, None)
            return
        if entry["is"] == "answered" or not entry["billable"]:
            self.open[key].pop(attempt)
        if entry["is"] == "failed":
            self.failed[key] = entry["error"]
        elif key not in self.answers:
            self.failed.pop(key, None)
            self.answers[key] = cells.reply(entry["reply"], entry["model"])
            self.paid += entry["paid"] or 0.0
            self.unpriced += entry["paid"] is None
            if self.once[key]:  # the server billed all attempts together once
                self.open[key].clear()
        if not self.open[key]:
            del self.open[key]

    def doubtful(self, but: Group[str] = ()) -> float:
        """Dollars that attempts without an answer may have cost; a server that knows the key bills them all once."""
        held = {key: most.values() for key, most in self.open.items() if key not in but}
        return sum(max(most) if self.once[key] else sum(most) for key, most in held.items())


class Collection:
    """A plan with its journal: what is answered, what is in doubt, and `run`."""

    def __init__(self, plan: Plan, out: Path | str) -> None:
        self.plan, self.out = plan, Path(out)
        journal = self.out.with_name(self.out.name + ".journal")
        if not self.out.name.endswith((".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet")):
            raise BadInput(f"{out} ends in none of .jsonl, .jsonl.gz, .csv, .csv.gz, .parquet.", hint="Rename it.")
        if self.out.exists() and not journal.exists():
            raise BadInput(f"{out} is there already, and was not collected here.", hint="Choose another --out.")
        self.journal = Journal(journal)
        self.ledger = _Ledger(plan)
        try:
            for entry in self.journal.entries:
                self.ledger.take(entry)
        except (KeyError, TypeError, ValueError) as error:
            self.journal.close()
            raise BadInput(f"{journal} is not a journal of sprat collect ({error!r}).") from error

    def close(self) -> None:
        """Give up the journal."""
        self.journal.close()

    @property
    def left(self) -> list[Wanted]:
        """The calls without an answer."""
        return [c for c in self.plan.calls if c.key not in self.ledger.answers]

    @property
    def in_doubt(self) -> list[Wanted]:
        """Calls without an answer that may have been paid, and might be paid again if they were asked again."""
        return [c for c in self.left if c.key in self.ledger.open and not self.ledger.once[c.key]]

    @property
    def spent(self) -> tuple[float, float]:
        """Dollars paid for answers (where prices are known), and the most that calls without one may have cost."""
        return self.ledger.paid, self.ledger.doubtful()

    def run(
        self,
        *,
        budget: float | None = None,
        concurrency: int = 8,
        retry_in_doubt: bool = False,
        tell: Callable[[Progress], None] = lambda progress: None,
    ) -> Outcome:
        """Make the calls and write the file whole; the first Ctrl-C lets running calls end, the second leaves them.

        No call is started whose worst case could pass the budget, which counts what was spent before. Raises BadInput
        where a worst case is unknown under a budget, and the error that all calls would meet (a wrong key or model).
        """
        if concurrency < 1 or (budget is not None and budget < 0):
            raise BadInput(f"concurrency is {concurrency} and budget {budget}.", hint="Needed: >= 1 and >= 0.")
        doubtful = {c.key for c in self.in_doubt}
        todo = [c for c in self.left if retry_in_doubt or c.key not in doubtful]
        if budget is not None and (unknown := next((c for c in todo if c.most is None), None)):
            raise BadInput(
                f"What a call of '{unknown.model}' can cost at most is unknown, so the budget can't be kept.",
                hint="Give its price (0 for your own hardware) and max_tokens; images can't be bounded.",
            )
        for name in {c.model: None for c in todo}:
            getattr(self.plan.models[name], "ready", lambda: None)()
        stopped = asyncio.run(_Run(self, todo, budget, concurrency, retry_in_doubt, tell).all())
        self.write()
        if isinstance(stopped, BaseException):
            raise stopped
        doubtful, failed = self.in_doubt, dict[str, int]()
        for key in {c.key for c in self.left} - {c.key for c in doubtful}:
            if said := self.ledger.failed.get(key):
                failed[said] = failed.get(said, 0) + 1
        done, total = len(self.plan.calls) - len(self.left), len(self.plan.calls)
        return Outcome(done, total, *self.spent, self.ledger.unpriced, failed, len(doubtful), stopped)

    def write(self) -> None:
        """Write every answer so far, with the prompts, whole or not at all."""
        added: dict[int, list[Call]] = {}
        for call in self.plan.calls:
            if call.key in self.ledger.answers:
                made = Call(call.model, self.ledger.answers[call.key], call.request.sample, call.sampling)
                for row in call.rows:
                    added.setdefault(row, []).append(made)
        examples = [replace(e, calls=(*e.calls, *added.get(i, ()))) for i, e in enumerate(self.plan.data)]
        write(replace(self.plan.data, examples=tuple(examples)), self.out)


class _Run:
    """The calls at work."""

    def __init__(
        self,
        of: Collection,
        todo: list[Wanted],
        budget: float | None,
        concurrency: int,
        retry: bool,
        tell: Callable[[Progress], None],
    ) -> None:
        self.of, self.todo, self.budget, self.concurrency = of, deque(todo), budget, concurrency
        self.retry, self.tell = retry, tell
        self.active: dict[str, float] = {}
        self.stop: str | SpratError = ""
        self.failures = 0
        self.freed = asyncio.Condition()

    async def all(self) -> str | BaseException:
        """Run to the end; says why it stopped early, if it did."""
        loop, ledger = asyncio.get_running_loop(), self.of.ledger
        with suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(signal.SIGINT, self._interrupted, loop)
        if not ledger.salt:  # so that a journal begun anew never meets the answers of an old one
            opened = {"is": "opened", "salt": secrets.token_hex(8)}
            await self.of.journal.write(opened)
            ledger.take(opened)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.concurrency, len(self.todo))):
                    group.create_task(self._work())
        except BaseExceptionGroup as several:
            return several.exceptions[0]
        return KeyboardInterrupt() if self.stop == "interrupted" else self.stop

    def _interrupted(self, loop: asyncio.AbstractEventLoop) -> None:
        self.stop = "interrupted"
        loop.remove_signal_handler(signal.SIGINT)  # the next one ends the process at once

    @property
    def spent(self) -> float:
        """Dollars that were or may have been spent on calls that are not running."""
        return self.of.ledger.paid + self.of.ledger.doubtful(self.active)

    async def _work(self) -> None:
        while self.todo and not self.stop:
            call = self.todo.popleft()
            if not await self._reserve(call):
                return
            try:
                await self._one(call)
            finally:
                async with self.freed:
                    del self.active[call.key]
                    self.freed.notify_all()
            self.tell(Progress(len(self.of.ledger.answers), len(self.of.plan.calls), self.spent, self.failures))

    async def _reserve(self, call: Wanted) -> bool:
        """Hold the call's worst case beside what it may have cost before; false where that can't fit any more."""
        async with self.freed:
            while not self._fits(call):
                if not self.active or self.stop:
                    self.stop = self.stop or "budget"
                    self.freed.notify_all()
                    return False
                await self.freed.wait()
            self.active[call.key] = self._held(call)
        return True

    def _fits(self, call: Wanted) -> bool:
        others = sum(held for key, held in self.active.items() if key != call.key)
        doubtful = self.of.ledger.doubtful({*self.active, call.key})
        total = self.of.ledger.paid + doubtful + others + self._held(call)
        return self.budget is None or total <= self.budget + 1e-12

    def _held(self, call: Wanted) -> float:
        """The most that the call costs with one more attempt, those before it included."""
        before = self.of.ledger.open.get(call.key, {}).values()
        most = call.most or 0.0
        return max(most, *before) if self._once(call) and before else most + sum(before)

    def _once(self, call: Wanted) -> bool:
        return bool(getattr(self.of.plan.models[call.model], "idempotent", False))

    async def _one(self, call: Wanted) -> None:
        endpoint = self.of.plan.models[call.model]
        retries = int(getattr(endpoint, "retries", 0))
        for attempt in range(retries + 1):
            error = await self._attempt(call, endpoint)
            if error is None:
                return
            if getattr(error, "status", None) in _HOPELESS:
                self.stop = error
            doubt = bool(getattr(error, "billable", False)) and not self._once(call) and not self.retry
            if not error.retryable or attempt == retries or self.stop or doubt or not self._fits(call):
                self.failures += 1
                return
            self.active[call.key] = self._held(call)
            await asyncio.sleep(backoff(attempt, getattr(error, "after", None)))

    async def _attempt(self, call: Wanted, endpoint: Endpoint) -> SpratError | None:
        ledger = self.of.ledger
        about = {"call": call.key, "attempt": ledger.attempts.get(call.key, 0), "model": call.model}

        async def note(entry: dict[str, Any]) -> None:
            await self.of.journal.write({**about, **entry})
            ledger.take({**about, **entry})

        await note({"is": "begun", "most": call.most})
        try:
            reply = await _answer(
                endpoint, call.request, hashlib.sha256(f"{ledger.salt} {call.key}".encode()).hexdigest()
            )
        except SpratError as error:
            await note({"is": "failed", "error": str(error), "billable": bool(getattr(error, "billable", False))})
            return error
        paid = reply.cost if reply.cost is not None else call.most
        await note({"is": "answered", "reply": _row(call, reply), "paid": paid})
        if call.most is not None and paid is not None and paid > call.most * (1 + 1e-9):
            self.stop = OverBudget(
                f"A call of '{call.model}' cost ${paid:.6f}, more than the ${call.most:.6f} that it could.",
                hint="Does the server keep to max_tokens? Collecting stopped.",
            )
        return None


def _row(call: Wanted, reply: Reply) -> dict[str, Any]:
    made = Call(call.model, reply, call.request.sample, call.sampling)
    row = next(iter(rows(Dataset((Example("", call.request, calls=(made,)),)))))
    return {k: v for k, v in row.items() if k not in ("id", "prompt", "messages", "options", "thread", "group")}


async def _answer(endpoint: Endpoint, request: Request, key: str) -> Reply:
    """One attempt; what fails is tried again by the run, which counts what each attempt may cost."""
    names = {f.name for f in dataclasses.fields(endpoint)} if dataclasses.is_dataclass(endpoint) else set[str]()
    single: Any = replace(cast("Any", endpoint), retries=0) if "retries" in names else endpoint
    if "idempotent" in names:
        return await single.answer_async(request, key)
    if hasattr(single, "answer_async"):
        return await single.answer_async(request)
    answer = (await asyncio.to_thread(single.answer_many, [request]))[0]
    if isinstance(answer, Exception):
        raise answer
    return answer
