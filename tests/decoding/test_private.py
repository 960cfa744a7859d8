"""What is marked as private, what of the rest is withheld with it, and what is refused."""

from __future__ import annotations

import pytest

from sprat.core import Request
from sprat.decoding.private import Veil, parted
from sprat.errors import BadInput


def shown(text: str, **more: object) -> str:
    return parted(Request.of(text), **more).public.text  # type: ignore[arg-type]


def test_the_whole_request_has_no_marks_and_the_public_one_no_spans() -> None:
    found = parted(Request.of("Tell <private>Mia Sorensen</private> that <private>the test</private> is positive."))
    assert found.whole.text == "Tell Mia Sorensen that the test is positive."
    assert found.public.text == "Tell [hidden 1] that [hidden 2] is positive."


def test_its_words_are_withheld_wherever_they_stand() -> None:
    text = "<private>Mia has asthma</private> A plan for MIA's school, about asthma. Mía? Mi\u00ada? antiasthmatics?"
    assert (
        shown(text)
        == "[hidden 1] A plan for [hidden 1]'s school, about [hidden 1]. [hidden 1]? [hidden 1]? [hidden 1]?"
    )


def test_common_words_are_let_through_unless_strict() -> None:
    text = "<private>lives with Bo</private> Come with me."
    assert shown(text) == "[hidden 1] Come with me."
    assert "with" not in shown(text, strict=True)


def test_a_span_of_common_words_alone_is_withheld() -> None:
    assert shown("<private>to be</private> or to have") == "[hidden 1] or [hidden 1] have"


def test_equal_spans_have_one_number_and_stand_ins_may_be_given() -> None:
    text = "<private>Bo</private> and <private>Al</private>, then <private>bo</private>"
    assert shown(text) == "[hidden 1] and [hidden 2], then [hidden 1]"
    assert shown(text, hidden=("Zoe", "Tom")) == "Zoe and Tom, then Zoe"


def test_signs_without_words_and_scripts_without_spaces_are_withheld() -> None:
    assert shown("<private>\U0001f930</private> so \U0001f930!") == "[hidden 1] so [hidden 1]!"
    assert shown("<private>王小明</private> 小王") == "[hidden 1] [hidden 1]"


def test_strict_withholds_what_shares_four_characters() -> None:
    assert shown("<private>information</private> my station", strict=True) == "[hidden 1] my [hidden 1]"
    assert shown("<private>information</private> my station") == "[hidden 1] my station"


def test_an_empty_mark_says_that_nothing_is_private() -> None:
    assert shown("What is 2+2?<private></private>") == "What is 2+2?"


@pytest.mark.parametrize(
    "text",
    [
        "nothing marked",
        "<private>open",
        "closed</private> <private>x</private>",
        "<private>a <private>b</private></private>",
        "<private>x</private> <Private>y</Private>",
        "<private>x</private> <private >y</private>",
        "<private>x</private> &lt;private&gt;y",
        "<private>x</private> [private]y[/private]",
    ],
)
def test_what_is_not_clear_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parted(Request.of(text))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "content": "<private>x</private>"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]},
        {"role": "user", "content": [{"type": "text", "text": "<private>x</private>"}, {"type": "input_audio"}]},
    ],
)
def test_what_cannot_be_looked_through_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        parted(Request.of([{"role": "user", "content": "<private>x</private>"}, message]))


def test_of_messages_and_options_only_texts_and_sampling_are_left() -> None:
    asked = Request(
        ({"role": "user", "content": "<private>Bo</private> hi", "name": "Bo"},),
        {"temperature": 0.5, "stop": ["Bo"], "user": "Bo", "metadata": {"who": "Bo"}},
        thread="Bo",
    )
    public = parted(asked).public
    assert public.messages == ({"role": "user", "content": "[hidden 1] hi"},)
    assert (dict(public.options), public.thread) == ({"temperature": 0.5}, None)


@pytest.mark.parametrize(
    ("text", "settled"),
    [("", True), ("f", False), ("fig", False), ("figs", False), ("figs ", True), ("fir", True), ("Old Fi", False),
     ("a refigs", False), ("sixty", True), ("3", False), ("4", True), ("x\ufffd", False), ("as", False),
     ("xasp", True), ("xaspi", False),
     ("xaspir", False)],
)  # fmt: skip
def test_what_may_be_the_beginning_of_a_private_word_is_held(text: str, settled: bool) -> None:
    assert Veil(("figs 34", "aspirin")).settled(text) is settled
