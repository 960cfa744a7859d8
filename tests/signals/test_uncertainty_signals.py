"""The signals that doubt by further draws, against values computed by hand on recorded or toy draws."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest

import sprat
from sprat.core import Reply, Request
from sprat.errors import BadInput, CannotDo
from sprat.nli import small as small_nli
from sprat.signals import (
    likeness_graph,
    p_true,
    sample_agreement,
    self_check,
    semantic_entropy,
    token_entropy,
    verbalized,
)
from sprat.signals.p_true import chance, letter
from sprat.signals.verbalized import probability
from sprat.uncertainty import Exact
from sprat.uncertainty.self_check import by_nli


def draws(*texts: str, trusted: float | None = None) -> sprat.Endpoint:
    """A model whose draw number i (from 1 on) is the i-th text."""
    return sprat.toy("m", lambda r: texts[r.sample - 1], trusted=trusted, cost=1.0)


def test_entropy_becomes_one_by_the_number_of_meanings() -> None:
    signal = semantic_entropy(draws("b", "b", "a"), samples=3)
    assert signal("q", "a") == pytest.approx(0.5)  # two meanings of two draws each


def test_the_entropy_of_the_question_is_the_same_for_each_of_its_answers() -> None:
    signal = semantic_entropy(draws("b", "b", "a"), samples=3)
    assert signal("q", "a") == signal("q", "a.")


def test_conventions_that_read_log_probabilities_need_a_model_that_gives_them() -> None:
    with pytest.raises(CannotDo, match="semantic_entropy"):
        semantic_entropy(draws("a"), convention="rao")
    signal = semantic_entropy(draws("b", trusted=-1.0), samples=1, convention="rao")
    assert signal("q", Reply("a", logprobs=(-1.0,))) == pytest.approx(0.5)


def test_this_answers_agreement_leaves_itself_out() -> None:
    signal = sample_agreement(draws("a", "b", "a", "c"), samples=4, equivalence=Exact())
    assert signal("q", "a") == 0.5
    assert signal("q", "c") == 0.25


def test_mean_likeness_is_a_degree_less_the_answer_itself() -> None:
    model = draws("a big dog", "tax law")
    likeness = sample_agreement(model, samples=2, how="likeness")("q", "a large dog")
    degree = likeness_graph(model, samples=2)("q", "a large dog")
    assert degree == pytest.approx((2 * likeness + 1) / 3)


def test_the_question_level_graph_is_of_all_draws() -> None:
    model = draws("b", "b")
    at_question = likeness_graph(model, samples=2, equivalence=Exact(), how="eigenvalue", level="question")
    assert at_question("q", "a") == pytest.approx(1 / 2)


def test_one_answer_has_no_sum_of_eigenvalues() -> None:
    with pytest.raises(BadInput, match="of the question alone"):
        likeness_graph(draws("a"), how="eigenvalue")


def test_unigrams_trust_what_is_said_again() -> None:
    signal = self_check(draws("red bus", "red tram"), samples=2)
    assert signal("q", "red car") == pytest.approx(exp((log(3 / 6) + log(1 / 6)) / 2))


def test_the_prompt_asks_the_judge_about_each_sentence_and_sample_and_is_paid_for() -> None:
    judge = sprat.toy("judge", lambda r: "No" if "Sentence: It snowed." in r.text else "Yes", cost=1.0)
    signal = self_check(draws("It rained.", "It poured."), samples=2, how="prompt", judge=judge)
    assert signal("q", "It rained. It snowed.") == pytest.approx(0.5)
    small, large = sprat.toy("s", "It rained. It snowed.", cost=1.0), sprat.toy("l", "x", cost=5.0)
    reply = sprat.cascade(small, large, trust=signal, at_least=0.4)("q")
    assert reply.cost == 1 + 2 + 4


def test_by_bertscore_a_repeated_sentence_is_trusted() -> None:
    assert self_check(draws("It rained."), samples=1, how="bertscore")("q", "It rained.") == pytest.approx(
        1.0, abs=1e-5
    )


class Neutral:
    def probabilities(self, pairs: list[tuple[str, str]]) -> np.ndarray:
        return np.array([(0.75, 0.0, 0.25)] * len(pairs))


def test_by_inference_it_is_of_any_model_of_it_or_the_embedded_one() -> None:
    signal = self_check(draws("The dog did not bark."), samples=1, how="nli")
    assert signal("q", "The dog did bark.") == pytest.approx(
        1 - by_nli(["The dog did bark."], ["The dog did not bark."], small_nli())[0]
    )
    with pytest.raises(BadInput, match="no inference model 'tall'"):
        self_check(draws("a"), how="nli", nli="tall")
    assert self_check(draws("b"), samples=1, how="nli", nli=Neutral())("q", "a") == pytest.approx(0.75)


@pytest.mark.parametrize("make", [semantic_entropy, sample_agreement, likeness_graph, self_check])
def test_where_no_draw_comes_there_is_no_trust(make: object) -> None:
    calling = sprat.toy("m", lambda r: Reply(None, tool_calls=({"name": "f", "arguments": "{}"},)))
    assert make(calling, samples=0)("q", "text") == 0  # type: ignore[operator]


@pytest.mark.parametrize("make", [sample_agreement, likeness_graph, self_check])
def test_without_a_reply_they_say_what_they_compare(make: object) -> None:
    with pytest.raises(CannotDo, match="it was given none"):
        make(draws("a"))("q")  # type: ignore[operator]


def test_p_true_is_the_mass_of_a_against_that_of_b() -> None:
    top = ({" A": log(0.6), "B": log(0.2), "The": log(0.2)},)
    assert chance(Reply("A", top_logprobs=top)) == pytest.approx(0.75)
    assert chance(Reply("A", tokens=("A",), logprobs=(log(0.7),))) == pytest.approx(0.7)
    assert chance(Reply("B", tokens=(" B",), logprobs=(log(0.7),))) == pytest.approx(0.3)
    assert chance(Reply("Hm", tokens=("Hm",), logprobs=(-1.0,))) is None


def test_p_true_by_text_alone_is_a_share_of_draws() -> None:
    judge = sprat.toy("judge", lambda r: ("A) True", "B", "hm", "A")[r.sample])
    assert p_true(judge, draws=4)("q", "answer") == pytest.approx(2 / 3)


def test_without_a_verdict_that_can_be_read_nobody_trusts_and_the_large_one_answers() -> None:
    mute, small, large = sprat.toy("judge", "hm"), sprat.toy("s", "It rained.", cost=0.0), sprat.toy("l", "x", cost=0.0)
    checks = self_check(draws("It poured."), samples=1, how="prompt", judge=mute)
    for trust in (p_true(mute), checks):
        assert sprat.cascade(small, large, trust=trust, at_least=0.5)("q").text == "x"


def test_one_verdict_that_can_not_be_read_beside_another_counts_half_as_in_the_paper() -> None:
    judge = sprat.toy("judge", lambda r: "Yes" if "poured" in r.text else "hm")
    signal = self_check(draws("It poured.", "It snowed."), samples=2, how="prompt", judge=judge)
    assert signal("q", "It rained.") == pytest.approx(0.75)


def test_p_true_shows_the_brainstormed_answers() -> None:
    seen: list[str] = []

    def judge(r: Request) -> str:
        seen.append(r.text)
        return "an idea" if r.sample and "Possible" not in r.text else "A"

    p_true(sprat.toy("judge", judge), ideas=2, draws=1)("who?", "me")
    assert "Brainstormed Answers: an idea\nan idea\nme\nPossible answer: me\n" in seen[-1]


@pytest.mark.parametrize(
    ("text", "wanted"), [(" A)", "A"), ("b", "B"), ("(A) True", "A"), ("True", "A"), ("Apple", "")]
)
def test_a_verdict_is_a_letter_of_its_own(text: str, wanted: str) -> None:
    assert letter(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("0.8", 0.8), ("80%", 0.8), (".75", 0.75), ("about 8/10", 0.8), ("95", 0.95), ("1", 1.0), ("sure", None),
     ("150%", None), ("90 / 100", 0.9), ("Probability: 0.05.", 0.05), ("0,8", 0.8), ("3 out of 4", 0.75),
     ("-0.8", None), ("0.7-0.9", 0.7)],
)  # fmt: skip
def test_a_probability_is_read_in_its_usual_forms(text: str, wanted: float | None) -> None:
    assert probability(text) == wanted


def test_the_model_is_asked_after_its_own_reply() -> None:
    def judge(r: Request) -> str:
        assert [m["role"] for m in r.messages] == ["user", "assistant", "user"]
        assert r.messages[1]["content"] == "Paris"
        return "0.9"

    assert verbalized(sprat.toy("judge", judge))("capital?", "Paris") == 0.9
    assert verbalized(sprat.toy("judge", "very"))("capital?", "Paris") == 0


def test_token_entropy_by_its_lower_bound() -> None:
    reply = Reply("ab", top_logprobs=({"a": log(0.5), "b": log(0.5)}, {"a": 0.0}))
    assert token_entropy()("q", reply) == pytest.approx(exp(-log(2) / 2))
    assert token_entropy("max")("q", reply) == pytest.approx(0.5)
    assert token_entropy().uncertainty(reply).exact


def test_a_recording_answers_the_draws() -> None:
    from sprat.data import Call, Dataset, Example
    from sprat.replay import replay

    calls = tuple(Call("m", Reply(t, "m", cost=1.0), i) for i, t in enumerate(("a", "a", "b")))
    data = Dataset((Example("1", Request.of("q"), "a", (*calls, Call("l", Reply("z", "l", cost=9.0)))),))
    m = sprat.recorded("m")
    signal = sample_agreement(m, samples=2, temperature=None, equivalence=Exact())
    (reply,) = replay(sprat.cascade(m, sprat.recorded("l"), trust=signal, at_least=0.5), data)
    assert (reply.text, reply.cost) == ("a", 3.0)


@pytest.mark.parametrize(
    "doubt",
    [
        lambda m: semantic_entropy(m, samples=4),
        lambda m: likeness_graph(m, samples=4, how="eigenvalue", level="question", equivalence=Exact()),
    ],
)
def test_a_questions_doubt_routes_by_the_draws_alone(doubt) -> None:
    small, large = draws("a", "a", "b", "b"), sprat.toy("large", lambda _: "x")
    assert doubt(small)("q") == pytest.approx(0.5)  # two meanings of two draws each
    assert sprat.route(small, large, trust=doubt(small), at_least=0.6)("q").text == "x"


def test_one_draw_alone_says_nothing_of_a_question() -> None:
    assert semantic_entropy(draws("a"), samples=1)("q") == 0


def test_an_answers_doubt_needs_the_answer() -> None:
    with pytest.raises(CannotDo, match="it was given none"):
        likeness_graph(draws("a", "b"), samples=2)("q")
