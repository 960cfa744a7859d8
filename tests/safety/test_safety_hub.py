"""Hub classifiers of random weights, made here: against the library itself, window by window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sprat import safety
from sprat.errors import BadInput
from sprat.safety.hub_classifiers import unsafe_labels

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

WORDS = ["the", "cat", "dog", "sat", "ran", "on", "mat", "a", "."]
TEXTS = ["the cat sat on the mat.", "a dog", "cat"]
LIMIT = 12


def model(folder: Path, kind: str, labels: list[str], **told: Any) -> Path:
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=14, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=LIMIT, id2label=dict(enumerate(labels)), label2id={w: i for i, w in enumerate(labels)},
        initializer_range=1.0, **told,
    )  # fmt: skip
    getattr(transformers, kind)(config).save_pretrained(folder)
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = ["neutral", "toxic", "insult"]
    return model(tmp_path_factory.mktemp("c"), "BertForSequenceClassification", labels)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model(tmp_path_factory.mktemp("t"), "BertForTokenClassification", ["O", "B-PER", "I-PER", "B-LOC"])


def logits(folder: Path, text: str, kind: str) -> Any:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = getattr(transformers, kind).from_pretrained(folder).eval()
    with torch.no_grad():
        return network(**tokenizer([text], return_tensors="pt")).logits[0].double()


def test_a_probability_is_the_sum_of_the_unsafe_labels(classifier: Path) -> None:
    found = safety.hub(str(classifier)).probabilities(TEXTS)
    for text, p in zip(TEXTS, found, strict=True):
        by = torch.softmax(logits(classifier, text, "AutoModelForSequenceClassification"), -1)
        assert p == pytest.approx(float(by[1] + by[2]), abs=1e-6)


def test_a_label_by_name_counts_alone(classifier: Path) -> None:
    (p,) = safety.hub(str(classifier), ["insult"]).probabilities(TEXTS[:1])
    by = torch.softmax(logits(classifier, TEXTS[0], "AutoModelForSequenceClassification"), -1)
    assert p == pytest.approx(float(by[2]), abs=1e-6)


def test_labels_that_do_not_exclude_each_other_give_the_largest(tmp_path: Path) -> None:
    folder = model(tmp_path, "BertForSequenceClassification", ["toxic", "threat"],
                   problem_type="multi_label_classification")  # fmt: skip
    (p,) = safety.hub(str(folder)).probabilities(TEXTS[:1])
    by = torch.sigmoid(logits(folder, TEXTS[0], "AutoModelForSequenceClassification"))
    assert p == pytest.approx(float(by.max()), abs=1e-6)


def test_a_long_text_is_as_unsafe_as_its_worst_window_and_says_where(classifier: Path) -> None:
    words = (WORDS[:7] * 9)[:60]
    scorer = safety.hub(str(classifier), ["toxic"])
    (whole,) = scorer.probabilities([" ".join(words)])
    inner = LIMIT - 2
    step = inner - LIMIT // 4
    cut = [" ".join(words[i : i + inner]) for i in range(0, len(words) - LIMIT // 4, step)]
    parts = scorer.probabilities(cut)
    assert whole == pytest.approx(parts.max(), abs=1e-6)
    spans = scorer.spans(" ".join(words))
    assert len(spans) == int((parts >= 0.5).sum())


def test_a_tagger_gives_the_surest_token_and_its_places(tagger: Path) -> None:
    text = TEXTS[0]
    by = torch.softmax(logits(tagger, text, "AutoModelForTokenClassification"), -1)[1:-1]
    scorer = safety.hub(str(tagger))
    assert scorer.probabilities([text])[0] == pytest.approx(float((1 - by[:, 0]).max()), abs=1e-6)
    held = np.concatenate([np.arange(s.start, s.end) for s in scorer.spans(text)] or [np.zeros(0)])
    tagged = [i for i, row in enumerate(by.tolist()) if int(np.argmax(row))]
    begins = [text.split()[:6][i] if i < 6 else "." for i in tagged]
    assert bool(len(held)) == bool(begins)
    assert {s.kind for s in scorer.spans(text)} <= {"PER", "LOC"}


def test_an_empty_text_is_not_unsafe_and_one_batch_is_as_many(classifier: Path) -> None:
    scorer = safety.hub(str(classifier))
    assert scorer.probabilities([""]).tolist() == [0.0]
    one = np.concatenate([scorer.probabilities([t]) for t in TEXTS])
    assert scorer.probabilities(TEXTS) == pytest.approx(one, abs=1e-6)


@pytest.mark.parametrize("labels", [["LABEL_0", "LABEL_1"], ["toxic", "LABEL_1"], ["safe", "fine"]])
def test_labels_that_leave_doubt_are_refused(labels: list[str]) -> None:
    with pytest.raises(BadInput, match="which are unsafe does not follow"):
        unsafe_labels("m", labels, (), tags=False)


def test_a_label_that_is_not_there_is_named(classifier: Path) -> None:
    with pytest.raises(BadInput, match=r"no label 'toxics'\. Did you mean 'toxic'"):
        safety.hub(str(classifier), ["toxics"]).probabilities(["a"])


def test_a_model_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="could not be loaded"):
        safety.hub(str(tmp_path / "nothing")).probabilities(["a"])
