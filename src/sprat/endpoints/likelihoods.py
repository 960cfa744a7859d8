"""How likely a model finds a text after another, as an endpoint: local decoders, encoder-decoders, and servers.

A server is asked by completions, with `echo` or, as vLLM offers too, with `prompt_logprobs`. What is asked is a request
whose user gives the one text and whose assistant says the other, so that a replay can tell which is missing. Checked by
hand, and served against local.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, cast

import numpy as np

from ..core import Can, Endpoint, Reply, Request, Usage
from ..drivers.background import blocking
from ..errors import BadInput, CannotDo, Garbled, SpratError
from ..prices import cost
from ..shape import name_of
from ..whitebox.decoder import Decoder
from ..whitebox.scoring import logprobs
from .seq2seq import Seq2Seq

Ask = Literal["echo", "prompt_logprobs"]
CueAt = Literal["source", "target"]
_AT_ONCE = 8


def after(given: str, text: str) -> Request:
    """What is asked: how likely `text` is after `given`."""
    said = ({"role": "user", "content": given}, {"role": "assistant", "content": text})
    return Request(said, {"echo": True, "logprobs": True, "max_tokens": 0}, thread="")


def cued(given: str, text: str, cue: str, at: CueAt) -> tuple[str, str]:
    """BARTScore's prompts (arXiv 2106.11520): a cue at the end of the given text, or before the one that is scored.

    Before it the cue is scored with it, as in the paper. No cue ("") leaves both as they are.
    """
    given, text = given.strip(), text.strip()
    if at == "target":
        return given, f"{cue} {text}".strip()
    return f"{given} {cue}".strip(), text


def _texts(request: Request) -> tuple[str, str]:
    return str(request.messages[0]["content"]), str(request.messages[1]["content"])


@dataclass(frozen=True, repr=False)
class LocalLikelihood(Endpoint):
    """A decoder's or an encoder-decoder's likelihoods: every text is read in one go; `ended` counts its end too."""

    model: Any
    ended: bool = False
    use = "likelihood"
    offline = True  # weights at hand: a replay asks them as they are

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whose likelihoods."""
        return f"likelihood by {name_of(self.model)}"

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        """For each `after` request a reply that says nothing, with the text's log-probabilities per token."""
        pairs = [_texts(r) for r in requests]
        try:
            if isinstance(self.model, Seq2Seq):
                found = self.model.likelihoods(pairs, self.ended)
            else:
                asked = [Request.of(given) for given, _ in pairs]
                found = logprobs(self.model, asked, [text for _, text in pairs], ended=self.ended)
        except SpratError as error:
            # One text that can't be read must not take the others with it.
            return [error] if len(requests) == 1 else [a for r in requests for a in self.answer_many([r])]
        return [self._reply(pair, values) for pair, values in zip(pairs, found, strict=True)]

    def _reply(self, pair: tuple[str, str], values: Any) -> Reply:
        price, read = getattr(self.model, "price", None), None
        if isinstance(self.model, Decoder):
            read = len(self.model.base.prompt(Request.of(pair[0]))) + len(values)
        usage = None if read is None else Usage(read, 0)
        spent = cost(price, usage) if usage is not None else None
        return Reply(None, self.name, logprobs=tuple(values.tolist()), usage=usage, cost=spent)


@dataclass(frozen=True, repr=False)
class ServedLikelihood(Endpoint):
    """A server's likelihoods, a call for each text; `by` says what it is asked for."""

    model: Any
    by: Ask = "echo"
    use = "likelihood"

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whose likelihoods."""
        return f"likelihood by {name_of(self.model)}"

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        """For each `after` request a reply that says nothing, with the text's log-probabilities per token."""
        return blocking(self._all(requests))

    async def _all(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        gate = asyncio.Semaphore(getattr(self.model, "at_once", None) or _AT_ONCE)

        async def one(request: Request) -> Reply | Exception:
            async with gate:
                try:
                    return await self.answer_async(request)
                except SpratError as error:
                    return error

        return list(await asyncio.gather(*(one(r) for r in requests)))

    async def answer_async(self, request: Request) -> Reply:
        """One of them; raises Garbled where the server does not tell, and what its call raises."""
        given, text = _texts(request)
        before = f"{given}\n"
        body: dict[str, Any] = {"prompt": before + text, "max_tokens": 1, "temperature": 1.0}
        body |= {"logprobs": 1, "echo": True} if self.by == "echo" else {"prompt_logprobs": 0}
        reply: Reply = await self.model.post("completions", body)
        read = echoed if self.by == "echo" else prompted
        values = tuple(read(reply.raw, before, text, name_of(self.model)))
        return replace(reply, model=self.name, logprobs=values, raw=None)


def likelihood_of(model: Any, ended: bool = False, by: Ask = "echo") -> Endpoint:
    """The endpoint of a model's likelihoods; CannotDo where it doesn't give log-probabilities of a given text."""
    if by not in ("echo", "prompt_logprobs"):
        raise BadInput(f"A server is asked by echo or prompt_logprobs, not {by!r}.")
    if isinstance(model, (Decoder, Seq2Seq)):
        return _local(model, ended)
    if not hasattr(model, "post") or getattr(model, "can", Can.TEXT) < Can.LOGPROBS:
        raise CannotDo(
            f"A likelihood needs the log-probabilities of a given text, and '{name_of(model)}' doesn't give them, "
            "or isn't declared to.",
            hint="Take sprat.local(...), or sprat.openai(..., logprobs=True) on a server that completes with echo "
            "(logprobs = true in its table of the TOML file).",
        )
    if ended:
        raise CannotDo("A server doesn't say how likely a text ends.", hint="Leave `ended` out, or take sprat.local().")
    return ServedLikelihood(model, by)


@lru_cache(maxsize=64)
def _local(model: Any, ended: bool) -> LocalLikelihood:
    """One object per model, so that all signals' asks go to it together."""
    return LocalLikelihood(model, ended)


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
        raise _lacking(name, error) from error
    return found


def prompted(raw: Any, before: str, text: str, name: str) -> list[float]:
    """The log-probabilities of the last tokens, which hold `text`, in vLLM's `prompt_logprobs`; raises Garbled."""
    try:
        places: list[Any] = cast("dict[str, Any]", raw)["choices"][0]["prompt_logprobs"]
        found, seen = list[float](), ""
        for place in reversed(places):
            if len(seen) >= len(text):
                break
            told: dict[str, Any] = next(iter(place.values()))  # the prompt's own token comes first
            seen = str(told["decoded_token"]) + seen
            found.insert(0, float(told["logprob"]))
        if not (before + text).endswith(seen) or len(seen) < len(text):
            raise ValueError(f"the prompt ends in {seen[-40:]!r}")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise _lacking(name, error) from error
    return found


def _lacking(name: str, error: Exception) -> Garbled:
    return Garbled(
        f"'{name}' gave no log-probabilities of the prompt's tokens ({type(error).__name__}: {error}).",
        hint="Does the server complete text with echo and logprobs? vLLM and llama-cpp-python do.",
        billable=True,
    )
