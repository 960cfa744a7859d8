"""Which word-overlap metric agrees with people on judged summaries and translations? The baselines to have beside.

SummEval, REALSumm, Newsroom, QAGS and WMT19 pairs as collected by BARTScore's authors (research use; nothing of them is
kept here but the numbers). Every metric is a grader of `sprat evaluate`; texts are compared with all references.

Run: SPRAT_DATA=... python benchmarks/judge_the_judge.py [--set summ_judged] [--write]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from measured import header, table, write

from sprat.study.judging import METRICS, judge_the_judges

SHOWN = ("system, pearson", "summary, spearman", "segment, spearman", "segment, kendall")


def main() -> None:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--set", default="summ_judged")
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    began = time.time()
    rows: list[dict[str, str]] = []
    record: list[dict[str, Any]] = []
    for a in judge_the_judges(told.set, METRICS, told.times):
        shown = {s: f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" if (e := a.correlations.get(s)) else "" for s in SHOWN}
        right = "" if a.accuracy is None else f"{100 * a.accuracy:.1f} %"
        p = "" if a.behind is None else f"{a.behind:.3f}"
        rows.append({"set": a.set, "quality": a.quality, "metric": a.metric, **shown, "pairs": right, "p": p})
        record.append({"set": a.set, "quality": a.quality, "metric": a.metric, "accuracy": a.accuracy, "p": a.behind,
                       "correlations": {k: list(e) if e else None for k, e in a.correlations.items()}})  # fmt: skip
        print(rows[-1], flush=True)
    text = [
        "# Do word-overlap metrics agree with people?",
        "Brackets are 95 % bootstrap intervals over documents. `pairs`: the share of pairs within a document ordered "
        "as by people, ties counted (their width chosen on the same pairs). `p`: that the best metric of the "
        "quality, by Pearson's correlation over all texts, is no better than this one (none: it is the best), permuted "
        "by document and Holm's over all pairs of metrics; qualities and sets are not adjusted for.",
        "",
        *table(rows),
    ]
    if told.write:
        command = f"python benchmarks/judge_the_judge.py --set {told.set} --times {told.times} --write"
        write("judge_the_judge", {"about": header(command, 0, time.time() - began), "rows": record}, text)


if __name__ == "__main__":
    main()
