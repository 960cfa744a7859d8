"""What the reply-reading benchmarks share: trusts on held-out rows, means over splits, and the written record."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from sprat.data import Dataset
from sprat.drivers import drive_many
from sprat.errors import BadInput
from sprat.replay import Recording
from sprat.study import metrics

RESULTS = Path(__file__).parent / "results"
SHARES = (0.5, 0.8, 0.95)


def trusts(signal: Any, data: Dataset, model: str) -> np.ndarray:
    """The signal's trust in the model's recorded replies, (n,); whatever it asks is answered from the recording."""
    replies = [e.reply(model) for e in data]
    asked = [signal.trust(e.request, r) for e, r in zip(data, replies, strict=True)]
    return np.array(drive_many(asked, Recording(data).swap))


def judge(keep: np.ndarray, small: np.ndarray, large: np.ndarray) -> dict[str, float]:
    """APGR and call CPTs of one split's held-out rows."""
    return {"APGR": metrics.apgr(keep, small, large)} | {
        f"CPT{int(100 * s)}": metrics.cpt(keep, small, large, s) for s in SHARES
    }


def dollars(keep: np.ndarray, small: np.ndarray, large: np.ndarray, **costs: Any) -> dict[str, float]:
    """Dollar CPTs: the cost as a fraction of the large model's on every row; above 1 it does not pay."""
    return {f"$CPT{int(100 * s)}": metrics.dollar_cpt(keep, small, large, s, **costs) for s in SHARES}


def interval(keep: np.ndarray, small: np.ndarray, large: np.ndarray, units: Any, seed: int) -> list[float]:
    """95 % bootstrap interval of the APGR on one split's held-out rows."""
    try:
        found = metrics.bootstrap(metrics.apgr, keep, small, large, units=units, times=500, seed=seed)
    except BadInput:
        return [float("nan")] * 2
    return [found.low, found.high]


def over_splits(found: list[dict[str, float]]) -> dict[str, list[float]]:
    """Each measure's mean, smallest and largest over the splits."""
    return {k: [float(f([s[k] for s in found])) for f in (np.mean, np.min, np.max)] for k in found[0]}


def header(command: str, seed: int, seconds: float) -> dict[str, Any]:
    """Date, commit, seed and machine of a record."""
    said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "date": datetime.date.today().isoformat(),
        "commit": said.stdout.strip() or "unknown",
        "seed": seed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "seconds": round(seconds),
        "command": command,
    }


def table(rows: list[dict[str, str]]) -> list[str]:
    """A Markdown table; columns in the order of the first row."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([r.get(h, "") for h in head] for r in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines] + [""]


def shown(measure: str, values: list[float]) -> str:
    """Mean [least, most] over the splits; shares in per cent."""
    by = 1 if measure.startswith("APGR") else 100
    form = "{:.3f} [{:.3f}, {:.3f}]" if by == 1 else "{:.1f} [{:.1f}, {:.1f}]"
    return form.format(*(by * v for v in values))


def write(name: str, record: dict[str, Any], text: list[str]) -> None:
    """Write results/NAME.json and .md."""
    about = record["about"]
    top = f"{about['date']}, commit {about['commit']}, seed {about['seed']}, {about['machine']}, {about['seconds']} s: "
    lines = [text[0], "", top + f"`{about['command']}`", "", *text[1:]]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text("\n".join(lines).rstrip() + "\n")
