"""`sprat certify check`: recompute a certificate from its counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ..errors import BadInput, SpratError

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
    wrong = [*recompute(certificate), *_served(file.parent / "serve.toml", certificate.served)]
    if as_json:
        print(json.dumps({"verified": not wrong, "wrong": wrong, "sentence": certificate.sentence}))
    else:
        for label, text in card(certificate, f"{file.parent}/"):
            print(f"{label:>14}  {text}")
        print("\nVerified: the counts give these p-values, this walk and this verdict." if not wrong else "")
        if not wrong and not (file.parent / "serve.toml").exists():
            print("There is no serve.toml beside it, so what is served was not compared.")
        for sentence in wrong:
            print(f"Does not add up: {sentence}")
    return 1 if wrong else 0


def _served(path: Path, certified: str) -> list[str]:
    """What is wrong with the file to serve: it must be the way that was certified, its arrays too."""
    from ..config import fingerprint, load

    if not path.exists() or not certified:
        return []
    try:
        load(path)
    except SpratError as error:
        return [str(error)]
    return [] if fingerprint(path) == certified else [f"{path} is not the way of working that was certified."]
