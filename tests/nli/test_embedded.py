"""The embedded model: the network that was trained, pair by pair, and what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sprat.errors import BadInput
from sprat.nli import Nli, SmallNli, small
from sprat.nli.embedded import EMBEDDED

RECIPE = Path(__file__).parents[2] / "recipes" / "nli"
PAIRS = [
    ("Two dogs run in the park.", "Animals are outside."),
    ("Jeff joined Microsoft in 1992, and he didn't leave.", "Jeff joined Microsoft in 1995."),
    ("", "A cat."),
    ("It was not raining. " * 30, "It rained."),
    ("A man is asleep.", ""),
]
texts = st.text(alphabet="ab N1.?' é下", max_size=30)


def test_it_computes_what_the_trained_network_does(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(RECIPE))
    import train_nli  # type: ignore[import-not-found]
    from nli_pairs import Row  # type: ignore[import-not-found]

    with np.load(EMBEDDED) as kept:
        arrays = {k: torch.from_numpy(kept[k].astype(np.float32)) for k in kept.files if k != "about"}
    inner, width = arrays["embed.weight"].shape
    network = train_nli.Network(width, inner, len(arrays["out.weight"].T))
    network.load_state_dict(arrays)
    wanted = train_nli.predict(network, [Row(p, h, 0, 1.0, "") for p, h in PAIRS])
    assert small().probabilities(PAIRS) == pytest.approx(wanted, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(texts, texts), max_size=6))
def test_a_pairs_probabilities_do_not_depend_on_its_neighbours(pairs: list[tuple[str, str]]) -> None:
    found = small().probabilities(pairs)
    assert found.shape == (len(pairs), 3)
    assert found.sum(axis=1) == pytest.approx(np.ones(len(pairs)))
    for pair, row in zip(pairs, found, strict=True):
        assert small().probabilities([pair])[0] == pytest.approx(row, abs=1e-5)


def test_negation_is_read_both_ways() -> None:
    pairs = [("It was not raining.", "It was raining."), ("It was raining.", "It was not raining.")]
    assert small().probabilities(pairs).argmax(axis=1).tolist() == [2, 2]


def test_a_text_entails_itself_and_not_another_number() -> None:
    text = "Jeff joined Microsoft in 1992."
    same, other = small().probabilities([(text, text), (text, "Jeff joined Microsoft in 1995.")])
    assert same[0] > 0.8
    assert other[0] < 0.3


def test_ten_thousand_words_are_read() -> None:
    found = small().probabilities([("The red dog ran to 7 parks. " * 1_700, "The red dog ran.")])
    assert np.isfinite(found).all()


def test_it_is_an_inference_model_by_the_protocol() -> None:
    assert isinstance(small(), Nli)
    assert small().name.startswith("nli-small-")


def test_other_weights_have_no_record(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    path.write_bytes(EMBEDDED.read_bytes())
    assert SmallNli(path).probabilities(PAIRS).tolist() == small().probabilities(PAIRS).tolist()
    assert SmallNli(path).worth.measured == ()
    assert "Nobody measured" in SmallNli(path).worth.said


def test_it_says_what_it_is_worth_on_each_set_beside_the_baselines() -> None:
    worth = small().worth
    sets = {m.on.split(",")[0] for m in worth.measured}
    assert {"SNLI", "MNLI", "QNLI", "RTE"} <= sets
    assert any(on.startswith("SummEdits") for on in sets)
    assert all(m.low <= m.value <= m.high and m.majority is not None for m in worth.measured)
    assert worth.said.startswith("Weak")
    assert "[" in str(worth)


def test_the_record_belongs_to_the_weights_that_are_shipped() -> None:
    record = json.loads(EMBEDDED.with_suffix(".json").read_text())
    assert record["weights"] == small().name


@pytest.mark.parametrize("content", [b"", b"not a file of arrays", None])
def test_a_file_that_holds_no_weights_is_said(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "other.npz"
    if content is None:
        np.savez(path, other=np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(BadInput, match="not a file of inference weights"):
        SmallNli(path).probabilities(PAIRS)
    with pytest.raises(BadInput, match="no inference weights"):
        SmallNli(tmp_path / "none.npz").probabilities(PAIRS)
