"""Atomic facts of a text, each with its place in it: written by a model as in FActScore, or cut out by rules.

FActScore (Min et al., arXiv 2305.14251) breaks each sentence down with a prompt and worked examples; the instruction is
the paper's, the examples are ours. The rules (clauses, relative clauses, brackets, joined verbs) are sprat's own, for
where no model is at hand. Checked by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..core import Request, together
from ..core import ask as asking
from ..sentences import spans

_WORD = re.compile(r"\w+(?:['’.,-]\w+)*")
# Words that say nothing by themselves: what is left tells a fact from its neighbours.
_TELLS_NOTHING = (
    "a an the and or but of to in on at by for from with as is are was were be been being has have had do does did "
    "he she it they we i you his her its their this that these those who which also there"
)
_COMMON = frozenset(_TELLS_NOTHING.split())
_SPLIT = re.compile(r";\s+|,?\s+\b(?:and|but)\s+(?=(?:he|she|it|they|we|i|this|these|there)\b)", re.IGNORECASE)
_RELATIVE = re.compile(r",\s+(?:who|which)\s+([^,]+?)(?:,\s+|[.\s]*$)")
_BRACKET = re.compile(r"\s*\(([^()]{3,200})\)")
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|can|could|will|would|may|might|must|does|did|\w{3,}ed|became|began|won|wrote|"
    r"made|said|led|left|took|went|held|grew|taught|born)\b"
)
_JOINED = re.compile(
    r",?\s+\b(?:and|but)\s+(?=(?:then |later |also )?(?:is|are|was|were|has|had|\w{3,}ed|became|won|wrote|taught)\b)"
)

INSTRUCTION = "Please breakdown the following sentence into independent facts: "
EXAMPLES = (
    (
        "Mara Lund (born 3 May 1961) is a Danish chemist who taught at Aarhus from 1990 to 2004.",
        (
            "Mara Lund was born on 3 May 1961.",
            "Mara Lund is Danish.",
            "Mara Lund is a chemist.",
            "Mara Lund taught at Aarhus.",
            "Mara Lund taught at Aarhus from 1990 to 2004.",
        ),
    ),
    (
        "The bridge, which opened in 1932, carries trains and cars across the Orr.",
        (
            "The bridge opened in 1932.",
            "The bridge carries trains.",
            "The bridge carries cars.",
            "The bridge crosses the Orr.",
        ),
    ),
)
_SORRY = re.compile(
    r"\s*(?:i['’]?m sorry|i am sorry|sorry,|i apologi[sz]e|i (?:can['’]?t|cannot|could not|couldn['’]t|am unable)|"
    r"unfortunately, i|as an ai|i (?:don['’]t|do not) (?:know|have))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One claim, and the place (start, end) in the text that it is about."""

    text: str
    start: int
    end: int


def located(text: str) -> list[Fact]:
    """The sentences of a text, each with its place."""
    return [Fact(text[a:b], a, b) for a, b in spans(text)]


def abstains(text: str) -> bool:
    """Whether a reply declines to answer: it is empty, or it opens with an apology or a disclaimer; a rule of ours."""
    return not text.strip() or bool(_SORRY.match(text))


def split_facts(text: str) -> list[Fact]:
    """The facts of a text by rules: each clause, relative clause, bracket and joined verb, with its subject again."""
    return [fact for sentence in located(text) for clause in _pieces(sentence, _SPLIT) for fact in _clause(clause)]


def _pieces(whole: Fact, at: re.Pattern[str]) -> list[Fact]:
    """A place in the text, cut at a pattern; pieces of fewer than two words stay with the one before."""
    cuts = [0]
    for cut in at.finditer(whole.text):
        if len(whole.text[cuts[-1] : cut.start()].split()) > 1 and len(whole.text[cut.end() :].split()) > 1:
            cuts.append(cut.end())
    ends = [*cuts[1:], len(whole.text)]
    return [_trimmed(whole, a, b) for a, b in zip(cuts, ends, strict=True)]


def _trimmed(whole: Fact, a: int, b: int) -> Fact:
    piece = whole.text[a:b]
    kept = re.sub(r"[\s,;]*(?:\b(?:and|but)\b)?[\s,;]*$", "", piece, flags=re.IGNORECASE)
    return Fact(kept, whole.start + a, whole.start + a + len(kept))


