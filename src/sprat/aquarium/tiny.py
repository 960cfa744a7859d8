"""Tiny language models that write text with numpy alone: greedily, or by sampling with a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sprat.aquarium.checkpoint import Weights, read_weights
from sprat.aquarium.forward import Integers, TinySession
from sprat.aquarium.vocabulary import Vocabulary, read_vocabulary
from sprat.errors import BadInput

AT_ONCE = 64  # prompts that share one cache, so that memory stays small


@dataclass(frozen=True)
class Token:
    """One step of a reply: natural log-probabilities at temperature 1; `top` holds the likeliest (text, logprob)."""

    id: int
    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Generated:
    """A reply: one log-probability per token of `tokens`; `end_logprob` is the end token's, None where cut short."""

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    top: tuple[tuple[tuple[str, float], ...], ...]
    end_logprob: float | None
    input_tokens: int

    @property
    def output_tokens(self) -> int:
        """Tokens the model wrote, the end token too."""
        return len(self.tokens) + (self.end_logprob is not None)


@dataclass(frozen=True, eq=False)
class TinyLlama:
    """A tiny model that writes: its weights and its vocabulary, under its name."""

    name: str
    vocabulary: Vocabulary
    weights: Weights

    @classmethod
    def load(cls, path: Path | str) -> TinyLlama:
        """The model of a .safetensors file with the vocab.json beside it; BadInput where the file is not one."""
        path = Path(path)
        return cls(path.stem, read_vocabulary(path.with_name("vocab.json")), read_weights(path))

    def session(self, batch: int, capacity: int | None = None) -> TinySession:
        """An empty cache for `batch` rows of at most `capacity` tokens each (default: all the model reads)."""
        return TinySession(self.weights, batch, capacity or self.weights.positions)

    def generate(
        self,
        prompts: Sequence[str],
        max_tokens: int = 32,
        temperature: float = 0.0,
        seeds: Sequence[int] | None = None,
        top_logprobs: int = 0,
    ) -> list[Generated]:
        """One reply per prompt, as `stream` writes it, independent of the other prompts; BadInput as there."""
        pieces: list[list[Token]] = [[] for _ in prompts]
        for row, token in self.stream(prompts, max_tokens, temperature, seeds, top_logprobs):
            pieces[row].append(token)
        return [self._gather(prompt, tokens) for prompt, tokens in zip(prompts, pieces, strict=True)]

    def _gather(self, prompt: str, tokens: list[Token]) -> Generated:
        ended = bool(tokens) and tokens[-1].id == self.vocabulary.end
        said = tokens[:-1] if ended else tokens
        ids = tuple(token.id for token in said)
        logprobs = tuple(token.logprob for token in said)
        top = tuple(token.top for token in said)
        end = tokens[-1].logprob if ended else None
        return Generated(self.vocabulary.decode(ids), ids, logprobs, top, end, len(prompt) + 1)

    def stream(
        self,
        prompts: Sequence[str],
        max_tokens: int = 32,
        temperature: float = 0.0,
        seeds: Sequence[int] | None = None,
        top_logprobs: int = 0,
    ) -> Iterator[tuple[int, Token]]:
        """Yield (row, token) as tokens are written, a row's end token last; temperature 0 is greedy.

        A row's draws depend on its seed (default 0), its prompt and the weights, never on the other rows.
        BadInput: an unknown character, a prompt over the model's length, max_tokens < 1, temperature < 0.
        """
        if max_tokens < 1 or not 0 <= temperature < np.inf:
            raise BadInput(f"max_tokens is {max_tokens} and temperature {temperature}.", hint="Needed: >= 1 and >= 0.")
        if seeds is not None and len(seeds) != len(prompts):
            raise BadInput(f"{len(prompts)} prompts came with {len(seeds)} seeds.", hint="Give one seed per prompt.")
        ids = [self.vocabulary.encode(prompt) for prompt in prompts]
        longest, limit = max(map(len, prompts), default=0), self.weights.positions - 1
        if longest > limit:
            raise BadInput(f"A prompt has {longest} characters; {self.name} reads at most {limit}.", hint="Shorten it.")
        mark, starts = self.weights.fingerprint, seeds or [0] * len(ids)
        draws = [np.random.default_rng([seed % 2**64, mark, *row]) for seed, row in zip(starts, ids, strict=True)]
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))  # alike in length: little padding to compute
        for start in range(0, len(ids), AT_ONCE):
            yield from self._stream(ids, order[start : start + AT_ONCE], draws, max_tokens, temperature, top_logprobs)

    def _stream(
        self,
        ids: list[list[int]],
        rows: Sequence[int],
        draws: list[np.random.Generator],
        max_tokens: int,
        temperature: float,
        top: int,
    ) -> Iterator[tuple[int, Token]]:
        counts = np.array([len(ids[row]) for row in rows])
        fed = np.array([ids[row] + [self.vocabulary.pad] * (int(counts.max()) - len(ids[row])) for row in rows])
        session = self.session(len(rows), min(self.weights.positions, int(counts.max()) + max_tokens))
        logits = session.feed(fed)[np.arange(len(rows)), counts - 1]
        session.rollback(counts.max() - counts)
        for _ in range(max_tokens):
            logprobs = log_softmax(logits)
            chosen = choose(logprobs, temperature, [draws[row] for row in rows])
            best = np.argsort(-logprobs, axis=1, kind="stable")[:, :top]
            for place, row in enumerate(rows):
                index, line = int(chosen[place]), logprobs[place]
                likely = tuple((self.vocabulary.decode([i]), float(line[i])) for i in best[place].tolist())
                yield row, Token(index, self.vocabulary.decode([index]), float(line[index]), likely)
            going = np.flatnonzero((chosen != self.vocabulary.end) & (session.lengths < self.weights.positions))
            if not len(going):
                return
            if len(going) < len(rows):
                session.select(going)
                rows = [rows[place] for place in going.tolist()]
            logits = session.feed(chosen[going, None])[:, 0]


def log_softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Natural log-probabilities along the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def choose(logprobs: NDArray[np.float64], temperature: float, draws: Sequence[np.random.Generator]) -> Integers:
    """One id per row of (batch, vocabulary): the likeliest at temperature 0, else drawn with the row's generator."""
    if temperature == 0:
        return logprobs.argmax(axis=-1)
    heights = np.cumsum(np.exp(log_softmax(logprobs / temperature)), axis=-1)
    points = np.array([draw.random() for draw in draws]) * heights[:, -1]
    return (heights[:, :-1] <= points[:, None]).sum(axis=-1)
