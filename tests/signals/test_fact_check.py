"""The ladder as a signal."""

from __future__ import annotations

import pytest

import sprat
from sprat.core import Reply
from sprat.errors import BadInput, CannotDo
from sprat.factuality import ladder, read_corpus
from sprat.signals import fact_check

TRUTHFUL = sprat.toy("judge", lambda r: "True" if "Input: It rained." in r.text else "False", cost=0.5)


def test_the_most_doubtful_sentence_decides() -> None:
    by_sentence = fact_check(ladder(TRUTHFUL), each="sentence")
    assert by_sentence("The day was wet.", "It rained.") == 1.0
    assert by_sentence("The day was wet.", "It rained. It snowed.") == 0.0


def test_the_prompt_is_the_document_unless_there_is_a_corpus() -> None:
    seen: list[str] = []
    judge = sprat.toy("judge", lambda r: seen.append(r.text) or "True")
    fact_check(ladder(judge))("Summarise: all was wet.", "It rained today.")
    assert "Text: Summarise: all was wet." in seen[0]
    fact_check(ladder(judge), read_corpus(["It rained in Bonn."]))("How was it?", "It rained today.")
    assert "It rained in Bonn." in seen[1]
    assert "How was it?" not in seen[1]


def test_what_it_asks_is_paid_for_in_the_tree() -> None:
    small, large = sprat.toy("small", "It snowed today.", cost=1.0), sprat.toy("large", "It rained.", cost=8.0)
    reply = sprat.cascade(small, large, trust=fact_check(ladder(TRUTHFUL)), at_least=0.5)("How was it?")
    assert (reply.text, reply.cost) == ("It rained.", 9.5)


def test_an_empty_reply_is_not_trusted_and_none_is_refused() -> None:
    signal = fact_check(ladder(TRUTHFUL))
    assert signal("q", Reply("  ")) == 0.0
    with pytest.raises(CannotDo, match="checks a reply"):
        signal("q")
    with pytest.raises(BadInput, match="reply or sentence"):
        fact_check(ladder(TRUTHFUL), each="word")  # pyright: ignore[reportArgumentType]
