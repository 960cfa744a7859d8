"""The ladder: thresholds by hand, who comes to which rung, what it costs, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import sprat
from sprat import config, factuality
from sprat.core import Request
from sprat.errors import BadInput
from sprat.factuality.check_ladder import Labelled, Ladder, joined, labelled, ladder, verbatim
from sprat.factuality.checks import Check, Floats, Spent
from sprat.factuality.cuts import best_cut, thresholds
from sprat.factuality.rungs import Asked, rung
from sprat.factuality.surface import Alignment, Unigram
from sprat.nli import small
from sprat.similarity import StaticTokens


@dataclass(frozen=True)
class Told:
    """A rung that reads the number in the claim: its own place of it, with noise from the claim's text."""

    noise: float
    name: str = "told"
    names: tuple[str, ...] = ("number",)
    dollars: float | None = 0.25

    async def read(self, checks: Sequence[Check]) -> tuple[Floats, list[Spent]]:
        rows = [
            _number(c.claim) + self.noise * np.random.default_rng(len(c.claim) + i).normal()
            for i, c in enumerate(checks)
        ]
        return np.array(rows).reshape(-1, 1), [Spent(self.dollars, 0.5)] * len(checks)


def _number(claim: str) -> float:
    return float(claim.split()[-1])


def rows(n: int = 400) -> list[Labelled]:
    rng = np.random.default_rng(3)
    return [Labelled(f"the number is {z}", f"document {i % 40}", bool(z > 0)) for i, z in enumerate(rng.normal(size=n))]


def test_thresholds_are_the_widest_with_the_risk_kept() -> None:
    doubts = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9])
    wrong = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0])
    # from below (0+1)/(3+1) = .25 at .3, (1+1)/(4+1) = .4 at .4; from above (0+1)/(3+1) at .7, (1+1)/(4+1) at .6
    assert thresholds(doubts, wrong, 0.25) == (0.25, 0.75, 0.4)  # and no verdict is itself more doubtful
    assert thresholds(doubts, wrong, 0.2)[:2] == (-1.0, 2.0)  # too few rows to show it: nobody stops


def test_equal_doubts_stop_together_or_not_at_all() -> None:
    doubts, wrong = np.array([0.1] * 5 + [0.2] * 5), np.array([0.0] * 5 + [0.0, 0.0, 1.0, 1.0, 1.0])
    low, high, cut = thresholds(doubts, wrong, 0.2)
    assert (low, high, cut) == (0.1, 2.0, 0.2)


def test_what_stands_there_word_for_word_is_borne_out_without_a_look() -> None:
    made = ladder(Told(0.5)).fit(rows())
    found = made.check(["it rained in  Bonn", "It rained in Bo 0.1"], "It was cold. It rained in Bonn.")
    assert (found.findings[0].rung, found.findings[0].doubt, found.findings[0].sure) == ("verbatim", 0.0, True)
    assert not found.findings[0].calibrated  # a rule, which no rows were asked about
    first = found.ledger[0]
    assert (first.rung, first.came, first.stopped) == ("verbatim", 2, 1)
    assert found.ledger[1].came == 1


@pytest.mark.parametrize(
    ("claim", "document"),
    [
        ("The earth is flat", "It is a myth that the earth is flat."),
        ("Smith was guilty", "The court did not find that Smith was guilty."),
        ("It rained. It snowed.", "It rained. Nobody said: it snowed."),
    ],
)
def test_a_part_of_a_sentence_is_no_word_for_word_evidence(claim: str, document: str) -> None:
    assert not verbatim(Check(claim, document))


def test_several_sentences_of_the_document_are() -> None:
    assert verbatim(Check("It snowed. It rained!", "It rained. They left. It snowed."))


def test_the_cut_has_the_best_balanced_accuracy() -> None:
    assert best_cut(np.array([0.1, 0.6, 0.7, 0.8]), np.array([0.0, 0.0, 1.0, 1.0])) == 0.7


def test_what_is_sure_does_not_climb_on() -> None:
    made = ladder(Told(0.5), Told(0.0, "sharp"), at_risk=0.1).fit(rows())
    found = made.check([f"the number is {z}" for z in (3.0, -3.0, 0.05)], "d")
    assert [(f.rung, f.unsupported) for f in found.findings[:2]] == [("told", False), ("told", True)]
    assert found.findings[2].rung == "sharp"
    assert (found.ledger[1].came, found.ledger[1].stopped) == (3, 2)
    assert found.ledger[2].came == 1


