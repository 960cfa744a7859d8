"""Keeps the promise in the path of requests: draws what is shadowed, asks the other side afterwards, notes the pair.

For each request to `auto` it is drawn, before anything of the request or its reply is looked at, whether the request
is shadowed; the chance is known and logged with the pair, and this randomness is part of the certified policy. Once
the client has its reply, the reference is asked the same request in the background (where the policy's reply was the
reference's own there is no second call), both replies get scores, and the pair goes into the store as evidence. While
the promise is broken the reference answers, and the policy is shadowed beside it. What watching costs is in the ledger
and in spend under the key `promise` (asking.py). Requests for several samples are not shadowed.

What may go wrong without a bias. Where the budget for watching is spent, or too many pairs are under way, nothing is
drawn: that depends on no request. Where a small model fails (or refuses a context too long for it) the way asks the
reference, so that the reply is the reference's own; a policy that fails as a whole scores 0. A client that leaves, a
fault of the gateway's own, or a reference that fails, makes no pair: `lost` counts these, and where they are many the
pairs speak for the other requests only. Replies from the cache make no pair either, since they are no new draws; the
drift test counts their requests, by the trusts that were found when they were first asked.

What was certified are first turns, each a draw of its own. The later turns of a conversation are decided like its
opening, so they would repeat one draw: neither pairs nor features come of them, and at most one of each comes of a
thread whose id is given (of its features one a day). That is drawn by a hash of the id with the store's secret, alike
in every worker, and the pair is kept under that hash, so that it is one however many workers saw its thread.

While the promise is broken it is always the cheapest certified setting that may run which is shadowed, whatever a
budget calls for just then: that a safer one keeps the promise would not show that the promise can be given again.

Requests' features for the drift test are noted at no more than `drift_rate` a second and worker: where more come, each
is taken with the same chance, set by how many came before and by nothing in them. A random subsample of exchangeable
requests is exchangeable, so the test stays valid; it only takes longer.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...core import Reply, Request
from ...errors import BadInput, SpratError
from ..answering import Known, Tap
from ..asgi import fresh
from ..caching.source import spelled
from ..ledger.store import Store
from ..served import AUTO, Served, longest_of, worst
from . import evidence, pairs
from .asking import Asking
from .evidence import Evidence
from .folding import Folder, acting
from .plan import Plan
from .promised import Promised
from .told_apart import at_hand
from .watch import Drawn, State

if TYPE_CHECKING:
    from ..app import Gateway
    from ..steering.policy import Choice
    from ..steering.ways import Way
    from ..wire.asked import Asked
    from ..wire.problem import Problem

log = logging.getLogger("sprat.gateway")
_LEFT = 499
_THREADS = 20_000
_OF_REQUESTS = frozenset({"characters", "turns"})  # features that are there without a signal
_BLIND = "Requests are not watched for drift: no signal reads those that the semantic cache answers."
_PATIENCE = 5.0  # seconds that pairs under way have at the end


class Keeper:
    """The watch over a gateway's promise, as one worker takes part in it."""

    def __init__(self, gateway: Gateway, served: Served, promised: Promised, store: Store) -> None:
        self.gateway, self.store = gateway, store
        self.reference = reference_of(served, promised)
        self.promised = replace(promised, reference=self.reference.name)
        if promised.budget and self.reference.price is None:
            hint = f"Set price = {{input = 1.0, output = 4.0}} (dollars per million) in [models.{self.reference.name}]."
            raise BadInput("A budget for watching the promise needs the reference's price.", hint=hint)
        self.identity = promised.identity(served.certificate, served.answering)
        self.folder = Folder(
            store.engine,
            self.promised,
            self.identity,
            certificate=promised.certified(served.certificate),
            read_at=served.read_at,
            altered=served.altered,
        )
        self.asking = Asking(gateway, store, promised.budget)
        self.busy = self.lost = self.unscored = 0
        self._random = random.Random()
        self._threads: OrderedDict[str, None] = OrderedDict()  # that were seen
        self._tasks: set[asyncio.Task[None]] = set()
        self._came, self._before, self._second = 0, 0.0, 0.0  # requests of this second, and a second before

    @classmethod
    async def open(cls, gateway: Gateway, served: Served | None = None) -> Keeper | None:
        """The keeper of a file with a [promise] where the store can hold evidence; raises BadInput.

        `served` is what the gateway is about to serve, where that is not what it serves now.
        """
        served = served or gateway.served
        promised, store = served.promised, gateway.store
        if promised is None or not isinstance(store, Store):
            return None
        made = cls(gateway, served, promised, store)
        store.attach(made.asking)
        await asyncio.to_thread(made.folder.start)
        log.info("The promise is watched: %s.", promised.how)
        return made

    @property
    def state(self) -> State:
        """What the watch says: the reference alone is to answer while it is broken."""
        return acting(self.folder.status)

    def plan(self, asked: Asked, request: Request, choice: Choice, at: float) -> Plan:
        """Draw what happens with a request to `auto`; the plan's model is to answer it."""
        model = choice.model
        broken = self.state == "broken"
        drawn = None
        first, thread = self._first(request)
        watched = first and self.promised.loss_watched and self.state != "suspended" and not self.folder.superseded
        watched = watched and (broken or choice.certified) and asked.n == 1
        if watched and self.busy < self.promised.at_once and self.asking.free:
            rate = self.promised.restore_rate if broken else self.promised.rate
            drawn = Drawn((int(thread, 16) / 16 ** len(thread) if thread else self._random.random()) < rate, rate)
            self.busy += drawn.taken
        # While broken, features that the policy would find are at hand for shadowed requests alone: a fair sample too.
        sampled = first and self._sampled() and (not broken or (drawn is not None and drawn.taken))
        if broken:
            return Plan(at, request, self.reference, self._shadow.model, True, drawn, sampled, thread)
        return Plan(at, request, model, model, False, drawn, sampled, thread)

    @property
    def blind(self) -> bool:
        """Whether requests' features can't be had of a fair sample: a semantic hit is of a prompt nobody looked at."""
        cache = self.gateway.served.cache
        return cache is not None and cache.semantic > 0 and not _OF_REQUESTS.issuperset(self.promised.features)

    @property
    def _shadow(self) -> Way:
        """What is shadowed while the promise is broken."""
        policy, keys = self.gateway.policy, self.gateway.keys
        return policy.cheapest(getattr(keys, "budgeted", False))

    def _first(self, request: Request) -> tuple[bool, str]:
        """Whether a request is a draw of its own, and its thread's hash in hex where a thread is named."""
        if request.continues:
            return False, ""
        if not request.thread:
            return True, ""
        told = f"shadow {self.identity} {request.thread}".encode()
        thread = hashlib.sha256(self.gateway.policy.salt + told).hexdigest()[:26]
        if thread in self._threads:
            self._threads.move_to_end(thread)
            return False, thread
        self._threads[thread] = None
        if len(self._threads) > _THREADS:
            self._threads.popitem(last=False)
        return True, thread

    def within(self, asked: Asked, request: Request, model: Any) -> tuple[Any, dict[str, str]]:
        """Who answers a request with a maximum cost, and what the card says: where broken the reference, if it fits."""
        if self.state != "broken":
            return model, {}
        longest, most = longest_of(request.options) * asked.n, asked.overrides.max_cost
        if most is not None and worst(self.reference, request, longest, asked.n) <= most:
            return self.reference, {"promise": "broken: the reference answers"}
        return model, {"promise": "broken, but the reference could pass the maximum cost"}

    def settle(
        self, plan: Plan, number: str, replies: list[Reply], tap: Tap, problem: Problem | None, sent: bool = True
    ) -> None:
        """Note a finished request, which may be one that no model was `sent`; what needs calls happens afterwards."""
        if plan.sampled and not plan.broken and problem is None:
            self._feature(number, plan, [*tap.trusts, *tap.kept])
        if not plan.shadowed:
            return
        if not replies if problem is None else plan.broken or not sent or not _by_policy(problem):
            self.busy -= 1
            self.lost += problem is not None and sent
            return
        answered = Reply(None, error=problem.message) if problem else replies[0]
        task = asyncio.get_running_loop().create_task(self._pair(plan, number, answered, tap.streaming))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pair(self, plan: Plan, number: str, answered: Reply, streamed: bool) -> None:
        try:
            mine = spelled([answered], plan.heard, streamed)[0]
            await self._paired(plan, number, answered, mine)
        except SpratError as error:
            self.lost += 1
            log.info("A shadowed request made no pair: %s", error)
        except Exception as error:  # it must not end the loop
            self.lost += 1
            log.error("A shadowed request failed: %s", type(error).__name__, exc_info=error)
        finally:
            self.busy -= 1

    async def _paired(self, plan: Plan, number: str, answered: Reply, mine: Reply) -> None:
        shadow, seen = "", [answered]
        if plan.broken:
            # Where the policy asks the reference, it is told what the reference said: one draw, paid once.
            reference, tap = mine, Tap(known=Known(self.reference.name, plan.request, mine))
            shadow = fresh()
            policy = await self._policy(plan, shadow, number, tap)
            seen.append(policy)
            if plan.sampled and policy.ok:
                self._feature(number, plan, tap.trusts)
            if policy.ok and pairs.is_own(plan.policy, policy, self.reference.name):
                policy = mine
        elif mine.ok and pairs.is_own(plan.policy, answered, self.reference.name):
            reference = policy = mine
        else:
            shadow, policy = fresh(), mine
            reference = await self.asking.shadow(self.reference, plan.request, shadow, number, Tap())
            seen.append(reference)
        self._note(plan, number, shadow, reference, policy, await self._scores(plan, reference, policy, number))
        await self.asking.complete(plan.policy, plan.request, number, seen)

    async def _policy(self, plan: Plan, shadow: str, number: str, tap: Tap) -> Reply:
        """The policy's reply while the reference answers; one that fails is a reply too."""
        try:
            return await self.asking.shadow(plan.policy, plan.request, shadow, number, tap)
        except SpratError as error:
            return Reply(None, error=str(error))

    async def _scores(
        self, plan: Plan, reference: Reply, policy: Reply, number: str
    ) -> tuple[float | None, float | None]:
        judge = self.promised.judge
        if not judge:
            return None, None

        async def ask(name: str, request: Request) -> Reply:
            model = self.gateway.served.models[name]
            return await self.asking.ask(model, request, fresh(), f"judge of {number}", Tap())

        found = await pairs.scores(judge, ask, plan.request, reference, policy)
        if None in found:
            self.unscored += 1
            # What stands for the judge's opinion is of no matter where marks correct it; alone it can't be made up.
            return (0.5, 0.5) if self.promised.marks is not None else (None, None)
        return found

    def _note(
        self,
        plan: Plan,
        number: str,
        shadow: str,
        reference: Reply,
        policy: Reply,
        scores: tuple[float | None, float | None],
    ) -> None:
        drawn, marks = plan.drawn, self.promised.marks
        assert drawn is not None
        if scores[0] is None and self.promised.judge:
            self.lost += 1
            return
        by_hand = marks is not None and (not self.promised.judge or self._random.random() < marks)
        texts = {"policy": pairs.said(policy), "reference": pairs.said(reference)}
        same = policy is reference or (policy.ok and texts["policy"] == texts["reference"])
        body: dict[str, Any] = {"question": pairs.asked(plan.request), **texts, "same": same} if by_hand else {}
        if plan.broken:
            body[evidence.RESTORING] = True
        found = Evidence(
            plan.thread or number,
            self.identity,
            "pair",
            plan.at,
            number,
            shadow,
            *scores,
            drawn.propensity,
            marks if self.promised.judge else None,
            by_hand,
            self._random.random() < 0.5,
            body=body,
        )
        self.lost += not self.store.note(found)

    def _feature(self, number: str, plan: Plan, trusts: list[tuple[str, float]]) -> None:
        """Note what the drift test reads; a request that lacks one of its features is left out."""
        found = at_hand(features(plan.request, trusts), self.promised)
        if found is not None:
            body = {"features": found, "draw": self._random.random()}
            self.store.note(
                Evidence(f"request-{plan.thread or number}", self.identity, "request", plan.at, number, body=body)
            )

    def _sampled(self) -> bool:
        if not self.promised.features or self.blind:
            return False
        now = time.monotonic()
        if now - self._second >= 1.0:
            self._before, self._came, self._second = self._came / (now - self._second), 0, now
        self._came += 1
        return self._random.random() < self.promised.drift_rate / max(self._before, self._came, 1.0)

    async def waiting(self, limit: int = 20) -> tuple[list[evidence.Pair], int]:
        """The oldest pairs that wait for a person's marks, and how many do; they hold prompts, so not for every key."""
        return await asyncio.to_thread(evidence.waiting, self.store.engine, limit)

    async def mark(self, pair: str, scores: Sequence[float] | None) -> None:
        """Give a pair's replies scores in [0, 1], in the order shown; None where they can't be judged. BadInput."""
        await asyncio.to_thread(evidence.mark, self.store.engine, pair, scores, time.time())

    def status(self) -> dict[str, Any]:
        """The state, the evidence and what watching costs, ready for JSON."""
        own: dict[str, Any] = {n: getattr(self, n) for n in ("lost", "unscored", "busy")}
        own["marks_waiting"], own["behind_marks"] = self.folder.waiting
        own |= {"drift_watched": bool(self.promised.features) and not self.blind}
        own |= {"superseded": self.folder.superseded, "trouble": self.folder.trouble}
        found = {**self.folder.status, **own, "watching": self.asking.status()}
        past = self.gateway.policy.suspended if found.get("state") == "holding" else ""
        if past:  # what the certified settings answer is watched all the same
            why = past.removeprefix("suspended: ")
            found |= {"state": "suspended", "why": why, "sentence": f"Suspended: {why}"}
        if self.blind:
            found["sentence"] = f"{found.get('sentence', '')} {_BLIND}".strip()
        return found

    def refer(self, served: Served) -> None:
        """Go on with the same promise over models that were loaded anew."""
        self.reference = reference_of(served, self.promised)
        self.folder.read_at = max(self.folder.read_at, served.read_at)

    async def close(self) -> None:
        """Let pairs under way end, for a few seconds; called before the store is closed."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_PATIENCE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self.store.flush(_PATIENCE)
        self.store.detach(self.asking)
        await asyncio.to_thread(self.folder.stop)


def _by_policy(problem: Problem) -> bool:
    """Whether it is the policy that failed or refused: not the gateway, its limits, or a client that left."""
    refused = 400 <= problem.status < _LEFT and problem.code != "insufficient_quota"
    return refused or problem.code in ("upstream_failed", "upstream_timeout")


def reference_of(served: Served, promised: Promised) -> Any:
    """The model that the promise compares with: the one named, else the way's last; raises BadInput."""
    if promised.reference:
        return served.models[promised.reference]
    model = served.models[AUTO]
    while not hasattr(model, "answer_many") and getattr(model, "models", ()):
        model = model.models[-1]
    if not hasattr(model, "answer_many"):
        raise BadInput("[promise] names no reference.", hint='Such as reference = "large", a name under [models].')
    return model


def features(request: Request, trusts: list[tuple[str, float]]) -> dict[str, float]:
    """What is at hand of a request: its last message's `characters`, its `turns`, each signal's trust by its word."""
    found = {"characters": float(len(request.text)), "turns": float(len(request.messages))}
    for name, value in trusts:
        found.setdefault(name, value)
    return found
