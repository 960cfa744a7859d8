from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent.parent / "decoding"))

from tiny_server import TinyServer

import sprat
from sprat.endpoints.likelihoods import echoed, prompted
from sprat.errors import BadInput, CannotDo, Garbled
from sprat.measure.likelihood import likelihood
from sprat.whitebox.scoring import logprobs

MODEL = sprat.tiny("mackerel")


def after(given: str, text: str) -> float:
    return float(logprobs(MODEL, [given], [text])[0].mean())


class Echoing(TinyServer):
    """It tells the prompt's tokens with their own log-probabilities and places, as servers do."""

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        status, told = super().answer(path, body)
        ids = self.model.vocabulary.encode(body["prompt"])
        own = [None, *(float(self.after(ids[:i])[ids[i]]) for i in range(1, len(ids)))]
        tokens = [self.model.vocabulary.tokens[i] for i in ids]
        told["choices"][0]["logprobs"] |= {"tokens": [*tokens, "x"], "token_logprobs": [*own, -1.0]}
        return status, told


@pytest.fixture(scope="module")
def server() -> Iterator[Echoing]:
    with Echoing() as made:
        yield made


def test_the_four_directions() -> None:
    found = likelihood(MODEL, ["19"], ["20"], ["12+7="])
    assert found.faithfulness == pytest.approx([after("12+7=", "19")])
    assert found.precision == pytest.approx([after("20", "19")])
    assert found.recall == pytest.approx([after("19", "20")])
    assert found.f == pytest.approx([(after("20", "19") + after("19", "20")) / 2])


def test_a_right_answer_is_likelier_than_a_wrong_one() -> None:
    right, wrong = likelihood(MODEL, ["19", "47"], sources=["12+7="] * 2).faithfulness  # type: ignore[misc]
    assert right > wrong + 1


def test_of_several_references_the_mean_or_the_best() -> None:
    each = [after(r, "19") for r in ("18", "20", "21")]
    by_mean, by_max = (likelihood(MODEL, ["19"], [["18", "20", "21"]], combine=c) for c in ("mean", "max"))
    assert by_mean.precision == pytest.approx([np.mean(each)])
    assert by_max.precision == pytest.approx([max(each)])


def test_cues_stand_after_what_is_given_and_are_averaged() -> None:
    found = likelihood(MODEL, ["19"], sources=["12+7="], cues=["", "so"])
    assert found.faithfulness == pytest.approx([(after("12+7=", "19") + after("12+7= so", "19")) / 2])


def test_at_the_target_a_cue_is_scored_with_the_text() -> None:
    # p + text in the decoder, as BARTScore's code has it: the mean is over the cue's tokens too.
    each = logprobs(MODEL, ["12+7="], ["so 19"])[0]
    assert len(each) == len("so 19")
    bare = after("12+7=", "19")
    found = likelihood(MODEL, ["19"], sources=["12+7="], cues=["", "so"], cue_at="target")
    assert found.faithfulness == pytest.approx([(bare + sum(each) / 5) / 2])


def test_at_the_target_a_cue_leads_each_scored_text_of_both_directions() -> None:
    found = likelihood(MODEL, ["19"], ["20"], cues=["so"], cue_at="target")
    assert found.precision == pytest.approx([after("20", "so 19")])
    assert found.recall == pytest.approx([after("19", "so 20")])


def test_a_cue_before_an_empty_text_scores_nothing() -> None:
    found = likelihood(MODEL, [" "], sources=["12+7="], cues=["so"], cue_at="target")
    assert found.faithfulness is not None
    assert np.isnan(found.faithfulness).all()


def test_the_end_counts_where_it_is_asked_for() -> None:
    wanted = logprobs(MODEL, ["12+7="], ["19"], ended=True)[0].mean()
    assert likelihood(MODEL, ["19"], sources=["12+7="], ended=True).faithfulness == pytest.approx([wanted])


def test_an_empty_text_is_unknown_and_so_is_what_it_is_in() -> None:
    found = likelihood(MODEL, ["", "19"], ["20", "20"])
    assert found.precision is not None
    assert found.f is not None
    assert np.isnan(found.precision).tolist() == np.isnan(found.f).tolist() == [True, False]


def test_what_was_not_given_is_not_scored() -> None:
    found = likelihood(MODEL, ["19"], ["20"])
    assert found.faithfulness is None


def test_a_composition_is_a_model_too() -> None:
    mixed = sprat.mix(MODEL, sprat.tiny("sprat"), 0.5)
    assert likelihood(mixed, ["19"], sources=["12+7="]).faithfulness == pytest.approx(
        [logprobs(mixed, ["12+7="], ["19"])[0].mean()]
    )


