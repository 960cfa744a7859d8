"""Other tools' logs: each fixture was written by the tool itself (fixtures/logs/make), so what was said is known."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.errors import BadInput, BadRow
from sprat.logs import FORMATS, read, recognise

LOGS = Path(__file__).parent / "fixtures" / "logs"
LLM = ["llm-0.36/logs.db.gz", "llm-0.28/logs.db.gz", "llm-0.19.1/logs.db.gz"]
OTEL = [
    "otel-v2-2.4b0/spans.jsonl",
    "otel-v2-events-2.4b0/spans.jsonl.gz",
    "otel-v2-events-2.1b0/spans.jsonl",
    "otel-openllmetry-0.62.4/spans.jsonl",
    "otel-openllmetry-0.47.5/spans.jsonl",
]
LITELLM = [f"litellm-1.106.2/{name}.gz" for name in ("spend_logs.csv", "spend_logs.jsonl", "payloads.json")]
LANGFUSE = ["langfuse-sdk-5.0.4/observations.json.gz"]
EVERY = LLM + OTEL + LITELLM + LANGFUSE

LEMON, SPIDER = "Name the colour of a ripe lemon in one word.", "How many legs does a spider have? Digits only."
BIG, OSLO = "Say a short word for 'very big'.", "What is the weather in Oslo right now?"
BRIEF = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": LEMON}]
ANT = [
    {"role": "user", "content": SPIDER},
    {"role": "assistant", "content": "8"},
    {"role": "user", "content": "And an ant?"},
]
# (prompt or messages, model, reply, tokens in, tokens out): what every make-script sends first, in this order.
SENT: list[tuple[Any, str, str, int, int]] = [
    (LEMON, "small-1", "Yellow", 10, 1),
    (BRIEF, "big-1", "Yellow", 12, 1),
    (SPIDER, "small-1", "8", 9, 1),
    (ANT, "small-1", "6", 13, 1),
    (BIG, "big-1", 'Huge — "vast",\nor 巨大', 7, 5),
]
CALL = [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}]


def rows_of(name: str, **options: Any) -> list[dict[str, Any]]:
    return list(read(LOGS / name, **options))


def reasons(path: Path, **options: Any) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    list(read(path, on_bad=lambda line, why: found.append((line, why)), **options))
    return found


@pytest.mark.parametrize("name", EVERY)
def test_prompts_replies_models_and_tokens_are_exactly_what_was_sent(name: str) -> None:
    rows = rows_of(name)
    got = [(r.get("prompt") or r["messages"], r["model"], r["reply"], *r["usage"].values()) for r in rows]
    assert got[:5] == SENT


@pytest.mark.parametrize("name", EVERY)
def test_the_two_turns_of_the_conversation_share_a_thread_and_others_do_not(name: str) -> None:
    threads = [r["thread"] for r in rows_of(name)][:5]
    assert threads[2] == threads[3]
    assert len(set(threads)) == 4


@pytest.mark.parametrize("name", EVERY)
def test_only_options_that_the_request_had_are_kept(name: str) -> None:
    rows = rows_of(name)
    sent = {"temperature": 0.2} if name in LLM else {"temperature": 0.2, "max_tokens": 5}
    assert [r.get("options") for r in rows[:5]] == [None, sent, None, None, None]


@pytest.mark.parametrize("name", [n for n in EVERY if "0.19" not in n])
def test_a_tool_call_is_kept_as_openai_writes_it(name: str) -> None:
    (row,) = [r for r in rows_of(name) if r.get("prompt") == OSLO]
    assert (row["reply"], row["tool_calls"]) == ("", CALL)


@pytest.mark.parametrize("name", [n for n in EVERY if "0.19" not in n and "otel-v2" not in n])
def test_the_tools_offered_are_options(name: str) -> None:
    (row,) = [r for r in rows_of(name) if r.get("prompt") == OSLO]
    (tool,) = row["options"]["tools"]
    assert tool["function"]["name"] == "weather"
    assert tool["function"]["parameters"]["required"] == ["city"]


@pytest.mark.parametrize("name", [n for n in EVERY if "0.19" not in n and "litellm" not in n])
def test_a_tools_result_stands_in_the_next_prompt(name: str) -> None:
    (row,) = [r for r in rows_of(name) if r["reply"] == "It is 4 degrees in Oslo."]
    user, called, result = row["messages"]
    assert user == {"role": "user", "content": OSLO}
    assert called["tool_calls"][0]["function"] == CALL[0]["function"]
    assert (result["role"], result["content"], result["tool_call_id"]) == ("tool", "4 degrees", "call_1")


@pytest.mark.parametrize("name", [n for n in EVERY if "0.19" not in n and "v2-2.4" not in n and "events-2.4" not in n])
def test_a_picture_stays_in_the_messages(name: str) -> None:
    (row,) = [r for r in rows_of(name) if r["reply"] == "A single red dot."]
    text, picture = row["messages"][0]["content"]
    assert text["text"] == "What does this picture show?"
    kept = "llm-attachment:c414cd0e204de974f73753c7e28d7638e7b3691bb8b1a2bab6b25bb7fed7ce77"
    assert picture["image_url"]["url"] == (kept if name in LLM else "http://127.0.0.1/dot.png")


@pytest.mark.parametrize("name", OTEL + LITELLM + LANGFUSE)
def test_the_failed_call_is_counted_with_its_reason(name: str) -> None:
    (failed,) = [why for _, why in reasons(LOGS / name) if "failed" in why]
    assert "this prompt is not allowed" in failed


@pytest.mark.parametrize("name", ["otel-v2-2.4b0/spans.jsonl", "otel-v2-events-2.4b0/spans.jsonl.gz"])
def test_a_call_whose_picture_the_instrumentation_dropped_is_no_row(name: str) -> None:
    assert "A single red dot." not in [r["reply"] for r in rows_of(name)]
    assert any("left out" in why for _, why in reasons(LOGS / name))


@pytest.mark.parametrize("name", EVERY)
def test_seconds_are_known_and_plausible(name: str) -> None:
    assert all(0 <= r["seconds"] < 10 for r in rows_of(name))


@pytest.mark.parametrize("name", LITELLM)
def test_litellm_knows_cost_logprobs_and_the_end_user(name: str) -> None:
    rows = rows_of(name)
    assert rows[0]["cost"] == pytest.approx(10 * 1e-6 + 1 * 2e-6)
    assert rows[1]["cost"] == pytest.approx(12 * 1e-5 + 1 * 2e-5)
    assert [r["unit"] for r in rows if "unit" in r] == ["ann"]
    assert [r["logprobs"] for r in rows if "logprobs" in r] == [[-0.5]]


def test_a_prompt_that_litellm_cut_is_no_prompt() -> None:
    cut = [why for _, why in reasons(LOGS / LITELLM[0]) if "cut the text" in why]
    assert len(cut) == 1
    assert any(len(r.get("prompt", "")) > 5000 for r in rows_of(LITELLM[2]))  # the payload has it whole


def test_a_price_that_litellm_does_not_know_is_unknown_and_not_zero(tmp_path: Path) -> None:
    records = json.loads(gzip.decompress((LOGS / LITELLM[2]).read_bytes()))
    records[0]["response_cost"] = 0.0
    (tmp_path / "x").write_text(json.dumps(records))
    assert "cost" not in next(read(tmp_path / "x"))


def test_llm_puts_fragments_and_schemas_back() -> None:
    for name in LLM[:2]:
        *_, fragment, schema = rows_of(name)
        assert fragment["prompt"] == "A note on lemons.\n" + LEMON
        assert schema["options"]["response_format"]["json_schema"]["schema"]["required"] == ["colour", "shade"]


def test_llm_rebuilds_the_same_messages_where_the_sent_json_is_missing(tmp_path: Path) -> None:
    for name in LLM[1:]:
        path = tmp_path / "logs.db"
        path.write_bytes(gzip.decompress((LOGS / name).read_bytes()))
        with_json = list(read(path))
        database = sqlite3.connect(path)
        database.execute("update responses set prompt_json = null")
        database.commit()
        database.close()
        without = list(read(path))
        assert [r.get("prompt") for r in without] == [r.get("prompt") for r in with_json]
        assert [bare(r) for r in without] == [bare(r) for r in with_json]


def bare(row: dict[str, Any]) -> Any:
    """Messages less empty fields: an assistant's content of null may stand or lack."""
    return [{k: v for k, v in m.items() if v is not None} for m in row.get("messages", ())]


