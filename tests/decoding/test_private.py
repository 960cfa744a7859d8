"""What is marked as private, what of the rest is withheld with it, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("span", "said"),
    [("1234567", "1,234,567."), ("943 476 219", "943476219"), ("555-1234", "55 51 234"),
     ("1234567", "+91 234-56 70"), ("Li-Wei Xu", "LiWei"), ("Jo Ann", "JoAnn"), ("JoAnn", "Jo Ann"),
     ("Alice", "A l i c e"), ("34kg", "34"), ("34", "34kg"), ("\uae40", "\uae40\uc740"), ("Ann", "Anna"), ("Bo", "Bos"),
     ("Ali\x00ce", "Alice"), ("Alice", "Ali\x00ce"), ("Alice", "A\u2060lice"), ("Alice", "A\u20ddlice"),
     ("\u0663\u0664\u0665\u0666", "3456"), ("3456", "\u0663\u0664\u0665\u0666"), ("Will Smith", "Will")],
)  # fmt: skip
def test_it_is_withheld_however_it_is_written(span: str, said: str, strict: bool) -> None:
    shown = Veil((span,), "#", strict).over(f"so {said} it")
    assert not set(re.findall(r"\w+", shown)) & set(re.findall(r"\w+", said))


def test_a_name_that_is_a_common_word_is_withheld_where_it_has_a_capital() -> None:
    assert shown("<private>Will Smith</private> Will will go.") == "[hidden 1] [hidden 1] will go."
    assert not Veil(("Will Smith",)).settled("so Wil")


def test_common_words_side_by_side_are_let_through() -> None:
    assert shown("<private>the test is positive</private> Is the plan in it?") == "[hidden 1] Is the plan in it?"


NUMBERS = st.integers(10**3, 10**12).map(str)
SIGNS = st.sampled_from(["", " ", ",", ".", "-", "/", "\u2009", ") "])
DIGITS = st.sampled_from(["0123456789", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669",
                          "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19"])  # fmt: skip


@given(number=NUMBERS, within=st.data(), strict=st.booleans())
def test_no_digit_of_a_number_is_shown_however_it_is_parted(number: str, within: Any, strict: bool) -> None:
    digits = within.draw(DIGITS)
    said, span = ("".join(digits[int(d)] + within.draw(SIGNS) for d in number) for _ in range(2))
    assert not any(c.isdigit() for c in Veil((span,), "#", strict).over(f"it is {said} then"))


HIDDEN_SIGNS = st.sampled_from(["\u200b", "\u00ad", "\x00", "\x1b", "\u2060", "\u0301", "\ufeff"])


@given(word=st.text("kqvxz", min_size=3, max_size=8), within=st.data())
def test_signs_that_are_not_seen_show_no_word(word: str, within: Any) -> None:
    said = "".join(letter + within.draw(st.one_of(st.just(""), HIDDEN_SIGNS)) for letter in word)
    assert not set("kqvxz") & set(Veil((word,), "#").over(f"It is {said}, or {word.title()} {word}'s."))


@given(word=st.text("kqvxz", min_size=2, max_size=5), other=st.text("kqvxz", min_size=2, max_size=5))
def test_what_a_text_shows_on_the_way_never_holds_a_private_word(word: str, other: str) -> None:
    """Letter by letter: what was sent, whenever the end was settled, shows nothing."""
    text, veil = f"so {word}{other} and {word} {other}.", Veil((f"{word} {other}",), "#")
    sent = [veil.over(text[:n]) for n in range(len(text) + 1) if veil.settled(text[:n])]
    assert not any(set("kqvxz") & set(one) for one in sent)


@given(strange=st.sampled_from(["<privte>bob</privte>", "<pri\u200bvate>bob</pri\u200bvate>", "{private}bob{/private}",
                                "\uff1cprivate\uff1ebob\uff1c/private\uff1e", "<PRIVATE>bob</PRIVATE>", "[/privte]",
                                "<priv ate>bob", "&#60;private&#62;bob", "\u2039private\u203abob", "<\u0440rivate>bob",
                                "\u3010private\u3011bob", "bob</privat>", "<private1>bob", "<\\private>"]),
       before=st.booleans())  # fmt: skip
def test_what_looks_like_a_mark_is_refused_beside_a_right_one(strange: str, before: bool) -> None:
    right = "<private>a</private>"
    with pytest.raises(BadInput, match="misspelt"):
        parted(Request.of(f"{strange} {right}" if before else f"{right} {strange}"))


@pytest.mark.parametrize(
    "text", ["(private)", "my private life", "<b>x</b>", "a < b and c > d", "[1] {x}", "<template>"]
)
def test_what_only_speaks_of_it_is_no_mark(text: str) -> None:
    assert parted(Request.of(f"<private>x</private> {text}"))


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
