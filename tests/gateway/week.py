"""A made-up week of a gateway's traffic, for the dashboard: a few thousand exchanges, labels, failures, keys."""

from __future__ import annotations

import math
import random
import time
from dataclasses import replace
from typing import Any

from sprat.gateway.access import keys
from sprat.gateway.access.limits import Budget
from sprat.gateway.ledger import schema
from sprat.gateway.ledger.exchange import Exchange
from sprat.gateway.ledger.records import COLUMNS, charges, row_of
from sprat.gateway.ledger.store import Store
from sprat.gateway.ledger.writer import _ADD, insert  # pyright: ignore[reportPrivateUsage]
from sprat.gateway.promise import evidence
from sprat.gateway.promise.evidence import Evidence

SMALL, LARGE = "sprat", "mackerel"
PLANTED = '<script>document.title="planted"</script><img src=x onerror="document.title=1">'
_ERRORS = (
    (502, "mackerel: answered HTTP 500 after 2 retries"),
    (504, "mackerel: no answer within 60 seconds"),
    (429, "The requests of this key may make 60 requests a minute."),
    (400, "sprat: the prompt has 9213 tokens and its context holds 8192"),
)


def _card(i: str, trust: float, up: bool, costs: tuple[float, float], seconds: float) -> dict[str, Any]:
    small: dict[str, Any] = {"model": SMALL, "cost": costs[0], "seconds": seconds * 0.3}
    asks: list[dict[str, Any]] = [{**small, "usage": {"input_tokens": 412, "output_tokens": 96}}]
    if up:
        why = f"trust {trust:.3g} < 0.62" if trust > 0.2 else "the format broke off after 14 tokens"
        asks.append({"model": LARGE, "because": why, "cost": costs[1], "seconds": seconds * 0.7})
    tree = {"by": "cascade", "model": LARGE if up else SMALL, "cost": sum(costs[: 1 + up]), "seconds": seconds}
    facts = {"setting": "cascade at 0.62, certified"} | ({"escalation": asks[1]["because"]} if up else {})
    return {
        "id": i,
        "asked": "auto",
        "way": f"cascade({SMALL}, {LARGE})",
        "model": tree["model"],
        "cost": tree["cost"],
        "seconds": seconds,
        "trusts": [{"signal": "logprob", "trust": trust}],
        "asks": {**tree, "asks": asks},
        "options": {SMALL: costs[0], LARGE: costs[1]},
        "facts": facts,
    }


def exchanges(n: int, now: float, seed: int = 7) -> list[Exchange]:
    """Requests of the week before `now`: by day and night, in threads, most answered by the small model."""
    draw = random.Random(seed)
    made: list[Exchange] = []
    while len(made) < n:
        at = now - draw.random() ** 1.15 * 7 * 86400
        hour = at / 3600 % 24
        if draw.random() > 0.25 + 0.75 * max(0.0, math.sin((hour - 5) / 24 * 2 * math.pi)):
            continue
        thread = f"conversation-{draw.getrandbits(40):010x}"
        for turn in range(min(1 + int(draw.expovariate(0.7)), 9)):
            when = at + turn * draw.uniform(20, 90)
            if when < now - 1:
                made.append(_one(draw, when, thread))
    return sorted(made, key=lambda e: e.at)[-n:]


