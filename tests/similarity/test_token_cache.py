from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tokens_by_hand import ByHand

from sprat.errors import BadInput
from sprat.similarity import cached, token_cache
from sprat.similarity.token_vectors import Tokens

TEXTS = ["north", "east north", "", "west"]


@pytest.fixture(autouse=True)
def fresh() -> None:
    token_cache.forget()


def same(a: list[Tokens], b: list[Tokens]) -> bool:
    return all(np.array_equal(x, y) for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True))


def test_a_hit_is_the_miss_to_the_bit_also_from_the_file(tmp_path: Path) -> None:
    encoder = ByHand()
    cache = cached(encoder, tmp_path / "c.sqlite")
    missed = cache.tokens(TEXTS)
    held = cache.tokens(TEXTS)
    token_cache.forget()
    assert same(missed, held)
    assert same(missed, cache.tokens(TEXTS))
    assert encoder.asked == TEXTS


def test_another_encoder_finds_nothing(tmp_path: Path) -> None:
    cached(ByHand(), tmp_path / "c.sqlite").tokens(TEXTS)
    other = ByHand(name="another")
    cached(other, tmp_path / "c.sqlite").tokens(TEXTS)
    assert other.asked == TEXTS


def test_no_text_is_stored(tmp_path: Path) -> None:
    cached(ByHand(), tmp_path / "c.sqlite").tokens(["northeast"])
    assert b"northeast" not in (tmp_path / "c.sqlite").read_bytes()


def test_the_file_stays_within_its_limit_and_the_newest_stay(tmp_path: Path) -> None:
    path, limit = tmp_path / "c.sqlite", 200_000
    for i in range(40):
        cached(ByHand(), path, limit=limit).tokens([" ".join(["north"] * (500 + i))])
    assert path.stat().st_size < 2 * limit
    with sqlite3.connect(path) as db:
        assert 0 < db.execute("SELECT count(*) FROM kept").fetchone()[0] < 40
    token_cache.forget()
    encoder = ByHand()
    cached(encoder, path, limit=limit).tokens([" ".join(["north"] * 539)])
    assert encoder.asked == []


def test_a_row_that_is_cut_short_counts_as_absent(tmp_path: Path) -> None:
    path, encoder = tmp_path / "c.sqlite", ByHand()
    cached(encoder, path).tokens(["north"])
    with sqlite3.connect(path) as db:
        db.execute("UPDATE kept SET row = substr(row, 1, 7)")
    token_cache.forget()
    cached(encoder, path).tokens(["north"])
    assert encoder.asked == ["north", "north"]


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    cache = cached(ByHand(), tmp_path / "c.sqlite")
    texts = [" ".join(["north"] * n) for n in range(1, 60)]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(cache.tokens, [texts[i:] for i in range(0, 40, 10)]):
            assert len(found) >= 29
    with sqlite3.connect(tmp_path / "c.sqlite") as db:
        assert db.execute("SELECT count(*) FROM kept").fetchone() == (59,)


def test_a_file_that_is_no_cache_is_said(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_text("something else, long enough to be read as a header of a database file" * 40)
    with pytest.raises(BadInput, match="cache of token vectors"):
        cached(ByHand(), tmp_path / "c.sqlite").tokens(["north"])
