"""The decision card over HTTP: what is predicted, what would flip it, what is near, what covers it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from foretold import CERTIFICATE, ROW, served, table
from running import Running

from sprat.gateway.cards.card_text import drawn
from sprat.gateway.cards.predicted import Predicted, evidence_of


@pytest.fixture(scope="module")
def gateway() -> Iterator[Running]:
    with Running(served()) as made:
        yield made


@pytest.fixture(scope="module")
def texts() -> Iterator[Running]:
    with Running(served(card=table(texts=True), neighbour_texts=True)) as made:
        yield made


def asked(trust: Any = 0.5, **sprat: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"{trust} {ROW}"}], "extra_body": {"sprat": sprat}}


def card(gateway: Running, trust: Any = 0.5, **sprat: Any) -> Any:
    made = gateway.openai().chat.completions.create(model="auto", **asked(trust, card=True, **sprat))
    return made.sprat


def headers(gateway: Running, model: str = "auto", trust: Any = 0.5, **sprat: Any) -> Any:
    create = gateway.openai().chat.completions.with_raw_response.create
    return create(model=model, **asked(trust, **sprat)).headers


def test_the_header_tells_the_rate_of_requests_with_a_like_trust(gateway: Running) -> None:
    assert headers(gateway, trust=0.8)["x-sprat-quality"] == "0.95; low=0.92; high=0.97; n=300"


def test_a_pinned_model_has_its_rate_over_all_rows(gateway: Running) -> None:
    assert headers(gateway, "small")["x-sprat-quality"] == "0.76; low=0.72; high=0.79; n=600"


def test_every_option_has_its_rate_and_its_price(gateway: Running) -> None:
    found = card(gateway)
    assert {m: (p["value"], p["low"], p["high"]) for m, p in found["predicted"].items()} == {
        "small": (0.7, 0.65, 0.75),
        "large": (0.95, 0.9, 0.98),
    }
    assert found["options"]["small"] < found["options"]["large"]


def test_the_rows_and_the_method_are_said(gateway: Running) -> None:
    said = "probability of a right reply, from 600 calibration rows; intervals 95 %, Clopper-Pearson"
    assert card(gateway)["evidence"] == said


def test_a_trust_outside_of_what_was_seen_says_so(gateway: Running) -> None:
    found = card(gateway, 0.99)["quality"]
    assert (found["low"], found["high"], found["outside"]) == (0.0, 1.0, True)
    assert "outside of what was seen, 0 to 0.9" in found["by"]


def test_a_later_turn_is_not_predicted(gateway: Running) -> None:
    turns = [
        {"role": "user", "content": "0.5 a"},
        {"role": "assistant", "content": "s"},
        {"role": "user", "content": "b"},
    ]
    made = gateway.post("/v1/chat/completions", {"model": "auto", "messages": turns, "sprat": {"card": True}})[2][
        "sprat"
    ]
    assert made["quality"] is None
    assert "later turn" in made["quality_unknown"]
    assert "later turn" in made["covered"]["why"]


def test_a_file_without_a_card_table_says_not_known() -> None:
    with Running(replace(served(), evidence=None)) as old:
        found = card(old)
        assert "likely quality not known: the served file has no [card]" in found["drawing"]
        assert "x-sprat-quality" not in headers(old)


def test_the_flip_tells_the_trust_had_and_needed_and_the_other_models_price(gateway: Running) -> None:
    found = card(gateway)
    flip = found["flip"][0]
    assert (flip["had"], flip["needed"], flip["direction"], flip["model"]) == (0.5, 0.6, "from", "small")
    assert flip["cost"] == found["options"]["small"]


def test_a_certified_setting_that_decides_otherwise_is_named(gateway: Running) -> None:
    flips = [f for f in card(gateway, 0.7)["flip"] if f["by"] == "setting"]
    assert [(f["setting"], f["model"]) for f in flips] == [("by said at 0.8", "large")]


def test_a_minimum_quality_that_would_flip_it_does(gateway: Running) -> None:
    flip = next(f for f in card(gateway)["flip"] if "min_quality" in f.get("override", {}))
    assert (flip["side"], flip["model"]) == ("up to", "small")
    assert headers(gateway, min_quality=flip["override"]["min_quality"])["x-sprat-model"] == "small"


def test_the_nearest_logged_come_with_what_happened(gateway: Running) -> None:
    first = card(gateway)["neighbours"][0]
    assert (first["id"], first["scores"], first["fitted"]) == ("peru", {"small": 0.0, "large": 1.0}, True)
    assert first["similarity"] > 0.8


def test_no_logged_text_is_shown_unless_the_operator_allows_it() -> None:
    with Running(served(card=table(texts=True))) as closed:
        found = card(closed)
    assert [set(row) for row in found["neighbours"]] == [{"id", "similarity", "scores", "fitted", "source"}] * 2
    assert ROW not in str(found["neighbours"]) + found["drawing"]


def test_logged_texts_are_shown_where_allowed(texts: Running) -> None:
    found = card(texts)
    assert found["neighbours"][0]["text"] == ROW
    assert ROW in found["drawing"]


def test_neighbours_are_found_when_the_decision_is_read(gateway: Running) -> None:
    number = headers(gateway)["x-sprat-id"]
    assert "neighbours" not in gateway.kept[-1].card
    assert gateway.get(f"/sprat/decisions/{number}")[2]["neighbours"][0]["id"] == "peru"


def test_what_is_kept_of_a_decision_holds_no_text(gateway: Running) -> None:
    headers(gateway)
    assert "Peru" not in str(gateway.kept[-1].card)


@pytest.mark.parametrize(
    ("sprat", "model", "why"),
    [
        ({}, "small", "pinned the model 'small'"),
        ({"model": "large"}, "auto", "pinned the model 'large'"),
        ({"min_quality": 0.5}, "auto", "minimum quality"),
    ],
)
def test_what_the_certificate_does_not_cover_is_said(gateway: Running, sprat: Any, model: str, why: str) -> None:
    made = gateway.openai().chat.completions.create(model=model, **asked(card=True, **sprat)).sprat
    assert made["covered"]["by"] == ""
    assert why in made["covered"]["why"]
    assert "no certificate covers this" in made["drawing"]


def test_the_certificate_that_covers_a_decision_is_shown(gateway: Running) -> None:
    found = card(gateway)
    assert found["covered"] == {"by": "certificate", "why": ""}
    assert "covered by the certificate of 2026-11-25" in found["drawing"]


def test_the_drawing_comes_as_text_alone(gateway: Running) -> None:
    number = headers(gateway)["x-sprat-id"]
    _, found, page = gateway.get(f"/sprat/decisions/{number}", accept="text/plain")
    assert found["content-type"].startswith("text/plain")
    assert page.startswith("route → large · ")
    assert "trust 0.5; the choice flips from 0.6 → small, $" in page


def test_the_header_tells_the_threshold(gateway: Running) -> None:
    assert headers(gateway)["x-sprat-decision"].startswith("route; said=0.5 < 0.6")


def test_the_header_names_the_certificate_that_covers_the_reply(gateway: Running) -> None:
    assert headers(gateway)["x-sprat-certificate"] == "2026-11-25"
    assert headers(gateway, "small")["x-sprat-certificate"] == "none; the request pinned the model 'small'"


def test_headers_are_ascii(gateway: Running) -> None:
    assert all(v.isascii() for k, v in headers(gateway, min_quality=0.5).items() if k.startswith("x-sprat"))


def test_the_card_ends_a_stream_of_each_dialect(gateway: Running) -> None:
    chunks = list(gateway.openai().chat.completions.create(model="auto", stream=True, **asked(card=True)))
    assert [c.sprat["model"] for c in chunks if getattr(c, "sprat", None)] == ["large"]
    told = {"extra_body": {"sprat": {"card": True}}}
    body = {"model": "auto", "max_tokens": 9, "messages": asked()["messages"]}
    with gateway.anthropic().messages.stream(**body, **told) as events:
        assert [e.sprat["model"] for e in events if getattr(e, "sprat", None)] == ["large"]
    ended = list(gateway.openai().responses.create(model="auto", input=f"0.5 {ROW}", stream=True, **told))[-1]
    assert ended.response.sprat["quality"]["value"] == 0.95


def test_the_card_is_in_a_whole_reply_of_each_dialect(gateway: Running) -> None:
    told = {"extra_body": {"sprat": {"card": True}}}
    body = {"model": "auto", "max_tokens": 9, "messages": asked()["messages"]}
    found = [
        card(gateway),
        gateway.anthropic().messages.create(**body, **told).sprat,
        gateway.openai().responses.create(model="auto", input=f"0.5 {ROW}", **told).sprat,
    ]
    assert [c["quality"]["value"] for c in found] == [0.95] * 3
    assert all("what would flip it" in c["drawing"] for c in found)


def test_a_cost_of_nothing_is_not_unknown() -> None:
    assert "cost unknown" not in drawn({"asks": {"model": "a", "cost": 0.0, "seconds": 0.0}})


def test_a_broken_table_is_said_with_its_place() -> None:
    from sprat.errors import BadInput

    with pytest.raises(BadInput, match=r"serve.toml, \[card\] can't be read"):
        evidence_of({**table(), "base": [[1, 2]]}, "serve.toml")


def test_a_model_with_a_name_beyond_ascii_has_its_header() -> None:
    from sprat.endpoints import toy
    from sprat.gateway.served import of

    with Running(replace(of(toy("größer", "x")), certificate=CERTIFICATE)) as named:
        assert "gr??er" in headers(named, "größer")["x-sprat-certificate"]


def test_trust_is_read_by_the_bin_that_it_begins() -> None:
    level = served().evidence.ways["by said at 0.6"].levels[0]  # pyright: ignore[reportOptionalMemberAccess]
    assert level.at(0.4, 0) == Predicted(0.7, 0.65, 0.75, 200, "trust 0.4 to 0.7 by said")
    assert level.at(0.39, 0).n == 100