def test_served_with_echo_it_is_the_mean_over_the_texts_tokens(server: Echoing) -> None:
    found = likelihood(server.endpoint(), ["19", "18"], sources=["12+7="] * 2).faithfulness
    ids = server.model.vocabulary.encode("12+7=\n19")
    n = len(server.model.vocabulary.encode("12+7=\n"))
    wanted = np.mean([server.after(ids[:i])[ids[i]] for i in range(n, len(ids))])
    assert found is not None
    assert found[0] == pytest.approx(wanted, abs=1e-5)


def test_a_pair_that_comes_twice_is_asked_once(server: Echoing) -> None:
    before = len(server.calls)
    likelihood(server.endpoint(), ["7", "7"], sources=["3+4=", "3+4="])
    assert len(server.calls) == before + 1


@pytest.mark.parametrize("model", [sprat.toy("t", "x"), sprat.openai("gpt", "http://localhost:1/v1")])
def test_a_model_of_text_alone_is_refused(model: Any) -> None:
    with pytest.raises(CannotDo, match="needs the log-probabilities of a given text"):
        likelihood(model, ["a"], ["b"])


def test_a_server_can_not_say_where_a_text_ends(server: Echoing) -> None:
    with pytest.raises(CannotDo, match="how likely a text ends"):
        likelihood(server.endpoint(), ["a"], ["b"], ended=True)


def test_the_texts_tokens_are_found_after_whatever_the_server_puts_first() -> None:
    told = {"tokens": ["<s>", "ab", "c ", "d", "e", "f"], "token_logprobs": [None, -1.0, -2.0, -3.0, -4.0, -5.0]}
    assert echoed({"choices": [{"logprobs": told}]}, "abc ", "de", "m") == [-3.0, -4.0]


def test_a_token_that_begins_before_the_text_counts() -> None:
    told = {"tokens": ["ab", "cd", "e"], "token_logprobs": [None, -2.0, -3.0]}
    assert echoed({"choices": [{"logprobs": told}]}, "abc", "de", "m") == [-2.0, -3.0]


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"choices": []},
        {"choices": [{"logprobs": None}]},
        {"choices": [{"logprobs": {"tokens": ["x"], "token_logprobs": [-1.0]}}]},
    ],
)
def test_a_server_that_echoes_nothing_is_said(raw: dict[str, Any]) -> None:
    with pytest.raises(Garbled, match="no log-probabilities of the prompt"):
        echoed(raw, "a", "b", "m")


def test_mistakes_are_said() -> None:
    with pytest.raises(BadInput, match="after another"):
        likelihood(MODEL, ["a"])
    with pytest.raises(BadInput, match="2 texts and 1 sources"):
        likelihood(MODEL, ["a", "b"], sources=["c"])
    with pytest.raises(BadInput, match="at the source or the target"):
        likelihood(MODEL, ["a"], ["b"], cue_at="end")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="need a reference each"):
        likelihood(MODEL, ["a", "b"], [["c"], []])


def place(token: str, logprob: float) -> dict[str, Any]:
    return {str(len(token)): {"logprob": logprob, "rank": 1, "decoded_token": token}}


def test_vllms_prompt_logprobs_are_read_from_the_end() -> None:
    told = [None, place("b", -1.0), place("c ", -2.0), place("d", -3.0), place("ef", -4.0)]
    assert prompted({"choices": [{"prompt_logprobs": told}]}, "abc ", "def", "m") == [-3.0, -4.0]
    with pytest.raises(Garbled, match="no log-probabilities of the prompt"):
        prompted({"choices": [{"prompt_logprobs": told}]}, "abc ", "xyz", "m")
    with pytest.raises(Garbled):
        prompted({"choices": [{"prompt_logprobs": None}]}, "a", "b", "m")


class Prompting(TinyServer):
    """It gives vLLM's prompt_logprobs, and no echo."""

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        assert "echo" not in body
        status, told = super().answer(path, {**body, "logprobs": 1})
        ids = self.model.vocabulary.encode(body["prompt"])
        tokens = self.model.vocabulary.tokens
        own = [place(tokens[ids[i]], float(self.after(ids[:i])[ids[i]])) for i in range(1, len(ids))]
        told["choices"][0] |= {"logprobs": None, "prompt_logprobs": [None, *own]}
        return status, told


def test_served_by_prompt_logprobs_it_is_what_echo_gives(server: Echoing) -> None:
    by_echo = likelihood(server.endpoint(), ["19"], sources=["12+7="]).faithfulness
    with Prompting() as other:
        found = likelihood(other.endpoint(), ["19"], sources=["12+7="], by="prompt_logprobs").faithfulness
    assert found == pytest.approx(by_echo, abs=1e-6)
    with pytest.raises(BadInput, match="echo or prompt_logprobs"):
        likelihood(server.endpoint(), ["19"], sources=["12+7="], by="guess")  # type: ignore[arg-type]
