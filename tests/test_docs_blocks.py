"""The Python blocks of these pages of the guide run as they stand, each in a namespace of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
PAGES = ("calibration", "energy", "factuality", "judging", "marks", "nli", "safety", "scores")
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{i}")
    for page in (DOCS / f"{name}.md" for name in PAGES)
    for i, block in enumerate(re.findall(r"(?ms)^```python\n(.*?)^```", page.read_text()), 1)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_runs_as_written(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "block", "exec"), {})