def _one(draw: random.Random, at: float, thread: str) -> Exchange:
    number, key = f"{draw.getrandbits(96):024x}", draw.choice(("key_search", "key_search", "key_support"))
    read, wrote = int(draw.lognormvariate(6, 0.9)), int(draw.lognormvariate(4.6, 0.7))
    costs = (read * 0.056e-6 + wrote * 0.17e-6) * 40, (read * 0.37e-6 + wrote * 1.1e-6) * 40
    trust = draw.betavariate(5, 2)
    up = trust < 0.62
    seconds = draw.lognormvariate(-0.7, 0.45) * (2.6 if up else 1.0)
    card = _card(number, trust, up, costs, seconds)
    unknown = draw.random() < 0.006
    told = Exchange(
        number,
        at,
        draw.choice(("chat", "chat", "chat", "messages", "responses")),
        key,
        "auto",
        card["model"],
        card["way"],
        thread,
        f"{draw.getrandbits(256):064x}",
        read,
        wrote,
        None if unknown else card["cost"],
        costs[1],
        seconds,
        seconds * draw.uniform(0.25, 0.6),
        streamed=draw.random() < 0.7,
        propensity=draw.choice((0.95, 0.95, 1.0)),
        trusts={"logprob": trust},
        card=card,
    )
    if draw.random() < 0.018:
        status, said = draw.choice(_ERRORS)
        model = "" if status == 429 else said.partition(":")[0]
        return replace(told, status=status, error=said, model=model, cost=0.0 if not model else None, card={},
                       reference_cost=None, output_tokens=None, input_tokens=None)  # fmt: skip
    if draw.random() < 0.04:
        return replace(told, asked=LARGE, model=LARGE, way=LARGE, cost=costs[1], card={
            "id": number, "asked": LARGE, "way": LARGE, "model": LARGE, "trusts": [],
            "asks": {"model": LARGE, "cost": costs[1], "seconds": seconds}})  # fmt: skip
    return told


def write(store: Store, made: list[Exchange]) -> None:
    """Put exchanges into a store at once, with their spend."""
    with schema.writing(store.engine) as connection:
        insert(connection, schema.exchanges, COLUMNS, [row_of(e) for e in made])
        rows = [{"key": k, "span": s, **v._asdict()} for (k, s), v in sorted(charges(made).items())]
        connection.exec_driver_sql("select 1")
        connection.execute(schema.sa.text(_ADD), rows)


def fill(store: Store, n: int = 4000, now: float | None = None, seed: int = 7) -> list[Exchange]:
    """A week of traffic with labels and two keys."""
    draw = random.Random(seed)
    made = exchanges(n, time.time() if now is None else now, seed)
    write(store, made)
    for name, budget in (("search", Budget(25, "month")), ("support", Budget(2, "day"))):
        key, _ = keys.create(store.engine, name, budget=budget)
        with schema.writing(store.engine) as connection:
            told = {"a": f"key_{name}", "b": key.id}
            connection.execute(schema.sa.text("update sprat_keys set id = :a where id = :b"), told)
    small = [e for e in made if e.model == SMALL and e.status < 400]
    for e in draw.sample(small, min(len(small), 160)):
        good = draw.random() < 0.5 + 0.45 * e.trusts["logprob"]
        store.label(e.id, "judge:mackerel", round(draw.betavariate(8, 2) if good else draw.betavariate(2, 6), 2))
    for e in draw.sample(small, min(len(small), 12)):
        store.label(e.id, "human", float(draw.random() < 0.8), "marked blind")
    shadowed(store, draw.sample(small, min(len(small), 120)), draw)
    return made


def shadowed(store: Store, compared: list[Exchange], draw: random.Random) -> None:
    """Pairs that the watch over the promise made of these exchanges, and three that wait for a person."""
    rows: list[Evidence] = []
    for e in compared:
        told: dict[str, Any] = {"reference": 0.9, "policy": draw.choice((0.9, 0.9, 0.9, 0.9, 1.0, 0.2))}
        rows.append(Evidence(f"pair-{e.id}", "promised", "pair", e.at, e.id, **told))
    question = "Which fish is larger, a sprat or a mackerel? Say only its name."
    body = {"question": question, "policy": "The mackerel, by far.", "reference": "Mackerel."}
    for i, e in enumerate(compared[:3]):
        told = {"waits": True, "flipped": i % 2 == 1, "mark_chance": 0.1, "body": body | {"same": i == 2}}
        rows.append(Evidence(f"wait-{i}", "promised", "pair", e.at, e.id, **told))
    with schema.writing(store.engine) as connection:
        evidence.insert(connection, rows)
