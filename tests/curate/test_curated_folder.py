"""A folder of curated data: what is in it, what is set aside, and second thoughts from its ledger."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from sprat.curate import corpus, curate, explain, opened, recipe, restore, summary, what_if
from sprat.errors import BadInput

GOOD = "The cat sat on the mat and it was happy to be with you. " * 2
RECIPE = recipe({"rule": [{"use": "gopher", "words": {"at_least": 5}}, {"use": "c4", "sentences": {"at_least": 1}}]})


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(r if isinstance(r, str) else json.dumps(r) + "\n" for r in rows))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    rows = [
        {"id": "good", "text": GOOD, "lang": "en"},
        {"id": "numbers", "text": "the 1000 2000 3000 4000 5000 of 6000 7000 that."},
        {"id": "short", "text": "that of 1000."},
        {"id": "edited", "text": f"Menu\n{GOOD}"},
    ]
    return curate([write(tmp_path / "a.jsonl", rows)], RECIPE, tmp_path / "out", workers=1)


def test_kept_rows_keep_their_other_columns(folder: Any) -> None:
    assert folder.rows(0, True)[0]["lang"] == "en"


def test_every_document_is_kept_or_dropped_with_its_reasons(folder: Any) -> None:
    assert {e.id: e.kept for e in folder.entries(0)} == {"good": True, "numbers": False, "short": False, "edited": True}
    assert [r["id"] for r in folder.rows(0, False)] == ["numbers", "short"]
    assert folder.entries(0)[1].reasons == ("gopher.alpha",)


def test_an_edit_keeps_the_line_that_stood_there(folder: Any) -> None:
    assert folder.entries(0)[3].edits[0] == (0, "c4.no_terminal_mark", "Menu")


def test_the_summary_counts_first_and_lone_reasons(folder: Any) -> None:
    found = summary(folder)
    assert (found.documents, found.kept, found.bad) == (4, 2, 0)
    assert (found.first["gopher.alpha"], found.alone["gopher.alpha"]) == (1, 1)
    assert (found.first["gopher.words"], found.alone["gopher.words"]) == (1, 0)


def test_explain_shows_every_limit_with_its_value(folder: Any) -> None:
    (found,) = explain(folder, "numbers")
    failed = [limit.score for limit, _, held in found.limits if not held]
    assert failed == ["gopher.alpha"]


def test_what_if_moves_a_limit_without_a_look_at_the_texts(folder: Any) -> None:
    for path in folder.path.glob("*/*.jsonl.gz"):
        path.unlink()
    found = what_if(folder, "alpha", at_least=0.1)
    assert (found.kept, found.kept_then, found.back, found.examples_back) == (2, 3, 1, ("numbers",))


def test_what_if_equals_a_new_run_under_that_limit(folder: Any, tmp_path: Path) -> None:
    moved = recipe(
        {"rule": [{"use": "gopher", "words": {"at_least": 20}}, {"use": "c4", "sentences": {"at_least": 1}}]}
    )
    again = curate([tmp_path / "a.jsonl"], moved, tmp_path / "again", workers=1)
    assert what_if(folder, "gopher.words", at_least=20).kept_then == summary(again).kept


def test_restore_keeps_what_nothing_else_dropped(folder: Any) -> None:
    assert restore(folder, ["alpha"]) == 1
    assert [r["id"] for r in folder.rows(0, True)] == ["good", "numbers", "edited"]
    assert folder.entries(0)[1].restored == ("gopher.alpha",)
    assert restore(folder, ["alpha"]) == 0


def test_a_restore_that_was_killed_half_way_is_finished_or_taken_back(folder: Any, monkeypatch: Any) -> None:
    real, moves = corpus.Path.exists, 0

    def killed(path: Path) -> bool:
        nonlocal moves
        if path.name.endswith(".next"):
            moves += 1
            if moves == 2:
                raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(corpus.Path, "exists", killed)
    with pytest.raises(KeyboardInterrupt):
        restore(folder, ["alpha"])
    monkeypatch.undo()
    again = opened(folder.path)
    assert [d.row["id"] for d in again.documents(0) if d.entry.kept] == ["good", "numbers", "edited"]
    assert not list(folder.path.rglob("*.next"))


def test_an_ambiguous_or_unknown_score_is_named(folder: Any) -> None:
    with pytest.raises(BadInput, match=r"Did you mean 'gopher.alpha'\?"):
        what_if(folder, "gopher.alhpa", at_least=0.1)


def test_explain_of_an_unknown_document(folder: Any) -> None:
    with pytest.raises(BadInput, match="No document"):
        explain(folder, "nobody")


def test_what_cannot_be_read_is_set_aside_with_its_line_and_why(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    rows = [b'{"text": "\xff\xfe"}', b"{not json", b"[1]", b'{"body": "x"}', b'{"text": 3}', b'{"text": "\\ud83d"}']
    path.write_bytes(b"\n".join([*rows, json.dumps({"text": GOOD}).encode()]) + b"\n" + b'{"text": "' + b"x" * 5000)
    folder = curate([path], RECIPE, tmp_path / "out", workers=1, longest=1000)
    found = list(folder.quarantined())
    assert [b.line for b in found] == [1, 2, 3, 4, 5, 6, 8]
    assert [b.why.split(",")[0] for b in found] == [
        "is not UTF-8",
        "is not JSON",
        "is not a JSON object",
        "has no 'text'",
        "has a 'text' that is no text but int",
        "has a 'text' with half a surrogate pair",
        ["has 5", "010 bytes; at most 1", "000 are read"][0],
    ]
    assert summary(folder).kept == 1


def test_a_truncated_gzip_gives_what_stood_before_the_cut(tmp_path: Path) -> None:
    import random

    draw = random.Random(0)
    rows = [json.dumps({"text": f"{GOOD} {draw.random()}"}) for _ in range(3000)]
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(rows).encode())[:-2000])
    folder = curate([path], RECIPE, tmp_path / "out", workers=1)
    assert summary(folder).documents > 1000
    assert "damaged or ends here" in list(folder.quarantined())[-1].why


def test_ids_that_repeat_are_all_explained(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"id": 1, "text": GOOD}, {"id": "1", "text": "short"}])
    folder = curate([path], RECIPE, tmp_path / "out", workers=1)
    assert [e.entry.kept for e in explain(folder, "1")] == [True, False]


def test_a_folder_of_another_recipe_is_refused(folder: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="of another recipe"):
        curate([tmp_path / "a.jsonl"], recipe("web"), folder.path, workers=1)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"text": GOOD}])
    with pytest.raises(BadInput, match="holds something else"):
        curate([path], RECIPE, tmp_path, workers=1)


def test_files_that_changed_since_are_refused(folder: Any, tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [{"text": GOOD}])
    with pytest.raises(BadInput, match="before a change"):
        curate([tmp_path / "a.jsonl"], RECIPE, folder.path, workers=1)


def test_an_unfinished_folder_is_not_explained(folder: Any) -> None:
    folder.told(finished=False)
    with pytest.raises(BadInput, match="not finished"):
        opened(folder.path)


def test_what_a_kill_left_half_written_goes_when_the_run_goes_on(folder: Any, tmp_path: Path) -> None:
    torn = folder.path / "ledger" / ".000000.parquet.next.abc.partial"
    torn.write_bytes(b"PAR1")
    curate([tmp_path / "a.jsonl"], RECIPE, folder.path, workers=1)
    assert not torn.exists()
