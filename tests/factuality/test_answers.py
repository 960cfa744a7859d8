"""The rungs for answers without a document."""

from __future__ import annotations

import numpy as np

from sprat.core import Reply, Request
from sprat.drivers import drive
from sprat.encoders import TfidfEncoder
from sprat.factuality.answers import Look, Meaning
from sprat.factuality.check_ladder import Labelled, ladder
from sprat.factuality.checks import Check
from sprat.signals.reply_features import features

CHECKS = [Check("Bonn, since 1949.", "Where did Ada teach?"), Check("I am not sure, maybe Ulm.", "Where?")]


def test_looks_are_the_features_of_the_reply_to_the_question() -> None:
    rows, _ = drive(Look().read(CHECKS))
    assert rows[1].tolist() == features(Request.of("Where?"), Reply("I am not sure, maybe Ulm.")).tolist()


def test_meaning_is_both_rows_and_their_cosine() -> None:
    encoder = TfidfEncoder(dim=8, buckets=64)
    rows, _ = drive(Meaning(encoder).read(CHECKS))
    question, answer = encoder.encode([CHECKS[0].document, CHECKS[0].claim]).astype(np.float64)
    assert rows[0].tolist() == [*question.tolist(), *answer.tolist(), float(question @ answer)]
    assert len(Meaning(encoder).names) == rows.shape[1]


def test_a_ladder_learns_from_looks() -> None:
    rows = [Labelled("Maybe, I am not sure." if i % 2 else "Bonn.", f"Where is {i}?", not i % 2) for i in range(80)]
    found = ladder("look", at_risk=0.2).fit(rows).check(["Maybe, I am not sure.", "Bonn."], "Where is it?")
    assert [f.unsupported for f in found.findings] == [True, False]
