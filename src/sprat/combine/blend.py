"""Ask all models, rank their replies, and fuse the best into one: LLM-Blender (arXiv 2306.02561).

The ranker is pairrank() or any signal; the fuser reads the instruction and the top k, as GenFuser does. Without a fuser
the best-ranked reply is given. Checked against its law: one model is that model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core import Ask, Model, Reply, Request, Technique, ask, together
from ..errors import BadInput
from ..shape import Asks


def fusing(request: Request, replies: Sequence[Reply]) -> Request:
    """The request that asks for one answer out of several: instruction, numbered candidates, what to do."""
    candidates = "\n\n".join(f"Candidate {i}: {r.text}" for i, r in enumerate(replies))
    return request.asking(
        f"Instruction: {request.text}\n\n{candidates}\n\n"
        "Write one answer to the instruction that is better than each candidate, keeping what is right in them:"
    )


@dataclass(frozen=True, repr=False)
class Blend(Technique):
    """Models whose replies `ranker` ranks; `fuser`, if any, reads the best `k`."""

    models: tuple[Any, ...]
    ranker: Any = None
    fuser: Any = None
    k: int = 3
    use = "blend"

    async def answer(self, request: Request) -> Reply | Ask:
        """The fused reply, or the best-ranked one; tool calls are never fused."""
        if len(self.models) == 1:
            return ask(self.models[0], request)
        replies = [r for r in await together([ask(m, request) for m in self.models]) if r.ok]
        if hasattr(self.ranker, "order"):
            order: list[int] = await self.ranker.order(request, replies)
        else:
            trusts = [float(await self.ranker.trust(request, r)) for r in replies]
            order = sorted(range(len(trusts)), key=lambda i: (-trusts[i], i))
        best = [replies[i] for i in order[: self.k]]
        if self.fuser is None or best[0].tool_calls:
            return best[0]
        texts = [r for r in best if r.text]
        return ask(self.fuser, fusing(request, texts), f"fuses {len(texts)} of {len(replies)}") if texts else best[0]

    def asks(self) -> list[Asks]:
        """Every model once, the ranker about each reply, and the fuser, which reads the best `k`."""
        n, k = len(self.models), min(self.k, len(self.models))
        if n == 1:
            return [Asks(self.models)]
        prompt = 200 + 30 * k  # what `fusing` puts around the replies
        return [Asks(self.models), Asks(self.ranker, n), Asks(self.fuser, 1, replies=k, prompt=prompt)]


def blend(*models: Model, ranker: Any = None, fuser: Model | None = None, k: int = 3) -> Blend:
    """Rank all models' replies and fuse the best k; raises BadInput for no model, no ranker of several, or k < 1."""
    if not models or k < 1 or (len(models) > 1 and ranker is None):
        raise BadInput("blend needs at least one model, a ranker where there are several, and k of at least 1.",
                       hint="Pass ranker=sprat.signals.pairrank().fit(lessons), or any signal.")  # fmt: skip
    return Blend(tuple(models), ranker, fuser, k)
