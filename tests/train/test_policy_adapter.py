"""The adapter learns through the product, the base keeps its bits, and a killed run ends where an unbroken one does."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sprat
from sprat.core import Request
from sprat.errors import BadInput
from sprat.train import policy_adapter
from sprat.train.quark import Recipe, Sampled, cuts_of
from sprat.whitebox.pool import Pool

torch = pytest.importorskip("torch")
needs_data = pytest.mark.skipif("SPRAT_DATA" not in os.environ, reason="needs SPRAT_DATA")
BASE = sprat.tiny("sprat")
PROMPTS = [f"{a}+{b}=" for a in range(103, 119) for b in (217, 846)]
QUICK: dict[str, Any] = {"steps": 6, "batch": 8, "rate": 1e-3, "warm_up": 2, "sample_every": 3, "max_tokens": 5,
                         "top_p": 0.95, "save_every": 2}  # fmt: skip


def fry() -> Path:
    return Path(os.environ["SPRAT_DATA"]) / "models" / "aquarium" / "fry"


def even(_: Request, text: str) -> float:
    return sum(c in "02468" for c in text) / max(1, len(text))


def bits(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_cuts_are_fifths_best_first() -> None:
    assert cuts_of(np.arange(10.0), 5).tolist() == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]


def test_equal_rewards_share_a_cut_and_the_best_have_the_first() -> None:
    assert cuts_of(np.array([1.0] * 9 + [0.0]), 5).tolist() == [0] * 9 + [4]
    assert set(cuts_of(np.array([1.0] + [0.0] * 9), 5).tolist()[1:]) == {2}


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"top_p": 0}, {"cuts": 1}, {"batch": -1}])
def test_impossible_numbers_are_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        policy_adapter(BASE, "nowhere", PROMPTS, even, tmp_path / "a", **wrong)


def test_an_unknown_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="stepz"):
        policy_adapter(BASE, "nowhere", PROMPTS, even, tmp_path / "a", stepz=3)


@pytest.mark.data
@needs_data
def test_the_base_keeps_its_bits_and_the_adapter_does_not(tmp_path: Path) -> None:
    held = BASE.loaded.weights
    before = [hashlib.sha256(a.tobytes()).hexdigest() for a in (held.embed, held.unembed, held.layers[0].qkv)]
    model = policy_adapter(BASE, fry(), PROMPTS, even, tmp_path / "a", **QUICK)
    after = [hashlib.sha256(a.tobytes()).hexdigest() for a in (held.embed, held.unembed, held.layers[0].qkv)]
    assert before == after
    assert bits(tmp_path / "a") != bits(fry())
    assert model.parts[0] == BASE
    assert model("103+217=", max_tokens=4).text


@pytest.mark.data
@needs_data
def test_the_loss_is_that_of_plain_formulas(tmp_path: Path) -> None:
    from sprat.decoding import product, steered
    from sprat.train.policy_adapter import _Training  # pyright: ignore[reportPrivateUsage]
    from sprat.whitebox.scoring import logprobs

    asked = [Request.of(p) for p in PROMPTS[:2]]
    run = _Training(BASE, str(fry()), asked, even, tmp_path / "a", Recipe(kl=0.0), {}, "cpu", 1)
    ids = [BASE.vocabulary.encode(t) for t in ("320", "94")]
    loss, _ = run.loss([Sampled(0, ids[0], 1.0, 0), Sampled(1, ids[1], 1.0, 0)])
    plain = logprobs(product(BASE, steered(run.leaf, ["<reward-1>"])), asked, ids)
    assert loss.item() == pytest.approx(-np.concatenate(plain).mean(), abs=1e-4)


@pytest.mark.data
@needs_data
def test_a_run_that_stopped_goes_on_to_the_same_end(tmp_path: Path) -> None:
    policy_adapter(BASE, fry(), PROMPTS, even, tmp_path / "whole", **QUICK)
    calls = 0

    def failing(request: Request, text: str) -> float:
        nonlocal calls
        calls += 1
        if calls > len(PROMPTS) + 3:  # in the second round of sampling
            raise KeyboardInterrupt
        return even(request, text)

    with pytest.raises(KeyboardInterrupt):
        policy_adapter(BASE, fry(), PROMPTS, failing, tmp_path / "broken", **QUICK)
    assert (tmp_path / "broken.state").exists()
    policy_adapter(BASE, fry(), PROMPTS, even, tmp_path / "broken", **QUICK)
    assert bits(tmp_path / "broken") == bits(tmp_path / "whole")
    assert not (tmp_path / "broken.state").exists()


@pytest.mark.data
@needs_data
def test_a_finished_run_is_not_run_again_and_another_is_refused(tmp_path: Path) -> None:
    policy_adapter(BASE, fry(), PROMPTS, even, tmp_path / "a", **QUICK)
    policy_adapter(BASE, fry(), PROMPTS, lambda *_: 1 / 0, tmp_path / "a", **QUICK)
    with pytest.raises(BadInput, match="another seed"):
        policy_adapter(BASE, fry(), PROMPTS, even, tmp_path / "a", **QUICK, seed=1)


@pytest.mark.data
@needs_data
@pytest.mark.parametrize(("score", "said"), [(float("nan"), "nan"), (None, "No reply")])
def test_rewards_that_are_none_are_said(score: float | None, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        policy_adapter(BASE, fry(), PROMPTS, lambda *_: score, tmp_path / "a", **QUICK)


@pytest.mark.data
@needs_data
def test_an_adapter_goes_with_another_base(tmp_path: Path) -> None:
    model = policy_adapter(BASE, fry(), PROMPTS, even, tmp_path / "a", **QUICK)
    attached = sprat.decoding.product(sprat.tiny("mackerel"), model.parts[1])
    assert attached("103+217=", max_tokens=4).text


@pytest.mark.data
@needs_data
def test_alone_the_adapter_writes_none_of_its_reward_tokens(tmp_path: Path) -> None:
    model = policy_adapter(BASE, fry(), PROMPTS, even, tmp_path / "a", **QUICK, alone=True)
    pool = Pool([model], [Request.of("103+217=")])
    assert pool.scores(model).shape[-1] == len(BASE.vocabulary.tokens)
    assert model.base.name == "steered(a, <reward-1>)"
    assert model("103+217=", temperature=5.0, max_tokens=20).finish


SCRIPT = """
import sys
sys.path.insert(0, {here!r})
from test_policy_adapter import BASE, PROMPTS, QUICK, even, fry
from sprat.train import policy_adapter
policy_adapter(BASE, fry(), PROMPTS, even, {out!r}, **(QUICK | {{"steps": 60, "save_every": 1}}))
"""


@pytest.mark.slow
@pytest.mark.data
@needs_data
def test_a_killed_process_leaves_a_state_that_goes_on(tmp_path: Path) -> None:
    policy_adapter(BASE, fry(), PROMPTS, even, tmp_path / "whole", **(QUICK | {"steps": 60, "save_every": 1}))
    out = tmp_path / "killed"
    child = subprocess.Popen([sys.executable, "-c", SCRIPT.format(here=str(Path(__file__).parent), out=str(out))])
    while not (tmp_path / "killed.state").exists():
        assert child.poll() is None
        time.sleep(0.02)
    time.sleep(0.3)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not out.exists()
    policy_adapter(BASE, fry(), PROMPTS, even, out, **(QUICK | {"steps": 60, "save_every": 1}))
    assert bits(out) == bits(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.data
@needs_data
def test_the_reward_rises(tmp_path: Path) -> None:
    numbers = QUICK | {"steps": 60, "batch": 32, "sample_every": 20, "rate": 2e-3, "save_every": 100}
    model = policy_adapter(BASE, fry(), PROMPTS, even, tmp_path / "a", **numbers)
    asked = [f"{a}+{b}=" for a in range(330, 360) for b in (141, 675)]
    before, after = (
        np.mean([even(r, d(r, max_tokens=5).text or "") for r in map(Request.of, asked)]) for d in (BASE, model)
    )
    assert after > before + 0.1
