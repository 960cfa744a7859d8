"""The cache: the same bits on a hit, many writers, nothing half done."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from sprat.encoders import StaticEncoder, TfidfEncoder, cached
from sprat.encoders.protocol import Rows
from sprat.encoders.store import cache_folder
from sprat.errors import BadInput


@dataclass(frozen=True)
class Counting:
    """Passes texts on and writes down which."""

    inner: TfidfEncoder = field(default_factory=lambda: TfidfEncoder(dim=32))
    seen: list[str] = field(default_factory=list)
    fail_on: str = ""

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def dim(self) -> int:
        return self.inner.dim

    def encode(self, texts: Sequence[str]) -> Rows:
        if self.fail_on in texts:
            raise RuntimeError("broke half way")
        self.seen.extend(texts)
        return self.inner.encode(texts)


def test_a_hit_has_the_bits_of_the_miss(tmp_path: Path) -> None:
    encoder = cached(StaticEncoder(), tmp_path / "c.sqlite")
    texts = ["one", "two", "one", "\ud800", ""]
    first = encoder.encode(texts)
    np.testing.assert_array_equal(first, encoder.encode(texts))
    np.testing.assert_array_equal(first, StaticEncoder().encode(texts))


def test_only_what_is_new_is_encoded_and_once(tmp_path: Path) -> None:
    inner = Counting()
    encoder = cached(inner, tmp_path / "c.sqlite")
    encoder.encode(["a", "b", "a"])
    encoder.encode(["b", "c"])
    assert inner.seen == ["a", "b", "c"]


def test_another_encoder_does_not_see_the_rows(tmp_path: Path) -> None:
    first, second = Counting(), Counting(TfidfEncoder(dim=16))
    cached(first, tmp_path / "c.sqlite").encode(["a"])
    assert cached(second, tmp_path / "c.sqlite").encode(["a"]).shape == (1, 16)


def test_half_rows_are_the_same_on_hit_and_miss(tmp_path: Path) -> None:
    encoder = cached(TfidfEncoder(dim=32), tmp_path / "c.sqlite", half=True)
    np.testing.assert_array_equal(encoder.encode(["some words"]), encoder.encode(["some words"]))


def test_a_failing_encoder_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        cached(Counting(fail_on="b"), tmp_path / "c.sqlite").encode(["a", "b"])
    again = Counting()
    cached(again, tmp_path / "c.sqlite").encode(["a"])
    assert again.seen == ["a"]


def test_a_row_of_another_length_counts_as_absent(tmp_path: Path) -> None:
    encoder = cached(TfidfEncoder(dim=32), tmp_path / "c.sqlite")
    first = encoder.encode(["a"])
    with sqlite3.connect(tmp_path / "c.sqlite") as db:
        db.execute("UPDATE kept SET row = x'00'")
    db.close()
    np.testing.assert_array_equal(encoder.encode(["a"]), first)


def test_more_texts_than_sqlite_has_variables(tmp_path: Path) -> None:
    encoder = cached(TfidfEncoder(dim=8), tmp_path / "c.sqlite")
    texts = [f"text {i}" for i in range(1300)]
    np.testing.assert_array_equal(encoder.encode(texts), encoder.encode(texts))


def test_no_texts_give_no_rows(tmp_path: Path) -> None:
    assert cached(TfidfEncoder(dim=8), tmp_path / "c.sqlite").encode([]).shape == (0, 8)


def test_threads_write_at_once(tmp_path: Path) -> None:
    encoder = cached(TfidfEncoder(dim=8), tmp_path / "c.sqlite")
    parts = [[f"{i % 7} {j}" for j in range(40)] for i in range(16)]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(encoder.encode, parts))
    for part, row in zip(parts, rows, strict=True):
        np.testing.assert_array_equal(row, TfidfEncoder(dim=8).encode(part))


def test_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    code = (
        "import sys; from pathlib import Path; from sprat.encoders import TfidfEncoder, cached;"
        "[cached(TfidfEncoder(dim=8), Path(sys.argv[1])).encode([f'{i} {j}' for j in range(9)]) for i in range(20)]"
    )
    running = [subprocess.Popen([sys.executable, "-W", "error", "-c", code, str(path)]) for _ in range(3)]
    assert [p.wait(60) for p in running] == [0, 0, 0]
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM kept").fetchone() == (180,)
    db.close()


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"nonsense" * 400)
    with pytest.raises(BadInput, match=r"c\.sqlite cannot be used"):
        cached(TfidfEncoder(dim=8), tmp_path / "c.sqlite").encode(["a"])


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPRAT_CACHE", str(tmp_path))
    assert cached(TfidfEncoder()).path == tmp_path / "encoders.sqlite"
    monkeypatch.delenv("SPRAT_CACHE")
    assert cache_folder().name == "sprat"
