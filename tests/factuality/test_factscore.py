"""FActScore and its parts: facts with places, reading of answers, the penalty, abstentions."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest

import sprat
from sprat.core import Reply, Request
from sprat.drivers import drive
from sprat.errors import BadInput
from sprat.factuality import atomic_facts, by_model, by_nli, factscore, read_corpus, split_facts
from sprat.factuality.fact_score import penalty
from sprat.factuality.facts import abstains, placed, prompt, read_facts
from sprat.factuality.facts import located as sentences_of
from sprat.factuality.support import Claim, Passage, chance, said_true
from sprat.factuality.support import prompt as question

TEXT = "Ada Low (born 4 May 1901) was a chemist and taught in Bonn. The mill, which opened in 1932, prints; it is red."


def test_rules_give_each_clause_its_subject_and_its_place() -> None:
    facts = {f.text: TEXT[f.start : f.end] for f in split_facts(TEXT)}
    assert facts == {
        "Ada Low was a chemist": "Ada Low (born 4 May 1901) was a chemist",
        "Ada Low taught in Bonn.": "taught in Bonn.",
        "Ada Low (born 4 May 1901)": "born 4 May 1901",
        "The mill prints": "The mill, which opened in 1932, prints",
        "The mill opened in 1932": "opened in 1932",
        "it is red.": "it is red.",
    }


def test_a_model_lists_the_facts_of_each_sentence() -> None:
    def listed(request: Request) -> str:
        return "- Ada was a chemist.\n- Ada taught in Bonn.\nThat is all." if "Ada" in request.text[-60:] else "none"

    text = "Ada was a chemist who taught in Bonn. It rained."
    facts = drive(atomic_facts(text, sprat.toy("lister", listed)))
    assert [(f.text, text[f.start : f.end]) for f in facts] == [
        ("Ada was a chemist.", "chemist"),
        ("Ada taught in Bonn.", "taught in Bonn"),
        ("It rained.", "It rained."),  # for which the model listed nothing
    ]


def test_a_fact_whose_words_all_stand_in_others_has_the_whole_sentence() -> None:
    (sentence,) = sentences_of("Ada taught in Bonn.")
    assert placed(sentence, ["Ada taught.", "Ada taught in Bonn."])[0].end == sentence.end


def test_the_prompt_ends_with_the_sentence_and_lists_are_read_in_any_form() -> None:
    assert prompt("It rained.").endswith("independent facts: It rained.\n")
    assert read_facts("Facts:\n1. A is b.\n* C is d.\n- \n- E.") == ["A is b.", "C is d.", "E."]


def test_the_question_shows_the_best_passage_last() -> None:
    asked = question(Claim("It rained.", (Passage("Best.", "T"), Passage("Next.", "U")), "rain"))
    assert asked.index("Next.") < asked.index("Best.")
    assert asked.startswith("Answer the question about rain")
    assert asked.endswith("It rained. True or False?\nOutput:")


@pytest.mark.parametrize(
    ("text", "true"),
    [("True.", True), ("False", False), ("It is false... no, true", True), ("True, not false", False),
     ("Supported", True), ("There is no information on that", False)],
)  # fmt: skip
def test_an_answer_is_read_as_the_authors_read_it(text: str, true: bool) -> None:
    assert said_true(text) is true


def test_where_the_first_token_shows_both_its_mass_counts() -> None:
    top = ({" True": log(0.3), "true": log(0.3), "False": log(0.2), "the": log(0.2)},)
    assert chance(Reply("False", top_logprobs=top)) == pytest.approx(0.75)


def test_inference_counts_the_best_sentence() -> None:
    class Nli:
        def probabilities(self, pairs: list[tuple[str, str]]) -> np.ndarray:
            return np.array([[0.9, 0.1, 0.0] if "wet" in p else [0.1, 0.8, 0.1] for p, _ in pairs])

    claims = [Claim("It rained.", (Passage("Dry. All wet."),)), Claim("It rained.", ())]
    assert drive(by_nli(Nli()).chances(claims)) == [0.9, 0.0]


def test_the_penalty_is_that_of_the_paper() -> None:
    assert penalty(5) == pytest.approx(exp(1 - 10 / 5))
    assert penalty(10) == penalty(11) == penalty(3, gamma=0) == 1.0


def test_the_score_is_the_mean_supported_times_the_penalty() -> None:
    corpus = read_corpus({"Ada": "Ada Low was a chemist."})
    judge = by_model(sprat.toy("j", lambda r: "True" if "chemist True or" in r.text else "False", cost=0.5))
    found = factscore(["Ada Low was a chemist. Ada Low flew."], corpus, judge, topics=["Ada"])
    assert found.precision == 0.0  # "chemist." ends in a stop
    found = factscore(["Ada Low was a chemist; she flew off."], corpus, judge, topics=["Ada"])
    assert found.precision == 0.5
    assert found.score == pytest.approx(0.5 * exp(1 - 10 / 2))
    assert found.cost == 1.0
    (bad,) = found.replies[0].unsupported
    assert bad.fact.text == "she flew off."
    assert bad.evidence is not None
    assert bad.evidence.text == "Ada Low was a chemist."


def test_abstentions_are_left_out_and_counted() -> None:
    found = factscore(["I'm sorry, I can't say.", "It rained here."], read_corpus(["It rained here."]), gamma=0)
    assert (found.score, found.responded) == (1.0, 0.5)
    assert abstains("  ")
    assert not abstains("The sorry state of roads.")


def test_no_answer_at_all_has_no_score() -> None:
    found = factscore(["I'm sorry, no."], read_corpus(["x y"]))
    assert found.score is None
    assert found.facts_each is None


def test_topics_must_be_as_many_as_replies() -> None:
    with pytest.raises(BadInput, match="1 replies and 2 topics"):
        factscore(["a b"], read_corpus(["a"]), topics=["x", "y"])
