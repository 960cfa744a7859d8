"""Against a tiny BERT with random weights, made here: what the library itself gives for each layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sprat.encoders.hub_files import batches
from sprat.errors import BadInput
from sprat.similarity import HubTokens, align, bertscore
from sprat.similarity.hub_tokens import _windows

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

WORDS = ["the", "cat", "dog", "sat", "ran", "on", "mat", "a", "##s", "."]
TEXTS = ["the cat sat on the mat.", "a dog ran", "", "cats", "the " * 9 + "dog"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bert")
    (path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=15, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(path)
    transformers.BertTokenizer(str(path / "vocab.txt")).save_pretrained(path)
    return path


def by_library(folder: Path, text: str, layer: int) -> tuple[list[int], Any]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    put = tokenizer([text], return_tensors="pt")
    with torch.no_grad():
        states = model(**put, output_hidden_states=True).hidden_states[layer][0]
    return put["input_ids"][0].tolist(), torch.nn.functional.normalize(states, dim=-1).numpy()


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_the_vectors_are_the_layers_of_the_library_whatever_stands_in_the_batch(folder: Path, layer: int) -> None:
    for text, found in zip(TEXTS, HubTokens(str(folder), layer, batch_tokens=20).tokens(TEXTS), strict=True):
        ids, vectors = by_library(folder, text, layer)
        assert found.ids.tolist() == ids
        assert found.vectors == pytest.approx(vectors, abs=1e-5)


def test_only_the_first_and_the_last_mark_have_no_weight(folder: Path) -> None:
    for found in HubTokens(str(folder)).tokens(TEXTS):
        assert np.flatnonzero(~found.plain).tolist() == [0, len(found.ids) - 1]


def test_a_text_past_the_limit_keeps_every_token_and_its_first_window(folder: Path) -> None:
    words = (WORDS[:7] * 9)[:60]
    found = HubTokens(str(folder)).tokens([" ".join(words)])[0]
    assert len(found.ids) == 62
    _, head = by_library(folder, " ".join(words[:14]), 3)
    assert found.vectors[:13] == pytest.approx(head[:13], abs=1e-5)
    _, tail = by_library(folder, " ".join(words[-14:]), 3)
    assert found.vectors[-9:] == pytest.approx(tail[-9:], abs=1e-5)
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(np.ones(62), abs=1e-5)


@pytest.mark.parametrize("n", [0, 1, 14, 15, 16, 27, 28, 60, 10_000])
def test_windows_join_without_gap_and_fit(n: int) -> None:
    windows = list(_windows(n, 14))
    assert [w[2] for w in windows] == [0, *(w[3] for w in windows[:-1])]
    assert windows[-1][3] == n
    assert all(start <= first <= last <= end and end - start <= 14 for start, end, first, last in windows)


def test_batches_hold_every_row_once_within_the_budget() -> None:
    lengths = [3, 50, 7, 7, 1, 120, 8]
    found = list(batches(lengths, 60))
    assert sorted(i for b in found for i in b) == list(range(7))
    assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= 60 for b in found)


def test_the_name_follows_the_files_and_the_layer(folder: Path, tmp_path: Path) -> None:
    import shutil

    other = shutil.copytree(folder, tmp_path / "copy")
    assert HubTokens(str(other)).name == HubTokens(str(folder)).name != HubTokens(str(folder), 2).name
    changed = shutil.copytree(folder, tmp_path / "changed")
    (changed / "vocab.txt").write_text("[PAD]\n")
    assert HubTokens(str(changed)).name != HubTokens(str(folder)).name


@pytest.mark.parametrize("layer", [0, 4, -2])
def test_a_layer_that_is_not_there_is_said(folder: Path, layer: int) -> None:
    with pytest.raises(BadInput, match=r"layers 1 to 3"):
        HubTokens(str(folder), layer).tokens(["cat"])


def test_a_model_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BadInput, match="no/such"):
        _ = HubTokens("no/such").name


def test_words_of_several_pieces_are_aligned_whole(folder: Path) -> None:
    found = align("  cats ran", "cats ran", HubTokens(str(folder)))
    assert [(m.word, m.start) for m in found.matches] == [("cats", 2), ("ran", 7)]
    assert min(m.cosine for m in found.matches) == pytest.approx(1.0, abs=1e-5)


def test_an_empty_text_scores_0(folder: Path) -> None:
    assert bertscore([""], ["cat"], HubTokens(str(folder))).f.tolist() == [0.0]
