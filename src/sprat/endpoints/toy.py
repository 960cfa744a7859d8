"""A model made of a table or a function, for tests and examples: public, so that yours can use it too."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..core import Can, Endpoint, Piece, Reply, Request, Usage
from ..errors import SpratError


@dataclass(frozen=True, repr=False)
class Toy(Endpoint):
    """Answers `answers[prompt]`, `answers(request)` (a text or a Reply), or always `answers`; streams word by word.

    `cost` is dollars per call, `seconds` what each call is said to take, `trusted` the log-probability of each token
    (a model without one gives text alone).
    """

    name: str
    answers: Mapping[str, str] | Callable[[Request], str | Reply] | str = field(default_factory=dict[str, str])
    cost: float | None = 0.0
    seconds: float | None = 0.0
    trusted: float | None = None
    use = "toy"

    @property
    def can(self) -> Can:
        """LOGPROBS where `trusted` is given."""
        return Can.TEXT if self.trusted is None else Can.LOGPROBS

    def answer_many(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        """The answers; what is not in the table is answered by its own prompt, reversed."""
        return [self._answer(r) for r in requests]

    def _answer(self, request: Request) -> Reply | Exception:
        try:
            said = self._said(request)
        except SpratError as error:
            return error
        if isinstance(said, Reply):
            return said
        tokens = _tokens(said)
        logprobs = None if self.trusted is None else (self.trusted,) * len(tokens)
        usage = Usage(len(request.text.split()), len(tokens))
        return Reply(
            said, self.name, tokens, logprobs, finish="stop", usage=usage, cost=self.cost, seconds=self.seconds
        )

    def _said(self, request: Request) -> str | Reply:
        if isinstance(self.answers, str):
            return self.answers
        return self.answers(request) if callable(self.answers) else self.answers.get(request.text, request.text[::-1])

    async def pieces(self, request: Request) -> AsyncGenerator[Piece, None]:
        """The answer word by word."""
        reply = self._answer(request)
        if isinstance(reply, Exception):
            raise reply
        for i, token in enumerate(reply.tokens or (reply.text or "",)):
            yield Piece(token, (token,), reply.logprobs[i : i + 1] if reply.logprobs else ())
        yield Piece(reply=reply)


def _tokens(text: str) -> tuple[str, ...]:
    words = text.split(" ")
    return tuple(w if i == 0 else " " + w for i, w in enumerate(words))


def toy(
    name: str,
    answers: Mapping[str, str] | Callable[[Request], str | Reply] | str | None = None,
    *,
    cost: float | None = 0.0,
    seconds: float | None = 0.0,
    trusted: float | None = None,
) -> Toy:
    """A toy model: one fixed answer, a table of prompt to answer, or a function of the request."""
    return Toy(name, {} if answers is None else answers, cost, seconds, trusted)
