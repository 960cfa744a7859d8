"""Mixtures are those computed by hand, gates learn what there is to learn, and terms add up to the log-margin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sprat
from sprat import config
from sprat.core import Request
from sprat.decoding import comblm_gates
from sprat.decoding.comblm import Mix, cached, fit, mix
from sprat.decoding.comblm_gates import KINDS, Cached, Learner, best_share, fitted
from sprat.errors import BadInput, CannotDo
from sprat.whitebox.arrays import softmax
from sprat.whitebox.pool import Pool
from sprat.whitebox.scoring import logprobs

LARGE, SMALL = sprat.tiny("sprat"), sprat.tiny("fry")
ASKED = ["12+7=", "reverse shark:"]
PAIRS = [(f"{a}+{b}=", str(a + b)) for a in range(10) for b in range(10)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comblm_gates, "BUDGET", 4e9)


def chances(decoder: Any) -> Any:
    pool = Pool([decoder, LARGE, SMALL], [Request.of(p) for p in ASKED])
    return softmax(pool.scores(decoder))


def test_the_scores_are_the_log_of_the_mixture() -> None:
    np.testing.assert_allclose(chances(mix(LARGE, SMALL, 0.3)), 0.3 * chances(LARGE) + 0.7 * chances(SMALL), atol=1e-6)


@pytest.mark.parametrize(("gate", "alone"), [(1.0, LARGE), (0.0, SMALL)])
def test_a_gate_at_its_end_is_one_part(gate: float, alone: Any) -> None:
    np.testing.assert_allclose(chances(mix(LARGE, SMALL, gate)), chances(alone), atol=1e-6)


def test_mean_is_one_half() -> None:
    assert mix(LARGE, SMALL, "mean") == mix(LARGE, SMALL, 0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_terms_add_up_to_the_log_margin(kind: str) -> None:
    model = fit(mix(LARGE, SMALL, kind), PAIRS)
    step = Pool([model], [Request.of(p) for p in ASKED]).look()
    scores, summed = step.of(model), sum(s for _, s in model.terms(step))
    np.testing.assert_allclose(scores - scores[..., :1], summed - summed[..., :1], atol=2e-3)


def test_terms_are_shares_of_the_logarithmic_mean() -> None:
    step = Pool([LARGE, SMALL], [Request.of("12+7=")]).look()
    model, p, q = mix(LARGE, SMALL, 0.4), softmax(step.of(LARGE))[0, 0], softmax(step.of(SMALL))[0, 0]
    both, best, token = 0.4 * p + 0.6 * q, int(p.argmax()), int(q.argsort()[-3])
    mean = (both[token] - both[best]) / np.log(both[token] / both[best])
    (_, large), (_, small) = model.terms(step)
    assert large[0, 0, token] == pytest.approx(0.4 * (p[token] - p[best]) / mean, rel=1e-3)
    assert small[0, 0, token] == pytest.approx(0.6 * (q[token] - q[best]) / mean, rel=1e-3)


def test_the_best_share_is_that_of_a_scan() -> None:
    labels = np.log(np.random.default_rng(0).uniform(0.01, 1, (500, 2)))
    scan = np.linspace(0.001, 0.999, 999)
    likely = [np.log(s * np.exp(labels[:, 0]) + (1 - s) * np.exp(labels[:, 1])).sum() for s in scan]
    assert best_share(labels) == pytest.approx(scan[int(np.argmax(likely))], abs=1e-3)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_gradients_are_those_of_differences(kind: str) -> None:
    seen = cached(mix(LARGE, SMALL, kind), PAIRS)
    learner = Learner.new(kind, seen, 104 if kind.endswith("vector") else 1, 0.3, 0)
    learner.arrays = [a.astype(np.float64) for a in learner.arrays]  # type: ignore[misc]
    rows = np.arange(40)
    _, gradients = learner.gradient(seen, rows)
    weight, gradient = learner.arrays[-1], gradients[-1]
    place = int(np.abs(gradient).argmax())
    sides = []
    for step in (1e-4, -2e-4):
        weight[place] += step
        sides.append(learner.gradient(seen, rows, False)[0])
    assert gradient[place] == pytest.approx((sides[0] - sides[1]) / 2e-4, rel=1e-3)


def made(share_hangs_on_entropy: bool) -> Cached:
    """Places where the large part is right when it is sure, and the small one otherwise."""
    rng = np.random.default_rng(1)
    sure = rng.random(4000) < 0.5
    labels = np.log(np.where(np.stack([sure, ~sure], 1) == share_hangs_on_entropy, 0.9, 0.1))
    inputs = np.stack([np.where(sure, 0.1, 2.0), rng.random(4000)], 1).astype(np.float32)
    return Cached(labels, np.zeros(4000, np.int64), inputs, np.zeros((4000, 0), np.float32), np.arange(4000) % 5 == 4)


def test_an_entropy_gate_learns_to_trust_whoever_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comblm_gates, "BUDGET", 1e11)
    gate = fitted("entropy-scalar", made(True))
    learner = Learner(gate.kind, [a for pair in zip(gate.weights, gate.biases, strict=True) for a in pair],
                      gate.centre, gate.scale, 0)  # fmt: skip
    assert learner.loss(made(True), np.arange(4000)) < 0.15  # the best is -log .9, any constant at least .68


def test_a_fit_is_the_same_for_the_same_seed() -> None:
    first, again = (fit(mix(LARGE, SMALL, "entropy-scalar"), PAIRS, seed=5) for _ in range(2))
    np.testing.assert_array_equal(chances(first), chances(again))


@pytest.mark.parametrize("kind", ["constant-vector", "entropy-scalar", "full-vector"])
def test_a_fitted_mixture_is_saved_and_loaded(kind: str, tmp_path: Path) -> None:
    model = fit(mix(LARGE, SMALL, kind), PAIRS)
    config.dump(model, tmp_path / "m.toml")
    np.testing.assert_array_equal(chances(config.load(tmp_path / "m.toml")), chances(model))


def test_a_fit_reads_texts_pairs_and_datasets() -> None:
    texts = [p + a for p, a in PAIRS]
    rows = sprat.Dataset(tuple(sprat.Example(str(i), Request.of(p), a) for i, (p, a) in enumerate(PAIRS)))
    found = [fit(mix(LARGE, SMALL), data, "constant-scalar").gate for data in (texts, PAIRS, rows)]
    assert found[1].biases[0] == found[2].biases[0] != found[0].biases[0]  # type: ignore[union-attr]


def test_the_fitted_mixture_is_no_worse_than_its_better_part_where_it_was_fitted() -> None:
    model = fit(mix(LARGE, SMALL, "constant-scalar"), PAIRS)
    losses = [-np.concatenate(logprobs(d, *zip(*PAIRS, strict=True), ended=True)).mean() for d in (model, LARGE, SMALL)]
    assert losses[0] <= min(losses[1:]) + 0.01


def test_it_is_a_decoder_and_a_part() -> None:
    model = fit(mix(LARGE, SMALL, "entropy-scalar"), PAIRS)
    assert model("reverse shark:").text == "krahs"
    assert (model + 0.5 * SMALL)("1+1=").text
    assert model.formula == "mix(sprat, fry, entropy-scalar)"


@pytest.mark.parametrize("gate", [1.5, -0.1, "entropy"])
def test_an_impossible_gate_is_refused(gate: Any) -> None:
    with pytest.raises(BadInput):
        mix(LARGE, SMALL, gate)


def test_a_gate_that_is_not_fitted_says_so() -> None:
    with pytest.raises(BadInput, match="not fitted"):
        mix(LARGE, SMALL, "full-scalar")("1+1=")


def test_too_few_tokens_are_refused() -> None:
    with pytest.raises(BadInput, match="too few"):
        fit(mix(LARGE, SMALL), ["1+1=2"])


def test_a_part_without_logits_is_refused() -> None:
    with pytest.raises(CannotDo):
        Mix(LARGE, sprat.toy("t", lambda _: ""))


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_give_what_arrays_give(kind: str) -> None:
    torch = pytest.importorskip("torch")
    gate = fit(mix(LARGE, SMALL, kind), PAIRS).gate
    said = np.log(np.random.default_rng(0).dirichlet(np.ones(104), (2, 3))).astype(np.float32)
    there = gate.logit(torch.tensor(said), torch.tensor(said[::-1].copy()))  # type: ignore[union-attr]
    np.testing.assert_allclose(there.numpy(), gate.logit(said, said[::-1]), atol=1e-4)  # type: ignore[union-attr]


def test_the_public_fit_fits_a_mix_and_refuses_texts_for_others() -> None:
    fitted_mix = sprat.fit(mix(LARGE, SMALL, "constant-scalar"), PAIRS)
    np.testing.assert_array_equal(chances(fitted_mix), chances(fit(mix(LARGE, SMALL, "constant-scalar"), PAIRS)))
    with pytest.raises(BadInput, match="recorded calls"):
        sprat.fit(LARGE, ["some text"])
