"""What passes of an upstream's stream: whole events that a client can read, and nothing after their end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.gateway.upstreams.sniffer import Sniffer, table_in


def event(**found: Any) -> bytes:
    return b"data: " + json.dumps(found).encode() + b"\n\n"


WORD = event(choices=[{"index": 0, "delta": {"content": "word"}, "finish_reason": None}])
COUNT = event(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4})
END = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    "odd",
    [
        b'data: {"broken\n\n',
        b"data: [1]\n\n",
        b'data: {"choices": 3}\n\n',
        b'data: {"choices": [3]}\n\n',
        b'data: {"choices": [], "x": NaN}\n\n',
        b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n',
        b"data: " + b"[" * 50_000 + b"\n\n",
        b"data: <html>\n\n",
    ],
)
def test_an_event_that_no_client_can_read_is_not_let_through_nor_what_follows(odd: bytes) -> None:
    sniffer = Sniffer(keep_usage=True)
    assert (sniffer.take(WORD + odd + WORD), sniffer.broken) == (WORD, True)


def test_what_follows_the_end_is_not_let_through() -> None:
    sniffer = Sniffer(keep_usage=True)
    assert (sniffer.take(END + DONE + WORD), sniffer.done) == (END + DONE, True)


@pytest.mark.parametrize("reason", [None, ""])
def test_an_end_without_a_reason_is_none(reason: str | None) -> None:
    sniffer = Sniffer(keep_usage=True)
    said = event(choices=[{"index": 0, "delta": {"content": "half"}, "finish_reason": reason}])
    assert (sniffer.take(said + DONE + WORD), sniffer.done, sniffer.cut) == (said, False, True)


@pytest.mark.parametrize("kept", [b": ping\n\n", b'data: {"choices":\ndata: []}\n\n', b"event: x\ndata: {}\n\n"])
def test_comments_and_events_of_several_lines_pass(kept: bytes) -> None:
    sniffer = Sniffer(keep_usage=True)
    assert (sniffer.take(kept + WORD), sniffer.broken) == (kept + WORD, False)


MARK = b"\xef\xbb\xbf"


@given(
    st.lists(st.integers(1, 60), max_size=12),
    st.booleans(),
    st.sampled_from([b"", MARK]),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)
def test_however_a_stream_is_cut_and_its_lines_end_the_same_passes(
    cuts: list[int], keep: bool, mark: bytes, ends: bytes
) -> None:
    whole = WORD * 3 + END + COUNT + DONE
    sent = mark + whole.replace(b"\n", ends)
    sniffer, out, at = Sniffer(keep), b"", 0
    for cut in [*cuts, len(sent)]:
        out, at = out + sniffer.take(sent[at : at + cut]), at + cut
    assert out == (whole if keep else whole.replace(COUNT, b""))
    assert (sniffer.finish, sniffer.done) == ("stop", True)
    assert sniffer.usage[0] is not None
    assert (sniffer.usage[0].input_tokens, sniffer.usage[0].output_tokens) == (3, 4)


@pytest.mark.parametrize("count", [{"prompt_tokens": "3"}, {"prompt_tokens": -1}, {"prompt_tokens": 1.5}, [3], "x"])
def test_a_count_that_is_none_is_unknown_and_not_0(count: Any) -> None:
    sniffer = Sniffer(keep_usage=False)
    sniffer.take(event(choices=[], usage=count))
    assert sniffer.usage[0] is None


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"a": Infinity}', b"\xff", b"[" * 50_000])
def test_what_is_no_table_is_none(data: bytes) -> None:
    assert table_in(data) is None


def test_a_stream_of_which_a_choice_did_not_end_is_cut() -> None:
    sniffer = Sniffer(keep_usage=False)
    said = [event(choices=[{"index": i, "delta": {"content": "a"}, "finish_reason": None}]) for i in (0, 1)]
    sniffer.take(b"".join(said) + END + DONE)
    assert (sniffer.done, sniffer.cut) == (False, True)


def test_what_a_server_adds_to_a_choice_that_has_ended_does_not_open_it_again() -> None:
    sniffer = Sniffer(keep_usage=False)
    sniffer.take(END + event(choices=[{"index": 0, "content_filter": {}, "finish_reason": None}]) + DONE)
    assert sniffer.done


def test_the_bytes_that_wait_are_counted() -> None:
    sniffer = Sniffer(keep_usage=False)
    for part in (WORD, b"data: ", b"123"):
        sniffer.take(part)
    assert sniffer.held == 9