@pytest.mark.parametrize("name", EVERY)
def test_a_format_is_recognised_by_content_under_a_misleading_name(name: str, tmp_path: Path) -> None:
    for wrong in ("table.parquet", "calls.csv", "notes"):
        shutil.copy(LOGS / name, tmp_path / wrong)
        found = recognise(tmp_path / wrong)
        assert found is not None
        expected = name.split("-")[0] if "litellm" not in name else found.format
        assert found.format == expected
        assert FORMATS[found.format].status in ("supported", "schema-verified")


@pytest.mark.parametrize("name", EVERY)
def test_a_file_reads_the_same_zipped_and_plain(name: str, tmp_path: Path) -> None:
    raw = (LOGS / name).read_bytes()
    plain = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    (tmp_path / "plain").write_bytes(plain)
    (tmp_path / "zipped").write_bytes(gzip.compress(plain))
    assert list(read(tmp_path / "plain")) == list(read(tmp_path / "zipped")) == rows_of(name)


@pytest.mark.parametrize("name", OTEL + LITELLM + LANGFUSE)
def test_a_file_cut_short_is_a_bad_row_or_its_whole_calls(name: str, tmp_path: Path) -> None:
    raw = (LOGS / name).read_bytes()
    plain = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    path = tmp_path / "cut"
    path.write_bytes(plain[: len(plain) * 7 // 10])
    with pytest.raises(BadRow):
        list(read(path, format=_format(name)))
    kept, whole = list(read(path, format=_format(name), skip_bad=True)), rows_of(name)
    assert [r["id"] for r in kept] == [r["id"] for r in whole[: len(kept)]]


def _format(name: str) -> str:
    found = recognise(LOGS / name)
    assert found is not None
    return found.format


@pytest.mark.parametrize("name", EVERY)
def test_a_damaged_gzip_is_a_bad_row(name: str, tmp_path: Path) -> None:
    raw = (LOGS / name).read_bytes()
    zipped = raw if raw[:2] == b"\x1f\x8b" else gzip.compress(raw)
    (tmp_path / "cut.gz").write_bytes(zipped[: len(zipped) // 2])
    with pytest.raises(BadRow):
        list(read(tmp_path / "cut.gz", format=_format(name)))


def test_a_bad_line_is_named_by_its_number_or_counted(tmp_path: Path) -> None:
    lines = (LOGS / OTEL[0]).read_text().splitlines()
    lines[2] = '{"resourceSpans": [7'
    path = tmp_path / "spans"
    path.write_text("\n".join(lines))
    with pytest.raises(BadRow, match="line 3: not complete JSON"):
        list(read(path))
    assert (3, "not complete JSON (is the file cut short?)") in reasons(path, skip_bad=True)


def test_a_bad_object_among_pretty_printed_ones_is_named_by_its_line(tmp_path: Path) -> None:
    text = (LOGS / OTEL[4]).read_text()
    second = text.index("\n{") + 1
    path = tmp_path / "spans"
    path.write_text(text[:second] + "{ nonsense\n" + text[second:])
    line = text[:second].count("\n") + 1
    with pytest.raises(BadRow, match=f"line {line}: "):
        list(read(path))
    assert len(list(read(path, skip_bad=True))) == len(rows_of(OTEL[4]))


def test_spans_without_content_are_counted_with_what_switches_it_on(tmp_path: Path) -> None:
    lines = gzip.decompress((LOGS / OTEL[1]).read_bytes()).decode().splitlines()
    path = tmp_path / "spans"
    path.write_text("\n".join(line for line in lines if "resourceLogs" not in line))
    assert sum("CAPTURE_MESSAGE_CONTENT" in why for _, why in reasons(path)) == 8


BATCH_IN = [{"custom_id": f"r{i}", "method": "POST", "url": "/v1/chat/completions",
             "body": {"model": "m", "messages": [{"role": "user", "content": f"q{i}"}], "temperature": 0}}
            for i in range(3)]  # fmt: skip
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}],
          "usage": {"prompt_tokens": 3, "completion_tokens": 1}}  # fmt: skip


def batch(tmp_path: Path) -> tuple[Path, Path]:
    """A batch's files after the documented layout; the answers come in another order, one failed, one unasked."""
    out = [
        {"id": "b2", "custom_id": "r2", "response": {"status_code": 200, "body": ANSWER}, "error": None},
        {"id": "b0", "custom_id": "r0", "response": {"status_code": 400, "body": {"error": {"message": "no"}}}},
        {"id": "b1", "custom_id": "r1", "response": None, "error": {"code": "batch_expired", "message": "late"}},
        {"id": "b9", "custom_id": "r9", "response": {"status_code": 200, "body": ANSWER}, "error": None},
    ]
    for name, records in (("in", BATCH_IN), ("out", out)):
        (tmp_path / name).write_text("".join(json.dumps(r) + "\n" for r in records))
    return tmp_path / "out", tmp_path / "in"


def test_a_batch_is_joined_with_its_input_by_custom_id(tmp_path: Path) -> None:
    path, inputs = batch(tmp_path)
    (row,) = read(path, inputs=inputs)
    usage = {"input_tokens": 3, "output_tokens": 1}
    assert row == {
        "id": "r2",
        "prompt": "q2",
        "model": "m",
        "reply": "a",
        "usage": usage,
        "options": {"temperature": 0},
    }
    assert [why for _, why in reasons(path, inputs=inputs)][:2] == ["the call failed: no", "the call failed: late"]


def test_a_batch_without_its_input_is_refused_with_what_to_give(tmp_path: Path) -> None:
    path, inputs = batch(tmp_path)
    with pytest.raises(BadInput, match="input file"):
        list(read(path))
    assert recognise(inputs).format == "openai-batch-input"  # type: ignore[union-attr]


def test_several_choices_are_samples() -> None:
    from sprat.logs.chat import choices

    several = {"choices": [{"message": {"content": t}} for t in "ab"], "usage": {"prompt_tokens": 1}}
    assert [(r["reply"], r["sample"], "usage" in r) for r in choices(several)] == [("a", 0, False), ("b", 1, False)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"prompt": "p", "model": "m", "reply": "r"}\n', "native"),
        ('{"messages": [], "model": "m", "reply": "r", "extra": 1}\n', "native"),
        ('{"prompt": "p", "small": "a", "big": "b"}\n', "table"),
        ("prompt,small,big\np,a,b\n", "table"),
        ("\ufeffprompt\tsmall\np\ta\n", "table"),
        ('{"object": "list", "data": [{"object": "chat.completion", "choices": []}]}', "openai-stored"),
        ("a poem\nof two lines\n", None),
        ('{"name": "something else"}\n', None),
        ("", None),
        ("\x00\x01\x02", None),
    ],
)
def test_other_files_are_told_apart(text: str, expected: str | None, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text(text)
    found = recognise(tmp_path / "x.db")
    assert (found and found.format) == expected


def test_an_unknown_file_or_a_missing_one_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "poem").write_text("a poem\n")
    for path, why in ((tmp_path / "poem", "none of the formats"), (tmp_path / "nowhere", "cannot be opened")):
        with pytest.raises(BadInput, match=why):
            list(read(path))


