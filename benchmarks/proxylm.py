"""How well are the scores of large models foretold from small ones? ProxyLM's own tables (arXiv 2406.09334).

MT560 (1,954 settings, NLLB fine-tuned, spBLEU) and intent classification (2,601 pairs of languages, Aya, accuracy). Ten
folds at random, and each language left out with every row that names it. Settings are the library's own, chosen on
neither table's error; what a large model needs is never a feature: the proxies are the small models, and NLLB before
fine-tuning. Published figures are for other splits (70 / 30, their own tuned XGBoost), so they stand beside, no more.

Run: SPRAT_DATA=... python benchmarks/proxylm.py [--seed 0] [--write]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from measured import header, table, write

from sprat.errors import BadInput
from sprat.reading.sources import open_source
from sprat.study.performance import find_columns, foretell, table_of

SETS = {
    "MT560, nllb": ("mt560", "nllb", ["trfm", "small100", "nllb_noft"], 6.5, 3.682),
    "intent, aya": ("intent", "aya", ["smollm_135m", "smollm_360m", "bloomz_560m"], 6.9, 6.087),
    "slot, aya": ("slot", "aya", ["smollm_135m", "smollm_360m", "bloomz_560m"], None, 5.612),
}


def main() -> None:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    folder = os.environ.get("SPRAT_DATA")
    if not folder:
        sys.exit("Set SPRAT_DATA to the folder that holds proxylm.")
    began, lines, record, met = time.time(), list[dict[str, str]](), dict[str, Any](), True
    for name, (file, target, proxies, bar, published) in SETS.items():
        path = Path(folder) / "proxylm" / f"{file}_experiments.csv.gz"
        rows = [row for _, row in open_source(path, False, lambda _line, _why: None).rows]
        columns = find_columns(rows, target, proxies)
        whole = table_of(rows, columns)
        kinds = {"all": whole.names, "data and languages": columns.others, "proxies": columns.proxies}
        for kind, names in kinds.items():
            for split in ("random", "language"):
                try:
                    found = foretell(whole.of(names), split, 0.9, told.seed)
                except BadInput as error:
                    print(name, kind, split, error)
                    continue
                e = found.rmse
                lines.append({
                    "table": name, "features": kind, "left out": "rows" if split == "random" else "languages",
                    "RMSE": f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]", "of the mean": f"{found.mean_rmse:.2f}",
                    "bar": f"{bar:.1f}" if bar and kind == "all" and split == "random" else "",
                    "published, tuned XGBoost": f"{published:.2f}" if kind == "all" and split == "random" else "",
                    "coverage of 90 %": f"{100 * found.coverage:.1f} %", "interval": f"{found.width:.1f}",
                })  # fmt: skip
                record[f"{name}, {kind}, {split}"] = {"rmse": list(e), "coverage": found.coverage, "width": found.width}
                print(lines[-1], flush=True)
                if kind == "all" and split == "random":
                    met &= (bar is None or e.value <= bar) and abs(found.coverage - 0.9) <= 0.02
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
        write("proxylm", {"about": header(command, told.seed, time.time() - began), "tables": record}, text)


if __name__ == "__main__":
    main()
