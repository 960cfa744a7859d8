"""RouteLLM's recorded outcomes (arXiv 2406.18665): Mixtral-8x7B and GPT-4 on MMLU, GSM8K and MT-bench.

Checked: from its repository and from SPRAT_DATA the same datasets come (tests/test_public.py).
"""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core import Reply, Request
from ..data import Call, Dataset, Example
from .fetch import Source, counted, fetch, local

MIXTRAL, GPT4 = "mixtral-8x7b-instruct-v0.1", "gpt-4-1106-preview"
MODELS = (MIXTRAL, GPT4)
_THEIR_MIXTRAL = "mistralai/Mixtral-8x7B-Instruct-v0.1"
Row = dict[str, Any]


def mmlu(source: Source, base: str | None) -> Dataset:
    """14,042 questions, right or wrong for both models; neither replies nor targets are recorded."""
    path = local("routing_mmlu", "mmlu.jsonl.gz")
    rows = _lines(path) if path else _mmlu_source(source, base)
    return _questions("routellm-mmlu", source, rows, "Only right or wrong is recorded: no reply, no right answer.")


def gsm8k(source: Source, base: str | None) -> Dataset:
    """1,319 problems with both models' whole replies, right or wrong by the source's own reading of the number."""
    path = local("routing_gsm8k", "gsm8k.jsonl.gz")
    rows = _lines(path) if path else _gsm8k_source(source, base)
    return _questions("routellm-gsm8k", source, rows, "Right or wrong is the source's grading: it takes 7.00 for no 7.")


def mtbench(source: Source, base: str | None) -> Dataset:
    """160 turns of 80 conversations, judged from 1 to 10 by GPT-4; both turns of one are one unit."""
    path = local("routing_mtbench", "mtbench.jsonl.gz")
    rows = list(_lines(path) if path else _mtbench_source(source, base))
    turns: dict[tuple[int, int], dict[str, Row]] = {}
    for row in rows:
        model = MIXTRAL if row["model"] == _THEIR_MIXTRAL else row["model"]
        turns.setdefault((int(row["question_id"]), int(row["turn"])), {})[model] = row
    examples: list[Example] = []
    for (question, turn), judged in sorted(turns.items()):
        first = next(iter(judged.values()))
        calls = tuple(Call(m, Reply(None, m, score=float(judged[m]["score"]))) for m in MODELS if m in judged)
        thread = str(question)
        request = Request(({"role": "user", "content": first["prompt"]},), thread=thread, group=first["category"])
        examples.append(Example(f"{question}-{turn}", request, None, calls, thread))
    counted("routellm-mtbench", len(examples), source.rows)
    notes = (
        source.note,
        "Scores are GPT-4's judgements, 1 to 10; GPT-4 is one of the judged, and judges prefer their own family.",
        "A second turn's prompt stands without the conversation before it.",
    )
    return Dataset(tuple(examples), "routellm-mtbench", (1.0, 10.0), "GPT-4's judgement", notes)


def _questions(name: str, source: Source, rows: Iterator[Row], note: str) -> Dataset:
    examples: list[Example] = []
    numbers: Counter[str] = Counter()
    first: dict[str, str] = {}
    for row in rows:
        group = row.get("subject")
        made = f"{group or 'problem'}-{numbers[group or '']}"
        numbers[group or ""] += 1
        calls = (
            Call(MIXTRAL, Reply(row.get("mixtral_response"), MIXTRAL, score=float(row["mixtral_correct"]))),
            Call(GPT4, Reply(row.get("gpt4_response"), GPT4, score=float(row["gpt4_correct"]))),
        )
        request = Request(({"role": "user", "content": row["prompt"]},), group=group)
        examples.append(Example(made, request, None, calls, first.setdefault(row["prompt"], made)))
    counted(name, len(examples), source.rows)
    repeats = len(examples) - len(first)
    notes = [source.note, note]
    notes += [f"{repeats:,} prompts repeat earlier ones; repeats count as one unit."] if repeats else []
    return Dataset(tuple(examples), name, quality="accuracy", notes=tuple(notes))


def _lines(path: Path) -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _table(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {
                "prompt": row["prompt"],
                "mixtral_correct": row[_THEIR_MIXTRAL] == "True",
                "gpt4_correct": row[GPT4] == "True",
                "mixtral_response": row.get(f"{_THEIR_MIXTRAL}_response"),
                "gpt4_response": row.get(f"{GPT4}_response"),
            }


def _mmlu_source(source: Source, base: str | None) -> Iterator[Row]:
    for name in source.files:
        subject = name.rpartition("/mmlu_")[2].removesuffix(".csv")
        yield from ({**row, "subject": subject} for row in _table(fetch(source, name, base)))


def _gsm8k_source(source: Source, base: str | None) -> Iterator[Row]:
    for name in source.files:
        yield from _table(fetch(source, name, base))


def _mtbench_source(source: Source, base: str | None) -> Iterator[Row]:
    asked, judged = (
        [
            json.loads(line)
            for line in fetch(source, _ending(source, name), base).read_text("utf-8").splitlines()
            if line
        ]
        for name in ("question.jsonl", "judgements.jsonl")
    )
    questions = {q["question_id"]: q for q in asked}
    for row in judged:
        question = questions[row["question_id"]]
        yield {**row, "category": question["category"], "prompt": question["turns"][row["turn"] - 1]}


def _ending(source: Source, name: str) -> str:
    return next(path for path in source.files if path.endswith(name))
