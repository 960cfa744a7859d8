"""A key in a file: its owner's alone, read again when it changes, and refused in a sentence that does not tell it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import sprat
from sprat.config import load_models
from sprat.endpoints.keys import read_key
from sprat.errors import BadInput

SECRET = "sk-in-a-file"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "key"
    made.write_text(f"{SECRET}\n")
    made.chmod(0o600)
    return made


def test_the_files_line_is_the_key(file: Path) -> None:
    model = sprat.openai("m", "http://localhost:1/v1", key_file=str(file), key_env="NOT_THIS")
    assert model._call(sprat.Request.of("hi"), "", False).headers["authorization"] == f"Bearer {SECRET}"


def test_anthropics_key_may_be_in_a_file_too(file: Path) -> None:
    model = sprat.anthropic("m", "http://localhost:1/v1", key_file=str(file))
    assert model._call(sprat.Request.of("hi"), "").headers["x-api-key"] == SECRET


def test_a_key_that_was_changed_is_read_again(file: Path) -> None:
    assert read_key("m", None, "", str(file)) == SECRET
    file.write_text("sk-the-next-one")
    assert read_key("m", None, "", str(file)) == "sk-the-next-one"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(BadInput, match=rf"mode {mode:o}, so others may read it\. Run: chmod 600") as found:
        read_key("m", None, "", str(file))
    assert SECRET not in str(found.value)


def test_a_mode_that_was_opened_later_is_noticed(file: Path) -> None:
    read_key("m", None, "", str(file))
    file.chmod(0o644)
    with pytest.raises(BadInput, match="others may read"):
        read_key("m", None, "", str(file))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_refused(file: Path) -> None:
    os.chown(file, 12345, 12345)
    with pytest.raises(BadInput, match="belongs to somebody else"):
        read_key("m", None, "", str(file))


@pytest.mark.parametrize(
    ("text", "said"), [("", "is empty"), ("two words", "no header can carry"), (None, "can't be read")]
)
def test_what_is_no_key_is_said(file: Path, text: str | None, said: str) -> None:
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(BadInput, match=said):
        read_key("m", None, "", str(file))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no file"):
        read_key("m", None, "", str(tmp_path))


def test_a_relative_path_is_beside_the_toml(file: Path) -> None:
    toml = file.parent / "models.toml"
    toml.write_text('[models.m]\nurl = "http://localhost:1/v1"\nkey_file = "key"\n')
    model: Any = load_models(toml)["m"]
    model.ready()
    assert model.key_file == str(file)
