"""Models compared on recorded replies: rates, bias, length and cost by hand; and the commands around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sprat import config, judging, toy
from sprat.cli import main
from sprat.core import Reply, Request
from sprat.data import Call, Dataset, Example
from sprat.errors import BadInput


def data(n: int = 20) -> Dataset:
    """Model good is right in all rows, mid in half, bad never; replies of bad are the longest."""
    rows = []
    for i in range(n):
        said = {"good": "right", "mid": "right " if i % 2 else "wrong  ", "bad": "wrong and long"}
        calls = tuple(Call(m, Reply(t + "." * (i % 3), m)) for m, t in said.items())
        rows.append(Example(str(i), Request.of(f"question {i}"), None, calls))
    return Dataset(tuple(rows), "made")


class Reader:
    """Prefers whatever says right, at no cost."""

    name = "reader"

    def many(self, pairs, tell=None):
        good = [("right" in a, "right" in b) for _, a, b in pairs]
        sides = ["tie" if a == b else "a" if a else "b" for a, b in good]
        return [judging.Verdict(s, 1.0, (s, s), ((s,), (s,))) for s in sides]


def test_rates_by_hand_with_ties_as_half() -> None:
    found = judging.compare(data(), Reader(), ["good", "mid", "bad"], times=50)
    one, two, three = found.pairs
    assert (one.win_rate.value, two.win_rate.value, three.win_rate.value) == (0.75, 1.0, 0.75)
    assert (one.ties.value, one.decided.value, one.decided.n) == (0.5, 1.0, 10)
    assert two.longer.value == 0.0
    assert [s.model for s in found.strengths] == ["good", "mid", "bad"]


def test_a_judge_of_places_is_found_out() -> None:
    found = judging.compare(data(), judging.pairwise(toy("u", "Verdict: B", cost=0.5)), ["good", "bad"], times=50)
    (pair,) = found.pairs
    assert (pair.second.value, pair.first.value, pair.win_rate.value, pair.confidence) == (1.0, 0.0, 0.5, 0.0)
    assert (found.calls, found.cost) == (40, 20.0)


def test_a_judge_that_can_not_be_read_is_refused_with_what_it_said() -> None:
    with pytest.raises(BadInput, match="20 of 20 verdicts of judge u can't be read; one says: hm"):
        judging.compare(data(), judging.pairwise(toy("u", "hm")), ["good", "bad"])


def test_few_unreadable_verdicts_are_left_out_and_counted() -> None:
    def said(request: Request) -> str:
        return "hm" if "question 3\n" in request.text else "Verdict: tie"

    found = judging.compare(data(), judging.pairwise(toy("u", said)), ["good", "bad"], times=50)
    assert (found.pairs[0].n, found.pairs[0].unread, found.unread_calls) == (19, 1, 2)


def test_rows_without_both_replies_are_not_compared() -> None:
    with pytest.raises(BadInput, match="on 4 rows; 5 are needed"):
        judging.compare(data(4), Reader(), ["good", "bad"])


def test_too_few_rows_are_refused_before_a_call_is_paid_for() -> None:
    asked: list[Request] = []
    judge = judging.pairwise(toy("u", lambda request: asked.append(request) or "Verdict: A"))
    with pytest.raises(BadInput, match="on 3 rows; 5 are needed"):
        judging.compare(data(3), judge, ["good", "bad"])
    assert not asked


def test_a_rate_that_length_explains_is_remarked() -> None:
    rows = []
    for i in range(40):
        said = {"a": "x" * (30 + i % 3), "b": "y" * (5 if i % 5 else 60)}
        calls = tuple(Call(m, Reply(t, m)) for m, t in said.items())
        rows.append(Example(str(i), Request.of(f"question {i}"), None, calls))
    longer = judging.compare(Dataset(tuple(rows)), judging.LengthJudge(), ["a", "b"], times=50)
    assert "too closely together to trust either alone" in longer.notes[-1]


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match="'god' has no recorded calls"):
        judging.compare(data(), Reader(), ["god", "bad"])


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    rows = [
        {"id": e.id, "prompt": e.request.text, "model": c.model, "reply": c.reply.text} for e in data() for c in e.calls
    ]
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def test_the_command_compares_and_writes_its_rows(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--judge", "longer", "--pairwise", "good,bad", "--scores", str(calls.with_name("rows.jsonl")), "--json"]
    assert main(["evaluate", str(calls), *more]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["judge"], found["pairs"][0]["win_rate"]["value"]) == ("longer", 0.0)
    assert len(calls.with_name("rows.jsonl").read_text().splitlines()) == 20


def test_the_table_shows_every_rate_with_an_interval(
    calls: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["evaluate", str(calls), "--judge", "shorter", "--pairwise", "good,bad,mid"]) == 0
    out = capsys.readouterr().out
    assert "Bradley-Terry" in out
    assert "100.0 % [83.9, 100.0]" in " ".join(out.replace("│", " ").split())


def test_a_judge_is_trained_and_used_by_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], calls: Path
) -> None:
    folder = tmp_path / "liked"
    folder.mkdir()
    rows = [{"prompt": f"q{i}", "a": "1 + 1 = 2", "b": "words " * (i % 4 + 1), "preferred": "a"} for i in range(80)]
    (folder / "liked.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    judge = str(tmp_path / "judge.toml")
    assert main(["evaluate", "train-judge", "--set", str(folder), "--to", judge, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["held_out"][0]["accuracy"]["value"] > 0.9
    assert main(["evaluate", "judge-the-judge", "--set", str(folder), "--judge", f"{judge},longer"]) == 0
    assert "agrees" in capsys.readouterr().out
    assert main(["evaluate", str(calls), "--judge", judge, "--pairwise", "good,bad"]) == 0


def saved(folder: Path, said: str) -> str:
    """A file whose model always says this."""
    config.dump(toy("umpire", said, cost=0.5), folder / "umpire.toml")
    return str(folder / "umpire.toml")


def test_a_judging_model_of_places_is_shown_up_by_the_command(
    calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--judge", saved(tmp_path, "Verdict: B"), "--pairwise", "good,bad", "--json"]
    assert main(["evaluate", str(calls), *more]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pairs"][0]["second"]["value"] == 1.0
    assert (found["cost"], found["calls"]) == (0.5 * found["calls"], found["calls"])


def test_without_pairs_the_command_grades_every_reply(
    calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("Only politeness counts.")
    more = ["--judge", saved(tmp_path, "Score: 5"), "--rubric", str(rubric), "--json"]
    assert main(["evaluate", str(calls), *more]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {(line["model"], line["mean"]) for line in found["scores"]} == {("good", 0.5), ("mid", 0.5), ("bad", 0.5)}
    assert any("which no model's cost includes" in note for note in found["notes"])


@pytest.mark.parametrize(
    "more",
    [
        ["--pairwise", "good,bad"],
        ["--judge", "longer", "--pairwise", "good"],
        ["--judge", "tiny:sprat", "--pairwise", "good,bad", "--draws", "0"],
        ["--judge", "tiny:sprat", "--pairwise", "good,bad", "--weighted"],
    ],
)
def test_what_can_not_be_compared_is_said(calls: Path, more: list[str]) -> None:
    assert main(["evaluate", str(calls), *more]) == 2


@pytest.mark.parametrize("judge", ["shorter", "judge.toml"])
def test_what_only_compares_is_not_asked_for_grades(
    judge: str, calls: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(calls.parent)
    Path("judge.toml").write_text('use = "pairrank"\n')
    assert main(["evaluate", str(calls), "--judge", judge]) == 2
    assert "Add --pairwise a,b." in capsys.readouterr().err


def test_strengths_of_few_prompts_and_of_who_won_all_are_said_to_be_unsure() -> None:
    notes = judging.compare(data(), Reader(), ["good", "mid", "bad"], times=50).notes
    assert any("20 prompts: fewer than 30" in n for n in notes)
    assert not any("won every comparison" in n for n in notes)
    always = judging.compare(data(40), judging.LengthJudge(True), ["good", "mid", "bad"], times=50).notes
    assert any("won every comparison" in n for n in always)
    assert not any("fewer than 30" in n for n in always)
