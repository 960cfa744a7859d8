"""Server-sent events: what the standard says, however the bytes are cut, each byte once."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprat.endpoints.server_events import ServerEvents


def read(*chunks: bytes) -> list[tuple[str, str]]:
    reader = ServerEvents()
    return [e for c in chunks for e in reader.feed(c)] + reader.end()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [("", "a"), ("", "b")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [("", "a"), ("", "b")]),
        (b"data: a\r\rdata: b\r\r", [("", "a"), ("", "b")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [("x", "a"), ("", "b")]),
        (b"event: x\n\ndata: a\n\n", [("", "a")]),
        (b"data: a\ndata: b\ndata\ndata:  c\n\n", [("", "a\nb\n\n c")]),
        (b": comment\n\n:\ndata:a\nid: 7\nretry: 9\ndatab: c\n\n", [("", "a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", "a")]),
        (b"data: a\n\ndata: b", [("", "a"), ("", "b")]),
        (b"data: a\n\ndata: b\r", [("", "a"), ("", "b")]),
        ("data: one\u2028two\u0085three\n\n".encode(), [("", "one\u2028two\u0085three")]),
        (b"data: \xff\n\n", [("", "\ufffd")]),
        (b"", []),
        (b"\xef\xbb", []),
    ],
)
def test_a_stream_is_read_as_the_standard_says_wherever_it_is_cut(stream: bytes, events: list[tuple[str, str]]) -> None:
    assert read(stream) == read(*(stream[i : i + 1] for i in range(len(stream)))) == events


@given(st.lists(st.sampled_from([b"\r", b"\n", b"data:", b"data", b"event: x", b":", b" a", b"\xef\xbb\xbf", b""])))
def test_how_the_bytes_are_cut_changes_nothing(parts: list[bytes]) -> None:
    assert read(*parts) == read(b"".join(parts))


def test_a_long_event_in_small_chunks_takes_linear_time() -> None:
    def seconds(chunks: int) -> float:
        began = time.process_time()
        assert len(read(b"data: ", *[b"x" * 100] * chunks, b"\n\n")[0][1]) == 100 * chunks
        return time.process_time() - began

    seconds(1000)
    assert min(seconds(40_000) for _ in range(3)) < 25 * min(seconds(4_000) for _ in range(3)) + 0.01


def test_what_waits_is_counted_until_its_event_ends() -> None:
    reader = ServerEvents()
    reader.feed(b"data: 12345\ndata: 6")
    assert reader.held == 19
    reader.feed(b"\n\ndata")
    assert reader.held == 4
