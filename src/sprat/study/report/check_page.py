"""What `sprat check` found, as one page that opens offline: each claim with its marks, its doubt and its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...factuality.check_ladder import EMPTY, VERBATIM, Finding, Findings, Ladder
from .markup import Content, Html, tag

_MARKS = """
mark { background: none; color: inherit; border-bottom: 3px solid var(--orange); font-weight: 600; }
.claim { border-top: 1px solid var(--rule); padding: .75rem 0 .5rem; max-width: 52rem; }
.claim p { margin: .15rem 0; max-width: none; }
"""


def page(source: str, found: Findings, made: Ladder, worth: Sequence[str] = ()) -> str:
    """The whole page: the unsupported claims first, the most doubtful on top; `worth` says how good the ladder is."""
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    bad = sorted(found.unsupported, key=lambda f: -f.doubt)
    doubtful = sorted((f for f in found.findings if f.verdict == "not sure"), key=lambda f: -f.doubt)
    good = sorted((f for f in found.findings if f.verdict == "borne out"), key=lambda f: -f.doubt)
    empty = [f for f in found.findings if f.verdict == "nothing claimed"]
    top = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"sprat check: {source}"),
        tag("style", Html(style + _MARKS)),
    ]
    unsure = sum(not f.sure for f in found.findings) - len(empty)
    head = [
        tag("p", f"sprat check · {source}", class_="kicker"),
        tag(
            "h1",
            f"{len(bad):,} of {len(found.findings):,} claims are not borne out by their documents.",
            class_="refused" if bad else "shown",
        ),
        tag(
            "p",
            f"Rungs: {', '.join(b.rung for b in found.ledger)}. Where a check stopped early, at most "
            f"{made.at_risk:.0%} of the verdicts were wrong on the rows that taught the ladder; {unsure:,} checks came "
            "to its end without being sure.",
        ),
        *(tag("p", line) for line in worth),
    ]
    body = [
        _section("Not borne out", bad, "Underlined is what nothing in the document is like."),
        _section("Not sure", doubtful, "Below the cut, and too doubtful to be called borne out."),
        tag("section", tag("h2", "What it took"), _ledger(found)),
        _section("Borne out", good, ""),
        _section("Nothing claimed", empty, "A claim without a word is neither borne out nor not."),
    ]
    return "<!doctype html>\n" + tag(
        "html", tag("head", top), tag("body", tag("header", head), tag("main", body)), lang="en"
    )


def _section(title: str, findings: list[Finding], note: str) -> Content:
    if not findings:
        return None
    return tag(
        "section", tag("h2", f"{title} ({len(findings):,})"), tag("p", note) if note else None, map(_one, findings)
    )


def _one(found: Finding) -> Content:
    text, at = list[Content](), 0
    claim = found.check.claim
    for span in found.marks():
        text += [claim[at : span.start], tag("mark", claim[span.start : span.end])]
        at = span.end
    text.append(claim[at:])
    sure = "" if found.sure else ", not sure"
    own = "" if found.calibrated else " (the model's own word, not calibrated)"
    how = f"doubt {found.doubt:.2f} (cut {found.cut:.2f}){own}, by {found.rung}{sure}"
    if found.rung == VERBATIM:
        how = "stands in the document word for word"
    near = tag("p", f"Closest: {found.evidence}", class_="note") if found.evidence and found.unsupported else None
    return tag(
        "div",
        tag("p", text, class_="said"),
        tag("p", how, class_="note") if found.rung != EMPTY else None,
        near,
        class_="claim",
    )


def _ledger(found: Findings) -> Content:
    head = ["rung", "checks that came", "stopped there", "CPU-seconds", "dollars"]
    rows = [
        [
            b.rung,
            f"{b.came:,}",
            f"{b.stopped:,}",
            f"{b.seconds:.2f}",
            "unknown" if b.dollars is None else f"{b.dollars:.4f}",
        ]
        for b in found.ledger
    ]
    top = tag("thead", tag("tr", [tag("th", h, class_="n" if i else None, scope="col") for i, h in enumerate(head)]))
    lines = [tag("tr", tag("th", r[0], scope="row"), [tag("td", c, class_="n") for c in r[1:]]) for r in rows]
    return tag("div", tag("table", top, tag("tbody", lines)), class_="box", tabindex="0")
