"""Trust by the document in the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

import sprat
from sprat import signals
from sprat.core import Reply, Request
from sprat.drivers import drive, drive_many
from sprat.errors import BadInput, CannotDo
from sprat.nli import small
from sprat.nli.protocol import Floats, Pair, Worth
from sprat.nli.summac import summac
from sprat.signals.grounded import document_in

PROMPT = "Summarise.\nText: The red cat sat down. The old dog ran off.\n\nIn one sentence, please."
PATTERN = r"Text: (.*)\n\nIn"
DOCUMENT = "The red cat sat down. The old dog ran off."


def test_the_trust_is_the_checkers_support() -> None:
    signal = signals.grounded("summac", document=PATTERN)
    wanted = summac(small()).check([(DOCUMENT, "A cat sat down.")])[0].support
    assert signal(PROMPT, "A cat sat down.") == pytest.approx(wanted)


def test_what_the_document_says_is_trusted_more_than_what_it_denies() -> None:
    signal = signals.grounded("minicheck", document=PATTERN)
    assert signal(PROMPT, "The old dog ran off.") > 0.5 > signal(PROMPT, "The old dog did not run off in 1995.")


def test_a_reply_that_says_nothing_has_no_trust() -> None:
    assert signals.grounded()(PROMPT, " ") == 0.0


def test_without_a_reply_it_cannot_judge() -> None:
    with pytest.raises(CannotDo, match="was given none"):
        signals.grounded()(PROMPT)


def test_the_document_is_all_that_was_said_to_the_model_unless_a_pattern_finds_it() -> None:
    request = Request.of([{"role": "system", "content": "S."}, {"role": "user", "content": PROMPT}])
    assert document_in(request, PATTERN) == DOCUMENT
    assert document_in(request, "") == document_in(request, "nowhere (in it)") == f"S.\n\n{PROMPT}"


@dataclass(frozen=True)
class Counting:
    """Entails everything; writes down how many pairs each call had."""

    name: str = "counting"
    worth: Worth = Worth("Nothing.")  # noqa: RUF009

    def probabilities(self, pairs: Sequence[Pair]) -> Floats:
        CALLS.append(len(pairs))
        return small().probabilities(pairs)


CALLS: list[int] = []


def test_many_replies_are_checked_in_one_call() -> None:
    CALLS.clear()
    signal = signals.grounded("minicheck", nli=Counting(), document=PATTERN)
    asked = [signal.trust(Request.of(PROMPT), Reply(t)) for t in ("A cat sat.", "A dog ran.", "A cat sat.")]
    found = drive_many(asked)
    assert found[0] == found[2]
    assert CALLS == [2]


def test_it_says_which_sentences_nothing_bears_out() -> None:
    signal = signals.grounded("minicheck", document=PATTERN)
    reply = "The old dog ran off. It was 1995 in Paris."
    found = drive(signal.check(Request.of(PROMPT), Reply(reply)))
    assert [reply[s.start : s.end] for s in found.unsupported()] == ["It was 1995 in Paris."]


def test_a_cascade_keeps_the_reply_that_is_borne_out() -> None:
    table = {PROMPT: "The old dog ran off."}
    small_model, large = sprat.toy("small", table, cost=1.0), sprat.toy("large", {PROMPT: "A cat."}, cost=8.0)
    cascade = sprat.cascade(small_model, large, trust=signals.grounded("minicheck", document=PATTERN), at_least=0.5)
    assert cascade(PROMPT).model == "small"
    lying = sprat.toy("small", {PROMPT: "It was 1995 in Paris."}, cost=1.0)
    assert sprat.cascade(lying, large, trust=cascade.trust, at_least=0.5)(PROMPT).model == "large"


@pytest.mark.parametrize(
    ("options", "said"),
    [({"how": "rouge"}, "not 'rouge'"), ({"document": "a(b"}, "no regular"), ({"document": "ab"}, "needs a group")],
)
def test_what_cannot_work_is_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        signals.grounded(**options)


def test_a_model_that_is_not_there_is_said() -> None:
    with pytest.raises(BadInput, match="no inference model 'tall'"):
        signals.grounded(nli="tall")
