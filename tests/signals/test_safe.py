"""The signal of safety, with scorers made up here: what it reads, and what it makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sprat
from sprat import config, signals
from sprat.core import Reply, Request
from sprat.errors import BadInput
from sprat.safety.scorer import Span


@dataclass(frozen=True)
class Word:
    """P(unsafe) is `p` where the word stands, else 0."""

    word: str
    p: float
    name: str = "word"

    @property
    def worth(self) -> Mapping[str, Any]:
        return {}

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([self.p * (self.word in t) for t in texts])

    def spans(self, text: str) -> list[Span]:
        return []


def test_trust_is_one_less_the_largest_probability() -> None:
    trust = signals.safe(Word("a", 0.25), Word("b", 0.75))
    assert trust("q", "a") == pytest.approx(0.75)
    assert trust("q", "a b") == pytest.approx(0.25)
    assert trust("q", "c") == 1.0


def test_a_reply_s_tool_calls_are_read() -> None:
    call = {"function": {"name": "send", "arguments": '{"to": "b"}'}}
    assert signals.safe(Word("send", 0.5))(Request.of("q"), Reply(None, tool_calls=(call,))) == pytest.approx(0.5)


def test_of_a_request_users_and_tools_count_and_what_the_operator_wrote_does_not() -> None:
    trust = signals.safe(Word("bad", 1.0), of="request")
    assert not trust.reads_reply
    assert trust(Request.of([{"role": "system", "content": "bad"}, {"role": "user", "content": "hi"}])) == 1.0
    turns = [{"role": "user", "content": "hi"}, {"role": "tool", "content": [{"type": "text", "text": "bad"}]}]
    assert trust(Request.of(turns)) == 0.0


def test_nothing_said_is_safe() -> None:
    assert signals.safe(Word("", 1.0))("q", "  ") == 1.0


def test_a_cascade_hands_on_what_is_unsafe() -> None:
    small, large = sprat.toy("small", {"q": "bad", "r": "good"}), sprat.toy("large", "fine")
    guarded = sprat.cascade(small, large, trust=signals.safe(Word("bad", 0.9)), at_least=0.5)
    assert (guarded("q").text, guarded("r").text) == ("fine", "good")


def test_a_route_never_shows_a_model_an_unsafe_request() -> None:
    small, refusal = sprat.toy("small", "yes"), sprat.toy("refusal", "I can't help with that.")
    guarded = sprat.route(small, refusal, trust=signals.safe(Word("bad", 0.9), of="request"), at_least=0.5)
    reply = guarded("something bad")
    assert reply.text == "I can't help with that."
    assert "small" not in [leaf.model for leaf in reply.leaves()]


def test_its_file_names_scorers_by_their_words(tmp_path: Path) -> None:
    model = sprat.cascade(sprat.toy("a", "x"), sprat.toy("b", "y"), trust=signals.safe("pii:US_SSN", "toxicity@0.02"),
                          at_least=0.5)  # fmt: skip
    config.dump(model, tmp_path / "m.toml")
    assert '"pii:US_SSN"' in (tmp_path / "m.toml").read_text()
    again = config.load(tmp_path / "m.toml")
    assert repr(again) == repr(model)
    assert again("q").text == "x"


@pytest.mark.parametrize("name", ["toxcity", "pii:", "toxicity@x", "hub:", "pii:NAME"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        signals.safe(name)


def test_what_is_no_scorer_is_refused() -> None:
    with pytest.raises(BadInput, match="no safety scorer"):
        signals.safe(3)
