"""Cross-encoders from the hub: tiny ones with random weights, made here, against what the library itself gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sprat.errors import BadInput
from sprat.nli import Shortened, hub, named
from sprat.nli.cross_encoder import classes_of

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

WORDS = ["the", "cat", "dog", "sat", "ran", "on", "mat", "a", "##s", "."]
PAIRS = [("the cat sat on the mat.", "a cat sat"), ("a dog ran", "the dogs ran."), ("", "a cat"), ("a", "the " * 5)]


def made(folder: Path, kind: str, labels: list[str]) -> Path:
    """A model with these labels, saved as hub models are."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    torch.manual_seed(0)
    size: dict[str, Any] = {
        "vocab_size": 15, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 24, "num_labels": len(labels),
    }  # fmt: skip
    if kind == "bert":
        config = transformers.BertConfig(**size)
    else:
        config = transformers.DebertaV2Config(
            **size, relative_attention=True, pos_att_type=["p2c", "c2p"], type_vocab_size=0
        )
    config.id2label = dict(enumerate(labels))
    config.label2id = {n: i for i, n in enumerate(labels)}
    network = transformers.AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():  # as they are initialised, every pair has the same probabilities to three digits
        for weights in network.parameters():
            weights.mul_(4)
    network.save_pretrained(folder)
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("nli") / "bert", "bert", ["CONTRADICTION", "ENTAILMENT", "NEUTRAL"])


@pytest.fixture(scope="module")
def deberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("nli") / "deberta", "deberta", ["entailment", "neutral", "contradiction"])


def by_library(folder: Path, pair: tuple[str, str]) -> np.ndarray:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        return torch.softmax(model(**tokenizer(*pair, return_tensors="pt")).logits[0].double(), -1).numpy()


def test_probabilities_are_the_librarys_in_our_order_whatever_stands_in_the_batch(bert: Path) -> None:
    found = hub(str(bert)).probabilities(PAIRS)
    for pair, row in zip(PAIRS, found, strict=True):
        contradiction, entailment, neutral = by_library(bert, pair)
        assert row == pytest.approx([entailment, neutral, contradiction], abs=1e-6)
    assert np.ptp(found[:, 0]) > 1e-3


def test_a_deberta_is_read_alike(deberta: Path) -> None:
    found = hub(str(deberta)).probabilities(PAIRS)
    assert found == pytest.approx(np.array([by_library(deberta, p) for p in PAIRS]), abs=1e-6)


def test_two_labels_leave_contradiction_unsaid(tmp_path: Path) -> None:
    nli = hub(str(made(tmp_path / "two", "bert", ["not_entailment", "entailment"])))
    found = nli.probabilities(PAIRS)
    assert found[:, 2].tolist() == [0.0] * len(PAIRS)
    assert found[0] == pytest.approx([*by_library(tmp_path / "two", PAIRS[0])[::-1], 0.0], abs=1e-6)
    assert "never says contradiction" in nli.worth.said


def test_labels_that_do_not_say_are_refused_until_they_are_named(tmp_path: Path) -> None:
    folder = str(made(tmp_path / "dumb", "bert", ["LABEL_0", "LABEL_1", "LABEL_2"]))
    with pytest.raises(BadInput, match="which is entailment does not follow"):
        hub(folder).probabilities(PAIRS)
    nli = hub(folder, labels=("neutral", "contradiction", "entailment"))
    neutral, contradiction, entailment = by_library(tmp_path / "dumb", PAIRS[0])
    assert nli.probabilities(PAIRS[:1])[0] == pytest.approx([entailment, neutral, contradiction], abs=1e-6)


@pytest.mark.parametrize("labels", [["entailment", "entailment", "neutral"], ["entailment"], ["yes", "no"]])
def test_labels_have_to_be_three_or_entailment_and_not(labels: list[str]) -> None:
    with pytest.raises(BadInput, match="does not follow"):
        classes_of("a-model", labels)


LONG = ("the cat sat . " * 9, "a cat sat")


def test_a_pair_past_the_limit_is_refused(bert: Path) -> None:
    with pytest.raises(BadInput, match=r"1 of 2 pairs are past the 24 tokens"):
        hub(str(bert)).probabilities([PAIRS[0], LONG])


def test_or_its_premise_is_cut_and_that_is_said(bert: Path) -> None:
    with pytest.warns(Shortened, match="1 of 2 pairs"):
        found = hub(str(bert), long="truncate").probabilities([PAIRS[0], LONG])
    kept = " ".join(LONG[0].split()[: 24 - 3 - 3])
    contradiction, entailment, neutral = by_library(bert, (kept, LONG[1]))
    assert found[1] == pytest.approx([entailment, neutral, contradiction], abs=1e-6)


def test_a_hypothesis_past_the_limit_is_never_cut(bert: Path) -> None:
    with pytest.raises(BadInput, match="hypothesis alone"):
        hub(str(bert), long="truncate").probabilities([("a cat", LONG[0])])


def test_other_weights_have_another_name(bert: Path, deberta: Path) -> None:
    names = {hub(str(bert)).name, hub(str(deberta)).name, hub(str(bert), long="truncate").name}
    assert len(names) == 3


def test_a_model_that_is_not_there_is_said() -> None:
    with pytest.raises(BadInput, match="'no/such-model'"):
        hub("no/such-model").probabilities(PAIRS)


def test_by_name_it_is_cached(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPRAT_CACHE", str(tmp_path))
    nli = named(f"hub:{bert}")
    first = nli.probabilities(PAIRS)
    assert (tmp_path / "nli.sqlite").exists()
    assert nli.probabilities(PAIRS).tolist() == first.tolist()


@pytest.mark.parametrize("name", ["smal", "hub:", ""])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="no inference model"):
        named(name)
