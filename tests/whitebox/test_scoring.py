"""Given replies are as likely as the plain loop says of what it wrote, whatever stands beside them."""

from __future__ import annotations

import numpy as np
import pytest

import sprat
from sprat.errors import BadInput
from sprat.whitebox import scoring
from sprat.whitebox.scoring import logprobs, perplexity, text_logprobs

FRY, SPRAT = sprat.tiny("fry"), sprat.tiny("sprat")
ASKED = ["12+7=", "reverse shark:", "Mia likes tea. Bo likes rice. What does Bo like?"]
SAID = ["19", "krahs", "rice"]


def test_written_replies_have_the_logprobs_that_the_loop_reported() -> None:
    replies = [SPRAT(p, temperature=1.0, seed=3) for p in ASKED]
    found = logprobs(SPRAT, ASKED, [r.text or "" for r in replies])
    for reply, mine in zip(replies, found, strict=True):
        np.testing.assert_allclose(mine, reply.logprobs or (), atol=2e-5)


def test_a_reply_alone_scores_as_it_does_among_others() -> None:
    together = logprobs(SPRAT + FRY, ASKED, SAID)
    alone = [logprobs(SPRAT + FRY, [p], [t])[0] for p, t in zip(ASKED, SAID, strict=True)]
    np.testing.assert_allclose(np.concatenate(together), np.concatenate(alone), atol=1e-5)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = logprobs(SPRAT, ASKED, SAID, ended=True)
    monkeypatch.setattr(scoring, "ENTRIES", 1)
    np.testing.assert_allclose(
        np.concatenate(logprobs(SPRAT, ASKED, SAID, ended=True)), np.concatenate(whole), atol=1e-5
    )


def test_ended_adds_the_chance_of_the_end() -> None:
    (open_,), (closed,) = logprobs(SPRAT, ["12+7="], ["19"]), logprobs(SPRAT, ["12+7="], ["19"], ended=True)
    np.testing.assert_allclose(closed[:-1], open_, atol=1e-5)
    assert len(closed) == 3
    assert closed[-1] < 0


def test_an_empty_reply_has_no_tokens() -> None:
    assert [len(x) for x in logprobs(SPRAT, ["12+7=", "1+1="], ["", "2"])] == [0, 1]


def test_padding_never_takes_a_row_past_what_it_reads() -> None:
    long = "a" * 120
    first, second = logprobs(FRY, [long, "b"], ["abc", "c" * 120])
    np.testing.assert_allclose(first, logprobs(FRY, [long], ["abc"])[0], atol=1e-5)
    assert len(second) == 120


@pytest.mark.parametrize(("asked", "said"), [(["a" * 120], ["b" * 20]), (["a", "b"], ["c"]), (["a"], [[104]])])
def test_what_does_not_fit_is_said(asked: list[str], said: list[str]) -> None:
    with pytest.raises(BadInput):
        logprobs(FRY, asked, said)


def test_long_texts_are_read_in_pieces() -> None:
    (found,) = text_logprobs(FRY, ["ab " * 100])
    assert len(found) == 300
    np.testing.assert_allclose(found[128:256], text_logprobs(FRY, [("ab " * 100)[128:256]])[0], atol=1e-5)


def test_perplexity_is_that_of_the_mean_token() -> None:
    texts = ["reverse cat:tac", "1+1=2"]
    values = np.concatenate(text_logprobs(SPRAT, texts))
    assert perplexity(SPRAT, texts) == pytest.approx(float(np.exp(-values.mean())))
