"""`sprat check`: which claims do their documents not bear out? Cheap checks first, a model only where doubt is left."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from ..errors import BadInput

CLAIM = ("claim", "summary", "reply", "response", "answer", "output", "hypothesis", "text")
DOCUMENT = ("document", "source", "doc", "context", "premise", "passage", "question", "prompt")
_AT_ONCE = 200
LONG = 600  # characters of a claim that a terminal is shown
WORDS = ("unigram", "alignment", "nli", "look", "meaning")
SUPPORTED = ("supported", "consistent", "label")


def check(
    source: Path,
    *,
    with_: Annotated[str, Parameter(name="--with")] = "unigram,alignment,nli",
    corpus: Path | None = None,
    each: Literal["row", "sentence", "fact"] = "row",
    at_risk: float = 0.2,
    dollars: float | None = None,
    seconds: float | None = None,
    fit: Path | None = None,
    ladder: Path | None = None,
    save: Path | None = None,
    html: Path | None = None,
    energy: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Find the claims that their documents do not bear out, and mark what in them is not; 1 where there are any.

    Example: sprat check summaries.jsonl --with unigram,alignment,nli --html checked.html

    Each row has a claim (or summary, reply, answer, ...) and a document (or source, context, ...). With --corpus the
    passages nearest to each claim are its document. Unless you --fit it on rows of your own, the ladder is the embedded
    one, which learnt from edited summaries (SummEdits): weak, and what it is worth is in docs/factuality.md. What a
    ladder of your own is worth is told after --fit, and where the checked rows have `supported` (with --each row).

    Parameters
    ----------
    source
        A table (JSON lines, CSV, Parquet), a row per claim.
    with_
        The rungs, from cheap to dear: unigram (words), alignment (tokens), nli (the embedded inference model), then
        models to be asked, as in sprat ask --model: a TOML file, URL#model, tiny:NAME. For answers whose document is
        only the question: look (length, form), meaning (the embedded encoder), with --fit.
    corpus
        A folder of .txt and .md files, or a file of rows with text and title, for claims without a document.
    each
        Check each row as one claim, or each sentence of it, or each fact as rules cut them (docs/factuality.md).
    at_risk
        The share of wrong verdicts that is acceptable where a check stops early.
    dollars
        What one check may cost: it stops before a rung that would cost more.
    seconds
        What one check may take in CPU-seconds here.
    fit
        A table of labelled rows, with `supported` (true or false) beside claim and document, to fit the ladder on.
    ladder
        A ladder that --save wrote, in place of --with.
    save
        Write the ladder as TOML, to use again with --ladder, or with sprat.config.load in Python.
    html
        Write a page with every claim, its marks and its evidence.
    energy
        Say what this machine's work drew, measured or estimated; not what a remote model did.
    as_json
        Print the findings as JSON.
    """
    from .. import config
    from ..factuality.corpus import read_corpus
    from ..reading.sources import open_source
    from .energy import metered, said

    def rows_of(path: Path) -> list[dict[str, Any]]:
        return [dict(row) for _, row in open_source(path, False, lambda _line, _why: None).rows]

    held = read_corpus(corpus) if corpus is not None else None
    rows = rows_of(source)
    if not rows:
        raise BadInput(f"{source} holds no row.", hint="It needs a row per claim.")
    labelled = [_labelled(r, i, fit, held) for i, r in enumerate(rows_of(fit))] if fit is not None else None
    with metered(energy) as running:
        made = _ladder(with_, at_risk, dollars, seconds, labelled, ladder)
        if save is not None:
            config.dump(made, save)
        claims, documents, of = list[str](), list[str](), list[int]()
        for i, row in enumerate(rows):
            for claim in _claims(_cell(row, CLAIM, source, i), each):
                claims.append(claim)
                documents.append(_document(row, claim, source, i, held))
                of.append(i)
        found = _checked(made, claims, documents)
    worths = _worths(made, labelled, source, rows if each == "row" else (), found)
    if html is not None:
        from ..config import write_whole
        from ..study.report.check_page import page

        write_whole(html, page(str(source), found, made, [line for w in worths for line in _said(*w)]).encode())
    if as_json:
        drawn = {} if running is None else {"energy": running.energy.summary()}
        print(json.dumps(_told(found, of, made, worths) | drawn, ensure_ascii=False, allow_nan=False))
    else:
        _show(found)
        for line in (line for w in worths for line in _said(*w)):
            print(line)
        for line in said(running):
            print(line)
    return 1 if found.unsupported else 0