def test_another_sqlite_database_is_not_taken_for_llms(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "logs.db")
    database.execute("create table responses (id)")
    database.commit()
    database.close()
    assert recognise(tmp_path / "logs.db") is None


def test_rows_hint_counts_records_without_reading_them_as_calls() -> None:
    assert recognise(LOGS / LLM[2]).rows_hint == 5  # type: ignore[union-attr]
    assert recognise(LOGS / LITELLM[1]).rows_hint == 10  # type: ignore[union-attr]


def test_every_format_says_what_is_lost_and_its_status() -> None:
    assert all(f.loses and f.reads and (f.version or f.status == "not read") for f in FORMATS.values())


WORDS = """id custom_id response error body choices message content role tool_calls function name arguments messages
model type request_id spend call_type proxy_server_request metadata traceId startTime input output data resourceSpans
scopeSpans spans attributes key value stringValue context span_id trace_id start_time gen_ai.prompt.0.content logprobs
status"""
NAMES = st.sampled_from(WORDS.split())
LEAF = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=4) | st.just("GENERATION") | st.just("completion")
)
JSON = st.recursive(LEAF, lambda v: st.lists(v, max_size=3) | st.dictionaries(NAMES, v, max_size=5), max_leaves=15)


@given(st.sampled_from(["litellm-spend", "litellm-payload", "langfuse", "otel"]), st.lists(JSON, max_size=3))
def test_no_foreign_record_crashes_a_reader(tmp_path_factory: Any, kind: str, records: list[Any]) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "x"
    path.write_text("\n".join(json.dumps(r) for r in records))
    list(read(path, format=kind, skip_bad=True))
    recognise(path)
