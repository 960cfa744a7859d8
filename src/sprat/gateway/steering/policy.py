"""Which setting answers a request to `auto`: the [way], one that is drawn to explore, or one that a budget calls for.

Papers: a walk that stops at its first failure certifies every setting before it, all at once (arXiv 2110.01052).
Checked against: the propensities' formula by enumeration (tests/gateway/test_policy.py).

Every certified setting's mean loss is at most 0, all of them together with the certificate's confidence, and the mean
loss is linear in the policy. So whatever mixture of them is drawn without a look at the request keeps the promise. The
draw is a hash of the conversation's id with a secret of the store's: all turns of a conversation are drawn alike, by
every process, and nobody outside can tell how.

Where the settings are routes by one signal, what matters of a draw is which model it asks: P(small | trust) is the sum
of the probabilities of the settings whose threshold the trust reaches. That is then the logged propensity, so that a
row tells of every setting of the kind; elsewhere it is the probability of the setting.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from ...combine import Route
from ...core import Ask, Request, Technique, ask
from ...errors import BadInput
from ...shape import leaves, name_of
from ..ledger import schema
from ..witness import Witness
from .controllers import Rules, Spending
from .crafted import Crafted
from .ways import AUTO, Way, asked

SUSPENDED = "suspended: the budget called for a setting that is not certified"
_THREADS = 4096
_SALT = "policy:salt"
Mixture = tuple[tuple[Way, float], ...]


@dataclass(frozen=True, repr=False)
class Read(Technique):
    """One model alone, once a signal was read: it decides nothing here, and what it says can be compared in the log."""

    model: Any
    trust: Any
    use = "route"

    async def answer(self, request: Request) -> Ask:
        """The model's reply."""
        value = await self.trust.trust(request.opening)
        return ask(self.model, request, f"ease {value:.3g}, not looked at")


@dataclass(frozen=True)
class Choice:
    """What was drawn: the way to run, by which `model`, and the `mixture` that it was drawn from.

    `why` says what decided where it was not chance; `policy` is what would run if the promise were not broken.
    """

    way: Way
    model: Any
    mixture: Mixture
    signal: str = ""
    why: str = ""
    policy: Any = None

    @property
    def setting(self) -> str:
        """The setting's name; "" where the file has none."""
        return self.way.name

    @property
    def certified(self) -> bool:
        """Whether the promise covers what is run."""
        return self.way.certified

    @property
    def facts(self) -> dict[str, str]:
        """What decided, in words, for the card."""
        if not self.setting:
            return {}
        told = {} if self.certified else {"promise": SUSPENDED}
        p = sum(p for way, p in self.mixture if way is self.way)
        said = self.setting + (f", drawn with probability {p:.4g}" if p < 1 else "")
        return {"setting": f"{said}; {self.why}" if self.why else said, **told}

    def propensity(self, trusts: Sequence[tuple[str, float]]) -> tuple[float, str]:
        """The probability of what was done, and of what that is: "action" (which model was asked) or "setting"."""
        trust = next((value for name, value in trusts if name == self.signal), None) if self.signal else None
        if trust is None:
            return sum(p for way, p in self.mixture if way is self.way), "setting"
        done = asked(self.way.model, trust)
        return min(sum(p for way, p in self.mixture if asked(way.model, trust) is done), 1.0), "action"


