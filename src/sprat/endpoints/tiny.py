"""The aquarium's tiny language models as endpoints: real answers in numpy, with no key and no network.

They read the last user message alone. Checked against their own recorded calls, token by token.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..core import Can, Endpoint, Piece, Reply, Request, Usage
from ..errors import BadInput, SpratError
from ..prices import Price, built_in, cost

if TYPE_CHECKING:
    from ..aquarium import TinyLlama, Token


@dataclass(frozen=True)
class _Wish:
    """The options that the tiny models know; they have no others."""

    max_tokens: int
    temperature: float
    top_logprobs: int


@dataclass(frozen=True, repr=False)
class Tiny(Endpoint):
    """A tiny model by name, or by the .safetensors file in `weights`.

    Its options are max_tokens, temperature, seed and top_logprobs; others have no effect. Sampling is reproducible:
    the seed (default 0) plus the request's sample number gives the draw.
    """

    name: str
    weights: str = ""
    price: Price | None = field(default=None, repr=False)
    max_tokens: int = 32
    use = "tiny"
    offline = False

    @property
    def can(self) -> Can:
        """Log-probabilities of every token."""
        return Can.LOGPROBS

    @property
    def loaded(self) -> TinyLlama:
        """The model itself, read once; BadInput where there is none."""
        from ..aquarium import TinyLlama, load

        return _files(self.weights, TinyLlama) if self.weights else load(self.name)

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        """The replies, in batches of like options; BadInput for a prompt with characters it has no token for."""
        model, answers = self.loaded, list[Reply | Exception | None]([None] * len(requests))
        alike: dict[_Wish, list[int]] = {}
        for i, request in enumerate(requests):
            try:
                _check(model, request.text)
                alike.setdefault(self._wish(request), []).append(i)
            except SpratError as error:
                answers[i] = error
        for wish, rows in alike.items():
            said: list[list[Token]] = [[] for _ in rows]
            prompts, seeds = [requests[i].text for i in rows], [_seed(requests[i]) for i in rows]
            for row, token in model.stream(prompts, wish.max_tokens, wish.temperature, seeds, wish.top_logprobs):
                said[row].append(token)
            for i, tokens in zip(rows, said, strict=True):
                answers[i] = self._reply(model, requests[i], tokens)
        return cast("list[Reply | Exception]", answers)

    async def pieces(self, request: Request) -> AsyncGenerator[Piece]:
        """The reply token by token, written on a worker thread."""
        model = await asyncio.to_thread(lambda: self.loaded)
        wish, said = self._wish(request), list[Any]()
        steps = model.stream([request.text], wish.max_tokens, wish.temperature, [_seed(request)], wish.top_logprobs)
        while (step := await asyncio.to_thread(next, steps, None)) is not None:
            said.append(step[1])
            if step[1].id != model.vocabulary.end:
                yield Piece(step[1].text, (step[1].text,), (step[1].logprob,))
        yield Piece(reply=self._reply(model, request, said))

    def _wish(self, request: Request) -> _Wish:
        options = request.options
        try:
            longest = int(options.get("max_completion_tokens") or options.get("max_tokens") or self.max_tokens)
            wish = _Wish(longest, float(options.get("temperature") or 0.0), int(options.get("top_logprobs") or 0))
            _seed(request)
        except (TypeError, ValueError) as error:
            raise BadInput(f"An option of '{self.name}' is not a number: {error}.") from error
        if wish.max_tokens < 1 or not 0 <= wish.temperature < float("inf"):
            raise BadInput(
                f"max_tokens is {wish.max_tokens} and temperature {wish.temperature}.", hint="Needed: >= 1 and >= 0."
            )
        return wish

    def _reply(self, model: TinyLlama, request: Request, written: list[Token]) -> Reply:
        ended = bool(written) and written[-1].id == model.vocabulary.end
        said = written[:-1] if ended else written
        usage = Usage(len(request.text) + 1, len(written))
        return Reply(
            "".join(t.text for t in said),
            self.name,
            tuple(t.text for t in said),
            tuple(t.logprob for t in said),
            tuple(dict(t.top) for t in said) if request.options.get("top_logprobs") else None,
            finish="stop" if ended else "length",
            usage=usage,
            cost=cost(self.price, usage),
        )


def _seed(request: Request) -> int:
    return int(request.options.get("seed") or 0) + request.sample


def _check(model: TinyLlama, prompt: str) -> None:
    ids, limit = model.vocabulary.encode(prompt), model.weights.positions
    if len(ids) > limit:
        raise BadInput(
            f"A prompt has {len(ids) - 1} characters; {model.name} reads at most {limit - 1}.", hint="Shorten it."
        )


_read: dict[str, Any] = {}


def _files(path: str, kind: type[TinyLlama]) -> TinyLlama:
    if path not in _read:
        _read[path] = kind.load(path)
    return _read[path]


def tiny(which: str, *, price: Price | None = None, max_tokens: int = 32) -> Tiny:
    """The aquarium's "fry", "sprat" or "mackerel", or a model in a .safetensors file; BadInput where there is none.

    The three cost what the aquarium's notional table says, unless a price is given.
    """
    if which.endswith(".safetensors"):
        made = Tiny(Path(which).stem, which, price, max_tokens)
    else:
        made = Tiny(which, "", price or built_in().of(which), max_tokens)
    _ = made.loaded
    return made
