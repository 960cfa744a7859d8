"""Likelihood score: how likely a model finds a text after its source or its reference, and a reference after the text.

BARTScore (arXiv 2106.11520) with any model that gives log-probabilities in place of BART: the mean natural logarithm
per token, in four directions, with prompts, against several references. Local decoders read every text in one go;
a server is asked by completions with `echo`. Checked by hand, and served against local.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from ..core import Can, Request
from ..drivers.background import blocking
from ..errors import BadInput, CannotDo, Garbled
from ..shape import name_of
from ..whitebox.decoder import Decoder
from ..whitebox.scoring import logprobs

Floats = NDArray[np.float64]
Combine = Literal["mean", "max"]
# What stands between the given text and the one that is scored; the paper's prompts are of this kind.
CUES = ("", "In other words,", "That is to say,", "i.e.")
_AT_ONCE = 8


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
    combine: Combine = "mean",
    ended: bool = False,
) -> LikelihoodScores:
    """The likelihood scores of texts by a local decoder, or by a server that completes text with `echo`.

    `cues` are averaged over; several references give their mean or the best. `ended` counts that the text ends there,
    as BARTScore does (local decoders only). Raises CannotDo where the model does not give log-probabilities of a text,
    BadInput where numbers don't match, or neither references nor sources were given.
    """
    _able(model, ended)
    if isinstance(texts, str) or isinstance(references, str) or isinstance(sources, str):
        raise BadInput(
            "likelihood takes lists of texts and was given one string.", hint="Write likelihood(m, [a], [b])."
        )
    if references is None and sources is None:
        raise BadInput("A likelihood is of a text after another.", hint="Give references, or sources, or both.")
    if not cues or combine not in ("mean", "max"):
        raise BadInput('likelihood needs at least one cue ("" is none), and combines by mean or max.')
    faithfulness = precision = recall = None
    if sources is not None:
        if len(sources) != len(texts):
            raise BadInput(f"There are {len(texts):,} texts and {len(sources):,} sources.")
        faithfulness = _mean(model, list(zip(sources, texts, strict=True)), cues, ended)
    if references is not None:
        given = [[r] if isinstance(r, str) else list(r) for r in references]
        if len(given) != len(texts) or not all(given):
            raise BadInput(
                f"There are {len(texts):,} texts, which need a reference each; {sum(map(bool, given)):,} came."
            )
        owner = np.repeat(np.arange(len(texts)), [len(g) for g in given])
        pairs = [(texts[i], r) for i, r in zip(owner.tolist(), (r for g in given for r in g), strict=True)]
        forth = _mean(model, [(r, t) for t, r in pairs], cues, ended)
        back = _mean(model, pairs, cues, ended)
        over = np.nanmean if combine == "mean" else np.nanmax
        precision, recall, both = (_per_text(v, owner, len(texts), over) for v in (forth, back, (forth + back) / 2))
        return LikelihoodScores(faithfulness, precision, recall, both)
    return LikelihoodScores(faithfulness)


def _per_text(values: Floats, owner: NDArray[np.int64], n: int, over: Any) -> Floats:
    return np.array([np.nan if np.isnan(v := values[owner == i]).all() else float(over(v)) for i in range(n)])


def _able(model: Any, ended: bool) -> None:
    if isinstance(model, Decoder):
        return
    if not hasattr(model, "post") or getattr(model, "can", Can.TEXT) < Can.LOGPROBS:
        raise CannotDo(
            f"A likelihood needs the log-probabilities of a given text, and '{name_of(model)}' doesn't give them.",
            hint="Take sprat.local(...), or sprat.openai(..., logprobs=True) on a server that completes with echo.",
        )
    if ended:
        raise CannotDo("A server doesn't say how likely a text ends.", hint="Leave `ended` out, or take sprat.local().")


def _mean(model: Any, pairs: Sequence[tuple[str, str]], cues: Sequence[str], ended: bool) -> Floats:
    """The mean over cues of the mean log-probability per token (n,) of the second text of each pair after the first."""
    jobs = [(given, cue, text.strip()) for cue in cues for given, text in pairs]
    unique = {job: i for i, job in enumerate(dict.fromkeys(j for j in jobs if j[2]))}
    asked = list(unique)
    by = _local(model, asked, ended) if isinstance(model, Decoder) else blocking(_served(model, asked))
    found = np.array([by[unique[j]] if j[2] else np.nan for j in jobs], np.float64)
    return found.reshape(len(cues), len(pairs)).mean(axis=0)


def _after(given: str, cue: str) -> str:
    return f"{given.strip()}\n{cue}".strip() if cue else given.strip()


def _local(model: Decoder, jobs: Sequence[tuple[str, str, str]], ended: bool) -> list[float]:
    requests = [Request.of(_after(given, cue)) for given, cue, _ in jobs]
    return [float(np.mean(row)) for row in logprobs(model, requests, [t for _, _, t in jobs], ended=ended)]


async def _served(model: Any, jobs: Sequence[tuple[str, str, str]]) -> list[float]:
    gate = asyncio.Semaphore(getattr(model, "at_once", None) or _AT_ONCE)

    async def one(given: str, cue: str, text: str) -> float:
        before = f"{_after(given, cue)}\n"
        async with gate:
            body = {"prompt": before + text, "max_tokens": 1, "temperature": 1.0, "logprobs": 1, "echo": True}
            reply = await model.post("completions", body)
        return float(np.mean(echoed(reply.raw, before, text, name_of(model))))

    return list(await asyncio.gather(*(one(*job) for job in jobs)))


def echoed(raw: Any, before: str, text: str, name: str) -> list[float]:
    """The log-probabilities of the tokens that hold `text` in the echo of `before + text`; raises Garbled."""
    try:
        told = cast("dict[str, Any]", raw)["choices"][0]["logprobs"]
        tokens, values = [str(t) for t in told["tokens"]], list(told["token_logprobs"])
        # Counted rather than read from text_offset, which servers count from different places.
        begin = "".join(tokens).index(before + text) + len(before)
        ends = np.cumsum([len(t) for t in tokens]).tolist()
        found = [
            float(value)
            for value, token, end in zip(values, tokens, ends, strict=True)
            if end > begin and end - len(token) < begin + len(text)
        ]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Garbled(
            f"'{name}' gave no log-probabilities of the prompt's tokens ({type(error).__name__}: {error}).",
            hint="Does the server complete text with echo and logprobs? vLLM and llama-cpp-python do.",
            billable=True,
        ) from error
    return found
