"""A certificate is of one way of working: the file beside it must hold that one."""

from __future__ import annotations

from pathlib import Path

import pytest

import sprat
from sprat.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = sprat.load("aquarium").take(range(600))
    found = sprat.study(rows, small="sprat", large="mackerel", keep=0.9, confidence=0.8)
    return found.save(tmp_path_factory.mktemp("study") / "out")


def test_what_the_study_saved_is_verified(folder: Path) -> None:
    assert main(["certify", "check", str(folder)]) == 0


def test_another_threshold_in_the_served_file_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "serve.toml"
    whole = path.read_text()
    path.write_text(whole.replace("at_least = [\n    0.", "at_least = [\n    0.9"))
    try:
        assert path.read_text() != whole
        assert main(["certify", "check", str(folder)]) == 1
    finally:
        path.write_text(whole)
    assert "not the way of working that was certified" in capsys.readouterr().out
