"""`sprat logs` and `sprat keys`: tables, totals, JSON, an export that a study takes, and no secret in any output."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

from stored import made

import sprat
from quick_study import quicken
from sprat.cli import main
from sprat.errors import BadInput
from sprat.gateway.access.keys import create
from sprat.gateway.access.limits import Budget
from sprat.gateway.ledger.exchange import Exchange
from sprat.gateway.ledger.store import Label, Store
from sprat.gateway.ledger.study_rows import dataset, request_of

COSTS = {"sprat": 0.0001, "mackerel": 0.004}
PLANTED = "sk-planted-0123456789abcdef"


@pytest.fixture(autouse=True)
def light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch, tmp_path)


def fill(exchanges: Iterable[Exchange], labels: Iterable[tuple[str, float]] = (), **options: Any) -> None:
    async def go() -> None:
        store = await Store.open("sprat.db", **{"prompts": True, "limit": 10**6, **options})
        for exchange in exchanges:
            store.put(exchange)
        assert await store.flush()
        for exchange, score in labels:
            store.label(exchange, "human", score)
        await store.close()

    asyncio.run(go())


def test_the_table_and_the_totals_name_what_is_unknown(capsys: pytest.CaptureFixture[str]):
    with Store.read(create=True) as store:
        key, _ = create(store.engine, "search")
    now = time.time()
    failed = {"cost": None, "at_most": 0.02, "status": 502, "model": "", "input_tokens": None}
    fill([made(1, at=now, key=key.id), made(2, at=now + 1, **failed)])
    assert main(["logs"]) == 0
    said = capsys.readouterr().out
    assert all(w in said for w in ("small", "cascade", "100+50", "$0.001000", "0.50", "200", "search", "?+50", "502"))
    assert "2 requests, 1 failed; 100 tokens read, 100 written." in said
    assert "Cost: $0.0010 + 1 requests of unknown cost (up to $0.0200 more)." in said
    assert "Saved $0.0090 (90%) against the reference's $0.0100; 1 requests can't be compared." in said


def test_since_and_key_choose_what_is_shown(capsys: pytest.CaptureFixture[str]):
    with Store.read(create=True) as store:
        key, _ = create(store.engine, "search")
    now = time.time()
    fill([made(1, at=now, key=key.id), made(2, at=now - 7200, key=key.id), made(3, at=now, key="other")])
    for more in (["--key", "search"], ["--key", key.id]):
        assert main(["logs", "--json", "--since", "1h", *more]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [(e["id"], e["key_name"]) for e in found["exchanges"]] == [("x1", "search")]
        assert found["totals"]["requests"] == 1


def test_an_empty_store_and_bad_words_are_said_in_a_sentence(capsys: pytest.CaptureFixture[str]):
    for words in (["logs"], ["keys", "list"], ["logs", "export", "--out", "x.jsonl"]):
        assert main(words) == 2
        assert "There is no store at sprat.db. Give it with --store" in capsys.readouterr().err
    fill([])
    for words, said in (
        (["logs", "--since", "yesterday"], "needs a span of time. Such as 15m"),
        (["logs", "--limit", "-1"], "at least 0"),
        (["logs", "--key", "none"], "There is no key 'none'."),
        (["logs", "export", "--out", "x.jsonl"], "holds no prompt with its reply"),
        (["keys", "create", "--name", "a", "--budget", "5"], "Such as 50/month."),
        (["keys", "create", "--name", " "], "A key needs a name."),
        (["keys", "create", "--name", "a", "--expires", "2027-02-31"], "which is no date"),
        (["logs", "--store", "postgresql://u:planted-password@127.0.0.1:1/x"], "connection refused"),
    ):
        assert main(words) == 2
        out, err = capsys.readouterr()
        assert said in err
        assert "planted-password" not in out + err


def test_a_key_is_made_listed_and_disabled(capsys: pytest.CaptureFixture[str]):
    words = ["--budget", "50/month", "--rate", "60/min", "--models", "auto, small", "--expires", "30d", "--json"]
    assert main(["keys", "create", "--name", "search", *words]) == 0
    key = json.loads(capsys.readouterr().out)
    assert (key["budget"], key["rate"], key["models"]) == ({"dollars": 50, "per": "month"}, 60, ["auto", "small"])
    assert main(["keys", "disable", "search"]) == 0
    assert main(["keys", "list"]) == 0
    said = capsys.readouterr().out
    assert all(w in said for w in ("search", "$50/month", "$0.0000 this month", "60/min", "auto, small", "disabled"))
    assert key["secret"] not in said
    assert main(["keys", "enable", key["id"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["disabled"] is False


def test_planted_secrets_are_in_no_output_and_not_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with Store.read(create=True) as store:
        key, secret = create(store.engine, "search", budget=Budget(1, "day"))
    error = f"401: Bearer {PLANTED} at https://user:planted-word@host, and planted-upstream, {secret}"
    card = {"because": error, "headers": {"authorization": f"Bearer {PLANTED}"}}
    body = {"messages": [{"role": "user", "content": "hi, planted-upstream"}]}
    fill(
        [
            made(
                1, key=key.id, asked="small", error=error, card=card, thread=secret, request=body, reply={"text": "yes"}
            )
        ],
        secrets=["planted-upstream"],
    )
    outputs = (["logs"], ["logs", "--json"], ["keys", "list"], ["keys", "list", "--json"])
    for words in (*outputs, ["logs", "export", "--out", "calls.jsonl"]):
        assert main(words) == 0
    seen = capsys.readouterr().out + Path("calls.jsonl").read_text()
    seen += "".join(p.read_bytes().decode("latin-1") for p in tmp_path.glob("sprat.db*"))
    assert [s for s in (PLANTED, secret, "planted-word", "planted-upstream") if s in seen] == []


def test_control_characters_from_outside_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]):
    fill([made(1, at=time.time(), model="\x1b[31mred\x07[/bold]")])
    assert main(["logs"]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "[/bold]" in said


def test_what_is_exported_is_taken_by_a_study(capsys: pytest.CaptureFixture[str]):
    data = sprat.load("aquarium").take(range(200))
    exchanges: list[Exchange] = []
    labels: list[tuple[str, float]] = []
    for i, example in enumerate(data):
        for model in COSTS:
            reply = example.reply(model)
            assert reply is not None
            assert reply.score is not None
            body = {"model": model, "messages": list(example.request.messages), **example.request.options}
            told = {"choices": [{"message": {"role": "assistant", "content": reply.text}}]}
            fields = {"model": model, "thread": "", "request_key": example.request.key, "cost": COSTS[model]}
            exchanges.append(Exchange(f"{model}{i}", time.time() - i, request=body, reply=told, **fields))
            labels.append((f"{model}{i}", reply.score))
    fill(exchanges, labels)
    assert main(["logs", "export", "--for", "study", "--out", "calls.jsonl"]) == 0
    said = capsys.readouterr().out
    assert "calls.jsonl: 200 requests, 400 calls of " in said
    assert "400 have scores." in said
    read = sprat.read("calls.jsonl")
    assert (read.costs(list(COSTS)) == list(COSTS.values())).all()
    assert read.scores(list(COSTS)).mean() == data.scores(list(COSTS)).mean()
    assert main(["study", "calls.jsonl", "--small", "sprat", "--large", "mackerel", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["large"] == "mackerel"


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def test_a_composed_model_s_calls_are_exported_each_with_its_own_cost():
    leaf = {"model": "large", "text": "4", "cost": 0.02, "usage": {"input_tokens": 9, "output_tokens": 1}}
    cascade = {"model": "cascade", "text": "4", "asks": [{"model": "small", "text": "5", "cost": 0.001}, leaf]}
    told = made(1, model="large", cost=0.021, request=body("2+2?"), reply={"text": "4", "asks": [cascade]})
    (example,) = dataset([told], [Label("x1", "judge:j", 0.4, 5.0), Label("x1", "human", 1.0, 1.0)], "log")
    assert [(c.model, c.reply.cost, c.reply.score) for c in example.calls] == [
        ("small", 0.001, None),
        ("large", 0.02, 1.0),
    ]


def test_of_repeated_calls_the_labelled_one_is_kept_and_failed_ones_are_not():
    calls = [made(i, request_key="k", request=body("a"), reply={"text": str(i)}) for i in (1, 2, 3)]
    failed = made(4, request_key="k", request=body("a"), reply={"text": "4"}, status=500)
    data = dataset([*calls, failed], [Label("x2", "human", 1.0, 0.0)], "log")
    assert [c.reply.text for e in data for c in e.calls] == ["2"]
    assert "2 repeats of a call were left out." in data.notes
    with pytest.raises(BadInput, match="holds no prompt with its reply"):
        dataset([failed], [], "log")


@pytest.mark.parametrize(
    "asked",
    [
        {"messages": [{"role": "user", "content": "hi"}], "model": "auto", "temperature": 0, "stream": True},
        {"input": "hi", "temperature": 0, "sprat": {"pin": "small"}},
        {"prompt": "hi", "options": {"temperature": 0, "user": "u"}},
    ],
)
def test_a_stored_body_of_any_dialect_gives_the_request(asked: dict[str, Any]):
    assert request_of(asked) == sprat.Request.of("hi", temperature=0)
    assert request_of({"prompt": [1, 2]}) is None


def test_anthropic_s_system_prompt_goes_before_the_messages():
    found = request_of(body("hi", system=[{"type": "text", "text": "Be brief."}]))
    assert found is not None
    assert found.messages[0] == {"role": "system", "content": "Be brief."}
