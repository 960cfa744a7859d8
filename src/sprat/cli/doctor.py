"""`sprat doctor`: what can this endpoint do?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from ..errors import BadInput, EndpointError


def doctor(
    url: str,
    *,
    model: str | None = None,
    key_env: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Find out by about a dozen short calls what an OpenAI-compatible endpoint can do.

    Example: sprat doctor http://localhost:8000/v1 --model qwen

    Parameters
    ----------
    url
        The API's address, which often ends in /v1.
    model
        The model to ask; where the server offers just one, that.
    key_env
        The environment variable with its key.
    as_json
        Print the findings as JSON.
    """
    from ..diagnose import Finding, diagnose
    from ..endpoints import openai

    try:
        offered = openai("doctor", url, key_env=key_env).models()
        listed = Finding("models", "yes", ", ".join(offered[:8]) + (" ..." if len(offered) > 8 else ""))
    except EndpointError as error:
        if model is None:
            raise
        offered, listed = [], Finding("models", "no", str(error.args[0]))
    if model is None and len(offered) != 1:
        raise BadInput(
            f"{url} offers {len(offered)} models: {', '.join(offered[:12])}.", hint="Say which with --model."
        )
    asked = model or offered[0]
    findings = [listed, *diagnose(openai(asked, url, asked, key_env=key_env))]
    gives = next((f.seen == "yes" for f in findings if f.what == "logprobs"), False)
    if as_json:
        print(json.dumps({"url": url, "model": asked, "logprobs": gives, "findings": [asdict(f) for f in findings]}))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("ability", "seen", "what was seen", title=f"{asked} at {url}")
    for finding in findings:
        table.add_row(finding.what, finding.seen, finding.detail)
    console = Console()
    console.print(table)
    console.print(
        "It gives log-probabilities: declare logprobs = true." if gives else "It gives text alone.", markup=False
    )
    return 0
