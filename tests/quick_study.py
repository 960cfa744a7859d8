"""Makes studies quick for tests of the command: few candidates, no charts drawn, no number of rows simulated."""

from __future__ import annotations

from pathlib import Path

import pytest

from sprat.study import promises, run
from sprat.study.report import save

QUICK = ("alone", "by chance", "by prompt length", "ridge on the gain", "answer's features")
PAIR = ["--small", "small", "--large", "large"]


class Blank:
    """Stands for a chart."""

    svg = inline = "<svg></svg>"
    png = b""
    words = ""


def quicken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    every = run.propose
    monkeypatch.setattr(run, "propose", lambda *a: [c for c in every(*a) if any(q in c.name for q in QUICK)])
    monkeypatch.setattr(save, "drawings", lambda _: dict.fromkeys(save.CHARTS, Blank))
    monkeypatch.setattr(promises, "rows_needed", lambda *_, **__: 250)
    monkeypatch.setenv("SPRAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