def test_the_ledger_books_what_each_rung_took() -> None:
    made = ladder(Told(0.5), Told(0.0, "sharp")).fit(rows())
    found = made.check(["the number is 3.0", "the number is 0.05"], "d")
    assert [(b.dollars, b.seconds) for b in found.ledger[1:]] == [(0.5, 1.0), (0.25, 0.5)]
    assert [f.spent for f in found.findings] == [Spent(0.25, 0.5), Spent(0.5, 1.0)]


def test_verdicts_that_stop_early_are_wrong_about_as_often_as_was_accepted() -> None:
    made = ladder(Told(1.0), Told(0.0), at_risk=0.1).fit(rows(2000))
    fresh = list(rows(6000)[2000:])
    found = made.check([r.claim for r in fresh], [r.document for r in fresh])
    early = [
        f.unsupported == r.supported for f, r in zip(found.findings, fresh, strict=True) if f.rung == "told" and f.sure
    ]
    assert len(early) > 500
    assert np.mean(early) < 0.13


def test_a_budget_keeps_a_check_on_the_rung_that_it_can_pay() -> None:
    claims = ["the number is 0.05"]
    told = rows()
    assert ladder(Told(0.5), Told(0.0), dollars=0.5).fit(told).check(claims, "d").ledger[2].came == 1
    poor = ladder(Told(0.5), Told(0.0), dollars=0.4).fit(told).check(claims, "d")
    assert poor.ledger[2].came == 0
    assert (poor.findings[0].rung, poor.findings[0].sure) == ("told", False)
    assert ladder(Told(0.5), Told(0.0), seconds=0.9).fit(told).check(claims, "d").ledger[2].came == 0


def test_a_budget_in_dollars_is_refused_where_a_cost_is_unknown() -> None:
    made = ladder(Told(0.5), Told(0.0, "free", dollars=None), dollars=1.0).fit(rows())
    with pytest.raises(BadInput, match="What 'free' costs is unknown"):
        made.check(["the number is 0.0"], "d")


def test_without_a_budget_an_unknown_cost_stays_unknown() -> None:
    found = ladder(Told(0.5, dollars=None)).fit(rows()).check(["the number is 0.0"], "d")
    assert found.ledger[1].dollars is None
    assert found.findings[0].spent.dollars is None


def test_a_model_is_asked_about_no_row_that_was_settled_before() -> None:
    asked: list[str] = []

    def answer(request: Request) -> str:
        asked.append(request.text)
        return "True" if _number(request.text.split(" True or False?")[0]) > 0 else "False"

    made = ladder(Told(1.0), sprat.toy("large", answer, cost=0.01)).fit(rows())
    assert 40 <= len(asked) < 350
    assert len(made.steps[1].unsupported) == len(asked)
    assert made.steps[1].dollars == pytest.approx(0.01)


def test_a_model_that_was_not_fitted_speaks_for_itself_and_is_marked() -> None:
    found = ladder(sprat.toy("m", "False")).check(["It rained."], "It was dry.")
    (one,) = found.findings
    assert (one.doubt, one.unsupported, one.sure, one.calibrated) == (1.0, True, False, False)


def test_a_rung_that_was_not_fitted_says_so() -> None:
    with pytest.raises(BadInput, match="'unigram' has not learned"):
        ladder("unigram").check(["a"], "a")


def test_fitting_gives_a_new_ladder_and_survives_its_file(tmp_path: Path) -> None:
    plain = ladder("unigram", "alignment")
    told = [
        Labelled("It rained in Bonn." if i % 2 else "It snowed.", f"It rained in Bonn. {i}", bool(i % 2))
        for i in range(60)
    ]
    made = plain.fit(told)
    assert plain.steps == ()
    config.dump(made, tmp_path / "ladder.toml")
    again: Ladder = config.load(tmp_path / "ladder.toml")
    checks = [r.claim for r in told], [r.document for r in told]
    assert again.transform(*checks).tolist() == made.transform(*checks).tolist()
    assert repr(again) == "factuality.ladder('unigram', 'alignment')"


def test_rows_of_one_kind_or_of_two_documents_are_refused() -> None:
    with pytest.raises(BadInput, match="of both kinds"):
        ladder("unigram").fit([Labelled("a", f"d{i}", True) for i in range(50)])
    with pytest.raises(BadInput, match="of three documents"):
        ladder("unigram").fit([Labelled("a", f"d{i % 2}", i % 3 == 0) for i in range(50)])


