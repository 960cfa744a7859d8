"""Tool verification: the tools, the rules, a model that drives them, and reflection."""

from __future__ import annotations

import pytest

import sprat
from sprat.core import Request
from sprat.factuality import by_model, read_corpus, verify
from sprat.factuality.agent import read_call
from sprat.factuality.tools import (
    calculator,
    code_interpreter,
    wanted_length,
    word_count,
)


def test_a_sum_is_right_to_the_decimals_that_are_said() -> None:
    assert calculator("10 / 3", "3.33").wrong is False
    assert calculator("10 / 3", "3.34").wrong is True


def test_words_are_counted() -> None:
    assert word_count(3, "it's a test").wrong is False
    assert word_count(4, "我爱你 ok").wrong is False
    assert wanted_length("Write exactly 50 words on rain") == (50, True)
    assert wanted_length("Write about 50 words on rain") == (50, False)


def test_code_is_parsed_and_run_only_where_that_is_allowed() -> None:
    assert code_interpreter("x = (").wrong is True
    assert code_interpreter("1 / 0").wrong is None
    assert "not allowed" in code_interpreter("1 / 0").came_back


@pytest.mark.slow
def test_allowed_code_is_run_without_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    assert code_interpreter("import os\nassert 'SECRET' not in os.environ", run=True).came_back == "ran"
    assert "ZeroDivisionError" in code_interpreter("1 / 0", run=True).came_back
    assert code_interpreter("while True: pass", run=True, seconds=1.0).wrong is True


def test_rules_choose_a_tool_for_each_sentence() -> None:
    reply = "Ada taught in Bonn. She had 3 * 4 = 13 pupils. Zoe flew planes."
    found = verify(reply, "Write exactly 12 words.", read_corpus(["Ada taught in Bonn."]))
    assert [(r.outcome.tool, r.wrong) for r in found.records] == [
        ("search", False), ("calculator", True), ("search", None), ("word_count", True),
    ]  # fmt: skip
    assert found.wrong is True
    assert reply[found.unsupported[0].sentence.start : found.unsupported[0].sentence.end].startswith("She had")


def test_reflection_takes_the_sentence_before_with_it() -> None:
    corpus = read_corpus(["Ada Low taught chemistry in Bonn. Ada Low died in Ulm.", "Paul died at sea."])
    judge = by_model(sprat.toy("j", lambda r: "True" if "Ada" in r.text.split("Input:")[1] else "False"))
    found = verify("Ada Low taught chemistry in Bonn. She died in Ulm.", corpus=corpus, support=judge)
    assert [(r.wrong, r.before) for r in found.records] == [(False, None), (True, None), (False, True)]
    assert found.wrong is False


def test_a_sum_whose_beginning_is_in_words_is_not_called_wrong() -> None:
    assert verify("She waits 20 minutes + 10 + 5 = 35 in all.").wrong is None


def test_a_tool_that_finds_no_error_does_not_undo_what_another_proved() -> None:
    found = verify("So 3 + 4 = 8", "What is 3 + 4? Answer in exactly 4 words.")
    assert [(r.outcome.tool, r.wrong) for r in found.records] == [("calculator", True), ("word_count", False)]
    assert found.wrong is True
    assert [r.outcome.tool for r in found.unsupported] == ["calculator"]


def test_what_no_tool_can_tell_stays_unknown() -> None:
    assert verify("Ada taught in Bonn.").wrong is None


def script(*turns: str) -> sprat.Endpoint:
    def answer(request: Request) -> str:
        return turns[min(sum(m["role"] == "assistant" for m in request.messages), len(turns) - 1)]

    return sprat.toy("agent", answer, cost=0.5)


def test_a_model_drives_the_tools_and_its_thought_overrides_a_label() -> None:
    model = script(
        'THOUGHT: split\nACTION: split_text(text="Ada flew. 2 + 2 = 5.")',
        'THOUGHT: look\nACTION: search(sentence="Ada flew.")',
        'THOUGHT: compare\nACTION: match(sentence="Ada flew.", context="Ada taught.")',
        'THOUGHT: teaching is not flying, but label = 0\nACTION: calculator(sentence="2 + 2 = 5.", formula="2 + 2")',
        "THOUGHT: done, all considered\nACTION: get_answer()",
    )
    found = verify("Ada flew. 2 + 2 = 5.", corpus=read_corpus(["Ada taught."]), by=model)
    assert [(r.outcome.tool, r.wrong, r.before) for r in found.records] == [
        ("match", False, True), ("calculator", True, None),
    ]  # fmt: skip
    assert found.finished
    assert found.cost == 2.5
    assert found.turns[5]["content"] == "OBSERVATION: Ada taught."


def test_a_model_that_never_answers_runs_out() -> None:
    found = verify("Ada flew.", by=script("THOUGHT: hm\nACTION: dance()"), turns=3)
    assert not found.finished
    assert found.wrong is None
    assert "no such call" in found.turns[3]["content"]


def test_it_must_check_something_before_it_answers() -> None:
    found = verify("Ada flew.", by=script("ACTION: get_answer()", "THOUGHT: label = 1\nACTION: get_answer()"))
    assert found.wrong is True


def test_a_call_is_read_and_never_run() -> None:
    assert read_call('match("a", context="b").') == ("match", {"sentence": "a", "context": "b"})
    assert read_call("open('x').read()") == ("", {})
    assert read_call("match(sentence=open('x'))") == ("", {})
