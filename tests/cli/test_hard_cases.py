"""Hard cases through the real command: each ends in one clear sentence or an honest verdict, never in a traceback.

The studies here are small, try only the quickest candidates, draw no charts and simulate no number of rows needed,
except where a test starts a process of its own.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from made_calls import Row, rows, write
from quick_study import PAIR, QUICK, quicken
from sprat.cli import main
from sprat.config import load
from sprat.study import run

Study = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch, tmp_path)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must end with 2; gives the one sentence that it says."""

    def command(*arguments: object) -> str:
        assert main([str(a) for a in arguments]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("sprat: ")
        assert len(said.err.splitlines()) == 1, said.err
        return said.err

    return command


@pytest.fixture
def studied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Study:
    """Studies these rows by the command, --json; gives what it prints."""

    def command(made: list[Row], *more: object, pair: list[str] = PAIR) -> dict[str, Any]:
        path = write(tmp_path / "calls.jsonl", made)
        assert main(["study", str(path), *pair, "--json", *map(str, more)]) == 0
        said = capsys.readouterr()
        assert said.err == ""
        return json.loads(said.out)

    return command


def study(path: Path, *more: object) -> list[object]:
    return ["study", path, *PAIR, *more]


def test_an_empty_file(tmp_path: Path, refused: Callable[..., str]):
    (tmp_path / "empty.jsonl").write_text("")
    with gzip.open(tmp_path / "zipped.jsonl.gz", "wb"):
        pass
    (tmp_path / "header.csv").write_text("id,prompt,model,reply\n")
    assert "is empty. It needs at least one row" in refused(*study(tmp_path / "empty.jsonl"))
    assert "nothing in it" in refused(*study(tmp_path / "zipped.jsonl.gz"))
    assert "no row below its header" in refused(*study(tmp_path / "header.csv"))


def test_what_is_no_file_of_calls(tmp_path: Path, refused: Callable[..., str]):
    (tmp_path / "picture.png").write_bytes(bytes(range(256)) * 50)
    assert "none of the files that can be read" in refused(*study(tmp_path / "picture.png"))
    assert "There is no file" in refused(*study(tmp_path / "none.jsonl"))
    assert "Did you mean 'mmlu-pro'?" in refused("study", "mmlu-prp", *PAIR)


def test_one_model_only(tmp_path: Path, refused: Callable[..., str]):
    path = write(tmp_path / "calls.jsonl", rows(30, ("small",)))
    assert "only 'small' is recorded. Record the other model's calls too" in refused(*study(path))


def test_a_model_that_was_never_recorded_names_the_nearest(tmp_path: Path, refused: Callable[..., str]):
    path = write(tmp_path / "calls.jsonl", rows(30))
    said = refused("study", path, "--small", "smal", "--large", "large")
    assert "'smal' has no recorded calls in calls.jsonl. Did you mean 'small'?" in said
    assert "'small' is named twice" in refused("study", path, *PAIR, "--peers", "small")
    assert "Give --small and --large, of: small, large." in refused("study", path)


def test_a_missing_column_names_the_nearest(tmp_path: Path, refused: Callable[..., str]):
    made = [{("promt" if k == "prompt" else k): v for k, v in r.items()} for r in rows(30)]
    path = write(tmp_path / "calls.jsonl", made)
    said = refused(*study(path))
    assert "no column prompt or messages. Did you mean 'promt'? Say which it is with --columns prompt=COLUMN." in said


def test_mixed_scales_of_score(tmp_path: Path, refused: Callable[..., str]):
    mixed = [{**r, "score": r["score"] * (10 if r["model"] == "large" else 1)} for r in rows(60)]
    said = refused(*study(write(tmp_path / "calls.jsonl", mixed)))
    assert "mix scales of score: 'small' from 0 to 1, but 'large' from 0 to 10" in said
    assert "--bounds LOW,HIGH" in said


def test_a_score_that_is_nan_is_named_by_its_line(tmp_path: Path, refused: Callable[..., str]):
    made = [{**r, "score": float("nan") if i == 56 else r["score"]} for i, r in enumerate(rows(30))]
    path = write(tmp_path / "calls.jsonl", made)
    assert "calls.jsonl, line 57: the score is nan. Mend the line, or pass --skip-bad" in refused(*study(path))
    all_nan = write(tmp_path / "nan.jsonl", rows(30, score=float("nan")))
    assert "no usable row. Passed over: 60 because the score is nan" in refused(*study(all_nan, "--skip-bad"))


def test_a_large_file_with_one_bad_line(tmp_path: Path, refused: Callable[..., str]):
    path = write(tmp_path / "calls.jsonl", rows(4000))
    lines = path.read_text().splitlines()
    lines[7122] = lines[7122][:80]
    path.write_text("\n".join(lines))
    assert path.stat().st_size > 1.5e6
    assert "calls.jsonl, line 7123: " in refused(*study(path))


def test_bad_lines_that_are_skipped_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write(tmp_path / "calls.jsonl", rows(60))
    path.write_text(path.read_text() + '{"id": "half\n')
    assert main([str(a) for a in study(path, "--skip-bad", "--json")]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert any("Passed over: 1 because" in note for note in notes)


@pytest.mark.slow
def test_a_file_of_200_mb_with_one_bad_line(tmp_path: Path, refused: Callable[..., str], studied: Study):
    path, long = tmp_path / "calls.jsonl", "word " * 8000
    write(path, ({**r, "reply": r["reply"] + long} for r in rows(2500)))
    with path.open("a") as file:
        file.write('{"id": "half\n')
    assert path.stat().st_size > 200e6
    assert "calls.jsonl, line 5001: " in refused(*study(path))
    assert main([str(a) for a in study(path, "--skip-bad")]) == 0


@pytest.mark.parametrize("where", ["file/study", "file", "/proc/study", "/proc/none/study"])
def test_a_folder_that_cannot_be_written_fails_before_the_work(
    where: str, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(run, "study", lambda *_, **__: pytest.fail("the work was begun"))
    said = refused(*study(write(tmp_path / "calls.jsonl", rows(30)), "--out", where))
    assert f"{where} can't be written" in said
    assert "Give another folder with --out." in said


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--keep", "98"], "Keep .98 is 98 %"),
        (["--keep", "0.9", "--within", "2"], "Both --keep and --within were given"),
        (["--confidence", "95"], "0.95 is usual"),
        (["--max-p95", "1.2.3s"], "Such as 2s or 800ms"),
        (["--bounds", "1"], "Such as --bounds 1,10"),
        (["--columns", "prompt"], "Such as --columns prompt=question"),
        (["--grade", "exat"], "Did you mean 'exact'?"),
        (["--prices", "none.toml"], "none.toml"),
        (["--watch", "--keep", "0.9"], "Give --within POINTS"),
    ],
)
def test_an_option_that_makes_no_sense(option: list[str], said: str, tmp_path: Path, refused: Callable[..., str]):
    assert said in refused(*study(write(tmp_path / "calls.jsonl", rows(30)), *option))


def test_too_few_rows_or_independent_units(tmp_path: Path, refused: Callable[..., str]):
    few = write(tmp_path / "few.jsonl", rows(19))
    assert "19 rows have a score for every model asked about; a study needs at least 20" in refused(*study(few))
    tied = write(tmp_path / "tied.jsonl", [{**r, "unit": f"u{int(r['id']) % 3}"} for r in rows(60)])
    assert "60 rows make only 3 independent units; a study needs at least 20" in refused(*study(tied))


@pytest.mark.parametrize("n", [20, 40])
def test_few_rows_are_refused_with_what_to_collect_and_serve_large_alone(n: int, studied: Study):
    found = studied(rows(n))
    assert found["verdict"].startswith("Not shown: on ")
    assert found["shown"] is False
    advice = " ".join(found["advice"])
    assert "Collect about" in advice or "no way of working kept this promise" in advice
    assert any("Not tried, for want of rows: cascade on the answer's features" in note for note in found["notes"])
    assert repr(load("study/serve.toml")) == "openai('large')"


def test_all_ties_certify_the_small_one_where_the_rows_are_enough(studied: Study):
    tied = rows(400, score=1.0)
    assert studied(tied[:200], "--keep", ".98")["shown"] is False
    found = studied(tied, "--keep", ".98")
    assert found["certificate"]["certified"] == "small alone"
    assert found["ways"][0]["large"]["value"] == 0


def test_a_large_model_that_never_scores_is_no_reference(tmp_path: Path, refused: Callable[..., str]):
    said = refused(*study(write(tmp_path / "calls.jsonl", rows(40, score=0.0))))
    assert "The reference never scores above 0, so there is nothing to keep." in said


def test_a_dear_model_that_is_worse_is_not_served(studied: Study):
    made = rows(300)
    other = {(r["id"], r["model"]): r for r in made}
    swapped = [other[r["id"], "small" if r["model"] == "large" else "large"] for r in made]
    worse = [{**r, "score": s["score"], "reply": s["reply"]} for r, s in zip(made, swapped, strict=True)]
    assert studied(worse)["certificate"]["certified"] == "small alone"


def test_what_saves_nothing_is_not_certified_even_if_it_keeps_the_promise(studied: Study):
    never_right = [{**r, "score": 0.0 if r["model"] == "small" else r["score"]} for r in rows(200)]
    found = studied(never_right, "--keep", "0.9")
    assert found["shown"] is False
    assert found["certificate"]["certified"] is None


def test_an_unknown_price_is_named_and_savings_are_counted_in_calls(studied: Study):
    found = studied(rows(150, cost=None), "--keep", "0.9")
    assert any("Price unknown: small, large. Savings are counted in calls to large." in n for n in found["notes"])
    assert found["unit"] == "calls to large"
    assert all(way["cost"] is None for way in found["ways"])


def test_a_price_known_for_some_calls_counts_as_unknown_and_says_so(studied: Study):
    some = [{**r, "cost": None if r["model"] == "large" and int(r["id"]) % 40 == 7 else r["cost"]} for r in rows(100)]
    notes = " ".join(studied(some)["notes"])
    assert "Some calls of large have no cost, so theirs counts as unknown." in notes
    assert "Price unknown: large." in notes


def test_a_large_model_that_costs_nothing_is_saved_in_calls(studied: Study):
    found = studied(rows(100, cost=0.0))
    assert "large costs nothing, so savings are counted in calls to it." in found["notes"]


def test_without_targets_quality_is_agreement_not_correctness(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write(tmp_path / "calls.jsonl", rows(60, target=None, score=None))
    assert main([str(a) for a in study(path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "quality = agreement with large, not correctness" in shown


def test_neither_scores_nor_texts(tmp_path: Path, refused: Callable[..., str]):
    path = write(tmp_path / "calls.jsonl", rows(30, target=None, score=None, reply=None))
    assert "No reply of 'large' has a text to agree with. Record its replies." in refused(*study(path))


def test_scores_alone_are_enough_for_routes(studied: Study):
    found = studied(rows(150, reply=None, target=None), "--keep", "0.9")
    assert not any("cascade" in way["name"] for way in found["ways"])
    assert found["quality"] == "score"


def test_unknown_seconds_are_not_known_to_be_fast(studied: Study):
    found = studied(rows(100, seconds=None), "--keep", "0.9", "--max-p95", "2s")
    said = " ".join(found["advice"])
    assert found["shown"] is False
    assert "seconds are missing for small, large, and an unknown time is not known to be short" in said
    assert "Whether large alone answers within 2 s is not known" in said


def test_a_large_model_slower_than_allowed_says_so(studied: Study):
    said = " ".join(studied(rows(100), "--keep", "0.98", "--max-p95", "1s")["advice"])
    assert "large alone takes 1.7" in said
    assert "not 1." in said


def test_replies_that_are_tool_calls_are_compared_by_name_and_arguments(studied: Study):
    def called(row: Row) -> Row:
        function = {"name": "pick", "arguments": json.dumps({"choice": row["reply"]})}
        plain = {k: v for k, v in row.items() if k not in ("reply", "score", "target")}
        return {**plain, "tool_calls": [{"id": "1", "type": "function", "function": function}]}

    found = studied([called(r) for r in rows(100)])
    assert found["quality"] == "agreement with large, not correctness"
    assert any("cascade on the answer's features" in way["name"] for way in found["ways"])


def later(row: Row) -> Row:
    """The row as the second turn of a conversation."""
    before = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "yes?"}]
    plain = {k: v for k, v in row.items() if k != "prompt"}
    return {**plain, "messages": [*before, {"role": "user", "content": row["prompt"]}]}


def test_rows_of_one_thread_are_one_unit(studied: Study):
    found = studied([{**r, "thread": f"t{int(r['id']) // 2}"} for r in rows(120)])
    assert (found["rows"], found["units"]) == (120, 60)
    assert found["certificate"]["units"] < found["certificate"]["rows"]


def test_later_turns_are_left_out_and_counted(tmp_path: Path, refused: Callable[..., str], studied: Study):
    found = studied([later(r) if int(r["id"]) % 4 == 0 else r for r in rows(100)])
    assert found["rows"] == 75
    assert any("25 later turns of conversations left out" in note for note in found["notes"])
    every = write(tmp_path / "later.jsonl", map(later, rows(40)))
    assert "Every row is a later turn of a conversation" in refused(*study(every))


def test_an_id_that_stands_for_two_prompts_is_named_by_its_line(tmp_path: Path, refused: Callable[..., str]):
    made = rows(30)
    path = write(tmp_path / "calls.jsonl", [*made, {**made[-1], "id": "0", "model": "large"}])
    assert "line 61: the id '0' already stands for another prompt" in refused(*study(path))


def test_names_and_texts_of_any_script(studied: Study):
    names = {"small": "petit-é", "large": "大"}
    made = [{**r, "model": names[r["model"]], "prompt": f"¿東京 🦈 \u202e {r['prompt']}"} for r in rows(80)]
    found = studied(made, pair=["--small", "petit-é", "--large", "大"])
    assert (found["small"], found["large"]) == ("petit-é", "大")
    assert "大" in Path("study/serve.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("stage", ["sprat.study.run:try_all", "sprat.study.report.save:page"])
def test_ctrl_c_leaves_the_earlier_study_whole(stage: str, tmp_path: Path):
    write(tmp_path / "calls.jsonl", rows(60))
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "serve.toml").write_text("old")
    module, _, name = stage.partition(":")
    code = f"""
import sys, pathlib, importlib, time
from sprat.cli import main
from sprat.study import promises, run
every = run.propose
run.propose = lambda *a: [c for c in every(*a) if any(q in c.name for q in {QUICK!r})]
promises.rows_needed = lambda *_, **__: 250
module = importlib.import_module({module!r})
real = module.{name}
def begun(*a, **k):
    pathlib.Path("begun").touch()
    time.sleep(0.3)
    return real(*a, **k)
module.{name} = begun
sys.exit(main({["study", "calls.jsonl", *PAIR]!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.decode()) == (130, "sprat: interrupted\n")
    assert [(p.name, p.read_text()) for p in (tmp_path / "study").iterdir()] == [("serve.toml", "old")]
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "cache") == ["begun", "calls.jsonl", "study"]
