"""`sprat certify check`: recompute a certificate from its counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ..errors import BadInput

certify = App(name="certify", help="Check a certificate that a study wrote.")


@certify.command
def check(path: Path, *, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """Recompute the certificate in a study's folder from its counts; exits with 1 where it does not add up.

    Example: sprat certify check study/

    Parameters
    ----------
    path
        The study's folder, or its certificate.json.
    as_json
        Print the outcome as JSON.
    """
    from ..study.certificate import check as recompute
    from ..study.certificate import from_json
    from ..study.report.card import card

    file = path / "certificate.json" if path.is_dir() else path
    try:
        certificate = from_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} can't be read.", hint="Give the folder that sprat study wrote.") from error
    wrong = recompute(certificate)
    if as_json:
        print(json.dumps({"verified": not wrong, "wrong": wrong, "sentence": certificate.sentence}))
    else:
        for label, text in card(certificate, f"{file.parent}/"):
            print(f"{label:>14}  {text}")
        print("\nVerified: the counts give these p-values, this walk and this verdict." if not wrong else "")
        for sentence in wrong:
            print(f"Does not add up: {sentence}")
    return 1 if wrong else 0
