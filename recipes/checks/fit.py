"""Fit the embedded ladder of checks on all eight domains of SummEdits, and write it beside the code.

    python recipes/checks/fit.py --data $SPRAT_DATA

SummEdits (arXiv 2305.14540, Apache-2.0): 4,681 edited summaries of 162 documents. Whole domains are out of fold, so
that the thresholds see what another domain does to the doubt. benchmarks/check_ladder.py measures what this is worth.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

from sprat import config
from sprat.factuality.check_ladder import Labelled, ladder
from sprat.nli import small
from sprat.similarity import StaticTokens

WEIGHTS = Path(__file__).parents[2] / "src" / "sprat" / "factuality" / "weights" / "ladder.toml"


def rows(data: Path) -> list[Labelled]:
    """All summaries, grouped by domain."""
    found: list[Labelled] = []
    for path in sorted((data / "summedits").glob("summedits_*.json.gz")):
        domain = path.name.removeprefix("summedits_").removesuffix(".json.gz")
        with gzip.open(path, "rt", encoding="utf-8") as file:
            found += [Labelled(r["summary"], r["doc"], int(r["label"]) == 1, domain) for r in json.load(file)]
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    # No check stops early at this risk, so each rung learns from all rows; thresholds are chosen when it is loaded.
    made = ladder("unigram", "alignment", "nli", at_risk=1e-6).fit(rows(parser.parse_args().data))
    # What its numbers were read with: a ladder fitted over other weights would be calibrated for none (a test looks).
    config.dump(made, WEIGHTS, {"fitted": {"encoder": StaticTokens().name, "nli": small().name}})
