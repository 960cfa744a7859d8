"""MMLU-Pro (arXiv 2406.01574): 12,002 questions answered by 28 models, from its repository's evaluation results.

Checked: from its repository and from SPRAT_DATA the same scores come; ten prompts differ in their spacing or by a word.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..core import Reply, Request, Usage
from ..data import Call, Dataset, Example
from ..errors import BadInput, Garbled, MissingExtra, nearest
from ..reading.cells import CHARS_PER_TOKEN, estimated_tokens
from .fetch import Source, counted, fetch, local

# Questions that the files of one model or another of the 28 lack.
LACKING = frozenset({
    83, 132, 446, 1128, 1873, 2115, 2651, 2693, 2712, 3366, 3592, 3829, 3830, 3896, 3946, 4412, 4487, 5798, 5844, 6023,
    6950, 7060, 7574, 9299, 9403, 9526, 9807, 9964, 10297, 12055,
})  # fmt: skip
# The files are of several ages, and later ones correct some answers: everyone is graded by the answers of this one.
REFERENCE = "Llama-2-7b-hf"
_BEFORE, _AFTER = "eval_results/model_outputs_", "_5shots.zip"


class Said(NamedTuple):
    """What a model said to one question: its letter, its reply's length, and the whole reply where recorded."""

    letter: str | None
    chars: int | None
    text: str | None


class Question(NamedTuple):
    """One question with what each model said."""

    id: int
    category: str
    text: str
    options: Sequence[str]
    answer: str
    said: Mapping[str, Said]


def mmlu_pro(source: Source, models: Sequence[str] | None, base: str | None) -> Dataset:
    """The questions with each model's letter right or wrong; a missing letter counts as wrong.

    From the network the 28 models' files are about 100 MB: name `models` to get fewer. Raises BadInput for a model that
    is not among them, MissingExtra for SPRAT_DATA's table without polars.
    """
    files = {path.removeprefix(_BEFORE).removesuffix(_AFTER): path for path in source.files}
    wanted = list(files) if models is None else list(models)
    if unknown := next((m for m in wanted if m not in files), None):
        raise BadInput(f"MMLU-Pro has no recorded replies of '{unknown}'.", hint=nearest(unknown, files))
    path = local("mmlu_pro_outcomes", "outcomes.parquet")
    rows = list(_table(path, wanted) if path else _zips(source, {m: files[m] for m in wanted}, base))
    counted("mmlu-pro", len(rows), source.rows)
    return Dataset(
        tuple(_example(row, wanted) for row in rows), "mmlu-pro", quality="accuracy", notes=_notes(source, rows, wanted)
    )


def _example(row: Question, models: Sequence[str]) -> Example:
    prompt = "\n".join([row.text, *(f"{chr(65 + i)}. {o}" for i, o in enumerate(row.options))])
    read = estimated_tokens(len(prompt))
    calls: list[Call] = []
    for model in models:
        letter, chars, text = row.said[model]
        usage = None if chars is None else Usage(read, estimated_tokens(chars))
        said = letter if text is None else text
        calls.append(Call(model, Reply(said, model, usage=usage, score=float(letter == row.answer))))
    request = Request(({"role": "user", "content": prompt},), group=row.category)
    # The same question stands in several rows, with other options.
    return Example(str(row.id), request, row.answer, tuple(calls), row.text, {"choices": list(row.options)})


def _notes(source: Source, rows: Sequence[Question], models: Sequence[str]) -> tuple[str, ...]:
    missing = {m: sum(r.said[m].letter is None for r in rows) for m in models}
    guessed = [m for m in models if not missing[m]]
    letters = [m for m in models if all(r.said[m].text is None for r in rows)]
    notes = [
        source.note,
        f"Questions and right answers are those of {REFERENCE}'s file; later files correct some 30 answers.",
        f"A missing answer counts as wrong ({sum(missing.values()):,} of {len(rows) * len(models):,}); the benchmark's "
        "own figures guess there.",
        f"Tokens are estimates: characters / {CHARS_PER_TOKEN}; the prompt's five worked examples are not counted.",
        f"{len(rows) - len({r.text for r in rows}):,} questions repeat earlier ones' text; such count as one unit.",
    ]
    if guessed:
        notes.append(
            f"No answer of {', '.join(guessed)} is missing: the source put in a guess where a reply gave none."
        )
    if letters:
        notes.append(f"Of {len(letters)} models the answer's letter alone is recorded as their reply.")
    return tuple(notes)


def _table(path: Path, models: Sequence[str]) -> Iterator[Question]:
    try:
        import polars as pl
    except ModuleNotFoundError:
        raise MissingExtra("study", "Reading Parquet") from None
    columns = [f"{m}|{kind}" for m in models for kind in ("answer", "chars", "text")]
    there = set(pl.read_parquet_schema(path))
    needed = ["question_id", "category", "question", "options", "answer", *(c for c in columns if c in there)]
    for row in pl.read_parquet(path, columns=needed).iter_rows(named=True):
        said = {m: Said(row[f"{m}|answer"], row[f"{m}|chars"], row.get(f"{m}|text")) for m in models}
        yield Question(row["question_id"], row["category"], row["question"], row["options"], row["answer"], said)


def _zips(source: Source, files: Mapping[str, str], base: str | None) -> Iterator[Question]:
    reference = f"{_BEFORE}{REFERENCE}{_AFTER}"
    asked = {row["question_id"]: row for row in _rows(source, reference, base)}
    said: dict[int, dict[str, Said]] = {number: {} for number in asked}
    for model, name in files.items():
        for row in _rows(source, name, base):
            text = row.get("generated_text") or row.get("model_outputs") or ""
            if row["question_id"] in said:
                said[row["question_id"]].setdefault(model, Said(row["pred"], len(text), text))
    for number, row in sorted(asked.items()):
        if len(said[number]) == len(files):
            yield Question(number, row["category"], row["question"], row["options"], row["answer"], said[number])


def _rows(source: Source, name: str, base: str | None) -> Iterator[dict[str, Any]]:
    for row in _unpacked(fetch(source, name, base), name):
        if row["question_id"] not in LACKING:
            yield row


def _unpacked(path: Path, name: str) -> list[Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as packed:
            return json.loads(packed.read(packed.namelist()[0]))
    except (zipfile.BadZipFile, ValueError, IndexError) as error:
        raise Garbled(f"{name} is no zip of one JSON file ({error}).") from error
