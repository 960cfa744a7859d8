"""A shadowed pair: whether the reference wrote the policy's reply itself, and the scores of both replies.

Scores are agreement with the reference as the study measures it (`measure.grade.Agreement`: the same final answer, or
the token F1 of prose), or a model's grades of each reply by itself, so that neither place nor length of the other can
sway it (`signals/verdicts.py`, after arXiv 2306.05685).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from ...answers import final_answer
from ...combine import Assign, Cascade, Fallback, Route, Watchful
from ...core import Reply, Request, content_text
from ...data import Example
from ...measure.exact import token_f1
from ...signals.verdicts import question, verdict
from ..steering.policy import Read
from .promised import AGREEMENT, AGREEMENTS

LONGEST = 20_000  # characters of a text that is kept to be marked
_ONE_WRITER = (Assign, Cascade, Fallback, Route, Watchful)  # ways whose reply is one model's own, to the very request
Ask = Callable[[str, Request], Coroutine[Any, Any, Reply]]


def one_writer(model: Any) -> bool:
    """Whether every reply of a model was written by one of its endpoints that was asked the very same request."""
    if hasattr(model, "answer_many"):
        return True
    if isinstance(model, Read):
        return one_writer(model.model)
    return isinstance(model, _ONE_WRITER) and all(one_writer(m) for m in model.models)


def is_own(model: Any, reply: Reply, reference: str) -> bool:
    """Whether the reference itself wrote the reply to the request, so that it needs no second call."""
    asked = [leaf for leaf in reply.leaves() if leaf.model == reference]
    whole = len(asked) == 1 and asked[0].text == reply.text  # not gone on with where another had begun
    return reply.model == reference and whole and one_writer(model)


def said(reply: Reply) -> str:
    """What a person or a judge is shown of a reply."""
    calls = [json.dumps(c.get("function", c), sort_keys=True) for c in reply.tool_calls]
    return "\n".join([*([reply.text] if reply.text else []), *calls])[:LONGEST]


def asked(request: Request) -> str:
    """What a person is shown of a request: its messages, oldest first."""
    lines = [f"{m.get('role', '')}: {content_text(m.get('content'))}" for m in request.messages]
    return (lines[0].partition(": ")[2] if len(lines) == 1 else "\n\n".join(lines))[-LONGEST:]


async def scores(
    judge: str, ask: Ask, request: Request, reference: Reply, policy: Reply
) -> tuple[float | None, float | None]:
    """The scores in [0, 1] of the reference's reply and of the policy's; None where a judge's verdict can't be read.

    A failed policy scores 0. `ask` asks the judge, and counts what it costs; its SpratError is raised.
    """
    if judge in AGREEMENTS:
        return 1.0, _agreement(judge, reference, policy) if policy.ok else 0.0
    first = await _graded(judge, ask, request, reference)
    if policy.ok and said(policy) == said(reference):
        return first, first
    return first, await _graded(judge, ask, request, policy) if policy.ok else 0.0


def _agreement(measure: str, reference: Reply, policy: Reply) -> float:
    """As the study measured it (`measure.grade.Agreement`)."""
    if measure == AGREEMENT or reference.tool_calls or policy.tool_calls:
        return float(final_answer(reference) == final_answer(policy))
    texts = policy.text or "", reference.text or ""
    return 1.0 if texts[0] == texts[1] else token_f1(*texts)


async def _graded(judge: str, ask: Ask, request: Request, reply: Reply) -> float | None:
    shown = said(reply)
    if not shown:
        return 0.0
    to_judge = question(Example("", Request.of(asked(request))), shown)
    found = verdict(await ask(judge, to_judge))
    if found is None:  # once more, in words of its own: most judges then keep to the form
        again = Request.of(f"{to_judge.text}\nWrite nothing after that line.", **to_judge.options)
        found = verdict(await ask(judge, again))
    return found
