"""Sets of pairs by hand: each layout, trained and stored judges, and agreement with people."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sprat import judging, toy
from sprat.core import Request
from sprat.errors import BadInput
from sprat.judging.agreement import accuracy, kappa
from sprat.judging.preferences import Preference, preferences
from sprat.judging.training import held_out, trained
from sprat.signals.pairrank import pairrank


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "set.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def test_plain_rows_are_read_with_single_peoples_answers_and_stored_verdicts(tmp_path: Path) -> None:
    row = {"prompt": "q", "a": "x", "b": "y", "preferred": "b", "by": ["b", "tie"], "judges": {"g": ["a", "b"], "h": 2}}
    (found,) = preferences(written(tmp_path, row))
    assert (found.preferred, found.by, found.set) == ("b", ("b", "tie"), "set")
    assert (found.stored["g"].winner, found.stored["g"].flipped, found.stored["h"].winner) == ("tie", "first", "b")


def test_llmbars_list_is_read_gzipped(tmp_path: Path) -> None:
    path = tmp_path / "natural.json.gz"
    path.write_bytes(gzip.compress(json.dumps([{"input": "q", "output_1": "x", "output_2": "y", "label": 2}]).encode()))
    assert [(p.a, p.b, p.preferred) for p in preferences(tmp_path)] == [("x", "y", "b")]


def test_a_dialogues_common_beginning_is_the_request(tmp_path: Path) -> None:
    begun = "\n\nHuman: hi\n\nAssistant: yes?\n\nHuman: go\n\nAssistant:"
    (found,) = preferences(written(tmp_path, {"chosen": f"{begun} well", "rejected": f"{begun} bad"}))
    assert [m["content"] for m in found.request.messages] == ["hi", "yes?", "go"]
    assert {found.a, found.b} == {"well", "bad"}
    assert (found.a if found.preferred == "a" else found.b) == "well"


def test_dialogues_that_part_before_the_reply_are_no_pair(tmp_path: Path) -> None:
    rows = {"chosen": "\n\nHuman: a\n\nAssistant: x", "rejected": "\n\nHuman: b\n\nAssistant: y"}
    with pytest.raises(BadInput, match="no pair"):
        preferences(written(tmp_path, rows))


def test_of_several_people_most_count(tmp_path: Path) -> None:
    row = {"instruction": "do", "input": "it", "response1": "x", "response2": "y"}
    votes = [(1, 1, 2), (1, 2, 0), (0, 0, 1)]
    rows = [row | {f"annotator{i + 1}": v for i, v in enumerate(vote)} for vote in votes]
    found = preferences(written(tmp_path, *rows))
    assert [p.preferred for p in found] == ["a", "tie", "tie"]
    assert found[0].request.text == "do\n\nit"


@pytest.mark.parametrize("row", [{"x": 1}, {"prompt": "q", "a": "x", "b": "y", "preferred": "c?"}])
def test_other_rows_are_refused(row: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        preferences(written(tmp_path, row))


def test_kappa_by_hand() -> None:
    # 2 x 2 table 20, 5, 10, 15: p_o = .7, p_e = .5, kappa = .4 (Cohen's own kind of table).
    one = [0] * 25 + [2] * 25
    other = [0] * 20 + [2] * 5 + [0] * 10 + [2] * 15
    assert kappa(one, other) == pytest.approx(0.4)


def test_a_tie_against_a_choice_is_half_right() -> None:
    assert accuracy([0, 0, 1, 2], [0, 1, 1, 0]) == pytest.approx((1 + 0.5 + 1 + 0) / 4)


def pairs(n: int, rng: Any) -> list[Preference]:
    """People prefer the reply with more sums in it, whatever its length."""
    made: list[Preference] = []
    for i in range(n):
        good, bad = "1 + 1 = 2 and so on", "words " * int(rng.integers(1, 9))
        sides = (good, bad) if i % 2 else (bad, good)
        made.append(Preference(Request.of(f"question {i}"), *sides, "a" if i % 2 else "b", "made"))
    return made


class Letters:
    name, dim = "letters", 4

    def encode(self, texts: Any) -> Any:
        return np.array([[t.count(c) + 0.1 for c in "abcd"] for t in texts], np.float32)


def test_a_small_judge_learns_what_people_prefer_and_its_worth_is_of_pairs_held_out(tmp_path: Path) -> None:
    judge, (small, longer) = trained(pairs(120, np.random.default_rng(0)), [judging.LengthJudge()], Letters())
    assert small.n == longer.n == 24
    assert small.accuracy.value > 0.9 > longer.accuracy.value
    assert judge("question 7", "1 + 1 = 2 and so on", "words words").winner == "a"


def test_a_small_judge_is_the_same_with_the_replies_exchanged() -> None:
    judge = judging.train(pairs(60, np.random.default_rng(1)), Letters())
    forth, back = judge("q", "2 + 2 = 4", "maybe"), judge("q", "maybe", "2 + 2 = 4")
    assert {forth.winner, back.winner} == {"a", "b"}
    assert forth.confidence == pytest.approx(back.confidence)


def test_a_small_judge_survives_its_file(tmp_path: Path) -> None:
    judge = judging.train(pairs(60, np.random.default_rng(1)))
    judge.save(tmp_path / "judge.toml")
    again = judging.load(tmp_path / "judge.toml")
    asked = [(Request.of("q"), "2 + 2 = 4", "maybe")]
    assert again.chances(asked) == judge.chances(asked)


def test_another_file_is_no_small_judge(tmp_path: Path) -> None:
    from sprat import config

    config.dump(toy("t", "x"), tmp_path / "t.toml")
    with pytest.raises(BadInput, match="holds no small judge"):
        judging.load(tmp_path / "t.toml")
    assert pairrank().head is None


def test_few_pairs_and_ties_alone_teach_nothing() -> None:
    with pytest.raises(BadInput, match="50 needed"):
        judging.train(pairs(49, np.random.default_rng(0)), Letters())


def test_pairs_of_one_request_are_held_out_together() -> None:
    made = [Preference(Request.of(f"q{i // 3}"), "x", str(i), "a") for i in range(60)]
    learn, rest = held_out(made)
    assert not {p.request.text for p in learn} & {p.request.text for p in rest}
    assert len(rest) == 12


def test_agreement_counts_what_flips_and_what_can_not_be_read() -> None:
    made = [
        Preference(Request.of(f"q{i}"), "x", "y" * (i + 1), "a", "s", stored={"g": v})
        for i, v in enumerate(
            [judging.pairwise(toy("u", said))("q", "x", "z") for said in ("Verdict: A", "Verdict: tie", "nothing")] * 4
        )
    ]
    found = judging.agreement(made, "g", times=50)
    assert (found.n, found.unread, found.flips.value, found.ties.value) == (8, 4, 0.5, 1.0)
    assert found.accuracy.value == 0.5
