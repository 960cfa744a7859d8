"""SelfCheckGPT: does a model say again, in other draws, what it said in a sentence? 0 is consistent.

Manakul et al., arXiv 2303.08896: by BERTScore, by an n-gram model, by inference. Checked by hand, and by
benchmarks/bertscore.py against the package's loop. Words are split by a plain rule, not by a spaCy model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from ..errors import BadInput, CannotDo
from ..nli.protocol import CONTRADICTION, ENTAILMENT, Floats, Nli
from ..sentences import sentences
from ..similarity.greedy import f_of, matched
from ..similarity.scores import Baseline
from ..similarity.token_vectors import TokenEncoder
from ..words import words


def by_bertscore(
    said: Sequence[str],
    samples: Sequence[Sequence[str]],
    encoder: TokenEncoder,
    rescale: Baseline | None = None,
) -> list[float]:
    """1 less the mean over samples (each a list of sentences) of the best F of a sentence with one of theirs."""
    _some(said, samples)
    places = {text: i for i, text in enumerate(dict.fromkeys([*said, *(t for s in samples for t in s)]))}
    tokens = encoder.tokens(list(places))
    pairs = {(places[t], places[r]) for r in said for s in samples for t in s}
    ordered = sorted(pairs)
    f = f_of(*matched(tokens, ordered))
    if rescale is not None:
        f = (f - rescale.f) / (1 - rescale.f)
    known = dict(zip(ordered, f.tolist(), strict=True))
    return [
        1 - float(np.mean([max((known[places[t], places[r]] for t in s), default=0.0) for s in samples])) for r in said
    ]


@dataclass(frozen=True, slots=True)
class NgramScore:
    """-log p of a sentence's n-grams: their mean, and their largest; nats, from 0 up without bound."""

    mean: float
    largest: float


def by_ngram(said: Sequence[str], answer: str, samples: Sequence[str], n: int = 1) -> list[NgramScore]:
    """An n-gram model (joint, not conditional; no smoothing) of the answer and the samples reads each sentence."""
    _some(said, samples)
    if n < 1:
        raise BadInput(f"An n-gram has at least one word; got {n}.")
    counts = Counter(g for text in (answer, *samples) for sentence in sentences(text) for g in _ngrams(sentence, n))
    total = sum(counts.values())
    out: list[NgramScore] = []
    for sentence in said:
        # What the model has never seen counts as seen once: a sentence that is not the answer's own would be infinite.
        found = [-log(max(1, counts[g]) / max(1, total)) for g in _ngrams(sentence, n)] or [0.0]
        out.append(NgramScore(sum(found) / len(found), max(found)))
    return out


def _ngrams(sentence: str, n: int) -> list[tuple[str, ...]]:
    padded = ["<s>"] * (n - 1) + words(sentence)
    return [tuple(padded[i : i + n]) for i in range(len(padded) - n + 1)]


def by_nli(said: Sequence[str], samples: Sequence[str], nli: Nli) -> list[float]:
    """The mean over samples of p(contradiction) against p(entailment), the sentence first, neutral left out."""
    _some(said, samples)
    return against(nli.probabilities([(r, s) for r in said for s in samples]), len(said))


def against(probabilities: Floats, sentences: int) -> list[float]:
    """The same of probabilities (sentences x samples, 3) that are known, a sentence's samples after each other.

    CannotDo where none says contradiction at all, as of a model with two labels: everything would be consistent.
    """
    found = np.asarray(probabilities, np.float64)
    _contradicting(found)
    return _shares(found, sentences)


def _shares(found: Floats, sentences: int) -> list[float]:
    share = found[:, CONTRADICTION] / np.maximum(found[:, ENTAILMENT] + found[:, CONTRADICTION], 1e-12)
    return share.reshape(sentences, -1).mean(axis=1).tolist()


def _contradicting(found: Floats) -> None:
    # A softmax over three classes is never 0 everywhere; a class that a model lacks is.
    if len(found) and not found[:, CONTRADICTION].any():
        raise CannotDo(
            "SelfCheckGPT by inference needs a model that says contradiction, and this one gives it no probability.",
            hint="Take one with three labels, such as hub:cross-encoder/nli-deberta-v3-base, or go by unigrams.",
        )


def self_checked(draws: Sequence[Sequence[str]], nli: Nli) -> list[float]:
    """By inference, for each question's draws (the answer first): the mean over the answer's sentences.

    NaN where the answer says nothing. All questions' pairs are judged in one call.
    """
    said = [sentences(each[0]) for each in draws]
    pairs = [[(s, other) for s in own for other in each[1:]] for own, each in zip(said, draws, strict=True)]
    unique = {pair: i for i, pair in enumerate(dict.fromkeys(p for own in pairs for p in own))}
    found = nli.probabilities(list(unique))
    _contradicting(found)
    return [
        float(np.mean(_shares(found[[unique[p] for p in own]], len(s)))) if own else float("nan")
        for own, s in zip(pairs, said, strict=True)
    ]


PROMPT = """Context: {context}

Sentence: {sentence}

Is the sentence supported by the context above? Answer Yes or No.

Answer: """


def prompt(sentence: str, sample: str) -> str:
    """The paper's question to a language model, the sample as context on one line."""
    filled = {"context": sample.replace("\n", " "), "sentence": sentence}
    return re.sub(r"\{(context|sentence)\}", lambda m: filled[m[1]], PROMPT)


def verdict(text: str) -> float:
    """0 for yes, 1 for no, one half for anything else."""
    told = text.strip().lower()
    return 0.0 if told.startswith("yes") else 1.0 if told.startswith("no") else 0.5


def _some(said: Sequence[object], samples: Sequence[object]) -> None:
    if not said or not samples:
        raise BadInput("Self-check needs at least one sentence and one other draw.", hint="Draw more samples.")
