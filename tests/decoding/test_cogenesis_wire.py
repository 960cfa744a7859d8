"""What the remote part of CoGenesis receives, byte by byte over real HTTP: nothing of what is private, in no coding.

The local model here says aloud all that it reads, so that the reply holds every private word. Each property is also
run on a leaking variant, which it must catch.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tiny_server import TinyServer

import sprat
from sprat.core import Request
from sprat.decoding import cogenesis, private
from sprat.decoding.private import COMMON, Parted, Veil, folded
from sprat.whitebox.decoder import Leaf
from sprat.whitebox.scoring import logprobs
from sprat.whitebox.vocabulary import Vocabulary

SMALL = sprat.tiny("sprat")
MARK = "%"  # what stands for a span; in no private text
PUBLIC = "The school has corn. Why?"
# Letters, digits and signs that the tiny models can write; some words on purpose those of the public text.
WORDS = st.one_of(
    st.sampled_from(["Mia", "corn", "school", "unicorn", "with", "the", "34", "555-1234", "asthma", "Why", "a.b/com"]),
    st.text("abcMNO019.'-", min_size=1, max_size=9),
)
PRIVATE = st.lists(st.lists(WORDS, min_size=1, max_size=4).map(" ".join), min_size=1, max_size=2)
HARD = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True, repr=False)
class Parrot(Leaf):
    """A local model that repeats what it was told, letter by letter."""

    name: str = "parrot"

    @property
    def vocabulary(self) -> Vocabulary:
        return SMALL.vocabulary

    def open(self, batch: int) -> Any:
        return Echoes(batch)


class Echoes:
    """After n letters of the reply, letter n of the prompt."""

    def __init__(self, batch: int) -> None:
        self.rows: list[list[int]] = [[] for _ in range(batch)]
        self.told: list[int] = []

    def feed(self, ids: np.ndarray, counts: Any = None, keep: int | None = None) -> np.ndarray:
        out = np.full((len(self.rows), keep or ids.shape[1], len(SMALL.vocabulary.tokens)), -9.0, np.float32)
        for row, line in zip(self.rows, ids.tolist(), strict=True):
            row += line
        self.told = self.told or [len(row) for row in self.rows]
        for i, (row, n) in enumerate(zip(self.rows, self.told, strict=True)):
            for back in range(out.shape[1]):
                at = len(row) - back - n + 1
                out[i, out.shape[1] - 1 - back, row[at] if 0 < at < n else 2] = 9.0
        return out

    def rollback(self, n: Any) -> None:
        for row, back in zip(self.rows, np.broadcast_to(n, len(self.rows)).tolist(), strict=True):
            del row[len(row) - back :]

    def select(self, rows: Any) -> None:
        self.rows, self.told = ([list(self.rows[r]) for r in rows], [self.told[r] for r in rows])

    def close(self) -> None: ...


class Deaf(TinyServer):
    """Always likes the same tokens: what it hears is what matters here."""

    def after(self, ids: list[int]) -> np.ndarray:
        return np.log(np.arange(1, 105) / 5460)

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if body.get("max_tokens") == 1:
            return super().answer(path, body)
        return 200, {"choices": [{"message": {"role": "assistant", "content": "1. ok"}, "finish_reason": "stop"}]}


@pytest.fixture(scope="module")
def server() -> Iterator[TinyServer]:
    with Deaf("fry") as made:
        yield made


def written(spans: list[str], public: str = PUBLIC) -> str:
    return " ".join(f"<private>{s}</private>" for s in spans) + " " + public


def logits(server: TinyServer, strict: bool) -> Any:
    return cogenesis(server.endpoint(), Parrot(), "logits", weight=1.0, schedule=(0, 0, 1), hidden=MARK, strict=strict)


def sketch(server: TinyServer, strict: bool) -> Any:
    near = sprat.toy("near", lambda r: r.text)
    return cogenesis(server.endpoint(), near, outline="{task}", expand="{task} {outline}", hidden=MARK, strict=strict)


def chat(server: TinyServer, strict: bool) -> Any:
    far = server.endpoint(continues="chat")
    return cogenesis(far, Parrot(), "logits", weight=1.0, schedule=(0, 0, 1), hidden=MARK, strict=strict)


MODES = {"logits": logits, "sketch": sketch, "chat": chat}


def heard(
    server: TinyServer, mode: str, spans: list[str], strict: bool = False, public: str = PUBLIC
) -> tuple[str, str]:
    """What the server received: every byte as text, token ids spelled out; and the reply that the user got."""
    server.received.clear()
    server.calls.clear()
    reply = MODES[mode](server, strict)(written(spans, public), max_tokens=70)
    raw = b"".join(server.received).decode("utf-8", "replace")
    raw = re.sub(r"(?im)^(idempotency-key|host|content-length):.*$", "", raw)  # random, a port, a number
    return "\n".join([raw, *said(server), *(json.dumps(body) for _, body in server.calls)]), reply.text


def needles(spans: list[str], strict: bool) -> set[str]:
    """Every span, and of its words every run of at least 4 characters; strict: every 4 characters of it."""
    found = {s.strip() for s in spans if len(s.strip()) >= 4}
    for span in (s.strip() for s in spans):
        words = list(re.finditer(r"[^\W_]+", span))
        runs = [span[a.start() : b.end()] for i, a in enumerate(words) for b in words[i:]]
        found |= {r for r in runs if strict or any(w.casefold() not in COMMON for w in re.findall(r"[^\W_]+", r))}
        found |= {span[i : i + 4] for i in range(len(span) - 3)} if strict else set()
    return {n for n in found if len(n) >= 4}


def codings(needle: str) -> set[str]:
    """The needle as it may stand in a body, a header or a URL."""
    data = needle.encode()
    found = {needle, json.dumps(needle)[1:-1], quote(needle), quote_plus(needle), data.hex()}
    found |= {"".join(f"\\u{ord(c):04x}" for c in needle), "".join(f"%{b:02x}" for b in data)}
    for shift in range(3):  # base64 of a text that holds it, wherever it begins
        whole = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        inner = whole[-(-shift * 4 // 3) : len(data + b"\0" * shift) * 4 // 3]
        found |= {inner} if len(inner) >= 4 else set()
    return found


def leaks(text: str, spans: list[str], strict: bool = False) -> set[str]:
    lower = text.casefold()
    known = f"{MARK} {PROTOCOL}".casefold()
    return {
        n
        for n in needles(spans, strict)
        if n.casefold() not in known and any(c.casefold() in lower for c in codings(n))
    }


# Words of HTTP and JSON that the wire holds whatever is said; the public text is not among them.
PROTOCOL = (
    "post /v1/chat/completions http/1.1 accept: */* accept-encoding: gzip, deflate, br, zstd connection: keep-alive "
    'user-agent: sprat content-type: application/json {"model": "far", "prompt": [], "max_tokens": 1, '
    '"temperature": 1.0, "logprobs": 10, "messages": [{"role": "user", "content": ""}, {"role": "assistant"}], true '
    '"top_logprobs": 10, "continue_final_message": true, "add_generation_prompt": false}'
)


def nothing_is_received(server: TinyServer, mode: str, strict: bool, spans: list[str]) -> None:
    assume(all(s.strip() for s in spans) and len(" ".join([*spans, PUBLIC])) < 70)
    text, reply = heard(server, mode, spans, strict)
    assert server.calls
    assert all(s.strip() in reply for s in spans) or len(reply) >= 70
    assert leaks(text, spans, strict) == set()
    # Shorter words too, names and numbers, as words of what was said to the remote model.
    told = {w.casefold() for t in said(server) for w in re.findall(r"[^\W_]+", t)}
    short = {w.casefold() for s in spans for w in re.findall(r"[^\W_]+", s)}
    assert not told & (short if strict else short - COMMON)


def said(server: TinyServer) -> list[str]:
    """The prompts and messages, as text."""
    prompts = [body["prompt"] for _, body in server.calls if "prompt" in body]
    spelled = [p if isinstance(p, str) else SMALL.vocabulary.decode(p) for p in prompts]
    return spelled + [m["content"] for _, body in server.calls for m in body.get("messages", ())]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("strict", [False, True])
@given(spans=PRIVATE)
@settings(HARD, max_examples=6)
def test_no_private_span_and_no_run_of_its_words_is_received(
    server: TinyServer, mode: str, strict: bool, spans: list[str]
) -> None:
    nothing_is_received(server, mode, strict, spans)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("strict", [False, True])
@given(spans=PRIVATE)
@settings(HARD, max_examples=150)
def test_nor_in_many_tries(server: TinyServer, mode: str, strict: bool, spans: list[str]) -> None:
    nothing_is_received(server, mode, strict, spans)


@pytest.mark.parametrize("strict", [False, True])
@given(spans=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=3), public=st.text(max_size=20))
@HARD
def test_in_any_script_no_private_span_is_outlined(
    server: TinyServer, strict: bool, spans: list[str], public: str
) -> None:
    """Also where the public text says again what is private, in another case or with other accents."""
    assume(all(s.strip() and not private.nearly(s) and "�" not in s for s in [*spans, public + "x"]))
    text, _ = heard(server, "sketch", spans, strict, f"{public} {spans[0].upper()} {spans[-1].title()}")
    assert leaks(text, spans, strict) == set()


@pytest.mark.parametrize("mode", MODES)
def test_the_same_bytes_are_sent_whatever_the_private_text_is(server: TinyServer, mode: str) -> None:
    seen = {heard(server, mode, [one])[0] for one in ("Zed 7788", "Kit 9900", "Bob 1212")}
    assert len(seen) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spans", [["Mia has asthma"], ["555-1234", "corn"], ["school"]])
def test_a_veil_that_hides_nothing_is_caught(
    server: TinyServer, mode: str, spans: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def whole(asked: Request, *_: Any) -> Parted:
        found = private_parted(asked, MARK)
        return Parted(found.whole, found.whole, Veil(()))

    private_parted = private.parted
    monkeypatch.setattr(sys.modules["sprat.decoding.cogenesis"], "parted", whole)
    assert leaks(heard(server, mode, spans)[0], spans)


def test_a_reply_that_is_sent_back_as_written_is_caught(server: TinyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    spans = ["Bob has asthma"]
    monkeypatch.setattr(Veil, "settled", lambda *_: True)
    prompt_only = Veil.over
    monkeypatch.setattr(Veil, "over", lambda veil, text: prompt_only(veil, text) if "school" in text else text)
    assert leaks(heard(server, "logits", spans)[0], spans)


ASKED = "<private>Bob has asthma</private> The school has corn. Why?"


def after(server: TinyServer, doing: Any) -> str:
    """What the server is told while something is done."""
    server.calls.clear()
    doing()
    assert server.calls
    return " | ".join(said(server))


@pytest.mark.parametrize("make", [logits, chat])
def test_nor_when_the_reply_is_explained(server: TinyServer, make: Any) -> None:
    reply = make(server, False)(ASKED, max_tokens=40)
    assert "asthma" in reply.text
    assert not re.search("asthma|Bob", after(server, reply.explain))


@pytest.mark.parametrize("make", [logits, chat])
def test_nor_when_a_gate_is_fitted(server: TinyServer, make: Any) -> None:
    fit = make(server, False).fit
    assert not re.search("asthma|Bob", after(server, lambda: fit([(ASKED, "Bob has asthma!")], epochs=1)))


@pytest.mark.parametrize("make", [logits, chat])
def test_nor_by_a_draft_that_copies_the_prompt(server: TinyServer, make: Any) -> None:
    fast = sprat.speculate(make(server, False), sprat.decoding.lookup(), 8)
    assert "7788" not in after(server, lambda: fast("<private>xq7788</private> The school: q", max_tokens=20))


@pytest.mark.parametrize("make", [logits, chat])
def test_nor_by_options_to_choose_from(server: TinyServer, make: Any) -> None:
    told = sprat.choose(make(server, False), ["asthma", "Bob is ill"])
    assert not re.search("asthma|Bob", after(server, lambda: told(ASKED)))


@pytest.mark.parametrize("make", [logits, chat])
def test_nor_when_replies_are_scored(server: TinyServer, make: Any) -> None:
    model = make(server, False)
    assert not re.search("asthma|Bob", after(server, lambda: logprobs(model, [Request.of(ASKED)], ["Bob has asthma"])))


def test_a_number_is_not_sent_digit_by_digit(server: TinyServer) -> None:
    model = logits(server, False)
    told = after(server, lambda: logprobs(model, [Request.of("<private>1234567</private> Why?")], ["is 1,234,567."]))
    assert not re.search("12|34|56", told)


def test_a_word_is_not_sent_while_it_is_being_written(server: TinyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without holding back, the beginning of a private word goes out before the whole can be known."""
    assert "asthm" not in folded(heard(server, "logits", ["Bob has asthma"])[0])[0]
    monkeypatch.setattr(Veil, "settled", lambda *_: True)
    assert "asthm" not in heard(server, "logits", ["Bob has asthma"])[0]  # it is within the word, hence replaced
    monkeypatch.setattr(Veil, "number", lambda veil, word: veil.words.get(word, 0))
    assert "asthm" in heard(server, "logits", ["Bob has asthma"])[0]


@pytest.mark.parametrize("coding", ["plain", "hex", "base64", "percent", "escaped"])
def test_each_coding_is_found(coding: str) -> None:
    data = "xx asthma yy"
    coded = {
        "plain": data,
        "hex": data.encode().hex(),
        "base64": base64.b64encode(data.encode()).decode(),
        "percent": "".join(f"%{b:02X}" for b in data.encode()),
        "escaped": "".join(f"\\u{ord(c):04x}" for c in data),
    }[coding]
    assert leaks(coded, ["asthma"]) == {"asthma"}
