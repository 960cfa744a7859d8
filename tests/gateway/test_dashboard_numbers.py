"""What the dashboard's API says: totals, decisions by page and filter, cards, where small failed, and marks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from dashboard_browser import HOLDING, Shown
from stored import made
from test_dashboard_login import Visitor, quick  # noqa: F401
from week import write

from sprat.gateway.dashboard import overview
from sprat.gateway.dashboard.failures import escalation
from sprat.gateway.ledger.retention import delete_older
from sprat.gateway.ledger.store import Store


class Looking(Visitor):
    """A visitor who is logged in and reads the API."""

    def __init__(self, shown: Shown) -> None:
        super().__init__(shown)
        assert self.log_in().status == 303

    def read(self, path: str) -> Any:
        answer = self.ask("GET", f"/sprat/api/{path}")
        assert answer.status == 200, answer.text
        return json.loads(answer.text)


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Shown]:
    with Shown(tmp_path, 400, HOLDING) as opened:
        yield opened


@pytest.fixture
def looking(shown: Shown) -> Looking:
    return Looking(shown)


def test_the_totals_are_the_ledgers(shown: Shown, looking: Looking) -> None:
    said = looking.read("overview?window=month")
    asked = [e for e in shown.made if e.status < 500]
    assert said["totals"]["requests"] == len(shown.made) >= len(asked)
    assert said["totals"]["dollars"] == pytest.approx(sum(e.cost or 0 for e in shown.made))
    assert said["totals"]["unknown"] == sum(e.cost is None for e in shown.made)


def test_the_saving_has_an_interval_around_it(looking: Looking) -> None:
    value, low, high = looking.read("overview?window=month")["totals"]["saving"]
    assert low < value < high
    assert high - low < 0.2


def test_the_shares_of_the_models_add_up_to_one(looking: Looking) -> None:
    models = looking.read("overview?window=month")["models"]
    assert sum(m["share"][0] for m in models) == pytest.approx(1.0)


def test_spend_outlives_the_exchanges(shown: Shown, looking: Looking) -> None:
    before = looking.read("overview?window=hour")["spent"]["month"]["dollars"]
    with Store.read(shown.path) as store:
        delete_older(store.engine, time.time() + 1)
    time.sleep(1.05)
    after = looking.read("overview?window=hour")
    assert after["spent"]["month"]["dollars"] == pytest.approx(before)
    assert after["first"] is None


def test_the_keys_are_shown_without_secret_and_hash(shown: Shown, looking: Looking) -> None:
    keys = looking.read("overview?window=hour")["keys"]
    assert {k["name"] for k in keys} == {"search", "support"}
    assert "digest" not in json.dumps(keys)


def test_pages_of_decisions_hold_each_one_once(shown: Shown, looking: Looking) -> None:
    seen: list[str] = []
    before = ""
    while before is not None:
        page = looking.read(f"decisions?before={quote(before)}")
        seen += [d["id"] for d in page["decisions"]]
        before = page["next"]
    assert seen == [e.id for e in sorted(shown.made, key=lambda e: (-e.at, e.id))]


@pytest.mark.parametrize("kind", ["failed", "unknown"])
def test_decisions_are_filtered_by_kind(shown: Shown, looking: Looking, kind: str) -> None:
    right = {"failed": lambda e: e.status >= 400, "unknown": lambda e: e.cost is None}[kind]
    page = looking.read(f"decisions?kind={kind}")
    assert [d["id"] for d in page["decisions"]] == [e.id for e in reversed(shown.made) if right(e)][: overview.PAGE]


def test_decisions_are_found_by_the_beginning_of_an_id_or_thread(shown: Shown, looking: Looking) -> None:
    one = shown.made[17]
    assert [d["id"] for d in looking.read(f"decisions?find={one.id[:12]}")["decisions"]] == [one.id]
    threads = {d["thread"] for d in looking.read(f"decisions?find={one.thread}")["decisions"]}
    assert threads == {one.thread}


@pytest.mark.parametrize("find", ["%25", "_", "%00", "'; drop table sprat_keys; --"])
def test_what_is_looked_for_is_no_pattern(looking: Looking, find: str) -> None:
    found = looking.read(f"decisions?find={quote(find) if '%' not in find else find}")
    assert (found["decisions"] == []) == (find != "%00")


def test_a_filter_that_finds_little_goes_on_where_it_stopped(
    shown: Shown, looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "NEWEST", 50)
    oldest = shown.made[0]
    page = looking.read(f"decisions?find={oldest.id}")
    steps = 1
    while not page["decisions"]:
        page = looking.read(f"decisions?find={oldest.id}&before={quote(page['next'])}")
        steps += 1
    assert (steps, page["decisions"][0]["id"]) == (8, oldest.id)


@pytest.mark.parametrize("before", ["nan-x", "inf-x", "x", "-", "1e400-a"])
def test_a_place_that_is_none_is_no_error(looking: Looking, before: str) -> None:
    assert looking.ask("GET", f"/sprat/api/decisions?before={before}").status == 200


def test_a_decision_has_its_card_drawn(shown: Shown, looking: Looking) -> None:
    one = next(e for e in shown.made if e.card and len(e.card["asks"].get("asks", ())) > 1)
    said = looking.read(f"decision/{one.id}")
    assert said["drawing"].startswith("cascade → mackerel")
    assert said["cost"] == one.cost


def test_a_decision_that_is_not_there_is_said(looking: Looking) -> None:
    assert looking.ask("GET", "/sprat/api/decision/none").status == 404


def test_prompts_are_not_shown_unless_they_are_to_be_stored(tmp_path: Path) -> None:
    with Shown(tmp_path) as shown:
        with Store.read(shown.path) as store:
            write(store, [made(1, at=time.time())])
            with overview.schema.writing(store.engine) as connection:
                row = {"id": "x1", "request": '{"messages":[{"role":"user","content":"hush"}]}', "reply": "{}"}
                connection.execute(overview.sa.insert(overview.schema.prompts).values(row))
        looking = Looking(shown)
        assert looking.read("decision/x1")["request"] is None
        object.__setattr__(shown.app.served.settings, "store_prompts", True)
        assert looking.read("decision/x1")["request"]["messages"][0]["content"] == "hush"
        for path in ("overview?window=hour", "decisions"):
            assert "hush" not in json.dumps(looking.read(path))


def test_low_labels_of_small_models_are_counted(tmp_path: Path) -> None:
    with Shown(tmp_path) as shown:
        now = time.time()
        with Store.read(shown.path) as store:
            write(store, [made(i, at=now - i, model="sprat" if i < 4 else "mackerel") for i in range(8)])
            for i, score in ((0, 0.1), (1, 0.9), (2, 0.4), (5, 0.0)):
                store.label(f"x{i}", "human", score)
        found = Looking(shown).read("overview?window=hour")["failures"]
    assert [(r["model"], r["labelled"], r["low"]) for r in found["labels"]] == [("sprat", 3, 2)]
    assert {r["id"] for r in found["low"]} == {"x0", "x2"}


def test_errors_are_counted_by_model_without_their_numbers(tmp_path: Path) -> None:
    with Shown(tmp_path) as shown:
        now = time.time()
        with Store.read(shown.path) as store:
            errors = [made(i, at=now - i, status=502, error=f"no answer in {i}.5 seconds") for i in range(3)]
            write(store, errors)
        found = Looking(shown).read("overview?window=hour")["failures"]["errors"]
    assert [(r["model"], r["status"], r["error"], r["requests"]) for r in found] == [
        ("small", 502, "no answer in … seconds", 3)
    ]


def test_lost_pairs_are_counted_with_an_interval(looking: Looking) -> None:
    found = looking.read("overview?window=month")["failures"]["pairs"]
    assert found["lost"] + found["won"] < found["pairs"]
    assert found["rate"][1] < found["lost"] / found["pairs"] < found["rate"][2]


def test_an_escalation_is_who_took_over_and_why() -> None:
    asks = [{"model": "s"}, {"model": "l", "because": "trust 0.41 < 0.62"}]
    assert escalation({"asks": {"by": "cascade", "model": "l", "asks": asks}}, {"s", "l"}) == ("l", "trust … < …")


@pytest.mark.parametrize(
    "asks", [[], [{"model": "s"}], [{"model": "encoder"}, {"model": "l", "because": "ease 0.1 < 0.2"}]]
)
def test_a_first_choice_is_no_escalation(asks: list[dict[str, str]]) -> None:
    assert escalation({"asks": {"by": "route", "model": "l", "asks": asks}}, {"s", "l"}) is None


def test_what_waits_is_shown_blind(looking: Looking) -> None:
    said = looking.read("marks")
    assert said["waiting"] == 3
    assert all(set(p) == {"id", "at", "question", "replies"} for p in said["pairs"])
    assert {tuple(p["replies"]) for p in said["pairs"]} == {
        ("The mackerel, by far.", "Mackerel."),
        ("Mackerel.", "The mackerel, by far."),
        ("The mackerel, by far.",),
    }


def mark(looking: Looking, **form: str) -> Any:
    return looking.ask("POST", "/sprat/api/marks", form)


def token(looking: Looking) -> str:
    page = looking.ask("GET", "/sprat/marks").text
    return page.split('name="token" content="')[1].split('"')[0]


def test_a_mark_goes_to_the_reply_that_it_was_given_to(shown: Shown, looking: Looking) -> None:
    pair = next(p for p in looking.read("marks")["pairs"] if p["replies"][0] == "Mackerel.")
    answer = mark(looking, token=token(looking), pair=pair["id"], scores="1,0")
    assert json.loads(answer.text)["waiting"] == 2
    with Store.read(shown.path) as store, store.engine.connect() as connection:
        found = overview.schema.evidence
        row = connection.execute(overview.sa.select(found).where(found.c.id == pair["id"])).mappings().one()
    assert (row["marked_reference"], row["marked_policy"]) == (1.0, 0.0)


def test_a_pair_that_can_not_be_judged_no_longer_waits(looking: Looking) -> None:
    assert mark(looking, token=token(looking), pair="wait-0", scores="").status == 200
    assert looking.read("marks")["waiting"] == 2


def test_a_mark_without_token_is_refused(looking: Looking) -> None:
    assert mark(looking, pair="wait-0", scores="1,0").status == 403
    assert looking.read("marks")["waiting"] == 3


@pytest.mark.parametrize("scores", ["2,0", "1", "x,y", "nan,0", "1,0,0"])
def test_a_mark_that_is_none_is_refused(looking: Looking, scores: str) -> None:
    assert mark(looking, token=token(looking), pair="wait-0", scores=scores).status == 409
    assert looking.read("marks")["waiting"] == 3
