"""How well are the scores of large models foretold from small ones? ProxyLM's own tables (arXiv 2406.09334).

MT560 (1,954 settings, NLLB fine-tuned, spBLEU) and intent classification (2,601 pairs of languages, Aya, accuracy). Ten
folds at random, and each language left out with every row that names it. Settings are the library's own, chosen on
neither table's error; what a large model needs is never a feature: the proxies are the small models, and NLLB before
fine-tuning. Published figures are for other splits (70 / 30, their own tuned XGBoost), so they stand beside, no more.

Run: SPRAT_DATA=... python benchmarks/proxylm.py [--only TEXT] [--seed 0] [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from measured import RESULTS, header, table, write

from sprat.reading.sources import open_source
from sprat.study.performance import find_columns, foretell, table_of

SPLITS = ("random", "language")
SETS = {
    "MT560, nllb": ("mt560", "nllb", ["trfm", "small100", "nllb_noft"], 6.5, 3.682),
    "intent, aya": ("intent", "aya", ["smollm_135m", "smollm_360m", "bloomz_560m"], 6.9, 6.087),
    "slot, aya": ("slot", "aya", ["smollm_135m", "smollm_360m", "bloomz_560m"], None, 5.612),
}

ORDER = [f"{n}; {k}; {s}" for n in SETS for k in ("all", "data and languages", "proxies") for s in SPLITS]


def cell(table_name: str, kind: str, split: str, seed: int) -> dict[str, Any]:
    """One line: a set of features of one table under one split."""
    file, target, proxies, _, _ = SETS[table_name]
    path = Path(os.environ.get("SPRAT_DATA", "")) / "proxylm" / f"{file}_experiments.csv.gz"
    if not path.exists():
        sys.exit("Set SPRAT_DATA to the folder that holds proxylm.")
    rows = [row for _, row in open_source(path, False, lambda _line, _why: None).rows]
    columns = find_columns(rows, target, proxies)
    whole = table_of(rows, columns)
    names = {"all": whole.names, "data and languages": columns.others, "proxies": columns.proxies}[kind]
    found = foretell(whole.of(names), split, 0.9, seed)
    return {"rmse": list(found.rmse), "mean": found.mean_rmse, "coverage": found.coverage, "width": found.width}


def main() -> None:
    """Measure, print, and with --write keep; `--only` measures the lines that hold a text, and keeps the others."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    kept = RESULTS / "proxylm.json"
    record: dict[str, Any] = json.loads(kept.read_text())["tables"] if told.only and kept.exists() else {}
    for name in SETS:
        for kind in ("all", "data and languages", "proxies"):
            for split in SPLITS:
                key = f"{name}; {kind}; {split}"
                if told.only in key:
                    began = time.time()
                    record[key] = cell(name, kind, split, told.seed) | {"seconds": time.time() - began}
                    print(key, record[key], flush=True)
    lines: list[dict[str, str]] = []
    met = True
    for key in sorted(record, key=ORDER.index):
        (name, kind, split), one = key.split("; "), record[key]
        main_one = kind == "all" and split == "random"
        bar, published = SETS[name][3:]
        lines.append({
            "table": name, "features": kind, "left out": "rows" if split == "random" else "languages",
            "RMSE": "{:.2f} [{:.2f}, {:.2f}]".format(*one["rmse"]), "of the mean": f"{one['mean']:.2f}",
            "bar": f"{bar:.1f}" if bar and main_one else "",
            "published, tuned XGBoost": f"{published:.2f}" if main_one else "",
            "coverage of 90 %": f"{100 * one['coverage']:.1f} %", "interval": f"{one['width']:.1f}",
        })  # fmt: skip
        if main_one:
            met &= (bar is None or one["rmse"][0] <= bar) and abs(one["coverage"] - 0.9) <= 0.02
    text = [
        "# Foretelling a large model from small ones",
        "RMSE with 95 % bootstrap intervals (by row, or by language where languages were left out). A coverage of "
        "languages left out counts each language alike.",
        "",
        *table(lines),
        f"Bar (RMSE at random, coverage within 2 points): {'met' if met else 'NOT met'}.",
    ]
    print("\n".join(text))
    if told.write:
        command = f"python benchmarks/proxylm.py --seed {told.seed} --write"
        write(
            "proxylm",
            {"about": header(command, told.seed, sum(one["seconds"] for one in record.values())), "tables": record},
            text,
        )


if __name__ == "__main__":
    main()