def _checked(made: Any, claims: Sequence[str], documents: Sequence[str]) -> Any:
    """All findings, some at a time, so that a terminal shows how far it is."""
    from ..factuality.check_ladder import joined
    from .progress import telling

    parts: list[Any] = []
    with telling() as tell:
        for at in range(0, len(claims), _AT_ONCE):
            tell("checking", at, len(claims))
            parts.append(made.check(claims[at : at + _AT_ONCE], documents[at : at + _AT_ONCE]))
    return joined(parts)


def _worths(
    made: Any, labelled: Sequence[Mapping[str, Any]] | None, source: Path, rows: Sequence[Any], found: Any
) -> list[tuple[str, Any]]:
    """What the ladder is worth, by where it was measured: a Worth, or why there is none."""
    from ..measure.check_worth import found_worth, taught

    told: list[tuple[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    if labelled is not None:
        seen = {(r["claim"], r["document"]) for r in labelled}
        try:
            told.append(("fit", taught(made, [r["group"] or r["document"] for r in labelled])))
        except BadInput as why:
            told.append(("fit", why))
    # Rows that taught the ladder say nothing of its worth.
    kept = [
        (f, not _supported(row, source, i), str(row.get("group") or f.check.document))
        for i, (row, f) in enumerate(zip(rows, found.findings if rows else (), strict=True))
        if any(row.get(n) is not None for n in SUPPORTED) and (f.check.claim, f.check.document) not in seen
    ]
    if kept:
        findings, unsupported, groups = zip(*kept, strict=True)
        try:
            told.append(("checked", found_worth(findings, unsupported, groups)))
        except BadInput as why:
            told.append(("checked", why))
    return told


def _said(where: str, worth: Any) -> list[str]:
    """The worth in words."""
    on = (
        "the rows of --fit, each judged by what the others taught"
        if where == "fit"
        else "the checked rows with a label (none taught it here)"
    )
    if isinstance(worth, BadInput):
        return [f"What the ladder is worth on {on} can't be told: {worth.args[0]}"]

    def shown(name: str, e: Any) -> str:
        return f"{name} {e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"

    numbers = ", ".join(
        [shown("AUROC", worth.auroc), shown("balanced accuracy", worth.balanced_accuracy), shown("ECE", worth.ece)]
    )
    lines = [f"On {on} ({worth.rows:,}, {worth.unsupported:,} not supported): {numbers}."]
    if not worth.shown:
        lines.append("Warning: its doubts can't be told from chance there. Don't act on them.")
    return lines


def _ladder(
    words: str, at_risk: float, dollars: float | None, seconds: float | None, labelled: Any, saved: Path | None
) -> Any:
    from dataclasses import replace

    from .. import config
    from ..factuality.check_ladder import Ladder, fitted
    from ..factuality.check_ladder import ladder as make

    if saved is not None:
        made = config.load(saved)
        if not isinstance(made, Ladder):
            raise BadInput(f"{saved} holds no ladder.", hint="Write one with sprat check --fit FILE --save PATH.")
        return replace(made, dollars=dollars or made.dollars, seconds=seconds or made.seconds)
    asked = [w.strip() for w in words.split(",") if w.strip()]
    here = [w for w in asked if w in WORDS]
    if asked[: len(here)] != here:
        raise BadInput("Models come after the rungs that need none.", hint="Rungs go from cheap to dear.")
    models = [config.model_of(w) for w in asked[len(here) :]]
    made = make(*here, *models, at_risk=at_risk, dollars=dollars, seconds=seconds)
    if labelled is not None:
        return made.fit(labelled)
    return replace(made, steps=fitted(*here, at_risk=at_risk).steps) if here else made


def _cell(row: Mapping[str, Any], names: Sequence[str], path: Path, at: int) -> str:
    found = next((row[n] for n in names if isinstance(row.get(n), str)), None)
    if found is None:
        raise BadInput(f"{path}, row {at + 1}: there is no {names[0]}.", hint=f"Call it {', '.join(names[:4])}, ...")
    return found


def _document(row: Mapping[str, Any], claim: str, path: Path, at: int, corpus: Any) -> str:
    if corpus is not None and not any(isinstance(row.get(n), str) for n in DOCUMENT):
        return "\n".join(p.text for p in corpus.passages(claim))
    return _cell(row, DOCUMENT, path, at)


def _labelled(row: Mapping[str, Any], at: int, path: Path | None, corpus: Any) -> dict[str, Any]:
    assert path is not None
    claim = _cell(row, CLAIM, path, at)
    told, group = _supported(row, path, at), str(row.get("group") or "")
    return {"claim": claim, "document": _document(row, claim, path, at, corpus), "supported": told, "group": group}


def _supported(row: Mapping[str, Any], path: Path, at: int) -> bool:
    said = next((row[n] for n in SUPPORTED if row.get(n) is not None), None)
    told = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}.get(str(said).lower())
    if told is None:
        raise BadInput(f"{path}, row {at + 1}: 'supported' is {said!r}.", hint="Write true or false.")
    return told


def _claims(text: str, each: str) -> list[str]:
    from ..factuality.facts import split_facts
    from ..sentences import sentences

    if each == "fact":
        return [f.text for f in split_facts(text)] or [text]
    return (sentences(text) or [text]) if each == "sentence" else [text]


def _told(found: Any, of: Sequence[int], made: Any, worths: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The findings as JSON holds them."""
    findings = [
        {
            "row": i + 1,
            "claim": f.check.claim,
            "doubt": round(f.doubt, 6) if f.doubt == f.doubt else None,
            "verdict": f.verdict,
            "unsupported": bool(f.unsupported),
            "cut": round(f.cut, 6),
            "sure": f.sure,
            "calibrated": f.calibrated,
            "rung": f.rung,
            "spans": [[s.start, s.end] for s in f.spans()],
            "evidence": f.evidence,
            "dollars": f.spent.dollars,
            "cpu_seconds": f.spent.seconds,
        }
        for i, f in zip(of, found.findings, strict=True)
    ]
    ledger = [
        {"rung": b.rung, "came": b.came, "stopped": b.stopped, "dollars": b.dollars, "cpu_seconds": b.seconds}
        for b in found.ledger
    ]
    worth = {where: str(w.args[0]) if isinstance(w, BadInput) else asdict(w) for where, w in worths}
    return {"at_risk": made.at_risk, "findings": findings, "ledger": ledger} | ({"worth": worth} if worth else {})


def _show(found: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for f in found.unsupported:
        text = Text(f.check.claim)
        for span in f.marks():
            text.stylize("bold red underline", span.start, span.end)
        if len(text) > LONG:
            text = text[:LONG].append(f" ... ({len(f.check.claim):,} characters; --html shows all)", style="dim")
        console.print(text)
        sure = "" if f.sure else ", not sure"
        own = "" if f.calibrated else ", the model's own word, not calibrated"
        console.print(f"  not borne out: doubt {f.doubt:.2f} (cut {f.cut:.2f}), by {f.rung}{sure}{own}", style="dim")
        if f.evidence:
            console.print(f"  closest: {f.evidence}", style="dim", markup=False)
    table = Table("rung", "came", "stopped", "CPU-s", "dollars", box=None, pad_edge=False, header_style="dim")
    for b in found.ledger:
        cost = "unknown" if b.dollars is None else f"{b.dollars:.4f}"
        table.add_row(b.rung, f"{b.came:,}", f"{b.stopped:,}", f"{b.seconds:.2f}", cost)
    counts = Counter(f.verdict for f in found.findings)
    n, unsure = len(found.findings), sum(not f.sure for f in found.unsupported)
    console.print(
        f"\n{len(found.unsupported):,} of {n:,} claims are not borne out ({unsure:,} of them not sure); "
        f"{counts['borne out']:,} are borne out; {counts['not sure']:,} are below the cut, but not sure."
    )
    if counts["nothing claimed"]:
        console.print(f"{counts['nothing claimed']:,} say nothing, which is unknown.")
    console.print(table)
