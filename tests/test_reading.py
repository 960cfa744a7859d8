"""Reading: shapes of tables, what is put together, what is refused and in which words, and read(write(d)) == d."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat import aquarium
from sprat.core import Reply, Request, Usage
from sprat.data import Call, Dataset, Example
from sprat.errors import BadInput, BadRow
from sprat.reading import read, write
from sprat.replay import Recorded, coverage

ROW: dict[str, Any] = {"id": "1", "prompt": "2+2?", "model": "small", "reply": "4", "target": "4", "score": 1}


@pytest.fixture
def made(tmp_path: Path) -> Any:
    def make(rows: list[dict[str, Any]] | str, name: str = "calls.jsonl") -> Path:
        path = tmp_path / name
        path.write_text(rows if isinstance(rows, str) else "".join(json.dumps(r) + "\n" for r in rows), "utf-8")
        return path

    return make


def test_rows_of_one_id_are_one_example_with_several_calls(made: Any) -> None:
    data = read(made([ROW, {**ROW, "model": "large"}, {**ROW, "id": "2", "prompt": "3+3?", "target": "6"}]))
    assert [(e.id, e.target, [c.model for c in e.calls]) for e in data] == [
        ("1", "4", ["small", "large"]),
        ("2", "6", ["small"]),
    ]


def test_rows_without_ids_are_put_together_by_their_messages(made: Any) -> None:
    rows = [{"prompt": p, "model": m, "reply": "x"} for m in ("small", "large") for p in ("a", "b")]
    assert [[c.model for c in e.calls] for e in read(made(rows))] == [["small", "large"]] * 2


def test_a_prompt_asked_again_is_a_row_of_its_own_in_the_same_unit(made: Any) -> None:
    rows = [{"prompt": "hi", "model": m, "reply": r} for r in ("1", "2") for m in ("small", "large")]
    data = read(made(rows))
    assert [e.reply("large").text for e in data] == ["1", "2"]  # type: ignore[union-attr]
    assert len(set(data.units)) == 1
    assert "1 requests repeat earlier ones; repeats count as one unit." in data.notes


def test_ids_that_are_one_per_call_do_not_part_a_request(made: Any) -> None:
    rows = [{**ROW, "id": f"call-{m}", "model": m} for m in ("small", "large")]
    data = read(made(rows))
    assert len(data) == 1
    assert "Ids are one per call, so calls were put together by their messages." in data.notes


def test_other_messages_or_tools_are_another_request(made: Any) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    rows = [{"prompt": "a", "model": "m", "reply": "x"}, {"prompt": "a", "model": "n", "reply": "x"}]
    rows[1]["options"] = {"tools": tools}  # type: ignore[assignment]
    assert len(read(made(rows))) == 2


def test_limits_and_temperatures_that_differ_by_model_do_not_part_a_request(made: Any) -> None:
    rows = [{"prompt": "a", "model": m, "reply": "x", "options": {"temperature": t, "max_tokens": 9 + t}}
            for m, t in (("m", 0), ("n", 1))]  # fmt: skip
    data = read(made(rows))
    assert len(data) == 1
    assert coverage(Recorded("n"), data).answered == 1


def test_sampled_draws_stand_beside_the_plain_reply(made: Any) -> None:
    draws = [{**ROW, "reply": str(i), "sample": i, "options": {"temperature": 0.7}} for i in range(3)]
    example = read(made([ROW, *draws])).examples[0]
    assert example.reply("small").text == "4"  # type: ignore[union-attr]
    assert [(c.sample, c.options) for c in example.calls[1:]] == [(i, {"temperature": 0.7}) for i in range(3)]


def test_the_aquarium_is_read_whole() -> None:
    data = read(aquarium.recordings())
    assert (len(data), len(data.models), sum(len(e.calls) for e in data)) == (2400, 3, 12000)
    assert data.notes[0].startswith("JSON lines, a row per call: 2,400 requests, 12,000 calls of 3 models (fry, ")


def test_openai_messages_usage_and_logprobs_are_read(made: Any) -> None:
    row = {"messages": [{"role": "user", "content": "hi"}], "model": "m", "reply": "yo", "seconds": 0.5, "cost": 0.01,
           "usage": {"prompt_tokens": 3, "completion_tokens": 1}, "user": "ann", "thread": "t",
           "logprobs": {"content": [{"token": "yo", "logprob": -0.5}]}}  # fmt: skip
    example = read(made([row])).examples[0]
    reply = example.calls[0].reply
    assert (reply.usage, reply.tokens, reply.logprobs) == (Usage(3, 1), ("yo",), (-0.5,))
    assert (reply.cost, reply.seconds, example.unit, example.request.thread) == (0.01, 0.5, "ann", "t")


def test_several_accepted_targets_are_kept(made: Any) -> None:
    example = read(made([{**ROW, "target": ["Paris", "paris, France"]}])).examples[0]
    assert (example.target, example.meta["targets"]) == ("Paris", ["Paris", "paris, France"])


def test_a_list_called_options_is_the_choices_put_below_the_prompt(made: Any) -> None:
    example = read(made([{**ROW, "options": ["four", "five"]}])).examples[0]
    assert example.request.text == "2+2?\nA. four\nB. five"
    assert example.meta["choices"] == ["four", "five"]


def test_half_a_surrogate_pair_becomes_a_replacement_character(made: Any) -> None:
    path = made('{"prompt": "a\\ud83d", "model": "m", "reply": "b"}\n{"prompt": "\\ud83d\\ude00", "model": "m"}\n')
    assert [e.request.text for e in read(path)] == ["a\ufffd", "\U0001f600"]


WIDE = "prompt,small|text,small|score,large|text,large|score,large|cost\n"


def test_a_wide_csv_with_bars_is_read(made: Any) -> None:
    data = read(made(WIDE + "q1,a,1,b,0.5,0.02\nq2,,,b,true,\n", "calls.csv"))
    assert data.models == ("small", "large")
    assert data.scores(["large"])[:, 0].tolist() == [0.5, 1.0]
    assert (data.examples[0].reply("large").cost, data.examples[1].reply("small")) == (0.02, None)  # type: ignore


def test_bare_columns_of_booleans_are_scores_of_models(made: Any) -> None:
    data = read(made("prompt,a/small,large\nq1,True,False\nq2,False,True\n", "t.csv"))
    assert data.scores(["a/small", "large"]).tolist() == [[1, 0], [0, 1]]
    assert data.examples[0].reply("large").text is None  # type: ignore[union-attr]


def test_bare_scores_with_response_columns_are_read_together(made: Any) -> None:
    data = read(made("prompt,m,n,m_response,n_response\nq,True,False,yes,no\n", "t.csv"))
    reply = data.examples[0].reply("n")
    assert reply is not None
    assert (data.models, reply.text, reply.score) == (("m", "n"), "no", 0.0)


def test_columns_given_by_the_user_win(made: Any) -> None:
    path = made("ask,k,x,y,note\nq,A,1,0,2\n", "t.csv")
    columns = {"prompt": "ask", "target": "k", "gpt|score": "x", "tiny|score": "y"}
    data = read(path, columns=columns)
    assert (data.models, data.examples[0].target) == (("gpt", "tiny"), "A")
    assert "Columns not used: note." in data.notes


def test_named_models_say_which_bare_columns_are_models(made: Any) -> None:
    data = read(made("prompt,m,n,difficulty\nq,1,0,3\n", "t.csv"), models=["m", "n"])
    assert data.models == ("m", "n")


def test_characters_give_tokens_that_are_said_to_be_estimates(made: Any) -> None:
    data = read(made([{"prompt": "x" * 40, "m|answer": "B", "m|chars": 80, "n|answer": "C", "n|chars": 4}]))
    assert data.examples[0].calls[0].reply.usage == Usage(10, 20)
    assert "Tokens of 2 calls are estimates: characters / 4." in data.notes


def test_gzip_is_told_by_content(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(gzip.compress(json.dumps(ROW).encode()))
    assert len(read(path)) == 1


def test_another_tools_log_is_recognised_and_read() -> None:
    path = next((Path(__file__).parent / "fixtures/logs/litellm-1.106.2").glob("*payload*"))
    data = read(path)
    assert len(data.models) >= 1
    assert "LiteLLM" in data.notes[0]


def test_declared_bounds_scale_the_scores(made: Any) -> None:
    data = read(made([{**ROW, "score": 10}, {**ROW, "id": "2", "score": 5.5}]), bounds=(1, 10))
    assert data.scores(["small"])[:, 0].tolist() == [1.0, 0.5]


def test_prompts_alone_are_read_when_asked_for(made: Any) -> None:
    assert read(made([{"prompt": "a"}, {"prompt": "b"}]), prompts_only=True).models == ()


BAD = [
    ("empty", "", "is empty"),
    ("blank lines", "\n\n  \n", "is empty"),
    ("header alone", "prompt,model,reply\n", "no row below its header"),
    ("no prompt", '{"promt": "a", "model": "m", "reply": "b"}\n', "no column prompt or messages.* mean 'promt'"),
    ("no model", '{"prompt": "a", "modle": "m", "reply": "b"}\n', "no column model.* Did you mean 'modle'?"),
    ("words", "hello there\nhow are you\n", "no column prompt"),
    ("not an object", '{"prompt": "a", "model": "m", "reply": "b"}\n[1]\n', "line 2: not a JSON object"),
    ("no model in a row", '{"prompt":"a","model":"m","reply":"b"}\n{"prompt":"c","reply":"d"}\n', "2: the row names"),
    ("no prompt in a row", '{"prompt":"a","model":"m","reply":"b"}\n{"model":"m","reply":"d"}\n', "2: the row has nei"),
    ("NaN", '{"prompt":"a","model":"m","reply":"b","score":NaN}\n', "line 1: the score is nan"),
    ("a word", '{"prompt":"a","model":"m","reply":"b","score":"good"}\n', "line 1: the score 'good' is no number"),
    ("negative cost", '{"prompt":"a","model":"m","cost":-1}\n', "line 1: the cost is negative"),
    ("usage", '{"prompt":"a","model":"m","usage":[1]}\n', "line 1: the usage is no mapping"),
    ("roles", '{"messages":[{"content":"a"}],"model":"m"}\n', "line 1: the messages are not a list of messages"),
    ("options", '{"prompt":"a","model":"m","reply":"b","options":"hot"}\n', "line 1: the options are neither a list"),
    ("logprobs", '{"prompt":"a","model":"m","logprobs":["x"]}\n', "line 1: the logprobs are not a list of numbers"),
    ("lengths", '{"prompt":"a","model":"m","tokens":["x"],"logprobs":[-1,-2]}\n', "there are 1 tokens but 2 logprobs"),
    ("cut JSON", '{"prompt":"a","model":"m","reply":"b"}\n{"prompt":"a","mo', "line 2: not complete JSON"),
    ("binary", "\0\1\2\3" * 9, "none of the files that can be read"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input_is_one_clear_sentence(made: Any, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read(made(text))


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder"):
        read(tmp_path)
    with pytest.raises(BadInput, match="There is no file"):
        read(tmp_path / "none.jsonl")


def test_a_missing_column_names_the_nearest(made: Any) -> None:
    with pytest.raises(BadInput, match=r"has no column 'questoin'\. Did you mean 'question'"):
        read(made([{"question": "a", "model": "m", "reply": "b"}]), columns={"prompt": "questoin"})
    with pytest.raises(BadInput, match=r"'promt' is none of the fields of a call\. Did you mean 'prompt'"):
        read(made([ROW]), columns={"promt": "prompt"})


def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(ROW).encode() + b'\n{"prompt": "caf\xe9", "model": "m"}\n')
    with pytest.raises(BadRow, match="line 2: not UTF-8"):
        read(path)


def test_a_cut_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(
        gzip.compress(b"".join(json.dumps({**ROW, "id": str(i)}).encode() + b"\n" for i in range(999)))[:-9]
    )
    with pytest.raises(BadInput, match="gzip file is damaged"):
        read(path)


def test_a_damaged_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + b"x" * 100)
    with pytest.raises(BadInput, match="damaged, or no Parquet"):
        read(path)


def test_mixed_scales_are_refused(made: Any) -> None:
    rows = [{**ROW, "score": 1}, {**ROW, "id": "2", "score": 0}]
    rows += [{**r, "model": "large", "score": s} for r, s in zip(rows, (7, 10), strict=True)]
    with pytest.raises(BadInput, match=r"mix scales of score: 'small' from 0 to 1, but 'large' from 7 to 10.*--bounds"):
        read(made(rows))


def test_an_undeclared_scale_is_refused_not_guessed(made: Any) -> None:
    with pytest.raises(BadInput, match=r"outside 0 to 1: 'small' from 3 to 8.*--bounds 1,10"):
        read(made([{**ROW, "score": 3}, {**ROW, "id": "2", "score": 8}]))


def test_a_score_outside_declared_bounds_is_a_bad_row(made: Any) -> None:
    path = made([{**ROW, "score": 10}, {**ROW, "id": "2", "score": 11}])
    with pytest.raises(BadRow, match="line 2: the score 11 is outside the bounds 1 to 10"):
        read(path, bounds=(1, 10))
    assert len(read(path, bounds=(1, 10), skip_bad=True)) == 1


def test_conflicting_rows_are_refused_and_word_for_word_repeats_left_out(made: Any) -> None:
    with pytest.raises(BadRow, match="line 2: the id '1' already has another reply of 'small'"):
        read(made([ROW, {**ROW, "reply": "5"}]))
    with pytest.raises(BadRow, match="line 2: the id '1' already stands for another prompt"):
        read(made([ROW, {**ROW, "prompt": "2+3?", "model": "large"}]))
    with pytest.raises(BadRow, match="line 2: the id '1' already has the target '4'"):
        read(made([ROW, {**ROW, "target": "5", "model": "large"}]))
    assert "1 rows repeat a call word for word, and were left out." in read(made([ROW, ROW])).notes


def test_bad_rows_that_are_skipped_are_counted(made: Any) -> None:
    path = made(
        json.dumps(ROW) + '\n{"prompt": \n{"prompt":"x","model":"m","score":NaN}\n' + json.dumps({**ROW, "id": "2"})
    )
    data = read(path, skip_bad=True)
    assert len(data) == 2
    assert "1 because not complete JSON" in data.notes[-1]
    assert "1 because the score is nan" in data.notes[-1]


# The law.

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda t: t != '""')
SOME = TEXT.filter(bool)
NUMBER = st.floats(0, 1e6, allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT, lambda j: st.lists(j, max_size=2), max_leaves=4
)
OPTIONS = st.dictionaries(st.sampled_from(["temperature", "top_p", "stop", "max_tokens"]), JSON, max_size=2)
MAYBE = st.none() | TEXT


def replies(depth: int = 1) -> st.SearchStrategy[Reply]:
    return st.builds(
        Reply, text=MAYBE, model=st.sampled_from(["a", "b", "big-2026"]),
        tokens=st.none() | st.just(("x", "yz")),
        logprobs=st.none() | st.tuples(st.floats(-99, 0), st.just(float("-inf"))),
        top_logprobs=st.none() | st.just(({"x": -0.5},)), tool_calls=st.just(()) | st.just(({"name": "f"},)),
        finish=MAYBE, usage=st.none() | st.builds(Usage, st.none() | st.integers(0, 9), st.integers(0, 9)),
        cost=st.none() | NUMBER, seconds=st.none() | NUMBER, score=st.none() | st.floats(0, 1), by=TEXT, because=TEXT,
        cancelled=st.booleans(), error=TEXT,
        asks=st.lists(replies(depth - 1), max_size=2).map(tuple) if depth else st.just(()),
    )  # fmt: skip


MESSAGES = st.lists(st.builds(lambda r, c: {"role": r, "content": c}, st.sampled_from(["system", "user"]), SOME),
                    min_size=1, max_size=3).map(tuple)  # fmt: skip
CALL = st.builds(Call, st.sampled_from(["a", "b|score", "c d"]), replies(), st.integers(0, 2), st.none() | OPTIONS)
CALLS = st.lists(CALL, max_size=4, unique_by=lambda c: (c.model, c.sample)).map(tuple)
REQUESTS = st.builds(Request, MESSAGES, OPTIONS, st.just(0), MAYBE, MAYBE, MAYBE)
EXAMPLES = st.builds(Example, SOME, REQUESTS, MAYBE, CALLS, MAYBE, st.dictionaries(SOME, JSON, max_size=2))
DATASETS = st.builds(
    Dataset, st.lists(EXAMPLES, min_size=1, max_size=4, unique_by=lambda e: e.id).map(tuple),
    quality=st.sampled_from(["score", "F1"]), bounds=st.sampled_from([(0.0, 1.0), (0.0, 10.0)]),
)  # fmt: skip


@given(data=DATASETS)
def test_what_is_written_is_read_again(data: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".jsonl", ".jsonl.gz", ".csv", ".parquet"):
            path = Path(folder) / f"d{ending}"
            write(data, path)
            again = read(path, prompts_only=True)
            assert replace(again, name=data.name, notes=data.notes) == data, ending


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("old")
    broken = Dataset((Example("1", Request.of("a"), meta={"x": object()}),))
    with pytest.raises(BadInput, match="can't hold these data"):
        write(broken, path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]
    assert path.read_text() == "old"


def test_an_unknown_ending_and_repeated_ids_are_refused(tmp_path: Path) -> None:
    one = Example("1", Request.of("a"))
    with pytest.raises(BadInput, match="ends in none of"):
        write(Dataset((one,)), tmp_path / "a.xlsx")
    with pytest.raises(BadInput, match="Two examples have the id '1'"):
        write(Dataset((one, one)), tmp_path / "a.jsonl")


@pytest.mark.data
@pytest.mark.skipif("SPRAT_DATA" not in os.environ, reason="needs SPRAT_DATA")
def test_mmlu_pro_is_read_as_a_wide_table() -> None:
    data = read(
        Path(os.environ["SPRAT_DATA"]) / "mmlu_pro_outcomes/outcomes.parquet",
        models=["Phi-3-mini-4k-instruct", "gemma-7b"],
    )
    assert (len(data), data.models) == (12002, ("Phi-3-mini-4k-instruct", "gemma-7b"))


def test_a_recorded_confidence_is_kept_by_model(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "model": m, "reply": "r", "confidence": c} for m, c in (("a", 0.5), ("b", "0.7"))]
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    data = read(path)
    assert data.examples[0].meta == {"confidence": {"a": 0.5, "b": 0.7}}
    write(data, tmp_path / "again.jsonl")
    assert read(tmp_path / "again.jsonl").examples == data.examples


def test_a_confidence_in_words_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text(json.dumps({"prompt": "q", "model": "a", "reply": "r", "confidence": "high"}) + "\n")
    assert read(path).examples[0].meta == {}
