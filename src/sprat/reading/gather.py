"""Gathers rows into examples: rows of one request become one example with several calls.

Rows with an id belong together by it. Rows without one belong together by their messages: the n-th time that a model
answers the same messages joins their n-th example, so repeats stay rows of their own, tied as one unit.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ..core import SAMPLING, Reply, Request, Usage
from ..data import Call, Example
from . import cells
from .names import Columns

# Limits differ between models asked the same; they don't make it another request.
_LIMITS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens", "logprobs", "top_logprobs"})


_Place = tuple[str, int, str]  # model, sample, sampling options: what a call is told apart by
_NONE: Mapping[str, Any] = {}


def _place(model: str, sample: int, options: Mapping[str, Any], sampling: Mapping[str, Any] | None) -> _Place:
    said = (
        sampling if sampling is not None else {k: options[k] for k in SAMPLING & options.keys()} if options else _NONE
    )
    return model, sample, json.dumps(said, sort_keys=True, default=str) if said else ""


@dataclass(slots=True)
class _Open:
    """An example while its rows come in."""

    id: str
    asked: str | tuple[Mapping[str, Any], ...]
    options: dict[str, Any]
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    calls: list[Call] = field(default_factory=list[Call])
    asked_with: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    have: set[_Place] = field(default_factory=set["_Place"])
    repeat: str = ""


def _lettered(prompt: str, choices: list[Any]) -> str:
    """The prompt with its choices below, unless it holds them."""
    texts = [str(c) for c in choices]
    if all(t in prompt for t in texts):
        return prompt
    return "\n".join([prompt, *(f"{chr(65 + i)}. {t}" for i, t in enumerate(texts))])


class Gather:
    """Collects rows; `examples()` gives what they make. `tally` counts what a reader should be told."""

    def __init__(self, columns: Columns, *, ids: bool = True, bounds: tuple[float, float] | None = None) -> None:
        self.columns, self.ids, self.bounds = columns, ids, bounds
        self.tally: Counter[str] = Counter()
        self.declared: set[tuple[float, float]] = set()
        self.quality: set[str] = set()
        self._by_id: dict[str, _Open] = {}
        self._by_messages: dict[str, list[_Open]] = {}
        self._open: list[_Open] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in one row; raises ValueError with what is wrong with it."""
        get = self.columns.get
        known = {name: get(row, name) for name in self.columns.found} if self.columns.found else dict(row)
        for name, value in row.items():
            known.setdefault(name, value)
        calls = self._wide(row) if self.columns.wide else self._long(known)
        for _, reply, _ in calls:
            self._within(reply)
        options, choices = self._options(known)
        sampling = cells.structure(known.get("sampling"), "sampling options")
        places = [_place(model, sample, options, sampling) for model, _, sample in calls]
        found = self._example(known, options, choices, places)
        self._describe(found, known)
        self._note_confidence(found, known.get("confidence"), calls)
        for place, (model, reply, sample) in zip(places, calls, strict=True):
            self._record(found, place, Call(model, reply, sample, sampling), options)

    def _note_confidence(self, found: _Open, said: Any, calls: list[tuple[str, Reply, int]]) -> None:
        """Keep a call's recorded confidence in the example's meta, by model; words such as "high" are passed over."""
        if said is None or len(calls) != 1 or calls[0][2]:
            return
        with suppress(ValueError):
            sure = cells.number(said, "confidence")
            if sure is not None:
                self._describe(found, {"meta": {"confidence": {calls[0][0]: sure}}})

    def _within(self, reply: Reply) -> None:
        if self.bounds and reply.score is not None and not self.bounds[0] <= reply.score <= self.bounds[1]:
            low, high = self.bounds
            raise ValueError(f"the score {reply.score:g} is outside the bounds {low:g} to {high:g}")

    def _long(self, row: Mapping[str, Any]) -> list[tuple[str, Reply, int]]:
        model = row.get("model")
        if cells.absent(model):
            if not (cells.absent(row.get("reply")) and cells.absent(row.get("score"))):
                raise ValueError("the row names no model")
            return []
        model = sys.intern(str(model))
        reply = cells.reply(row, model)
        if reply.usage is None and (chars := cells.whole(row.get("chars"), "chars")) is not None:
            reply = replace(reply, usage=self._guessed(row, chars))
        return [(model, reply, cells.whole(row.get("sample"), "sample") or 0)]

    def _wide(self, row: Mapping[str, Any]) -> list[tuple[str, Reply, int]]:
        calls: list[tuple[str, Reply, int]] = []
        for model, kinds in self.columns.models.items():
            seen = {kind: v for kind, column in kinds.items() if (v := row.get(column)) is not None}
            if not seen:
                continue
            said = seen.get("text")
            if said is None:
                said = seen.get("answer")
                self.tally["letters"] += said is not None
            usage = None
            if not seen.keys().isdisjoint(("usage", "input_tokens", "output_tokens")):
                usage = cells.usage(seen.get("usage"), seen.get("input_tokens"), seen.get("output_tokens"))
            elif (chars := cells.whole(seen.get("chars"), "chars")) is not None:
                usage = self._guessed(row, chars)
            try:
                score = cells.number(seen.get("score"), "score")
            except ValueError as error:
                raise ValueError(f"{error} (model '{model}')") from None
            cost, seconds = cells.amount(seen.get("cost"), "cost"), cells.amount(seen.get("seconds"), "time in seconds")
            reply = Reply(cells.text(said), model, usage=usage, cost=cost, seconds=seconds, score=score)
            calls.append((model, reply, 0))
        return calls

    def _guessed(self, row: Mapping[str, Any], chars: int) -> Usage:
        self.tally["guessed tokens"] += 1
        prompt = self.columns.get(row, "prompt")
        read = cells.estimated_tokens(len(prompt)) if isinstance(prompt, str) else None
        return Usage(read, cells.estimated_tokens(chars))

    def _options(self, row: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Any]]:
        """The request's options, and the choices of a multiple-choice question, which are often called options."""
        options = cells.structure(row.get("options"), "options") or _NONE
        choices = list(cells.structure(row.get("choices"), "choices") or ())
        return (options, choices) if isinstance(options, dict) or not options else (_NONE, list(options))

    def _example(
        self, row: Mapping[str, Any], options: Mapping[str, Any], choices: list[Any], places: list[_Place]
    ) -> _Open:
        """The example that the row belongs to."""
        asked = cells.messages(row.get("messages")) or cells.text(row.get("prompt"))
        if isinstance(asked, str) and choices:
            lettered = _lettered(asked, choices)
            self.tally["lettered"] += lettered is not asked
            asked = lettered
        name = cells.text(row.get("id")) if self.ids else None
        if name is not None and (found := self._by_id.get(name)):
            if asked is not None and asked != found.asked:
                raise ValueError(f"the id '{name}' already stands for another prompt")
            return found
        if asked is None or asked == "":
            raise ValueError("the row has neither prompt nor messages")
        fresh = _Open(name or "", asked, dict(options))
        if choices:
            fresh.fields["meta"] = {"choices": choices}
        if name is not None:
            self._by_id[name] = fresh
        else:
            shaping = {k: v for k, v in fresh.options.items() if k not in SAMPLING and k not in _LIMITS}
            key = Request.of(asked, **shaping).key
            twins = self._by_messages.setdefault(key, [])
            if free := next((t for t in twins if not t.have & set(places)), None):
                return free
            fresh.id = key[:16] + (f"#{len(twins) + 1}" if twins else "")
            twins.append(fresh)
            if len(twins) > 1:
                self.tally["repeats"] += 1
                twins[0].repeat = fresh.repeat = f"repeated {key[:16]}"
        self._open.append(fresh)
        return fresh

    def _describe(self, found: _Open, row: Mapping[str, Any]) -> None:
        """Fill in what the row says of the example; a target can't change."""
        fields = found.fields
        target = row.get("target")
        if isinstance(target, list):
            listed = [cells.text(t) for t in cast("list[Any]", target)]
            fields["meta"] = {**fields.get("meta", {}), "targets": listed}
            target = listed[0] if listed else None
        target = cells.text(target)
        if target is not None and fields.setdefault("target", target) != target:
            raise ValueError(f"the id '{found.id}' already has the target '{fields['target'][:40]}'")
        for name in ("group", "unit", "thread", "answered_by"):
            if name not in fields and (value := cells.text(row.get(name))) is not None:
                fields[name] = sys.intern(value)
        if meta := cells.structure(row.get("meta"), "meta"):
            known = fields.get("meta", {})
            sure = {**known.get("confidence", {}), **meta.get("confidence", {})}  # by model, each from a row of its own
            fields["meta"] = {**known, **meta, **({"confidence": sure} if sure else {})}
        if bounds := cells.structure(row.get("bounds"), "bounds"):
            self.declared.add((float(bounds[0]), float(bounds[1])))
        if quality := cells.text(row.get("quality")):
            self.quality.add(quality)

    def _record(self, found: _Open, place: _Place, call: Call, options: Mapping[str, Any]) -> None:
        if place in found.have:
            if call in found.calls:
                self.tally["the same call twice"] += 1
                return
            draw = f", sample {call.sample}" if call.sample else ""
            raise ValueError(
                f"the id '{found.id}' already has another reply of '{call.model}'{draw} (number the draws in 'sample')"
            )
        found.have.add(place)
        found.calls.append(call)
        found.asked_with.append(options)

    def by_messages(self, examples: list[Example]) -> list[Example] | None:
        """The examples put together by their messages where ids were one per call; None where they were not."""
        models = {c.model for e in examples for c in e.calls}
        if len(models) < 2 or any(len({c.model for c in e.calls}) > 1 for e in examples):
            return None
        again = Gather(self.columns, ids=False)
        for example in examples:
            options = example.request.options
            places = [_place(c.model, c.sample, options, c.options) for c in example.calls]
            found = again._example({"messages": example.request.messages}, options, [], places)
            told = {"target": example.target, "unit": example.unit, "meta": example.meta or None}
            told |= {"group": example.request.group, "thread": example.request.thread}
            again._describe(found, told)
            for place, call in zip(places, example.calls, strict=True):
                again._record(found, place, call, options)
        joined = again.examples()
        return joined if any(len({c.model for c in e.calls}) > 1 for e in joined) else None

    def examples(self) -> list[Example]:
        """What the rows made, in order of first appearance."""
        return [self._close(found) for found in self._open]

    def _close(self, found: _Open) -> Example:
        rows = list(zip(found.calls, found.asked_with, strict=True))
        plain: dict[str, Mapping[str, Any]] = {}
        for call, asked in rows:
            if call.sample == 0 and not call.options:
                best = plain.get(call.model)
                if best is None or len(SAMPLING & asked.keys()) < len(SAMPLING & best.keys()):
                    plain[call.model] = asked
        options = dict(next(iter(plain.values()), found.options))
        for name in SAMPLING & {k for asked in plain.values() for k in asked}:
            if any(asked.get(name) != options.get(name) for asked in plain.values()):
                options.pop(name, None)
                self.tally["options"] += 1
        calls = tuple(
            call if plain.get(call.model) is asked and call.sample == 0 else _drawn(call, asked, options)
            for call, asked in rows
        )
        fields = found.fields
        told = {k: fields[k] for k in ("thread", "group", "answered_by") if k in fields}
        request = replace(Request.of(found.asked, **options), **told)
        unit = fields.get("unit")
        if unit is None and "thread" not in fields and found.repeat:
            unit = found.repeat
        return Example(found.id, request, fields.get("target"), calls, unit, fields.get("meta") or {})


def _drawn(call: Call, asked: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    """The call saying the sampling options in which it differs from the example's request."""
    if call.options is not None:
        return call
    differ = {k: asked[k] for k in SAMPLING & asked.keys() if options.get(k) != asked[k]}
    return replace(call, options=differ) if differ else call


def scored(examples: Iterable[Example]) -> dict[str, tuple[float, float, int]]:
    """Each model's least and greatest score, and how many replies have one."""
    ranges: dict[str, tuple[float, float, int]] = {}
    for example in examples:
        for call in example.calls:
            score = call.reply.score
            if score is not None:
                low, high, n = ranges.get(call.model, (score, score, 0))
                ranges[call.model] = (min(low, score), max(high, score), n + 1)
    return ranges
