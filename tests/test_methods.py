"""`sprat methods`: what is installed, as the docstrings say it."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from sprat import methods
from sprat.cli import main


def test_the_docs_page_is_current() -> None:
    from sprat.methods import page

    written = Path(__file__).parent.parent / "docs" / "methods.md"
    assert written.read_text() == page(), "run `make docs`"


def test_a_paper_is_read_from_the_docstring() -> None:
    found = {m.name: m for m in methods()}
    assert (found["cascade"].papers, found["logprob"].needs, found["knn"].learns) == (("2305.05176",), "logprobs", True)


def test_the_json_is_a_list_of_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"name", "folder", "needs", "learns", "papers", "summary", "package"} == set(rows[0])


def plug(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = EntryPoint("theirs", value, "sprat")
    monkeypatch.setitem(methods.__globals__, "entry_points", lambda group: [point])


def test_a_third_partys_method_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, "trees:Hunch")
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "laws"))
    theirs = methods()[-1]
    assert (theirs.name, theirs.folder, theirs.package) == ("theirs", "signals", "trees:Hunch")


def test_a_plug_in_that_cannot_be_imported_is_listed_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, "nowhere_at_all:thing")
    assert methods()[-1].summary.startswith("cannot be imported: No module named")
