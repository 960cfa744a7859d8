"""Fits the signals inside a model on recorded calls, or a mixture's gate on texts; the model given is not changed.

A signal that judges one of several models learns from its scores beside the last model's; one that ranks or predicts
learns from all. What a signal asks while it learns is answered from the recording, never live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from .core import Request
from .data import Dataset, Lessons
from .decoding.comblm import Mix
from .decoding.comblm import fit as fit_gate
from .errors import BadInput
from .replay import Recording
from .shape import name_of

M = TypeVar("M")


def fit(model: M, lessons: Dataset | Lessons | Sequence[str] | Sequence[tuple[Request | str, str]]) -> M:
    """The model with every signal in it fitted, those of the models that it asks too; a mix with its gate fitted.

    A mix learns from texts, (request, reply) pairs or a dataset's targets. Raises BadInput where a signal's models have
    no recorded calls, or nothing in the model learns.
    """
    if isinstance(model, Mix) and not isinstance(lessons, Lessons):
        return cast("M", fit_gate(model, lessons))
    if not isinstance(lessons, (Dataset, Lessons)):
        raise BadInput(f"{model!r} learns from recorded calls.", hint="Give a Dataset: sprat.read(...).")
    fitted = _fitted(model, lessons)
    if fitted is model:
        raise BadInput(f"Nothing in {model!r} learns.", hint="`sprat methods` lists which signals do.")
    return fitted


def _fitted(model: Any, lessons: Dataset | Lessons) -> Any:
    if not hasattr(model, "answer") or not is_dataclass(model):
        return model
    models = tuple(getattr(model, "models", ()))
    changed: dict[str, Any] = {}
    for field in fields(model):
        value = getattr(model, field.name)
        if isinstance(value, tuple):
            parts = cast("tuple[Any, ...]", value)
            new: Any = tuple(_part(part, models[i : i + 1] + models[-1:], lessons) for i, part in enumerate(parts))
            same = all(a is b for a, b in zip(new, parts, strict=True))
        else:
            new = _part(value, models, lessons)
            same = new is value
        if not same:
            changed[field.name] = new
    return replace(cast("Any", model), **changed) if changed else model


def _part(part: Any, models: tuple[Any, ...], lessons: Dataset | Lessons) -> Any:
    if hasattr(part, "answer"):
        return _fitted(part, lessons)
    if not hasattr(part, "fit") or isinstance(part, type):
        return part
    names = [name_of(m) for m in models]
    return part.fit(_about(names, lessons))


def _about(names: list[str], lessons: Dataset | Lessons) -> Lessons:
    if isinstance(lessons, Dataset):
        return Lessons.of(lessons, names, Recording(lessons))
    lacking = [name for name in names if name not in lessons.models]
    if lacking:
        raise BadInput(f"There are no lessons about '{lacking[0]}', only about {', '.join(lessons.models)}.")
    return lessons.of_models(names)
