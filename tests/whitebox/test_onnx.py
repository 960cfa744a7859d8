"""Exports to ONNX and their sessions, against torch's forward."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_models import random_llama

from sprat.errors import BadInput, CannotDo, MissingExtra
from sprat.whitebox import onnx_export
from sprat.whitebox.onnx_export import TOLERANCES, Parity, checked, export
from sprat.whitebox.onnx_session import OnnxModel

DATA = os.environ.get("SPRAT_DATA")


@pytest.fixture(scope="module")
def can_export() -> None:
    if absent := [m for m in onnx_export.NEEDED if importlib.util.find_spec(m) is None]:
        pytest.skip(f"an export needs {', '.join(absent)}")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, can_export: None) -> Path:
    return random_llama(tmp_path_factory.mktemp("onnx") / "llama")


@pytest.fixture(scope="module")
def exported(source: Path) -> Path:
    return export(source, source.parent / "exported")


@pytest.fixture(scope="module")
def model(exported: Path) -> OnnxModel:
    return OnnxModel(exported, threads=1)


@pytest.fixture(scope="module")
def forward(source: Path) -> Callable[[list[int]], Any]:
    return torch_forward(source)


def torch_forward(source: Path) -> Callable[[list[int]], Any]:
    import torch
    from transformers import AutoModelForCausalLM

    loaded: Any = AutoModelForCausalLM.from_pretrained(str(source), dtype=torch.float32)

    def forward(ids: list[int]) -> Any:
        with torch.no_grad():
            return loaded(torch.tensor([ids])).logits[0].numpy()

    return forward


def walk(model: OnnxModel, forward: Callable[[list[int]], Any], seed: int, steps: int = 12) -> None:
    """Random feeds, rollbacks and selections; every logit that counts must be that of a plain forward pass."""
    rng = np.random.default_rng(seed)
    rows: list[list[int]] = [[] for _ in range(int(rng.integers(1, 4)))]
    session = model.session(len(rows))
    for _ in range(steps):
        what = rng.integers(4)
        if what == 0:
            gone = np.array([rng.integers(0, min(len(r), 9) + 1) for r in rows])
            session.rollback(gone)
            rows = [r[: len(r) - n] for r, n in zip(rows, gone, strict=True)]
        elif what == 1:
            chosen = rng.integers(0, len(rows), int(rng.integers(1, 6)))
            session.select(chosen)
            rows = [list(rows[i]) for i in chosen]
        else:
            feed(session, rows, forward, rng, model.vocabulary)
        assert session.lengths.tolist() == [len(r) for r in rows]


def feed(session: Any, rows: list[list[int]], forward: Any, rng: np.random.Generator, size: int) -> None:
    n = int(rng.choice([1, 1, 2, 3, 7]))
    ids, even = rng.integers(0, size, (len(rows), n)), rng.random() < 0.5
    counts = np.full(len(rows), n) if even else rng.integers(0, n + 1, len(rows))
    keep = int(rng.integers(1, n + 1))
    logits = session.feed(np.where(np.arange(n) >= n - counts[:, None], ids, -1), None if even else counts, keep)
    assert logits.shape == (len(rows), keep, size)
    for row, new, count, found in zip(rows, ids, counts, logits, strict=True):
        row += new[n - count :].tolist()
        if seen := min(keep, int(count)):
            np.testing.assert_allclose(found[-seen:], forward(row)[-seen:], atol=1e-3)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32))
@settings(max_examples=30)
def test_whatever_is_fed_forgotten_and_selected_the_logits_are_torchs(model: Any, forward: Any, seed: int) -> None:
    walk(model, forward, seed)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="needs SPRAT_DATA")
@pytest.mark.parametrize("name", ["sprat", "mackerel"])
def test_the_aquariums_checkpoints_read_as_in_torch(name: str, tmp_path: Path, can_export: None) -> None:
    source = Path(DATA or "") / "models" / "aquarium" / name
    model, forward = OnnxModel(export(source, tmp_path / name)), torch_forward(source)
    for seed in range(10):
        walk(model, forward, seed)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="needs SPRAT_DATA")
def test_heads_that_onnxruntime_can_not_run_are_named(tmp_path: Path, can_export: None) -> None:
    with pytest.raises(CannotDo, match="head_size shall be a multiple of 16"):
        export(Path(DATA or "") / "models" / "aquarium" / "fry", tmp_path / "fry")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_idle_row_at_the_end_of_the_buffers_keeps_what_it_read(model: Any, forward: Any) -> None:
    text = np.random.default_rng(0).integers(0, 300, 65)
    session = model.session(3)
    session.feed(np.tile(text[:64], (3, 1)), np.array([64, 3, 2]))
    session.feed(np.full((3, 1), 5), np.array([0, 1, 1]))
    session.feed(np.tile(text[64:], (3, 1)), np.array([1, 1, 1]))
    session.rollback(np.array([1, 0, 0]))
    again = session.feed(np.tile(text[64:], (3, 1)))
    np.testing.assert_allclose(again[0, 0], forward(text.tolist())[-1], atol=1e-3)


@pytest.mark.slow
def test_a_row_may_fill_its_context_and_no_more(model: Any) -> None:
    session = model.session(2)
    session.feed(np.full((2, 128), 7), np.array([128, 5]), keep=1)
    session.feed(np.full((2, 2), 7), np.array([0, 2]))
    with pytest.raises(BadInput, match="would hold 129 tokens; 'exported' reads at most 128"):
        session.feed(np.full((2, 1), 7))
    assert session.lengths.tolist() == [128, 7]


@pytest.mark.slow
def test_ids_without_a_token_are_refused(model: Any) -> None:
    with pytest.raises(BadInput, match="has 0 to 299"):
        model.session(1).feed(np.array([[300]]))


@pytest.mark.slow
def test_more_than_was_read_can_not_be_forgotten(model: Any) -> None:
    session = model.session(2)
    session.feed(np.full((2, 3), 7), np.array([3, 1]))
    with pytest.raises(BadInput, match=r"rows hold \[3, 1\]"):
        session.rollback(2)


@pytest.mark.slow
def test_logits_stay_when_more_is_read(model: Any) -> None:
    session = model.session(1)
    first = session.feed(np.array([[5]]))
    kept = first.copy()
    session.feed(np.array([[9]]))
    assert (first == kept).all()


@pytest.mark.slow
def test_a_closed_session_holds_nothing(model: Any) -> None:
    session = model.session(2)
    session.feed(np.full((2, 3), 7))
    session.close()
    assert session.lengths.tolist() == [0, 0]
    assert sum(b.nbytes for b in session._buffers) == 0


@pytest.mark.slow
def test_an_export_says_what_was_measured(exported: Path, source: Path) -> None:
    record = checked(exported)
    assert record["measured"]["logits"] < 1e-3
    assert (record["source"], record["vocabulary"], record["padded"]) == ("llama", 300, False)
    assert str(source.parent) not in json.dumps(record)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [{"vocab_size": 256, "hidden_size": 256, "head_dim": 64}, {"vocab_size": 128}])
def test_an_export_whose_head_was_mistaken_is_refused(shape: Any, tmp_path: Path, can_export: None) -> None:
    source = random_llama(tmp_path / "llama", **shape)
    with pytest.raises(CannotDo, match=r"largest difference of a logit \d.*takes it for the language-model head"):
        export(source, tmp_path / "out", pad=False)
    assert [p.name for p in tmp_path.iterdir()] == ["llama"]


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True])
def test_a_longer_vocabulary_mends_the_mistaken_head(tied: bool, tmp_path: Path, can_export: None) -> None:
    shape = {"vocab_size": 256, "hidden_size": 256, "head_dim": 64, "tie_word_embeddings": tied}
    source = random_llama(tmp_path / "llama", **shape)
    record = checked(export(source, tmp_path / "out"))
    model = OnnxModel(tmp_path / "out", record["vocabulary"])
    assert record["padded"]
    assert model.session(1).feed(np.array([[5]])).shape == (1, 1, 256)
    walk(model, torch_forward(source), 0)


@pytest.mark.slow
def test_a_changed_export_is_noticed(exported: Path, tmp_path: Path) -> None:
    for file in exported.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = bytearray((tmp_path / "model.onnx.data").read_bytes())
    weights[100] ^= 1
    (tmp_path / "model.onnx.data").write_bytes(weights)
    with pytest.raises(BadInput, match=r"is not the one that parity.json speaks of.*export_onnx"):
        checked(tmp_path)


@pytest.mark.slow
def test_an_export_is_not_put_over_another(exported: Path, source: Path) -> None:
    with pytest.raises(BadInput, match="exists already"):
        export(source, exported)


def test_a_folder_without_a_comparison_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="was not compared with its weights"):
        checked(tmp_path)


def test_an_unknown_precision_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Known: fp32, int4"):
        export(tmp_path, tmp_path / "out", "fp16")


def test_a_source_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="holds no tokenizer"):
        export(tmp_path, tmp_path / "out")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx_ir" else object())
    with pytest.raises(MissingExtra, match="onnx-ir not found"):
        export(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("measure", ["logits", "own"])
def test_what_is_not_a_number_is_beyond_any_tolerance(measure: str) -> None:
    sound = {"logits": 0.0, "top1": 1.0, "kl": 0.0, "own": 0.0, "places": 1}
    assert Parity(**sound).beyond(TOLERANCES["fp32"]) == ""
    assert "nan" in Parity(**{**sound, measure: float("nan")}).beyond(TOLERANCES["fp32"])
