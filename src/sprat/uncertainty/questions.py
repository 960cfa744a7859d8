"""SelfCheckGPT by questions: multiple-choice questions about a sentence, answered from the reply and from other draws.

MQAG (arXiv 2301.12307) as SelfCheckGPT uses it (arXiv 2303.08896): a draw whose answer differs counts against the
sentence as far as the question can be answered from it, by Bayes' rule. The formulas are those of the authors' code
(`counting`, `bayes`, and `bayes_with_alpha`, which is the default there and here); checked by hand. Any model may write
and answer the questions. The questions with a gap and their answers by the embedded encoder are sprat's own, for where
no model is at hand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, tanh
from typing import Any

import numpy as np

from ..core import Reply
from ..errors import BadInput
from ..sentences import sentences

BETA = 0.8
GAP = "____"
OTHER = "something else"
_WORD = re.compile(r"\w+(?:['’.,-]\w+)*")
_NUMBER = re.compile(r"\d[\d.,]*")
_TOO_PLAIN = (
    "about after again also another because been before being between could during every first from have into made "
    "many more most much only other over same several should since some such than that their them then there these "
    "they this those through under until very were what when where which while with would your"
)
_PLAIN = frozenset(_TOO_PLAIN.split())


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its options, two or more."""

    text: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The place of the option chosen, and how far the context answers the question at all, in [0, 1]."""

    option: int
    answerable: float


def counting(reply: Answer, draws: Sequence[Answer], at_least: float = 0.5) -> float:
    """The share of the draws that can answer whose answer differs from the reply's; one half where none can."""
    able = [d for d in draws if d.answerable >= at_least]
    if reply.answerable < at_least or not able:
        return 0.5
    return sum(d.option != reply.option for d in able) / len(able)


def bayes(reply: Answer, draws: Sequence[Answer], at_least: float = 0.5, b1: float = BETA, b2: float = BETA) -> float:
    """The chance that the sentence is not factual, each draw that can answer counting fully; else one half."""
    if reply.answerable < at_least:
        return 0.5
    able = [Answer(d.option, 1.0) for d in draws if d.answerable >= at_least]
    return bayes_with_alpha(reply, able, b1, b2)


def bayes_with_alpha(reply: Answer, draws: Sequence[Answer], b1: float = BETA, b2: float = BETA) -> float:
    """g2^n / (g1^m + g2^n), m and n the answerability of the draws that agree and differ; g1 = b2 / (1 - b1).

    And g2 = b1 / (1 - b2). `b1` is the chance that a draw agrees with a sentence that is factual, `b2` that it differs
    from one that is not. Raises BadInput where they are not between 0 and 1.
    """
    if not (0 < b1 < 1 and 0 < b2 < 1):
        raise BadInput(f"b1 and b2 must lie between 0 and 1; got {b1} and {b2}.")
    agree = sum(d.answerable for d in draws if d.option == reply.option)
    differ = sum(d.answerable for d in draws if d.option != reply.option)
    odds = agree * log(b2 / (1 - b1)) - differ * log(b1 / (1 - b2))
    return (1 - tanh(odds / 2)) / 2


def ask_for(sentence: str, context: str, n: int) -> str:
    """The prompt for `n` questions about a sentence of a text."""
    return (
        f"Text: {' '.join(context.split())}\n\nSentence: {sentence}\n\n"
        f"Write {n} multiple-choice questions whose answers stand in the sentence, each with one right and three wrong "
        "options. Write nothing else. Form:\nQ: the question\nA) option\nB) option\nC) option\nD) option\n"
    )


def read_questions(text: str, most: int) -> list[Question]:
    """The first `most` questions of a model's reply in that form; those with fewer than two options are left out."""
    found: list[Question] = []
    for block in re.split(r"(?m)^\s*(?:Q\d*[:.)]|\d+[.)])\s*", text)[1:]:
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        options = tuple(m[1] for line in lines[1:] if (m := re.match(r"\(?[A-Da-d][).:]\s*(.+)", line)))
        if lines and len(set(options)) > 1:
            found.append(Question(lines[0], options[:4]))
    return found[:most]


