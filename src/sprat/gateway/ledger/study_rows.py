"""Exchanges whose prompts were stored, as the rows of a dataset: the calls of each request, with scores where labelled.

`Exchange.request` is a body with `messages`, `prompt` or `input` and its options beside them; `Exchange.reply` says
`text`, or is a body of OpenAI's or Anthropic's. Where several models were asked, `reply["asks"]` holds what each said
(`model`, `text`, `cost`, ...), because the exchange's own cost is that of all together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from ...core import Reply, Request, Usage, content_text
from ...data import Call, Dataset, Example
from ...errors import BadInput
from ..steering.ways import AUTO
from .exchange import Exchange

if TYPE_CHECKING:
    from .store import Label

WATCHING = "promise"  # the key under which the watch asks, and why it does: the words of `way`, with "of" the exchange
SHADOW, WHOLE = "shadow", "whole reply beside the draft"
_NOT_OPTIONS = frozenset(
    {"model", "messages", "system", "prompt", "input", "instructions", "stream", "stream_options", "sprat", "user",
     "metadata", "store", "service_tier", "safety_identifier", "options"}
)  # fmt: skip


def dataset(
    exchanges: Iterable[Exchange], labels: Sequence[Label], name: str, drawn: Collection[str] | None = None
) -> Dataset:
    """The dataset of these exchanges: of a model's repeated calls the newest labelled one, else the newest, is kept.

    Which models answered a request to `auto` depends on what they replied, so rows in which all did would be the ones
    where the small model was trusted. `drawn` are the exchanges that the watch took by chance alone, and only these
    count, with every call that was made for them, beside requests that named their model; None counts all. A human's
    mark goes before a judge's score; the notes count both. Raises BadInput where nothing is left.
    """
    scores = _scores(labels)
    asked: dict[str, tuple[Request, str]] = {}
    calls: dict[str, dict[str, tuple[tuple[bool, float], Call, str]]] = {}
    tally: Counter[str] = Counter()
    for e in sorted(exchanges, key=lambda e: e.at):
        if drawn is not None and not _by_chance(e, drawn):
            tally["chosen"] += e.key != WATCHING
            continue
        request = None if e.request is None or e.status >= 400 else request_of(e.request, e.thread)
        if request is None or e.reply is None:
            tally["passed over"] += 1
            continue
        place = f"{e.request_key or request.key}"[:16]
        asked.setdefault(place, (request, e.thread))
        for call in _calls(e, scores):
            source = scores[e.id][1] if call.reply.score is not None else ""
            rank = (call.reply.score is not None, e.at)
            old = calls.setdefault(place, {}).get(call.model)
            tally["repeats"] += old is not None
            if old is None or rank >= old[0]:
                calls[place][call.model] = (rank, call, source)
    left_out = (
        f"{tally['chosen']} requests were not drawn by chance: which models answered them depends on their replies"
    )
    if not calls and tally["chosen"]:
        raise BadInput(
            f"{name} holds nothing that a study may learn from: {left_out}.",
            hint="With store_prompts and a [promise], its `share` of the requests is drawn, and every model asked.",
        )
    if not calls:
        raise BadInput(
            f"{name} holds no prompt with its reply in that time.",
            hint="The gateway stores them only if asked to, in its serve.toml; what was not stored can't be had.",
        )
    examples = [
        Example(
            place, asked[place][0], calls=tuple(call for _, call, _ in found.values()), unit=asked[place][1] or None
        )
        for place, found in calls.items()
    ]
    sources = Counter(("human" if s == "human" else "judge") for f in calls.values() for _, _, s in f.values() if s)
    notes = [f"Scores of {sources['human']} calls are human marks, of {sources['judge']} a judge's."] if sources else []
    notes += [f"{tally['repeats']} repeats of a call were left out."] if tally["repeats"] else []
    notes += [f"{left_out}; they are left out."] if tally["chosen"] else []
    passed = tally["passed over"]
    notes += [f"{passed} exchanges failed or were stored without prompt or reply."] if passed else []
    return Dataset(tuple(examples), name, notes=tuple(notes))


def _by_chance(e: Exchange, drawn: Collection[str]) -> bool:
    """Whether an exchange is there for no reason that a reply gave: drawn, made for one that was, or asked by name."""
    if e.key == WATCHING:
        what, _, number = e.way.rpartition(" of ")
        return what in (SHADOW, WHOLE) and number in drawn
    return e.id in drawn or e.asked != AUTO or e.way == e.model  # one model, nothing decides


def kept(replies: Sequence[Reply], said: Sequence[Reply]) -> dict[str, Any]:
    """What the store keeps of an answer: its text, and what each model that was asked said, with its own cost.

    `said` are the replies with the words that passed as bytes, which the tree of the first does not hold.
    """
    leaves = replies[0].leaves()
    wrote = next((leaf for leaf in reversed(leaves) if leaf.ok and not leaf.text and leaf.model == said[0].model), None)
    asks = [
        {
            "model": leaf.model,
            "text": said[0].text if leaf is wrote else leaf.text,
            "cost": leaf.cost,
            "seconds": leaf.seconds,
            "usage": asdict(leaf.usage) if leaf.usage else None,
            **({"error": leaf.error} if leaf.error else {}),
            **({"cancelled": True} if leaf.cancelled else {}),
        }
        for leaf in leaves
    ]
    found: dict[str, Any] = {"text": said[0].text, "asks": asks}
    return found | ({"texts": [r.text for r in said]} if len(said) > 1 else {})


def request_of(body: Mapping[str, Any], thread: str = "") -> Request | None:
    """The request in a stored body; None where it holds no messages."""
    messages = body.get("messages") or body.get("input") or body.get("prompt")
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    found = [cast("Mapping[str, Any]", m) for m in cast("Sequence[Any]", messages or ()) if isinstance(m, Mapping)]
    if not found or not all("role" in m for m in found):
        return None
    first = body.get("system") or body.get("instructions")
    if first:
        found = [{"role": "system", "content": content_text(first)}, *found]
    given = body.get("options")
    options = {k: v for k, v in body.items() if k not in _NOT_OPTIONS}
    options |= {k: v for k, v in cast("Mapping[str, Any]", given or {}).items() if k not in _NOT_OPTIONS}
    return Request(tuple(found), options, thread=thread or None)


def _calls(e: Exchange, scores: Mapping[str, tuple[float, str]]) -> Iterable[Call]:
    reply = cast("Mapping[str, Any]", e.reply)
    asks = [cast("Mapping[str, Any]", a) for a in cast("Sequence[Any]", reply.get("asks") or ())]
    leaves: list[Mapping[str, Any]] = list(_leaves(asks))
    if not leaves:
        usage: Any = {"input_tokens": e.input_tokens, "output_tokens": e.output_tokens}
        leaves = [{"model": e.model, "text": _text(reply), "cost": e.cost, "seconds": e.seconds, "usage": usage}]
    for leaf in leaves:
        model, said = str(leaf.get("model") or ""), _text(leaf)
        if not model or said is None or leaf.get("error") or leaf.get("cancelled"):
            continue
        usage = leaf.get("usage")
        if isinstance(usage, Mapping):
            told = cast("Mapping[str, Any]", usage)
            usage = Usage(told.get("input_tokens"), told.get("output_tokens"))
        score = scores.get(e.id) if model == e.model else None
        cost, seconds = leaf.get("cost"), leaf.get("seconds")
        yield Call(model, Reply(said, model, usage=usage, cost=cost, seconds=seconds, score=score and score[0]))


def _leaves(asks: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    for ask in asks:
        below = ask.get("asks")
        yield from _leaves(cast("Sequence[Mapping[str, Any]]", below)) if below else (ask,)


def _text(reply: Mapping[str, Any]) -> str | None:
    """The text of a stored reply: our own, OpenAI's (chat, completions, responses) or Anthropic's."""
    for name in ("text", "reply", "output_text"):
        if isinstance(said := reply.get(name), str):
            return said
    if choices := cast("Sequence[Mapping[str, Any]]", reply.get("choices") or ()):
        message = cast("Mapping[str, Any]", choices[0].get("message") or choices[0])
        return content_text(message.get("content") or message.get("text")) or None
    if isinstance(output := reply.get("output"), list):
        spoken = [cast("Mapping[str, Any]", o) for o in cast("Sequence[Any]", output) if isinstance(o, Mapping)]
        return "\n".join(t for o in spoken if (t := content_text(o.get("content")))) or None
    return content_text(reply.get("content")) or None


def _scores(labels: Sequence[Label]) -> dict[str, tuple[float, str]]:
    """The score of each labelled exchange, a human's before any judge's, else the newest."""
    found: dict[str, tuple[float, str]] = {}
    for label in sorted(labels, key=lambda mark: (mark.source == "human", mark.at)):
        found[label.exchange] = (label.score, label.source)
    return found
