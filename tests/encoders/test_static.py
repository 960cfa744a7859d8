"""Laws of the embedded encoder."""

from __future__ import annotations

import io
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sprat.encoders import Encoder, StaticEncoder
from sprat.encoders.static import EMBEDDED
from sprat.errors import BadInput

ENCODER = StaticEncoder()
TEXTS = st.lists(st.text(max_size=80), min_size=1, max_size=40)


def test_is_an_encoder() -> None:
    assert isinstance(ENCODER, Encoder)


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_rows_have_length_one(texts: list[str]) -> None:
    rows = ENCODER.encode(texts)
    assert rows.shape == (len(texts), ENCODER.dim)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)


@given(TEXTS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_a_row_does_not_depend_on_its_neighbours(texts: list[str], random) -> None:
    order = random.sample(range(len(texts)), len(texts))
    together = ENCODER.encode([texts[i] for i in order])
    alone = np.concatenate([ENCODER.encode([texts[i]]) for i in order])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_pairs_do_not_reach_into_the_next_text() -> None:
    split = ENCODER.encode(["united", "states"])
    np.testing.assert_allclose(split[0], ENCODER.encode(["united"])[0], atol=1e-6)
    np.testing.assert_allclose(split[1], ENCODER.encode(["states"])[0], atol=1e-6)


def test_another_process_gives_the_same_bits() -> None:
    code = "from sprat.encoders import StaticEncoder; print(StaticEncoder().encode(['A café, twice?']).tobytes().hex())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == ENCODER.encode(["A café, twice?"]).tobytes().hex()


def test_no_texts_give_no_rows() -> None:
    assert ENCODER.encode([]).shape == (0, ENCODER.dim)


def test_texts_without_words_share_one_row() -> None:
    rows = ENCODER.encode(["", "  \n\t"])
    np.testing.assert_array_equal(rows[0], rows[1])


def test_other_scripts_and_lone_surrogates_are_encoded() -> None:
    rows = ENCODER.encode(["你好世界", "привет мир", "مرحبا", "🦐🐟", "\ud800", "e\u0301"])
    assert np.isfinite(rows).all()
    assert abs(float(rows[0] @ rows[1])) < 0.999


def test_accents_and_case_do_not_matter() -> None:
    rows = ENCODER.encode(["Café CRÈME", "cafe creme"])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)


def test_a_very_long_text_is_encoded() -> None:
    row = ENCODER.encode(["The court held that the contract was void. " * 5000])[0]
    assert abs(float(np.linalg.norm(row)) - 1) < 1e-5


def test_what_means_alike_lies_closer() -> None:
    a, b, c = ENCODER.encode(
        ["How do I reset my password?", "I forgot my login code", "The capital of France is Paris"]
    )
    assert a @ b > a @ c + 0.2


def test_one_string_is_refused_with_the_way_out() -> None:
    with pytest.raises(BadInput, match=r"encode\(\[text\]\)"):
        ENCODER.encode("one")


def test_an_item_that_is_no_text_is_named() -> None:
    with pytest.raises(BadInput, match="item 1 is int"):
        ENCODER.encode(["a", 2])  # type: ignore[list-item]


def test_missing_and_broken_weights_are_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no encoder weights"):
        StaticEncoder(tmp_path / "none.npz").encode(["a"])
    broken = tmp_path / "broken.npz"
    broken.write_bytes(EMBEDDED.read_bytes()[:1000])
    with pytest.raises(BadInput, match="not a file of static encoder weights"):
        StaticEncoder(broken).encode(["a"])


def test_the_weights_take_at_most_three_megabytes() -> None:
    assert sum(p.stat().st_size for p in EMBEDDED.parent.iterdir() if p.is_file()) <= 3_000_000


def test_the_weights_hold_no_pickle() -> None:
    with zipfile.ZipFile(EMBEDDED) as archive:
        for member in archive.namelist():
            array = np.lib.format.read_array(io.BytesIO(archive.read(member)), allow_pickle=False)
            assert array.dtype != object


def test_the_table_is_int8() -> None:
    with np.load(EMBEDDED, allow_pickle=False) as found:
        assert {found[k].dtype for k in ("table", "linear", "inner", "outer")} == {np.dtype(np.int8)}


def test_importing_the_room_loads_numpy_at_most() -> None:
    code = "import sys, sprat.encoders; print([m for m in ('torch','scipy','sklearn','sqlite3') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.slow
def test_ten_thousand_short_prompts_take_a_second_of_one_core() -> None:
    texts = [f"What is the capital of country number {i}, and why?" for i in range(10_000)]
    ENCODER.encode(texts[:10])
    began = time.thread_time()  # not wall time: the machine may be shared
    ENCODER.encode(texts)
    assert time.thread_time() - began < 1.0
