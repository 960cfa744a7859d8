"""`sprat evaluate`: how good recorded replies are by measures that read their text, with intervals."""

from __future__ import annotations

import json
import sys
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
    spans: int | None = None,
    by: str | None = None,
    nli: str = "small",
    document: str | None = None,
    judge: str | None = None,
    pairwise: str | None = None,
    rubric: str | None = None,
    draws: int = 1,
    temperature: float | None = None,
    weighted: Annotated[bool, Parameter(negative="")] = False,
    to: Path | None = None,
    columns: str | None = None,
    skip_bad: bool = False,
    scores: Path | None = None,
    out: Path | None = None,
    energy: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Score recorded replies against their targets, each model's mean with a 95 % interval.

    Example: sprat evaluate outputs.jsonl --with bertscore,f1 --encoder microsoft/deberta-large-mnli --spans 3

    `sprat evaluate judge-the-judge --set summ_judged --with rouge1,chrf` asks instead which metric agrees with people,
    on a set of judged texts: correlations by level, pairwise accuracy with ties, Williams' test. On a set of pairs that
    people compared it asks which judge agrees with them. `sprat evaluate train-judge --set PAIRS --to judge.toml`
    learns a small judge from one, and `--judge MODEL --pairwise a,b` lets any judge compare two models' replies.

    Parameters
    ----------
    source
        A calls file (JSON lines, CSV, Parquet, or another tool's log), or a set by name.
    with_
        Measures, separated by commas: bertscore (the default); likelihood (of the model --by, per token); self_check
        (against the other draws of a prompt; 0 is consistent); summac, alignscore, minicheck (is the reply borne out by
        its document? Over the model --nli); toxicity, pii, injection or hub:MODEL (the chance that a reply is unsafe;
        --spans shows the worst ones); bleu, chrf, rouge1, rouge2, rougeL, rougeL:recall; any
        other grader of sprat study (exact, f1, number, choice, ...).
    set_
        With judge-the-judge or train-judge: a folder of judged texts or pairs, or its name under SPRAT_DATA.
    encoder
        Whose tokens BERTScore compares: static (embedded), or a transformers encoder (needs sprat[torch]).
    layer
        The encoder's layer; as tuned for BERTScore where that is known, else the last.
    idf
        Weigh tokens by their rarity in the targets.
    rescale
        Rescale so that 0 is what these targets score when they are paired at random.
    spans
        Show, for this many of the lowest replies of each model, the words that lower their score, or the sentences that
        their document does not bear out, with what came closest.
    by
        The model of likelihood, as in sprat ask --model: tiny:sprat, or a TOML file; it must give log-probabilities.
    judge
        A judging model, as in sprat ask --model: it grades each reply, or compares models with --pairwise. A small
        judge's TOML file, longer and shorter only compare. With judge-the-judge several, separated by commas.
    pairwise
        The models to compare two by two, separated by commas; each pair of replies is shown in both orders.
    rubric
        What the judge is to look at: a sentence, or a file that holds it.
    draws
        How often a judging model is asked the same; above 1 the majority counts, or the mean of the grades.
    temperature
        The temperature of several draws: .7 for pairs and 1 for grades, unless given.
    weighted
        Grade 1 to 5 by the probabilities of these numbers' tokens (G-Eval): one call, needs log-probabilities.
    to
        With train-judge: the file to write, such as judge.toml.
    nli
        The inference model: small (embedded, weak), or hub:NAME for a cross-encoder, such as
        hub:cross-encoder/nli-deberta-v3-base (needs sprat[torch]).
    document
        Where each row's document is: prompt, target, or a name in its 'meta'; unless given, the first of document,
        source, context, passage and article in 'meta', else the prompt.
    columns
        What columns are called here, such as prompt=source,target=reference.
    skip_bad
        Count and skip lines that can't be used.
    scores
        Write every row's scores to this file, as JSON lines.
    out
        Write a folder: index.html (open it, it needs no network) with each mean and its interval, how the scores are
        spread and the lowest rows marked in place (--spans, 5 unless given), the charts, and evaluation.json. With
        judge-the-judge: each metric's or judge's agreement with people, by level.
    energy
        Say what this machine's work drew, measured or estimated.
    as_json
        Print the findings as JSON.
    """
    from ..config import model_of
    from ..measure.evaluation import evaluated
    from ..reading import read
    from .energy import metered, said
    from .study import renamed, writable

    if out is not None:
        writable(out)
    if source in ("judge-the-judge", "train-judge"):
        from .judging import judge_the_judge, train_judge

        if source == "train-judge":
            train_judge(set_, to, as_json)
        else:
            judge_the_judge(set_, with_, judge, _how(rubric, draws, temperature, weighted), as_json, out)
        return
    asked = [m.strip() for m in ("bertscore" if with_ is None else with_).split(",") if m.strip()]
    spans = (5 if out else 0) if spans is None else spans
    if not asked or spans < 0:
        raise BadInput("--with needs at least one measure, and --spans a number of at least 0.")
    data = read(source, columns=renamed(columns), skip_bad=skip_bad)
    if out is not None and judge is not None and pairwise is not None:
        raise BadInput("--out draws scores, and --pairwise gives none.", hint="Leave one of them out.")
    if pairwise is not None and judge is None:
        raise BadInput("--pairwise needs a judge.", hint="Name it: --judge URL#model, tiny:sprat, judge.toml, longer.")
    if judge is not None:
        from .judging import show_judged

        with metered(energy) as running:
            show_judged(data, judge, pairwise, _how(rubric, draws, temperature, weighted), scores, as_json, out)
        for line in said(running):
            print(line, file=sys.stderr if as_json else None)
        return
    model = model_of(by) if by is not None else None
    with metered(energy) as running:
        found = evaluated(data, asked, encoder, layer, idf, rescale, spans, model, nli, document)
    if scores is not None:
        scores.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found.rows))
    if out is not None:
        from ..study.report.evaluation_page import save

        save(found, data, out)
    if as_json:
        drawn = {} if running is None else {"energy": running.energy.summary()}
        print(json.dumps(found.summary() | drawn, allow_nan=False, ensure_ascii=False))
        return
    show(found)
    if out is not None:
        print(f"Open {out}/index.html.")
    for line in said(running):
        print(line)


def _how(rubric: str | None, draws: int, temperature: float | None, weighted: bool) -> dict[str, Any]:
    """What a judging model is told."""
    if rubric is not None and len(rubric) < 256 and Path(rubric).is_file():
        rubric = Path(rubric).read_text(encoding="utf-8").strip()
    return {"rubric": rubric, "draws": draws, "temperature": temperature, "weighted": weighted}


def show(found: Any) -> None:
    """Print the lines of an evaluation."""
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
        if "unsupported" in low:
            head = f"{low['model']}, row {low['id']}, {low['measure']} support {low['support']:.3f}:"
            console.print(head, markup=False, highlight=False)
            for told in low["unsupported"]:
                evidence = told["evidence"] if len(told["evidence"]) <= 200 else f"{told['evidence'][:200]} ..."
                closest = f"closest: “{evidence}”" if evidence else "nothing to compare with"
                console.print(f"  {told['support']:.2f} “{told['text']}” {closest}", markup=False, highlight=False)
            continue
        words = ", ".join(f"“{w}” ({c:.2f})" for w, c in low["words"][:8])
        value = f"F {low['f']:.3f}" if "f" in low else f"{low['measure']} {low['p']:.3f}"
        console.print(f"{low['model']}, row {low['id']}, {value}: {words or 'no single words'}", markup=False)
    for note in found.notes:
        console.print(note, markup=False)
