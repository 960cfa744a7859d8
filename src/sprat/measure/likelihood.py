"""Likelihood score: how likely a model finds a text after its source or its reference, and a reference after the text.

BARTScore (arXiv 2106.11520) with any model that gives log-probabilities in place of BART: the mean natural logarithm
per token, in four directions, with prompts, against several references. By BART or T5 (sprat.endpoints.seq2seq) it is
the paper's; local decoders and servers serve too (endpoints/likelihoods.py). Checked by hand, against BARTScore's own
arithmetic, and served against local.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core import Reply
from ..endpoints.likelihoods import Ask, CueAt, after, cued, likelihood_of
from ..errors import BadInput

Floats = NDArray[np.float64]
Combine = Literal["mean", "max"]
# Words that lead from one text to the other; the paper's prompts are of this kind.
CUES = ("", "In other words,", "That is to say,", "i.e.")


@dataclass(frozen=True, eq=False)
class LikelihoodScores:
    """Mean log-probabilities per token (n,), in nats; None where what they compare with was not given.

    `faithfulness`: the text after its source. `precision`: the text after a reference. `recall`: a reference after the
    text. `f`: the mean of these two. NaN where the text that would be scored is empty.
    """

    faithfulness: Floats | None = None
    precision: Floats | None = None
    recall: Floats | None = None
    f: Floats | None = None


def likelihood(
    model: Any,
    texts: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]] | None = None,
    sources: Sequence[str] | None = None,
    *,
    cues: Sequence[str] = ("",),
    cue_at: CueAt = "source",
    combine: Combine = "mean",
    ended: bool = False,
    by: Ask = "echo",
) -> LikelihoodScores:
    """The likelihood scores of texts by a local decoder or encoder-decoder, or by a server that completes text.

    `cues` are averaged over, each at the end of the given text or, with `cue_at` "target", before the scored one and
    scored with it; several references give their mean or the best. `ended` counts that the text ends there, as
    BARTScore does (local models only). A server is asked `by` "echo" or "prompt_logprobs". Raises CannotDo where the
    model does not give log-probabilities of a text, BadInput where numbers don't match, or neither references nor
    sources were given.
    """
    asked = likelihood_of(model, ended, by)
    if isinstance(texts, str) or isinstance(references, str) or isinstance(sources, str):
        raise BadInput(
            "likelihood takes lists of texts and was given one string.", hint="Write likelihood(m, [a], [b])."
        )
    if references is None and sources is None:
        raise BadInput("A likelihood is of a text after another.", hint="Give references, or sources, or both.")
    if not cues or combine not in ("mean", "max") or cue_at not in ("source", "target"):
        raise BadInput(
            'likelihood needs at least one cue ("" is none), at the source or the target, and combines by mean or max.'
        )
    faithfulness = precision = recall = None
    if sources is not None:
        if len(sources) != len(texts):
            raise BadInput(f"There are {len(texts):,} texts and {len(sources):,} sources.")
        faithfulness = _mean(asked, list(zip(sources, texts, strict=True)), cues, cue_at)
    if references is not None:
        given = [[r] if isinstance(r, str) else list(r) for r in references]
        if len(given) != len(texts) or not all(given):
            raise BadInput(
                f"There are {len(texts):,} texts, which need a reference each; {sum(map(bool, given)):,} came."
            )
        owner = np.repeat(np.arange(len(texts)), [len(g) for g in given])
        pairs = [(texts[i], r) for i, r in zip(owner.tolist(), (r for g in given for r in g), strict=True)]
        forth = _mean(asked, [(r, t) for t, r in pairs], cues, cue_at)
        back = _mean(asked, pairs, cues, cue_at)
        over = np.nanmean if combine == "mean" else np.nanmax
        precision, recall, both = (_per_text(v, owner, len(texts), over) for v in (forth, back, (forth + back) / 2))
        return LikelihoodScores(faithfulness, precision, recall, both)
    return LikelihoodScores(faithfulness)


def _per_text(values: Floats, owner: NDArray[np.int64], n: int, over: Any) -> Floats:
    return np.array([np.nan if np.isnan(v := values[owner == i]).all() else float(over(v)) for i in range(n)])


def _mean(asked: Any, pairs: Sequence[tuple[str, str]], cues: Sequence[str], cue_at: CueAt) -> Floats:
    """The mean over cues of the mean log-probability per token (n,) of the second text of each pair after the first."""
    jobs = [cued(*pair, cue, cue_at) if pair[1].strip() else None for cue in cues for pair in pairs]
    unique = {job: i for i, job in enumerate(dict.fromkeys(j for j in jobs if j is not None))}
    replies: list[Reply | Exception] = list(asked.answer_many([after(*job) for job in unique]))
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    by = [float(np.mean(r.logprobs)) if isinstance(r, Reply) and r.logprobs else np.nan for r in replies]
    found = np.array([np.nan if j is None else by[unique[j]] for j in jobs], np.float64)
    return found.reshape(len(cues), len(pairs)).mean(axis=0)
