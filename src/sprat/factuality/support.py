"""How likely passages bear a claim out: by a model asked "True or False?", by inference, or by the words they share.

The question to a model, and how its answer is read, are FActScore's (arXiv 2305.14251). Checked by hand.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..core import Can, Reply, Request, together
from ..core import ask as asking
from ..sentences import sentences
from .corpus import Passage
from .facts import content_words

_UNSURE = frozenset({"not", "cannot", "unknown", "information"})


@dataclass(frozen=True)
class Claim:
    """What is to be borne out, by which passages, and whom or what it is about ("": unsaid)."""

    text: str
    passages: tuple[Passage, ...]
    topic: str = ""


@runtime_checkable
class Support(Protocol):
    """Whatever judges claims; awaits only the verbs."""

    async def chances(self, claims: Sequence[Claim]) -> list[float]:
        """For each claim the chance, in [0, 1], that its passages bear it out; above one half is supported."""
        ...


@dataclass(frozen=True)
class Lexical:
    """The share of the claim's telling words that one passage has, the best passage; a baseline of ours."""

    async def chances(self, claims: Sequence[Claim]) -> list[float]:
        """0 where there are no passages, or no telling word."""
        return [max((shared(c.text, p.text) for p in c.passages), default=0.0) for c in claims]


def shared(claim: str, passage: str) -> float:
    """The share of the claim's telling words, each counted once, that stand in the passage."""
    said = {m[0].casefold() for m in content_words(claim)}
    there = {m[0].casefold() for m in content_words(passage)}
    return len(said & there) / len(said) if said else 0.0


@dataclass(frozen=True)
class ByModel:
    """`model` is asked "True or False?": its probabilities of the two where it gives them, else what it says."""

    model: Any

    async def chances(self, claims: Sequence[Claim]) -> list[float]:
        """p(True) by p(True) + p(False), or 1 and 0 by the words of the answer; 0 where it failed to answer."""
        told = getattr(self.model, "can", Can.TEXT) >= Can.LOGPROBS
        options = {"temperature": 0, "max_tokens": 16} | ({"logprobs": True, "top_logprobs": 20} if told else {})
        asked = [Request(({"role": "user", "content": prompt(c)},), options, thread="") for c in claims]
        heard = await together([asking(self.model, q, "true or false") for q in asked]) if asked else []
        return [chance(r) if r.ok else 0.0 for r in heard]


def prompt(claim: Claim) -> str:
    """FActScore's question: the passages with their titles, the best one last, then the claim."""
    about = f"Answer the question about {claim.topic} based on the given context." if claim.topic else ""
    titled = [(f"Title: {p.title}\n" if p.title else "") + f"Text: {p.text}" for p in reversed(claim.passages)]
    shown = "\n\n".join(titled)
    context = f"{about or 'Answer the question based on the given context.'}\n\n{shown}".strip()
    if context[-1] not in string.punctuation:
        context += "."
    return f"{context}\n\nInput: {claim.text.strip()} True or False?\nOutput:"


def chance(reply: Reply) -> float:
    """The chance of "True" that a reply gives: from its first token where the others are known, else its words."""
    top = reply.top_logprobs[0] if reply.top_logprobs else {}
    mass = {"true": 0.0, "false": 0.0}
    for token, logprob in top.items():
        if (word := token.strip().lower()) in mass:
            mass[word] += exp(logprob)
    if total := sum(mass.values()):
        return mass["true"] / total
    return float(said_true(reply.text or ""))


def said_true(text: str) -> bool:
    """Whether an answer says true: where it says both, the later first mention; where neither, unless it declines."""
    told = text.lower()
    true, false = told.find("true"), told.find("false")
    if true >= 0 or false >= 0:
        return true > false
    return not _UNSURE & set(told.translate(str.maketrans("", "", string.punctuation)).split())


@dataclass(frozen=True)
class ByNli:
    """`nli` gives probabilities of entailment of the claim by each sentence of the passages; the best one counts."""

    nli: Any

    async def chances(self, claims: Sequence[Claim]) -> list[float]:
        """0 where there are no passages."""
        split = [[s for p in c.passages for s in sentences(p.text)] for c in claims]
        pairs = [(s, c.text) for c, found in zip(claims, split, strict=True) for s in found]
        held = iter(np.asarray(self.nli.probabilities(pairs), np.float64)[:, 0].tolist() if pairs else ())
        return [max((next(held) for _ in found), default=0.0) for found in split]


def by_model(model: Any) -> ByModel:
    """Support by a model: small or large, local or over HTTP."""
    return ByModel(model)


def by_nli(nli: Any) -> ByNli:
    """Support by a natural language inference model: `probabilities(pairs)` gives (n, 3), entailment first."""
    return ByNli(nli)
