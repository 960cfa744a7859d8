"""Judging metrics by a set that is made by hand: the metric that people agree with wins, and says by how much."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sacrebleu

from sprat.cli import main
from sprat.core import Reply, Request
from sprat.data import Call, Dataset, Example
from sprat.errors import BadInput
from sprat.measure.grade import grade
from sprat.measure.lexical import bleu
from sprat.measure.meta_evaluation import correlated
from sprat.measure.resampling import wilson
from sprat.study.judging import _behind, judge_the_judges

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "then", "ran", "away", "from", "dogs", "that", "came", "in"]


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """People mark how many of the reference's words are there; the order they do not mind."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(20):
        systems = []
        for s in range(5):
            kept = [w for w in WORDS if rng.uniform() < 0.3 + 0.15 * s]
            rng.shuffle(kept)
            text = " ".join(kept) or "x"
            systems.append({"system": f"s{s}", "text": text, "scores": {"content": len(kept), "none": None}})
        rows.append({"id": str(i), "ref": " ".join(WORDS), "systems": systems})
    folder = tmp_path / "judged"
    folder.mkdir()
    (folder / "made.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    pairs = [{"ref": "a b c d", "better": "b c", "worse": "b x"}, {"ref": "b c", "better": "x", "worse": "y"}]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pairs * 10))
    return folder


def test_the_metric_that_counts_words_is_the_best(judged: Path):
    made = judge_the_judges(str(judged), ["rouge1:recall", "rouge2"], 50)
    recall, order = (a for a in made if a.quality == "content")
    assert recall.behind is None
    assert order.behind is not None
    assert order.behind < 0.01


def test_the_best_of_equal_metrics_is_seldom_said_to_be_better():
    named = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        human = rng.normal(size=(30, 8)) + 1.5 * rng.normal(size=(30, 1))
        scores = {f"m{k}": 0.6 * human + rng.normal(size=(30, 8)) + rng.normal(size=(30, 1)) for k in range(5)}
        pearson = {m: correlated(human, s, "segment", "pearson", times=20) for m, s in scores.items()}
        best = max(scores, key=lambda m: pearson[m].value)
        named += min(_behind(human, scores, pearson, best).values()) < 0.05
    assert named <= 5  # 2 expected at most; each pair alone, rows taken as independent, names some in most


def test_the_best_metric_has_the_higher_correlation_and_accuracy(judged: Path):
    made = judge_the_judges(str(judged), ["rouge1:recall", "rouge2"], 50)
    recall, order = (a for a in made if a.quality == "content")
    first, second = (a.correlations["segment, pearson"] for a in (recall, order))
    assert first is not None
    assert second is not None
    assert first.value > second.value
    assert recall.accuracy > order.accuracy


def test_a_quality_that_nobody_marked_is_left_out(judged: Path):
    assert "none" not in {a.quality for a in judge_the_judges(str(judged), ["f1"], 50)}


def test_a_folder_that_is_not_there_is_refused(judged: Path):
    with pytest.raises(BadInput):
        list(judge_the_judges(str(judged / "nothing"), ["f1"], 50))


def test_a_wrong_name_is_told_the_judged_sets_alone(judged: Path, monkeypatch: pytest.MonkeyPatch):
    root = judged.parent / "data"
    root.mkdir()
    judged.rename(root / "made")
    for name, text in (
        ("questions", '{"question": "2+2?", "answer": "4"}\n'),
        ("prefs", '[{"prompt": "q", "a": "x", "b": "y", "preferred": "a"}]'),
        ("broken", "{"),
    ):
        (root / name).mkdir()
        (root / name / "rows.json").write_text(text)
    monkeypatch.setenv("SPRAT_DATA", str(root))
    with pytest.raises(BadInput, match=r"no judged set 'nowhere'\. Known: made, prefs\."):
        list(judge_the_judges("nowhere"))


def test_taus_of_pairs_count_a_tie_as_lost(judged: Path):
    (found,) = [a for a in judge_the_judges(str(judged), ["f1"], 50) if a.set == "pairs"]
    assert found.correlations["segment, kendall"].value == pytest.approx(0.0)
    assert found.accuracy == 0.5


@pytest.mark.parametrize("metric", ["bleu", "chrf", "chrf++", "rouge1", "rougeL:precision"])
def test_a_copy_of_the_reference_has_the_full_score(metric: str):
    reply = Reply("The cat sat on the mat today.", "m")
    data = Dataset((Example("1", Request.of("q"), reply.text, (Call("m", reply),)),))
    assert grade(data, metric).scores(["m"])[0, 0] == pytest.approx(1)


def test_bleu_is_sacrebleus():
    text, refs = "the cat is on a mat", ["the cat sat on the mat", "a cat is on the mat"]
    assert bleu(text, refs) == pytest.approx(sacrebleu.sentence_bleu(text, refs).score / 100)


def test_the_command_prints_a_table_and_json(judged: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["evaluate", "judge-the-judge", "--set", str(judged), "--with", "f1"]) == 0
    assert "made: content (20 documents)" in capsys.readouterr().out
    assert main(["evaluate", "judge-the-judge", "--set", str(judged), "--with", "f1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {a["quality"] for a in found} == {"content", "preference"}


@pytest.mark.parametrize("more", [[], ["--set", "no_such_set"], ["--set", ".", "--with", "f1"]])
def test_what_can_not_be_judged_is_said(more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "judge-the-judge", *more]) == 2


def marked(folder: Path, *systems: dict[str, object]) -> str:
    (folder / "set").mkdir()
    rows = [{"ref": f"the cat {i}", "systems": list(systems)} for i in range(6)]
    (folder / "set" / "made.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(folder / "set")


def test_systems_without_names_are_told_apart_by_their_place(tmp_path: Path):
    named = marked(tmp_path, {"text": "the cat", "scores": {"q": 2}}, {"text": "a dog", "scores": {"q": 1}})
    (found,) = judge_the_judges(named, ["f1"], 50)
    assert found.accuracy == 1


@pytest.mark.parametrize(
    "system",
    [{"text": "no marks"}, {"scores": {"q": 1}}, {"system": "a", "text": "twice a", "scores": {}}],
)
def test_a_row_that_lacks_something_is_refused_by_its_line(tmp_path: Path, system: dict[str, object]):
    named = marked(tmp_path, {"system": "a", "text": "the cat", "scores": {"q": 2}}, system)
    with pytest.raises(BadInput, match=r"made\.jsonl, line 1 is no judged row"):
        list(judge_the_judges(named, ["f1"], 50))


def test_a_mark_that_is_no_number_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    texts = [{"text": "the cat", "scores": {"q": 2}}, {"text": "a dog", "scores": {"q": 1}}]
    named = marked(tmp_path, *texts, {"text": "x", "scores": {"q": float("nan")}})
    assert main(["evaluate", "judge-the-judge", "--set", named, "--with", "f1"]) == 0
    assert "6 texts have no mark of this quality and are left out." in capsys.readouterr().out


def test_a_tau_of_pairs_all_won_is_not_sure_to_be_1(judged: Path):
    pairs = [{"ref": f"a b c {i}", "better": f"a b {i}", "worse": "x"} for i in range(20)]
    (judged / "pairs.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pairs))
    (found,) = [a for a in judge_the_judges(str(judged), ["f1"], 50) if a.set == "pairs"]
    tau = found.correlations["segment, kendall"]
    assert tau.value == 1
    assert tau.low == pytest.approx(2 * wilson(1.0, 20)[0] - 1)


def test_the_command_ends_with_the_metric_to_take(judged: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["evaluate", "judge-the-judge", "--set", str(judged), "--with", "rouge1:recall,rouge2"]) == 0
    assert "made, content: highest is rouge1:recall" in capsys.readouterr().out


def test_a_judge_of_pairs_is_refused_on_a_set_of_marks(judged: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["evaluate", "judge-the-judge", "--set", str(judged), "--judge", "longer"]) == 2
    assert "holds marks, not pairs" in " ".join(capsys.readouterr().err.split())
