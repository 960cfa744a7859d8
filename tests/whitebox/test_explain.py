"""Who moved each token: margins worked out by hand, and what the terminal, the JSON and the page say."""

import json

import numpy as np
import pytest

import sprat
from decoding_doubles import given
from sprat.errors import CannotDo
from sprat.whitebox.weighted import Weighted

BIG = given("big", [2.0, 1.0, 0.0, 0.0])
TUNED, UNTUNED = given("tuned", [0.0, 3.0, 0.0, 0.0]), given("untuned", [0.0, 1.0, 0.0, 0.5])
MIX = BIG + 1.0 * (TUNED - UNTUNED)


def first(model, **options):
    return model("a", max_tokens=1, **options).explain().choices[0]


def test_the_contributions_are_each_parts_margin_over_the_bases_choice():
    choice = first(MIX)  # scores 2, 3, 0, -.5: b instead of a
    assert (choice.token, choice.rival, choice.base_choice) == ("b", "a", "a")
    np.testing.assert_allclose(choice.contributions, [-1.0, 3.0, -1.0])
    assert choice.margin == pytest.approx(1.0)


def test_the_part_that_pushed_most_is_named():
    assert first(MIX).moved_by == "tuned"
    assert first(BIG + UNTUNED * 0.5).moved_by == ""


def test_a_part_that_is_subtracted_has_a_minus_before_its_name():
    away = BIG - 2.0 * given("amateur", [1.0, 0.0, 0.0, 0.0])
    assert first(away).moved_by == "-amateur"


def test_where_the_bases_choice_stands_the_rival_is_the_runner_up():
    choice = first(BIG)
    assert (choice.token, choice.rival, choice.moved_by) == ("a", "b", "")


def test_the_divergence_is_the_kl_from_the_base():
    p, q = (np.exp(x) / np.exp(x).sum() for x in (np.array([2, 3, 0, -0.5]), np.array([2.0, 1, 0, 0])))
    assert first(MIX).divergence == pytest.approx(float((p * np.log(p / q)).sum()))
    assert first(BIG).divergence == pytest.approx(0, abs=1e-9)


def test_a_token_that_was_drawn_is_marked():
    drawn = [first(BIG, temperature=5.0, seed=s) for s in range(20)]
    assert {c.drawn for c in drawn} == {True, False}
    assert all(c.drawn == (c.token != "a") for c in drawn)


def test_contributions_add_up_to_the_margin_on_real_models():
    mix = sprat.tiny("mackerel") + 0.7 * (sprat.tiny("sprat") - sprat.tiny("fry"))
    for choice in mix("12+71=", temperature=1.0, seed=2).explain().choices:
        assert sum(choice.contributions) == pytest.approx(choice.margin, abs=1e-4)


def test_it_says_the_same_as_text_json_and_page():
    why = MIX("a", max_tokens=3).explain()
    row = json.loads(json.dumps(why.row()))
    assert [t["token"] for t in row["tokens"]] == [c.token for c in why.choices]
    assert row["tokens"][0]["contributions"] == {"big": -1.0, "tuned": 3.0, "-untuned": -1.0}
    assert "big + tuned - untuned: in 3 of 3 tokens the choice is not the one of big alone." in str(why)
    assert why.html().count('title="not a: big -1.00, tuned +3.00, -untuned -1.00"') == 3


def test_a_page_cannot_be_written_into_by_a_models_words():
    strange = given("<b>", [0.0, 1.0])
    assert "<b>" not in strange("a", max_tokens=1).explain().html()


def test_parts_of_one_name_stay_apart():
    twin = Weighted((BIG, given("big", [0.0, 0.5, 0.0, 0.0])), (1.0, 1.0))
    assert twin("a", max_tokens=1).explain().parts == ("big #1", "big #2")


def test_other_models_replies_have_nothing_to_explain():
    with pytest.raises(CannotDo, match="token by token"):
        sprat.toy("a", {"hi": "ho"})("hi").explain()


def test_a_cascades_reply_explains_the_decoder_that_wrote_it():
    cascade = sprat.cascade(sprat.tiny("fry"), MIX, trust=sprat.signals.logprob(), at_least=1.1)
    assert cascade("a", max_tokens=1).explain().formula == MIX.formula


def test_an_empty_reply_has_nothing_to_explain():
    assert BIG("a", stop="a").explain().choices == ()


def test_a_rival_that_a_mask_excluded_is_marked_and_the_contributions_are_those_without_the_mask():
    expert = given("expert", [0.0, 3.0, 2.5, 1.0])
    masked = sprat.contrast(BIG + expert, given("amateur", [0.0, 0.0, 1.0, 0.0]), alpha=0.2)  # leaves b and c
    choice = first(masked)
    assert (choice.token, choice.rival, choice.moved_by, choice.margin) == ("b", "a", "expert", np.inf)
    np.testing.assert_allclose(choice.contributions, [-1.5, 4.5, 0.0])
    assert "a (excluded)" in str(masked("a", max_tokens=1).explain())


def test_a_sum_inside_another_decoder_is_opened():
    nested = sprat.contrast(MIX, given("amateur", [0.0, 0.0, 0.0, 1.0]), alpha=0.01)
    why = nested("a", max_tokens=1).explain()
    assert why.parts == ("big", "tuned", "-untuned", "-amateur")
    np.testing.assert_allclose(why.choices[0].contributions, [-1.5, 4.5, -1.5, 0.0])


def test_an_end_token_is_no_word_of_the_page():
    page = sprat.tiny("sprat")("12+7=").explain().html()
    assert "12+7=</span>" in page
    assert page.count("&lt;/s&gt;") == page.split("<table>")[1].count("&lt;/s&gt;") > 0
