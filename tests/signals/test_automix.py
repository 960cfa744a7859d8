"""AutoMix by hand: the checks, the belief, and the decision that a threshold cannot make."""

from __future__ import annotations

import numpy as np
import pytest

from sprat.combine import cascade
from sprat.core import Reply, Request
from sprat.data import Lessons
from sprat.endpoints.toy import toy
from sprat.signals.automix import AutoMix, automix, check_prompt, context_of, densities, share_correct
from sprat.signals.heads import fit_linear

SAID = {True: "Reasons. Verification Decision: The AI generated answer is Correct.", False: "... answer is Incorrect."}


def checker(share: dict[str, int]):
    """A model whose first `share[answer]` checks of an answer say correct."""

    def answer(request: Request) -> str:
        asked = request.text.split("AI Generated Answer: ")[-1].split("\n")[0]
        return SAID[request.sample < share[asked]]

    return toy("small", answer, cost=0.1)


def test_the_share_counts_every_check():
    checks = [Reply(SAID[True]), Reply(SAID[False]), Reply("I can't say."), Reply(SAID[True])]
    assert share_correct(checks) == pytest.approx(2 / 4)


def test_no_decision_is_no_trust():
    assert share_correct([Reply("hm")]) == 0.0


def test_the_prompt_holds_context_question_and_answer_last():
    prompt = check_prompt("The cat is red.", "What colour?", "blue")
    assert prompt.split("---")[-1].strip().startswith("Context: The cat is red.\n\nQuestion: What colour?")
    assert "AI Generated Answer: blue" in prompt


def test_the_context_is_what_stands_before_the_question():
    assert context_of(Request.of("A long text.\n\nWhat?")) == ("A long text.", "What?")
    assert context_of(Request.of([{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}])) == ("S", "Q")


def test_the_threshold_meta_verifier_is_the_share_itself():
    assert automix(checker({"a": 3}), k=4)("q", "a") == 0.75


def test_each_check_is_a_call_in_the_tree():
    signal = automix(checker({"a": 2}), k=4)
    reply = cascade(toy("s", "a", cost=1.0), toy("large", "L", cost=9.0), trust=signal, at_least=0.5)("q")
    assert (len(reply.leaves()), reply.cost) == (5, pytest.approx(1.4))


def test_the_belief_is_prior_times_likelihood():
    # v = 1/2 of k = 2: joint .5 * .2 and .5 * .6, so the belief is 1/4 and 3/4.
    seen = np.array([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [1 / 3] * 3, [1 / 3] * 3])
    signal = AutoMix(toy("s"), 2, meta="pomdp", prior=np.array([0.5, 0.5, 0, 0]), seen=seen, worth=np.eye(4)[:, :2])
    assert signal.belief(0.5) == pytest.approx([0.25, 0.75, 0, 0])


def hopeless_needy_good(weight: float) -> tuple[AutoMix, Lessons]:
    """Confidence 0: both models fail; 1/2: only the large one is right; 1: both are. 30 rows each."""
    kinds = np.repeat([0, 1, 2], 30)
    scores = np.array([[0, 0], [0, 1], [1, 1]], float)[kinds]
    answers = ("none", "half", "all")
    told = {"small": tuple(Reply(answers[k], "small") for k in kinds)}
    told["large"] = tuple(Reply("L", "large") for _ in kinds)
    requests = tuple(Request.of(f"q{i}") for i in range(90))
    lessons = Lessons(requests, ("small", "large"), scores, np.tile([0.1, 1.0], (90, 1)), told)
    model = checker({"none": 0, "half": 2, "all": 4})
    return automix(model, k=4, meta="pomdp", weight=weight).fit(lessons), lessons


def test_the_pomdp_keeps_hopeless_and_good_answers_and_sends_on_the_needy():
    signal, _ = hopeless_needy_good(weight=0.3)
    assert [signal("q", a) >= 0.5 for a in ("none", "half", "all")] == [True, False, True]


def test_a_logistic_regression_on_the_confidence_cannot_decide_so():
    v, keep = np.repeat([0, 0.5, 1.0], 30)[:, None], np.repeat([1, 0, 1.0], 30)
    decided = fit_linear(v, keep, 0).predict(np.array([[0], [0.5], [1.0]])) >= 0.5
    assert decided.tolist() != [True, False, True]


def test_a_free_large_model_is_asked_wherever_it_may_help():
    signal, _ = hopeless_needy_good(weight=0.0)
    assert signal("q", "half") < 0.5 <= signal("q", "all") + 0.01


def test_densities_sum_to_one_and_peak_where_seen():
    found = densities(np.array([0.0, 0.0, 0.25, 1.0]), np.array([0, 0, 0, 3]), 4)
    assert found.sum(axis=1) == pytest.approx(np.ones(4))
    assert (found[0].argmax(), found[3].argmax()) == (0, 4)
    assert found[1] == pytest.approx(np.full(5, 0.2))