def _clause(clause: Fact) -> list[Fact]:
    """The facts of one clause: its brackets and relative clauses first blanked out, then its joined verbs."""
    rest = _BRACKET.sub(lambda m: " " * len(m[0]), clause.text)
    verb = _VERB.search(rest)
    subject = " ".join(rest[: verb.start()].split(",")[0].split()) if verb else ""
    found = [
        Fact(f"{subject} ({m[1]})", clause.start + m.start(1), clause.start + m.end(1))
        for m in _BRACKET.finditer(clause.text)
        # A bracket without a word for its subject, or an abbreviation, says nothing to check.
        if subject and len(m[1].split()) > 1
    ]
    relative = _RELATIVE.search(rest)
    if relative and subject:
        found.append(Fact(f"{subject} {relative[1]}", clause.start + relative.start(1), clause.start + relative.end(1)))
        rest = f"{rest[: relative.start()]}{' ' * len(relative[0])}{rest[relative.end() :]}"
    if len(rest.split()) > 1 and rest.strip(" .") != subject:
        found[:0] = _joined(rest, clause.start, subject)
    return found or [clause]


def _joined(rest: str, start: int, subject: str) -> list[Fact]:
    """What stands between joined verbs, each with the subject in front; `rest` has the length of the clause."""
    cuts = list(_JOINED.finditer(rest)) if subject else []
    out: list[Fact] = []
    for a, b in zip([0, *(c.end() for c in cuts)], [*(c.start() for c in cuts), len(rest)], strict=True):
        said = " ".join(rest[a:b].split())
        if said:
            lead = len(rest[a:b]) - len(rest[a:b].lstrip())
            out.append(Fact(f"{subject} {said}" if a else said, start + a + lead, start + a + len(rest[a:b].rstrip())))
    return out


def prompt(sentence: str) -> str:
    """What a model is asked about one sentence."""
    shown = "".join(f"{INSTRUCTION}{said}\n{''.join(f'- {f}' + chr(10) for f in facts)}\n" for said, facts in EXAMPLES)
    return f"{shown}{INSTRUCTION}{sentence}\n"


def read_facts(text: str) -> list[str]:
    """The facts that a model listed, one a line behind a dash, a star or a number; nothing else in its reply counts."""
    lines = (re.match(r"\s*(?:[-*•]|\d+[.)])\s+(.*\S)", line) for line in text.splitlines())
    return [m[1] for m in lines if m]


async def atomic_facts(text: str, model: Any) -> list[Fact]:
    """The facts of a text as `model` lists them, a sentence at a time; a sentence for which it lists none is one."""
    whole = located(text)
    asked = [Request(({"role": "user", "content": prompt(s.text)},), {"temperature": 0}, thread="") for s in whole]
    heard = await together([asking(model, q, "atomic facts") for q in asked]) if whole else []
    out: list[Fact] = []
    for sentence, reply in zip(whole, heard, strict=True):
        said = list(dict.fromkeys(read_facts(reply.text or ""))) if reply.ok else []
        out += placed(sentence, said) if said else [sentence]
    return out


def placed(sentence: Fact, said: Sequence[str]) -> list[Fact]:
    """Each fact with its place: from the first to the last word of the sentence that it shares with no other fact.

    Where it shares all its words, the whole sentence.
    """
    bags = [_content(f) for f in said]
    out: list[Fact] = []
    for i, fact in enumerate(said):
        own = bags[i] - set[str]().union(*(b for j, b in enumerate(bags) if j != i))
        spans = [m.span() for m in _WORD.finditer(sentence.text) if m[0].casefold() in own]
        a, b = (spans[0][0], spans[-1][1]) if spans else (0, len(sentence.text))
        out.append(Fact(fact, sentence.start + a, sentence.start + b))
    return out


def _content(text: str) -> set[str]:
    return {w.casefold() for w in _WORD.findall(text)} - _COMMON


def content_words(text: str) -> Iterable[re.Match[str]]:
    """The words of a text that say something, each with its place."""
    return (m for m in _WORD.finditer(text) if m[0].casefold() not in _COMMON)
