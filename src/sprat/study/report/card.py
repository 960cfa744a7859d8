"""The certificate card: the same rows wherever a certificate is drawn (terminal, page, configuration, gateway)."""

from __future__ import annotations

from typing import NamedTuple

from ..certificate import Certificate


class Step(NamedTuple):
    """One setting of the list as it was walked: its place from 1, its p-value, and whether it passed."""

    place: int
    name: str
    p_value: float
    passed: bool


def card(certificate: Certificate, folder: str = "study/") -> list[tuple[str, str]]:
    """The certificate as (label, text) rows: what is claimed, the evidence for it, and how to check both."""
    c = certificate
    best = f"at least {100 * c.level:.4g} % of" if c.kind == "keep" else f"at most {100 * c.level:.4g} points below"
    return [
        ("Verdict", "shown" if c.certified else "not shown: no setting passed, so the reference alone"),
        (
            "Claim",
            ("" if c.certified else "none; asked for was: ")
            + f"mean quality over {c.traffic} is {best} the reference's",
        ),
        ("Way of working", c.certified or "the reference alone"),
        ("Confidence", _confidence(c)),
        ("Evidence", f"n = {c.units:,} units ({c.rows:,} calibration rows), {c.label}"),
        ("p-value", _p_words(c)),
        ("Walk", _walk_words(c)),
        ("Data", c.data_hash),
        ("Seed", f"{c.seed} (from the data's hash)"),
        ("Date", c.date + (f", prices of {c.prices_date}" if c.prices_date else ", prices undated")),
        ("Earlier studies", f"{c.earlier_studies} of the same data" + _again(c)),
        ("Verify", f"sprat certify check {folder}"),
    ]


def walked(certificate: Certificate) -> list[Step]:
    """The settings that were tested, in their order."""
    return [Step(i, t.name, t.p_value, t.p_value <= certificate.delta) for i, t in enumerate(certificate.tried, 1)]


def p_text(p: float) -> str:
    """A p-value, '0.0312', or '< 0.0001'."""
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def _confidence(c: Certificate) -> str:
    lists = "" if c.lists == 1 else f", split over {c.lists} lists"
    return f"{100 * (1 - c.delta * c.lists):.4g} % (delta {c.delta * c.lists:.4g}{lists})"


def _p_words(c: Certificate) -> str:
    if c.evidence is not None:
        return f"{p_text(c.evidence.p_value)}, needed at most {c.delta:.4g}"
    if c.tried:
        return f"{p_text(c.tried[0].p_value)} for the first of the list, needed at most {c.delta:.4g}"
    return "none: no setting was fit to be tested"


def _walk_words(c: Certificate) -> str:
    if not c.listed:
        return "the list is empty"
    steps = walked(c)
    passed = sum(s.passed for s in steps)
    words = f"{len(steps)} of {len(c.listed)} listed settings tested in their fixed order, {passed} passed"
    failed = next((s for s in steps if not s.passed), None)
    return words + (f"; stopped at {failed.name} (p = {p_text(failed.p_value)})" if failed else "")


def _again(c: Certificate) -> str:
    return "; each has its own chance of error" if c.earlier_studies else ""