@dataclass
class Policy:
    """Chooses for each request to `auto`. `ways` go from the safest (the reference alone) to the cheapest, uncertified
    ones last; `own` is the [way], which runs where nothing else is called for."""

    own: Way
    ways: tuple[Way, ...] = ()
    explore: float = 0.0
    spending: Spending | None = None
    crafted: Crafted = field(default_factory=Crafted)
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16), repr=False)

    def __post_init__(self) -> None:
        self.threads: OrderedDict[str, tuple[Way, Mixture]] = OrderedDict()
        self.covered = tuple(w for w in self.ways if w.certified) or (self.own,)
        self._signal = _shared((self.own, *self.ways))
        self._word = name_of(self._signal.signal) if self._signal is not None else ""
        if not 0 <= self.explore <= 1:
            raise BadInput(f"[promise] explore is {self.explore}; it must lie between 0 and 1.", hint="Such as 0.05.")
        if self.explore and len(self.covered) < 2:
            raise BadInput(
                "[promise] explore needs at least two certified settings to draw from.",
                hint="sprat study writes them as [[promise.settings]]; run it again.",
            )

    @property
    def signal(self) -> str:
        """The word of the one signal by which all settings decide; "" where they don't share one."""
        return self._word

    @property
    def plain(self) -> Choice:
        """The [way], whatever else is called for."""
        return self._run(self.own, ((self.own, 1.0),))

    @property
    def safe(self) -> Choice:
        """The reference alone, which answers while the promise is broken; the [way] where the file has no settings."""
        if not self.ways:
            return self.plain
        safe, why = self.ways[0], "the promise is broken: the reference alone answers"
        return Choice(safe, safe.model, ((safe, 1.0),), why=why)

    def choose(self, key: Any, request: Request, now: float, keeper: Any = None) -> Choice:
        """What answers this request; `key` is who asks (None: nobody known), `now` seconds since 1970."""
        choice = self._chosen(key, request, now)
        if keeper is None or keeper.state != "broken" or not self.ways:
            return choice
        return replace(self.safe, policy=choice.model)

    def cheapest(self, budgeted: bool) -> Way:
        """The cheapest certified setting that may run; `budgeted` says whether some key has a budget."""
        moved = self.spending is not None and self.spending.moves and (budgeted or bool(self.spending.scopes))
        return self.covered[-1] if self.explore or moved else self.own

    @property
    def suspended(self) -> str:
        """Why the promise does not cover what some budget calls for now; "" where it does."""
        rows = self.budgets()
        return SUSPENDED if any(row["setting"] and not row["certified"] for row in rows) else ""

    def budgets(self) -> list[dict[str, Any]]:
        """How the budgets stand: scope, budget (dollars), per, spent, forecast, setting, certified, price, and more."""
        return [] if self.spending is None else self.spending.rows(everyone=True)

    def attach(self, store: Any) -> None:
        """Draw by the store's secret, as its other processes do, and go on with its budgets; blocks."""
        table = schema.settings
        with schema.writing(store.engine) as connection:
            if (kept := connection.execute(sa.select(table.c.value).where(table.c.name == _SALT)).scalar()) is None:
                new = sa.text("insert into sprat_settings (name, value) values (:n, :v) on conflict (name) do nothing")
                connection.execute(new, {"n": _SALT, "v": self.salt.hex()})
                kept = connection.execute(sa.select(table.c.value).where(table.c.name == _SALT)).scalar_one()
        self.salt = bytes.fromhex(str(kept))
        if self.spending is not None:
            self.spending.attach(store)

    def follow(self, before: Policy) -> None:
        """Take the place of the policy that was served before, by the same secret and with its budgets' states."""
        self.salt, self.crafted.shares = before.salt, before.crafted.shares
        if before.spending is not None:
            before.spending.leave() if self.spending is None else self.spending.follow(before.spending)

    def close(self) -> None:
        """Keep what the budgets have learnt; blocks."""
        if self.spending is not None and self.spending.store is not None:
            self.spending.keep()

    def _chosen(self, key: Any, request: Request, now: float) -> Choice:
        called = self.spending.way(key) if self.spending is not None else None
        thread = request.affinity if self.explore or called else ""
        kept = self.threads.get(thread) if thread and request.continues else None
        if kept is not None:
            return self._run(*kept)
        way, whose = called or (self.own, "")
        mixture = self._mixture(way)
        drawn = mixture[0][0] if len(mixture) == 1 else self._drawn(mixture, thread)
        why = f"called for by {whose}" if drawn is way and whose else ""
        return self._run(drawn, mixture, thread, why)

    def _mixture(self, chosen: Way) -> Mixture:
        """The chosen way, and with probability `explore` any certified one."""
        if not self.explore:
            return ((chosen, 1.0),)
        share = self.explore / len(self.covered)
        rest = 1 - self.explore
        found = [(w, share + (rest if w is chosen else 0.0)) for w in self.covered]
        return tuple(found if chosen in self.covered else [(chosen, rest), *found])

    def _drawn(self, mixture: Mixture, thread: str) -> Way:
        digest = hashlib.sha256(self.salt + thread.encode()).digest()
        left = int.from_bytes(digest[:7], "big") / 2**56
        for way, p in mixture:
            left -= p
            if left < 0:
                return way
        return mixture[-1][0]

    def _run(self, way: Way, mixture: Mixture, thread: str = "", why: str = "") -> Choice:
        if thread:
            self.threads[thread] = (way, mixture)
            if len(self.threads) > _THREADS:
                self.threads.popitem(last=False)
        model, signal = way.model, self._signal
        if signal is not None and len(mixture) > 1 and not _reads(model):
            model = Read(model, signal)
        return Choice(way, model, mixture, self.signal, why)


def _reads(model: Any) -> bool:
    return isinstance(model, Route) and any(0 < t <= 1 for t in model.at_least)


def _shared(ways: Sequence[Way]) -> Witness | None:
    """The one signal by which all of these routes decide; None where there is none, or where it asks models itself."""
    found: dict[int, Witness] = {}
    for way in ways:
        if isinstance(way.model, Route):
            found |= {id(s): s for s in way.model.trust if isinstance(s, Witness)}
        elif not hasattr(way.model, "answer_many"):
            return None
    signal = next(iter(found.values()), None)
    return signal if len(found) == 1 and all(hasattr(m, "encode") for m in leaves(signal)) else None


def policy_of(served: Any) -> Policy:
    """The policy over what is served; raises BadInput where its tables don't fit."""
    ways, setting = served.ways, served.promised and served.promised.setting
    own = next((w for w in ways if setting and w.name == setting), None)
    own = Way("", served.models[AUTO]) if own is None else replace(own, model=served.models[AUTO])
    ways = tuple(own if w.name == own.name else w for w in ways)
    rules = Rules.of(served.budget, str(served.path or "serve.toml"))
    if rules.all is not None:
        _need_prices(served, ways)
    return Policy(own, ways, served.explore, Spending(rules, ways), Crafted(served.ordinary))


def _need_prices(served: Any, ways: Sequence[Way]) -> None:
    unpriced = [name_of(m) for m in leaves((*served.models.values(),)) if hasattr(m, "price") and m.price is None]
    if unpriced:
        hint = f"Give [models.{unpriced[0]}] a price = {{input = 1.0, output = 4.0}}, in dollars per million tokens."
        raise BadInput(f"A budget needs the price of every model; that of '{unpriced[0]}' is not known.", hint=hint)
    costless = next((w.name for w in ways if w.cost is None), None)
    if costless is not None and len(ways) > 1:
        hint = "Run sprat study with --prices, or give the setting its cost, in dollars per request."
        raise BadInput(
            f"A budget moves along settings by what they cost; that of '{costless}' is not known.", hint=hint
        )
