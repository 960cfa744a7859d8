"""Is the win rate at equal length what AlpacaEval 2 says? Real GPT-4 verdicts on models against one baseline.

A checkout of tatsu-lab/alpaca_eval holds each model's 805 verdicts with both outputs, and the published leaderboard.
Ours is the regression on a constant and the length alone. Beside it stand the same formula fitted as their code does
(their `length_controlled_minimal`: L1 penalty chosen by five folds), and the published rate, which also knows the
instructions' difficulty and is regularised towards gamed baselines (neither file is in the checkout). Texts are read,
nothing of them is kept.

Run: python benchmarks/length_control.py --alpaca FOLDER [--write]
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from measured import header, table, write
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from sprat.judging import length_controlled, win_rate

BY = "weighted_alpaca_eval_gpt4_turbo"


def theirs(preference: np.ndarray, far: np.ndarray) -> float:
    """The same formula with their penalty and folds: C of ten from 1e-4 to 1e4 by out-of-fold log loss."""
    x = np.column_stack([np.tanh(far / far.std(ddof=1)), np.ones(len(far))])
    rows, labels = np.vstack([x, x]), np.repeat([1, 0], len(x))
    weights, groups = np.concatenate([preference, 1 - preference]), np.tile(np.arange(len(x)), 2)
    grid = np.logspace(-4, 4, 10)
    lost = np.zeros(len(grid))

    def fitted(c: float, at: np.ndarray) -> Any:
        model = LogisticRegression(C=c, l1_ratio=1.0, solver="liblinear", fit_intercept=False, random_state=123)
        return model.fit(rows[at], labels[at], sample_weight=weights[at])

    for learn, rest in GroupKFold(5).split(rows, labels, groups):
        for k, c in enumerate(grid):
            p = np.clip(fitted(c, learn).predict_proba(rows[rest])[np.arange(len(rest)), labels[rest]], 1e-15, 1)
            lost[k] -= float((weights[rest] * np.log(p)).sum())
    model = fitted(float(grid[int(np.argmin(lost))]), np.arange(len(rows)))
    return float(model.predict_proba(np.array([[0.0, 1.0]]))[0, 1])


def main() -> None:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--alpaca", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    began = time.time()
    board = told.alpaca / "src/alpaca_eval/leaderboards/data_AlpacaEval_2" / f"{BY}_leaderboard.csv"
    with board.open(encoding="utf-8") as file:
        published = {r[""]: r for r in csv.DictReader(file)}
    record: list[dict[str, Any]] = []
    for path in sorted(told.alpaca.glob(f"results/*/{BY}/annotations.json")):
        name = path.parent.parent.name
        rows = [r for r in json.loads(path.read_text(encoding="utf-8")) if r["preference"] is not None]
        if name not in published or len(rows) < 700 or rows[0]["generator_1"] == rows[0]["generator_2"]:
            continue  # the baseline against itself says nothing
        preference = np.array([float(r["preference"]) - 1 for r in rows])
        lengths = np.array([[len(r["output_2"]), len(r["output_1"])] for r in rows], float)
        ours = length_controlled(preference, *lengths.T)
        record.append({
            "model": name, "rows": len(rows), "win rate": win_rate(preference, times=10).value, "ours": ours.rate,
            "length": ours.length, "theirs": theirs(preference, lengths[:, 0] - lengths[:, 1]),
            "published": float(published[name]["length_controlled_winrate"]) / 100,
        })  # fmt: skip
        print(record[-1], flush=True)
    ours, same, public = (np.array([r[k] for r in record]) for k in ("ours", "theirs", "published"))
    raw = np.array([r["win rate"] for r in record])
    summary = {
        "models": len(record),
        "largest difference from their fit of the same formula": float(np.abs(ours - same).max()),
        "mean difference from it": float(np.abs(ours - same).mean()),
        "mean difference from the published": float(np.abs(ours - public).mean()),
        "largest difference from the published": float(np.abs(ours - public).max()),
        "the plain win rate's mean difference from the published": float(np.abs(raw - public).mean()),
        "rank correlation with the published": float(spearmanr(ours, public).statistic),
        "the plain win rate's": float(spearmanr(raw, public).statistic),
    }
    print(json.dumps(summary, indent=1))
    words = ("model", "rows")
    shown = [{k: str(v) if k in words else f"{v:.3f}" for k, v in r.items()} for r in record]
    text = [
        "# The win rate at equal length against AlpacaEval 2's",
        "GPT-4's verdicts on 805 instructions each, against one baseline. `theirs` is their fit of our formula, "
        "`published` the leaderboard's, which uses each instruction's difficulty and regularisation towards gamed "
        "baselines besides. `length` is the weight of a much longer reply, in log-odds.",
        "",
        *(f"- {k}: {v if isinstance(v, int) else f'{v:.4f}'}" for k, v in summary.items()),
        "",
        *table(shown),
    ]
    if told.write:
        command = "python benchmarks/length_control.py --alpaca alpaca_eval --write"
        about = header(command, 123, time.time() - began)
        write("length_control", {"about": about, "summary": summary, "rows": record}, text)


if __name__ == "__main__":
    main()