def test_a_row_says_claim_document_and_supported() -> None:
    assert labelled({"claim": "a", "document": "d", "supported": 1}) == Labelled("a", "d", True)
    with pytest.raises(BadInput, match="no 'document'"):
        labelled({"claim": "a", "supported": True})
    with pytest.raises(BadInput, match="'maybe'"):
        labelled({"claim": "a", "document": "d", "supported": "maybe"})


def test_words_and_models_become_rungs() -> None:
    assert (rung("unigram"), rung("alignment")) == (Unigram(), Alignment())
    assert isinstance(rung(sprat.toy("m", "x")), Asked)
    with pytest.raises(BadInput, match="no rung 'bigram'"):
        rung("bigram")


def test_a_ladder_needs_a_rung_and_a_risk() -> None:
    for made in (lambda: ladder(), lambda: ladder("unigram", at_risk=0.0)):
        with pytest.raises(BadInput, match="needs a rung"):
            made()


def test_findings_joined_are_those_of_all_at_once() -> None:
    made = ladder(Told(0.0)).fit(rows())
    claims = [f"the number is {z}" for z in (3.0, -3.0, 0.05)]
    parts = joined([made.check(claims[:2], "d"), made.check(claims[2:], "d")])
    whole = made.check(claims, "d")
    assert parts.ledger == whole.ledger
    assert [f.check for f in parts.findings] == [f.check for f in whole.findings]


def test_a_text_of_ten_thousand_words_is_checked() -> None:
    long = " ".join(f"word{i % 700} and" for i in range(5000))
    told = [Labelled("It rained." if i % 2 else "It snowed.", f"It rained. {i}", bool(i % 2)) for i in range(60)]
    found = ladder("unigram", "alignment").fit(told).check([long, "It rained."], [f"{long}.", long])
    assert (found.findings[0].rung, len(found.findings)) == ("verbatim", 2)


def test_mixed_languages_and_empty_documents_have_doubts_and_an_empty_claim_is_unknown() -> None:
    told = [Labelled("It rained." if i % 2 else "It snowed.", f"It rained. {i}", bool(i % 2)) for i in range(60)]
    made = ladder("unigram", "alignment").fit(told)
    doubts = made.transform(["下雨了。", "Il pleut.", "", " - "], ["Шёл дождь.", "", "It rained.", "It rained."])
    assert np.isnan(doubts[2:]).all()
    doubts = doubts[:2]
    assert ((doubts >= 0) & (doubts <= 1)).all()


def test_the_embedded_ladder_was_fitted_over_the_weights_that_are_here() -> None:
    about = config.read(Path(factuality.__file__).parent / "weights" / "ladder.toml").extra["fitted"]
    assert about == {"encoder": StaticTokens().name, "nli": small().name}  # else: python recipes/checks/fit.py


def test_the_embedded_ladder_takes_its_first_rungs_and_any_risk() -> None:
    made = factuality.fitted("unigram", at_risk=0.3)
    assert repr(made) == "factuality.ladder('unigram', at_risk=0.3)"
    assert 0.7 <= made.steps[0].high < factuality.fitted("unigram", at_risk=0.05).steps[0].high
    with pytest.raises(BadInput, match="or the first of these"):
        factuality.fitted("nli")


class Unpriced(sprat.core.Endpoint):
    name, use, price = "dear", "unpriced", None

    def __init__(self) -> None:
        self.asked = 0

    def answer_many(self, requests: Sequence[Request]) -> list[sprat.core.Reply | Exception]:
        self.asked += len(requests)
        return [sprat.core.Reply("True") for _ in requests]


def test_a_budget_that_can_not_be_kept_is_refused_before_anybody_is_asked() -> None:
    model = Unpriced()
    with pytest.raises(BadInput, match="'dear' costs is unknown"):
        ladder(Told(1.0), model, dollars=1.0).fit(rows())
    assert model.asked == 0


def test_what_is_not_sure_and_below_the_cut_is_not_called_borne_out() -> None:
    made = ladder(Told(0.5), at_risk=0.1).fit(rows())
    found = made.check([f"the number is {z}" for z in np.linspace(-3, 3, 41)], "d").findings
    assert {f.verdict for f in found} == {"not borne out", "borne out", "not sure"}
    assert all(f.doubt < f.cut and not f.sure for f in found if f.verdict == "not sure")
