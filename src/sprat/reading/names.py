"""What the columns of a table of calls are called: our names, the usual other names, and a column per model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import BadInput, nearest

# Our name, and what others call it; the first that a table has is taken.
ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("question_id", "qid", "example_id", "prompt_id"),
    "prompt": ("question", "query", "instruction", "input"),
    "messages": ("conversation",),
    "model": ("model_name", "model_id", "llm"),
    "reply": ("response", "output", "completion", "generation", "generated_text", "model_output"),
    "target": ("answer", "gold", "label", "ground_truth", "reference", "expected"),
    "score": ("correct", "is_correct", "quality_score", "grade"),
    "cost": ("cost_usd", "cost_dollars"),
    "seconds": ("latency", "latency_seconds", "duration_seconds"),
    "usage": (),
    "input_tokens": ("prompt_tokens",),
    "output_tokens": ("completion_tokens",),
    "chars": (),
    "logprobs": (),
    "tokens": (),
    "top_logprobs": (),
    "tool_calls": (),
    "sample": ("sample_index",),
    "options": (),
    "choices": (),
    "sampling": (),
    "group": ("category", "subject", "task", "domain"),
    "unit": ("user", "user_id"),
    "thread": ("thread_id", "conversation_id", "session_id"),
    "answered_by": (),
    "meta": (),
    "confidence": (),
    "finish": ("finish_reason",),
    "reported_model": (),
    "error": (),
    "cancelled": (),
    "by": (),
    "because": (),
    "asks": (),
    "bounds": (),
    "quality": (),
}

# What a column `MODEL|kind` of a wide table may hold.
KINDS = ("text", "score", "answer", "cost", "seconds", "chars", "input_tokens", "output_tokens", "usage")
_ENDINGS = {
    "_text": "text", "_response": "text", "_reply": "text", "_output": "text",
    "_score": "score", "_correct": "score", "_answer": "answer",
    "_cost": "cost", "_seconds": "seconds", "_latency": "seconds", "_chars": "chars",
}  # fmt: skip
_SHOWS = frozenset({"text", "score", "answer"})


@dataclass(frozen=True)
class Columns:
    """Where each of our names is found, and for a wide table each model's columns by kind."""

    found: Mapping[str, str]
    models: Mapping[str, Mapping[str, str]]
    unused: tuple[str, ...]

    @property
    def wide(self) -> bool:
        """Whether there is a column per model rather than a row per call."""
        return bool(self.models)

    def get(self, row: Mapping[str, Any], name: str) -> Any:
        """The row's value under our name, or None."""
        return row.get(self.found.get(name, name))


def find_columns(
    path: object,
    header: Sequence[str],
    sample: Sequence[Mapping[str, Any]],
    given: Mapping[str, str],
    models: Sequence[str] | None,
    prompts_only: bool,
) -> Columns:
    """Find what is what in a table's header; `sample` holds a few rows, `given` says our name -> the table's.

    Raises BadInput that names the nearest column where one that is needed is missing.
    """
    found: dict[str, str] = {}
    wide: dict[str, dict[str, str]] = {}
    for ours, theirs in given.items():
        if theirs not in header:
            raise BadInput(f"{path} has no column '{theirs}'.", hint=nearest(theirs, header))
        model, bar, kind = ours.rpartition("|")
        if bar and kind in KINDS:
            wide.setdefault(model, {})[kind] = theirs
        elif ours in ALIASES:
            found[ours] = theirs
        else:
            raise BadInput(f"'{ours}' is none of the fields of a call.", hint=nearest(ours, ALIASES))
    taken = {*found.values(), *(c for kinds in wide.values() for c in kinds.values())}
    for ours, others in ALIASES.items():
        if ours not in found and (here := next((n for n in (ours, *others) if n in header and n not in taken), None)):
            found[ours] = here
            taken.add(here)
    if "prompt" not in found and "messages" not in found:
        raise _no_column(path, "prompt", "prompt or messages", header, taken)
    if "model" not in found and not prompts_only:
        _find_models(wide, header, sample, taken, models)
        if not wide:
            raise _no_column(path, "model", "model, nor columns named after models", header, taken)
    elif wide:
        raise BadInput(f"{path} has a column of models, so it can't have columns per model too.")
    used = taken | {c for kinds in wide.values() for c in kinds.values()}
    return Columns(found, wide, tuple(c for c in header if c not in used))


def _no_column(path: object, name: str, wanted: str, header: Iterable[str], taken: set[str]) -> BadInput:
    rest = [h for h in header if h not in taken]
    hint = nearest(name, rest) or f"Its columns: {', '.join(header)}."
    if "Known: " in hint:
        hint = hint.replace("Known: ", "Its other columns: ")
    return BadInput(f"{path} has no column {wanted}.", hint=f"{hint} Say which it is with --columns {name}=COLUMN.")


def _find_models(
    wide: dict[str, dict[str, str]],
    header: Sequence[str],
    sample: Sequence[Mapping[str, Any]],
    taken: set[str],
    named: Sequence[str] | None,
) -> None:
    """Add each model's columns: `MODEL|kind`, `MODEL_kind`, or a bare `MODEL` of scores or texts."""
    free = [h for h in header if h not in taken]
    for column in free:
        model, bar, kind = column.rpartition("|")
        if bar and model and kind.strip() in ("reply", *KINDS):
            wide.setdefault(model.strip(), {})["text" if kind.strip() == "reply" else kind.strip()] = column
    if not wide:
        stems: dict[str, dict[str, str]] = {}
        for column in free:
            if ending := next((e for e in _ENDINGS if column.endswith(e) and len(column) > len(e)), None):
                stems.setdefault(column.removesuffix(ending), {})[_ENDINGS[ending]] = column
        shown = {m: kinds for m, kinds in stems.items() if _SHOWS & kinds.keys()}
        if len(shown) > 1 or shown.keys() & set(free):
            wide.update(shown)
    bare = [c for c in free if (c in named if named else c in wide)]
    if not wide and not named:
        holds = {c: _holds(c, sample) for c in free}
        kinds_seen = set(holds.values()) - {None}
        wanted = "score" if "score" in kinds_seen else "text"
        bare = [c for c in free if holds[c] == wanted]
        bare = bare if len(bare) > 1 else []  # one such column may be anything; several look like models
    for column in bare:
        if kind := _holds(column, sample):
            wide.setdefault(column, {}).setdefault(kind, column)
    for model in list(wide):
        if (named and model not in named) or not _SHOWS & wide[model].keys():
            del wide[model]


def _holds(column: str, sample: Sequence[Mapping[str, Any]]) -> str | None:
    """Whether a column holds scores (booleans, numbers, or their words) or texts; None for anything else."""
    values = [v for row in sample if (v := row.get(column)) is not None and v != ""]
    if not values:
        return None
    if all(isinstance(v, (bool, int, float)) or (isinstance(v, str) and _reads_as_number(v)) for v in values):
        return "score"
    return "text" if all(isinstance(v, str) for v in values) else None


def _reads_as_number(text: str) -> bool:
    if text.strip().lower() in ("true", "false"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
