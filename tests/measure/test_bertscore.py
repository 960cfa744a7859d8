from __future__ import annotations

from pathlib import Path

import pytest

from sprat.core import Reply, Request
from sprat.data import Call, Dataset, Example
from sprat.errors import BadInput
from sprat.measure.bertscore import BertScorer, score_replies
from sprat.measure.evaluation import evaluated
from sprat.measure.grade import grade
from sprat.similarity import bertscore


def example(name: str, target: str | None, **replies: str) -> Example:
    calls = tuple(Call(m, Reply(t, m)) for m, t in replies.items())
    return Example(name, Request.of(f"say {name}"), target, calls)


DATA = Dataset((
    example("1", "a cat sat on the mat", a="the cat sat on a mat", b="dogs bark"),
    example("2", "rain fell all night", a="it rained all night", b=""),
    example("3", None, a="no target here"),
))  # fmt: skip


class Predicts:
    def predict(self, X: list[str]) -> list[str]:
        return X


def test_rows_without_a_target_are_left_out_and_empty_replies_count() -> None:
    first, second = score_replies(DATA)
    assert first.rows.tolist() == second.rows.tolist() == [0, 1]
    assert second.scores.f[1] == 0


def test_the_grader_gives_the_f_of_each_reply() -> None:
    found = grade(DATA, "bertscore")
    wanted = bertscore(["the cat sat on a mat"], ["a cat sat on the mat"]).f[0]
    assert found.examples[0].calls[0].reply.score == pytest.approx(wanted)
    assert found.examples[2].calls[0].reply.score is None


def test_a_layer_that_is_no_number_is_said() -> None:
    with pytest.raises(BadInput, match="is no layer"):
        grade(DATA, "bertscore:some/model@last")


def test_data_without_targets_are_refused() -> None:
    with pytest.raises(BadInput, match="no row of these data has both"):
        score_replies(Dataset(DATA.examples[2:]))


def test_the_scorer_of_an_estimator_is_the_mean_over_its_texts() -> None:
    texts, references = ["the cat sat", "rain"], ["a cat sat", "rain fell"]
    assert BertScorer("recall")(Predicts(), texts, references) == pytest.approx(
        bertscore(texts, references).recall.mean()
    )


def test_scikit_learn_takes_the_scorer() -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    dummy = pytest.importorskip("sklearn.dummy")
    constant = dummy.DummyClassifier(strategy="most_frequent")
    X, y = [[0]] * 6, ["rain fell"] * 6
    assert selection.cross_val_score(constant, X, y, cv=2, scoring=BertScorer()) == pytest.approx(1.0, abs=1e-5)


def test_every_measure_has_a_line_for_every_model_with_its_interval() -> None:
    found = evaluated(DATA, ["bertscore", "f1"], spans=1)
    assert [(x.model, x.measure) for x in found.lines if x.measure == "f1"] == [("a", "f1"), ("b", "f1")]
    assert all(x.low is not None and x.low <= (x.mean or 0) <= (x.high or 0) for x in found.lines)
    assert next(low for low in found.lowest if low["model"] == "a")["words"]


def test_the_command_prints_and_writes_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    from sprat.cli import main

    rows = [
        {"prompt": "p", "model": "a", "reply": "the cat", "target": "a cat"},
        {"prompt": "q", "model": "a", "reply": "", "target": "a dog"},
    ]
    (tmp_path / "o.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    out = tmp_path / "scores.jsonl"
    asked = ["evaluate", str(tmp_path / "o.jsonl"), "--with", "bertscore,exact", "--scores", str(out)]
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {line["measure"] for line in told["scores"]} >= {"BERTScore f", "exact"}
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert written[1]["bertscore f"] == 0
    assert main([*asked, "--spans", "1"]) == 0
    assert "BERTScore precision" in capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "o.jsonl"), "--with", "nosuch"]) == 2
    assert "no measure 'nosuch'" in capsys.readouterr().err


def test_likelihood_is_of_the_model_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    from sprat.cli import main

    rows = [{"prompt": "12+7=", "model": m, "reply": r, "target": "19"} for m, r in (("a", "19"), ("b", "47"))]
    (tmp_path / "o.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    asked = ["evaluate", str(tmp_path / "o.jsonl"), "--with", "likelihood", "--json"]
    assert main([*asked, "--by", "tiny:mackerel"]) == 0
    told = {(x["model"], x["measure"]): x["mean"] for x in json.loads(capsys.readouterr().out)["scores"]}
    assert told["a", "likelihood faithfulness"] > told["b", "likelihood faithfulness"]
    assert ("a", "likelihood f") in told
    assert main(asked) == 2
    assert "--by" in capsys.readouterr().err


def test_self_check_holds_an_answer_against_its_other_draws() -> None:
    def row(name: str, *texts: str) -> Example:
        return Example(name, Request.of(name), None, tuple(Call("m", Reply(t, "m"), i) for i, t in enumerate(texts)))

    data = Dataset((row("1", "It rained.", "It rained."), row("2", "It rained.", "Dogs bark.")))
    found = evaluated(data, ["self_check"])
    first, second = (r["self_check bertscore"] for r in found.rows)
    assert first == pytest.approx(0, abs=1e-5)
    assert second > 0.3
    with pytest.raises(BadInput, match="no prompt has any"):
        evaluated(DATA, ["self_check"])