def answer_prompt(question: Question, context: str) -> str:
    """The prompt that has a question answered from a context, with a last option that says it can't be."""
    options = [*question.options, "The context does not say."]
    listed = "\n".join(f"{chr(65 + i)}) {option}" for i, option in enumerate(options))
    return (
        f"Context: {' '.join(context.split())}\n\nQuestion: {question.text}\n{listed}\n\n"
        "Answer from the context alone, with the letter.\nAnswer:"
    )


def read_answer(reply: Reply, options: int) -> Answer:
    """What a model chose: by the probabilities of the letters where it gives them, else by the letter that it wrote.

    Nothing that can be read counts as a context that does not say.
    """
    letters = [chr(65 + i) for i in range(options + 1)]
    mass = dict.fromkeys(letters, 0.0)
    for token, logprob in (reply.top_logprobs[0] if reply.top_logprobs else {}).items():
        if (letter := token.strip().strip("()").upper()) in mass:
            mass[letter] += exp(logprob)
    if not sum(mass.values()):
        written = re.match(r"\s*(?:answer:?\s*)?\(?([A-Za-z])\b", reply.text or "", re.IGNORECASE)
        if written is None or written[1].upper() not in mass:
            return Answer(0, 0.0)
        mass[written[1].upper()] = 1.0
    shares = np.array([mass[letter] for letter in letters]) / sum(mass.values())
    return Answer(int(shares[:-1].argmax()), float(1 - shares[-1]))


def gap_questions(sentence: str, contexts: Sequence[str], most: int = 5) -> list[Question]:
    """Questions by rules: a number, a name or a long word of the sentence is left out; the contexts give the options.

    Numbers first, then names, then words; each has up to three wrong options of its kind, those that most contexts
    say first, or "something else" where they say no other.
    """
    found: list[Question] = []
    said = [(m[0], m.start(), m.end(), _kind(sentence, m)) for m in _WORD.finditer(sentence)]
    others: dict[str, dict[str, int]] = {}
    for context in contexts:
        seen = {(m[0], _kind(context, m)) for m in _WORD.finditer(context)}
        for word, kind in seen:
            others.setdefault(kind, {})[word] = others.get(kind, {}).get(word, 0) + 1
    taken = {word.casefold() for word, *_ in said}
    for kind in ("number", "name", "word"):
        held = others.get(kind, {})
        wrong = sorted((w for w in held if w.casefold() not in taken), key=lambda w: (-held[w], w))
        for word, start, end, own in said:
            if own == kind:
                options = (*sorted([word, *wrong[:3]]), *(() if wrong else (OTHER,)))
                found.append(Question(f"{sentence[:start]}{GAP}{sentence[end:]}", options))
    return found[:most]


def _kind(text: str, word: re.Match[str]) -> str:
    if _NUMBER.match(word[0]):
        return "number"
    opens = not text[: word.start()].rstrip(" \"'“‘(") or text[: word.start()].rstrip(" \"'“‘(")[-1] in ".!?\n"
    if word[0][0].isupper() and not opens:
        return "name"
    return "word" if len(word[0]) > 3 and word[0].casefold() not in _PLAIN else ""


def gap_answers(question: Question, contexts: Sequence[str], encoder: Any) -> list[Answer]:
    """For each context, what its sentence nearest to the question fills the gap with.

    The option that stands in that sentence, or of several the one that makes the two most alike; answerable as far as
    the two are alike, and not at all where no option stands there.
    """
    split = [sentences(c) for c in contexts]
    filled = [question.text.replace(GAP, option) for option in question.options]
    asked = question.text.replace(GAP, " ")
    texts = list(dict.fromkeys([asked, *filled, *(s for found in split for s in found)]))
    place = {text: i for i, text in enumerate(texts)}
    rows = np.asarray(encoder.encode(texts), np.float64)
    out: list[Answer] = []
    for found in split:
        if not found:
            out.append(Answer(0, 0.0))
            continue
        near = max(found, key=lambda s: float(rows[place[s]] @ rows[place[asked]]))
        there = {m[0].casefold() for m in _WORD.finditer(near)}
        able = [i for i, o in enumerate(question.options) if o.casefold() in there]
        best = max(able or range(len(filled)), key=lambda i: float(rows[place[filled[i]]] @ rows[place[near]]))
        alike = float(np.clip(rows[place[near]] @ rows[place[asked]], 0.0, 1.0))
        out.append(Answer(best, alike if able else 0.0))
    return out
