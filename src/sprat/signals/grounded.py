"""Trust a reply as far as the document in its request bears it out, by an inference model.

SummaC (arXiv 2111.09525), AlignScore's chunks (arXiv 2305.16739) or MiniCheck's (arXiv 2404.10774), over the embedded
model or any cross-encoder; MiniCheck's way did best over the embedded one (benchmarks/summedits.py). It asks nothing of
a language model. Checked against the checkers themselves, and by hand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from math import isnan

from ..core import Reply, Request, Signal, ask
from ..errors import BadInput, CannotDo
from ..nli.asked import Against, checking
from ..nli.checks import Check
from ..nli.naming import CHECKERS, checker, resolved
from ..nli.protocol import Nli


@dataclass(frozen=True, repr=False)
class Grounded(Signal):
    """`how` the reply is held against its document: minicheck, alignscore or summac, over the model `nli`.

    `document` is a regular expression whose first group is the document within the request's messages; "" takes all
    that the user and the system said. Where it is not found, all is taken.
    """

    how: str = "minicheck"
    nli: str | Nli = "small"
    document: str = ""
    use = "grounded"
    reads_reply = True

    async def check(self, request: Request, reply: Reply | None) -> Check:
        """The reply's sentences with their support, and what came closest to each; CannotDo without a reply."""
        if reply is None:
            raise CannotDo("grounded holds a reply against its document; it was given none.", hint="Use a cascade.")
        against = Against(document_in(request, self.document), reply.text or "")
        return await ask(checking(checker(self.how, self.nli)), against)

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        """The support, in [0, 1]; 0 for a reply that says nothing."""
        found = await self.check(request, reply)
        return 0.0 if isnan(found.support) else min(1.0, max(0.0, found.support))


def document_in(request: Request, pattern: str) -> str:
    """What the first group finds in the messages of user and system, else all of them, a message a paragraph."""
    said = "\n\n".join(
        Request((m,)).text for m in request.messages if m.get("role") in ("user", "system", "developer", "tool")
    )
    found = _compiled(pattern).search(said) if pattern else None
    return said if found is None or found[1] is None else found[1]


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


def grounded(how: str = "minicheck", *, nli: str | Nli = "small", document: str = "") -> Grounded:
    """Support by the document in the request; BadInput for another way or model, or a pattern without a group."""
    if how not in CHECKERS:
        raise BadInput(f"grounded goes by {', '.join(CHECKERS)}, not '{how}'.")
    try:
        groups = re.compile(document).groups if document else 1
    except re.error as broken:
        raise BadInput(f"grounded's document is no regular expression: {broken}.") from broken
    if groups < 1:
        raise BadInput("grounded's document needs a group that holds it.", hint=r"Such as 'Text:\n(.*)\n\nSummary'.")
    resolved(nli)
    return Grounded(how, nli, document)
