"""`sprat uncertainty`: which measure of doubt tells a model's wrong answers from its right ones, on recorded draws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..errors import BadInput


def uncertainty(
    source: str,
    *,
    model: str | None = None,
    samples: int | None = None,
    encoder: str = "static",
    at_least: float = 0.8,
    tokens: str = "static",
    nli: str | None = None,
    grade: str | None = None,
    columns: str | None = None,
    skip_bad: bool = False,
    scores: Path | None = None,
    out: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Measure every estimator of uncertainty on recorded draws: AUROC, AURC and PRR with 95 % intervals.

    Example: sprat uncertainty calls.jsonl --model qwen3-4b --samples 5 --grade exact

    Several draws of a question are rows with one prompt and a number in 'sample'; the first is the answer judged.

    Parameters
    ----------
    source
        A calls file (JSON lines, CSV, Parquet, or another tool's log), or a set by name.
    model
        Whose draws; needed where there are several models.
    samples
        How many draws of each question to use, the answer among them; all unless given.
    encoder
        What says which draws are alike: static (embedded), tfidf, or a sentence-transformers model.
    at_least
        The cosine from which two draws mean the same.
    tokens
        Whose tokens self-check by BERTScore compares: static, or a transformers encoder.
    nli
        Add what goes by inference (semantic entropy, disagreement, self-check): small (embedded, weak), or hub:NAME
        for a cross-encoder, such as hub:cross-encoder/nli-deberta-v3-base (needs sprat[torch]).
    grade
        How answers are scored, as in sprat study; the recorded scores, or what fits the targets, unless given.
    columns
        What columns are called here, such as prompt=question,target=gold.
    skip_bad
        Count and skip lines that can't be used.
    scores
        Write each question's values to this file, as JSON lines.
    out
        Write a folder: index.html (open it, it needs no network) with AUROC by estimator and the risk-coverage curve of
        the best, the charts, and uncertainty.json.
    as_json
        Print the findings as JSON.
    """
    from ..measure.doubt import doubts
    from ..measure.grade import choose
    from ..measure.grade import grade as graded
    from ..reading import read
    from .study import renamed, writable

    if out is not None:
        writable(out)
    if samples is not None and samples < 2:
        raise BadInput(f"--samples is {samples}; uncertainty needs at least 2 draws.")
    if not -1 <= at_least <= 1:
        raise BadInput(f"--at-least is {at_least}; a cosine is between -1 and 1.")
    data = read(source, columns=renamed(columns), skip_bad=skip_bad)
    if model is None and len(data.models) != 1:
        raise BadInput(f"{source} holds draws of {', '.join(data.models[:8])}.", hint="Say whose with --model.")
    asked = model or data.models[0]
    why = ""
    if grade is None and (any(e.target is not None for e in data) or _scored(data)):
        chosen = choose(data)
        grade, why = chosen.by, f"Graded by '{chosen.by}': {chosen.why}."
    if grade is not None:
        data = graded(data, grade)
    found = doubts(data, asked, _encoder(encoder), at_least, samples, tokens, nli=nli)
    if scores is not None:
        scores.write_text("".join(json.dumps(row) + "\n" for row in _rows(found)))
    if out is not None:
        from ..study.report.uncertainty_page import save

        save(found, _summary(found, why), out)
    if as_json:
        print(json.dumps(_summary(found, why), allow_nan=False))
        return
    _show(found, why)
    if out is not None:
        print(f"Open {out}/index.html.")


def _scored(data: Any) -> bool:
    return any(c.reply.score is not None for e in data for c in e.calls)


def _encoder(named: str) -> Any:
    from ..encoders import SentenceEncoder, StaticEncoder, TfidfEncoder, cached

    if named == "static":
        return StaticEncoder()
    return TfidfEncoder() if named == "tfidf" else cached(SentenceEncoder(named))


def _rows(found: Any) -> list[dict[str, Any]]:
    def known(value: float) -> float | None:
        return float(value) if value == value else None

    return [
        {"id": name, "score": known(found.outcomes[i])}
        | {f"{level}: {n}": known(v[i]) for (n, level), v in found.values.items()}
        for i, name in enumerate(found.ids)
    ]


def _summary(found: Any, why: str) -> dict[str, Any]:
    def estimate(e: Any) -> list[float] | None:
        return None if e is None else [e.value, e.low, e.high]

    lines = [
        {"estimator": m.name, "level": m.level, "n": m.n, "mean": m.mean}
        | {"auroc": estimate(m.auroc), "aurc": estimate(m.aurc), "prr": estimate(m.prr)}
        for m in found.measured
    ]
    return {"model": found.model, "estimators": lines, "notes": [*([why] if why else []), *found.notes]}


def _show(found: Any, why: str) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    def shown(e: Any, interval: bool = True) -> str:
        if e is None:
            return ""
        return f"{e.value:.3f}" + (f" [{e.low:.3f}, {e.high:.3f}]" if interval else "")

    title = f"Uncertainty of '{found.model}', {len(found.ids):,} questions; AUROC of wrong answers"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for head in ("of the", "estimator", "AUROC", "PRR", "AURC"):
        table.add_column(head, no_wrap=head != "estimator")
    for m in sorted(found.measured, key=lambda m: (m.level, -(m.auroc.value if m.auroc else 0))):
        table.add_row(m.level, m.name, shown(m.auroc), shown(m.prr), shown(m.aurc, interval=False))
    console = Console()
    console.print(table)
    for note in [why, *found.notes]:
        if note:
            console.print(note, markup=False)
    if not any(m.aurc for m in found.measured):
        console.print("Outcomes are unknown or all the same: no estimator can be told from another.", markup=False)
