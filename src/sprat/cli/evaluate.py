"""`sprat evaluate`: how good recorded replies are by measures that read their text, with intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..errors import BadInput


def evaluate(
    source: str,
    *,
    with_: Annotated[str | None, Parameter(name="--with")] = None,
    set_: Annotated[str | None, Parameter(name="--set")] = None,
    encoder: str = "static",
    layer: int | None = None,
    idf: Annotated[bool, Parameter(negative="")] = False,
    rescale: Annotated[bool, Parameter(negative="")] = False,
    spans: int = 0,
    by: str | None = None,
    columns: str | None = None,
    skip_bad: bool = False,
    scores: Path | None = None,
    energy: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Score recorded replies against their targets, each model's mean with a 95 % interval.

    Example: sprat evaluate outputs.jsonl --with bertscore,f1 --encoder microsoft/deberta-large-mnli --spans 3

    `sprat evaluate judge-the-judge --set summ_judged --with rouge1,chrf` asks instead which metric agrees with people,
    on a set of judged texts: correlations by level, pairwise accuracy with ties, Williams' test.

    Parameters
    ----------
    source
        A calls file (JSON lines, CSV, Parquet, or another tool's log), or a set by name.
    with_
        Measures, separated by commas: bertscore (the default); likelihood (of the model --by, per token); self_check
        (against the other draws of a prompt; 0 is consistent); bleu, chrf, rouge1, rouge2, rougeL, rougeL:recall; any
        other grader of sprat study (exact, f1, number, choice, ...).
    set
        With judge-the-judge: a folder of judged texts, or its name under SPRAT_DATA.
    encoder
        Whose tokens BERTScore compares: static (embedded), or a transformers encoder (needs sprat[torch]).
    layer
        The encoder's layer; as tuned for BERTScore where that is known, else the last.
    idf
        Weigh tokens by their rarity in the targets.
    rescale
        Rescale so that 0 is what these targets score when they are paired at random.
    spans
        Show, for this many of the lowest replies of each model, the words that lower their score.
    by
        The model of likelihood, as in sprat ask --model: tiny:sprat, or a TOML file; it must give log-probabilities.
    columns
        What columns are called here, such as prompt=source,target=reference.
    skip_bad
        Count and skip lines that can't be used.
    scores
        Write every row's scores to this file, as JSON lines.
    energy
        Say what this machine's work drew, measured or estimated.
    as_json
        Print the findings as JSON.
    """
    from ..config import model_of
    from ..measure.evaluation import evaluated
    from ..reading import read
    from .energy import metered, said
    from .study import renamed

    if source == "judge-the-judge":
        from .judging import judge_the_judge

        judge_the_judge(set_, with_, as_json)
        return
    asked = [m.strip() for m in ("bertscore" if with_ is None else with_).split(",") if m.strip()]
    if not asked or spans < 0:
        raise BadInput("--with needs at least one measure, and --spans a number of at least 0.")
    data = read(source, columns=renamed(columns), skip_bad=skip_bad)
    with metered(energy) as running:
        found = evaluated(data, asked, encoder, layer, idf, rescale, spans, model_of(by) if by is not None else None)
    if scores is not None:
        scores.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found.rows))
    if as_json:
        drawn = {} if running is None else {"energy": running.energy.summary()}
        print(json.dumps(found.summary() | drawn, allow_nan=False, ensure_ascii=False))
        return
    _show(found)
    for line in said(running):
        print(line)


def _show(found: Any) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("model", "measure", "rows", "mean [95 %]", title="Scores", title_justify="left")
    for line in found.lines:
        told = "unknown" if line.mean is None else f"{line.mean:.4f} [{line.low:.4f}, {line.high:.4f}]"
        table.add_row(escape(line.model), line.measure, f"{line.n:,}", told)
    console = Console()
    console.print(table)
    for low in found.lowest:
        words = ", ".join(f"“{w}” ({c:.2f})" for w, c in low["words"][:8])
        console.print(f"{low['model']}, row {low['id']}, F {low['f']:.3f}: {words}", markup=False)
    for note in found.notes:
        console.print(note, markup=False)
