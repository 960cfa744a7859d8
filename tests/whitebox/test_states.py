"""Hidden states: those of plain forward passes, each row as alone, and a session that goes on as if only fed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_torch_session import MADE, fed, model, opened, texts

import sprat
from sprat.core import Reply, Request
from sprat.endpoints import Onnx
from sprat.errors import BadInput, CannotDo
from sprat.whitebox.decoder import Leaf
from sprat.whitebox.states import Place, hidden_states, reading

torch = pytest.importorskip("torch")


def shown(session: Any, rows: list[list[int]]) -> Any:
    counts = np.array([len(row) for row in rows])
    ids = np.full((len(rows), counts.max()), 9)
    for padded, row in zip(ids, rows, strict=True):
        padded[len(padded) - len(row) :] = row
    return session.states(ids, None if len(set(counts.tolist())) == 1 else counts)


def plain(name: str, row: list[int]) -> Any:
    with torch.inference_mode():
        out = model(name.removeprefix("lean "))(
            input_ids=torch.tensor([row]), use_cache=False, output_hidden_states=True
        )
    return torch.stack([h[0, -1] for h in out.hidden_states])


@pytest.mark.parametrize("name", [*MADE, "lean llama", "lean mistral"])
def test_torch_states_are_those_of_a_plain_forward(name: str) -> None:
    rows = texts(3, 9, 6)
    for got, row in zip(shown(opened(name).session(3), rows), rows, strict=True):
        torch.testing.assert_close(got, plain(name, row), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "lean llama"])
def test_states_after_what_was_read_are_those_of_the_whole_text(name: str) -> None:
    (row,) = texts(9)
    session = opened(name).session(1)
    fed(session, [row[:5]])
    torch.testing.assert_close(shown(session, [row[5:]])[0], plain(name, row), atol=1e-4, rtol=1e-4)


def test_a_session_goes_on_after_its_states_were_looked_at() -> None:
    (row,) = texts(9)
    one, other = opened("lean llama").session(1), opened("lean llama").session(1)
    shown(one, [row[:6]])
    fed(other, [row[:6]])
    torch.testing.assert_close(fed(one, [row[6:]]), fed(other, [row[6:]]), atol=1e-4, rtol=1e-4)


def test_numpy_states_end_in_what_the_head_reads() -> None:
    loaded = sprat.tiny("sprat").loaded
    ids = np.array([loaded.vocabulary.encode("12+7=")])
    states = loaded.session(1).states(ids)
    assert states.shape == (1, len(loaded.weights.layers) + 1, loaded.weights.embed.shape[1])
    assert states[:, 0] == pytest.approx(loaded.weights.embed[ids[:, -1]])
    logits = loaded.session(1).feed(ids, keep=1)
    assert states[:, -1] @ loaded.weights.embed.T == pytest.approx(logits[:, 0], abs=1e-4)


def test_a_row_among_longer_ones_has_the_states_it_has_alone() -> None:
    leaf, asked = sprat.tiny("fry"), ["1+1=", "reverse abcdef:", "12+7="]
    alone = np.concatenate([hidden_states(leaf, [a]) for a in asked])
    assert hidden_states(leaf, asked) == pytest.approx(alone, abs=1e-5)


def test_at_the_end_of_a_reply_they_are_those_of_the_longer_text() -> None:
    leaf = sprat.tiny("fry")
    assert hidden_states(leaf, ["1+1="], ["2"]) == pytest.approx(hidden_states(leaf, ["1+1=2"]), abs=1e-6)
    assert hidden_states(leaf, ["1+1="], [None]) == pytest.approx(hidden_states(leaf, ["1+1="]), abs=1e-6)


def test_a_reader_tells_what_it_read_and_fails_only_what_it_can_not_read() -> None:
    leaf = sprat.tiny("sprat")
    good, bad, last = reading(leaf).answer_many(
        [Place(Request.of("1+1=")), Place(Request.of("[")), Place(Request.of("1+1="), "2")]
    )
    assert isinstance(bad, BadInput)
    assert isinstance(good, Reply)
    assert isinstance(last, Reply)
    assert good.usage is not None
    assert last.usage is not None
    assert (good.usage.input_tokens, last.usage.input_tokens, good.usage.output_tokens) == (5, 6, 0)
    assert good.cost is not None
    assert 0 < good.cost < (last.cost or 0)


class Scores(Leaf):
    """A leaf whose sessions show no states, as an export's do not."""

    name = "scores"

    def __init__(self) -> None:
        self.inner = sprat.tiny("fry")

    @property
    def vocabulary(self) -> Any:
        return self.inner.vocabulary

    def open(self, batch: int) -> Any:
        session = self.inner.open(batch)

        class Plain:
            close = session.close

        return Plain()


def test_a_model_that_gives_scores_alone_is_refused_in_a_sentence() -> None:
    with pytest.raises(CannotDo, match="'scores' doesn't show its hidden states"):
        hidden_states(Scores(), ["1+1="])
    assert not hasattr(__import__("sprat.whitebox.onnx_session", fromlist=["x"]).OnnxSession, "states")
    assert isinstance(Onnx("small", "x"), Leaf)


@pytest.mark.parametrize("model", [sprat.toy("t", "x"), sprat.openai("gpt", "http://localhost:1/v1")])
def test_what_has_no_weights_has_no_states(model: Any) -> None:
    with pytest.raises(CannotDo, match="no hidden states of its own"):
        hidden_states(model, ["a"])
    with pytest.raises(CannotDo, match="no hidden states of its own"):
        reading(model)


def test_a_text_that_is_too_long_is_said() -> None:
    with pytest.raises(BadInput, match="reads at most"):
        hidden_states(sprat.tiny("fry"), ["1+" * 200])
