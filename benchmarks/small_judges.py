"""Does a judge trained here agree with people? Beside the longer reply, and beside what large judges said of the pairs.

hh-rlhf's harmless pairs and LLMBar's sets as they lie under SPRAT_DATA; with --llmbar a checkout of
princeton-nlp/LLMBar, which holds the verdicts of GPT-4, ChatGPT, PaLM 2, LLaMA 2 and Falcon in both orders; with
--panda one of WeOpenML/PandaLM, with three people's answers and the verdicts of gpt-3.5 and PandaLM-7B. Small judges
are measured out of fold (five, pairs of one request together); `small, from hh` learnt from all harmless pairs.

Run: SPRAT_DATA=... python benchmarks/small_judges.py [--llmbar FOLDER] [--panda FOLDER] [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from measured import header, table, write

from sprat.judging import LengthJudge, PeopleAgreement, Preference, agreement, preferences, train
from sprat.judging.agreement import accuracy, kappa
from sprat.judging.preferences import rows_of
from sprat.measure.resampling import Estimate, bootstraps
from sprat.signals.verdicts import Verdict, settled

SIDES = {"1": "a", "2": "b", "0": "tie", "Tie": "tie"}
KEPT = ("Vanilla", "Swap")
NUMBER = {"a": 0, "tie": 1, "b": 2}


def llmbar(folder: Path) -> dict[str, list[Preference]]:
    """The sets of a checkout, with every evaluator's stored verdict of each pair."""
    found: dict[str, list[Preference]] = {}
    for file in sorted(folder.glob("Dataset/*/**/dataset.json")):
        name = "LLMBar " + file.parent.relative_to(folder / "Dataset").as_posix().removeprefix("LLMBar/")
        pairs = [replace(p, set=name, stored={}) for p in preferences(file)]
        for result in sorted(file.parent.glob("evaluators/*/*/result.json")):
            how = result.parent.name
            plain = how == "Vanilla_NoRules" and not result.parent.with_name("Vanilla").exists()
            if how not in KEPT and not plain:
                continue
            judge = f"{result.parent.parent.name}, {how}"
            for i, row in enumerate(rows_of(result)):
                told = next((r for r in reversed(row["results"]) if isinstance(r, dict) and "swap = False" in r), None)
                sides = [SIDES.get(str(told[f"swap = {s}"]["winner"])) if told else None for s in (False, True)]
                pairs[i].stored[judge] = settled((sides[0],), (sides[1],))
        found[name] = pairs
    return found


def panda(folder: Path) -> list[Preference]:
    """Its test set with the verdicts of gpt-3.5 and PandaLM-7B, each of one order."""
    pairs = [replace(p, set="PandaLM") for p in preferences(folder / "data" / "testset-v1.json")]
    for name, key in (("gpt-3.5-turbo", "gpt_result"), ("pandalm-7b", "pandalm_result")):
        for i, row in enumerate(rows_of(folder / "data" / f"{name}-testset-v1.json")):
            side = SIDES.get(str(row[key]).strip())
            pairs[i].stored[name] = Verdict(side, None if side is None else 1.0, (side, side))
    return pairs


def out_of_fold(pairs: list[Preference], folds: int = 5) -> list[Preference]:
    """The pairs with the verdicts of small judges that did not see their request."""
    keys = sorted({p.request.key for p in pairs})
    fold = {k: i % folds for i, k in enumerate(np.random.default_rng(0).permutation(keys))}
    made = {id(p): dict(p.stored) for p in pairs}
    for k in range(folds):
        rest = [p for p in pairs if fold[p.request.key] == k]
        judge = train([p for p in pairs if fold[p.request.key] != k])
        for p, v in zip(rest, judge.many([(p.request, p.a, p.b) for p in rest]), strict=True):
            made[id(p)]["small, its own set"] = v
    return [replace(p, stored=made[id(p)]) for p in pairs]


def between_people(pairs: list[Preference], times: int) -> dict[str, Estimate] | None:
    """Accuracy and kappa of two of the single people, the mean over all twos."""
    kept = [p for p in pairs if len(p.by) > 1]
    if not kept:
        return None
    by = np.array([[NUMBER[s] for s in p.by] for p in kept])
    twos = list(combinations(range(by.shape[1]), 2))

    def mean(of: Any) -> Any:
        return lambda rows: float(np.mean([of(rows[:, i], rows[:, j]) for i, j in twos]))

    units = [p.request.key for p in kept]
    return bootstraps({"accuracy": mean(accuracy), "kappa": mean(kappa)}, by, units=units, times=times)


def shown(rate: Any, by: float = 100) -> str:
    """A number with its interval."""
    if rate is None or rate.value is None:
        return ""
    form = "{:.1f} [{:.1f}, {:.1f}]" if by == 100 else "{:.2f} [{:.2f}, {:.2f}]"
    return form.format(*(by * x for x in rate[:3]))


def main() -> None:
    """Measure, print, and with --write keep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--llmbar", type=Path)
    parser.add_argument("--panda", type=Path)
    parser.add_argument("--times", type=int, default=500)
    parser.add_argument("--write", action="store_true")
    told = parser.parse_args()
    began, data = time.time(), Path(os.environ["SPRAT_DATA"])
    sets = {"hh harmless": [replace(p, set="hh harmless") for p in preferences(data / "hh_harmless")]}
    from_hh = train(sets["hh harmless"])
    if told.llmbar is not None:
        sets |= llmbar(told.llmbar)
    else:
        for p in preferences(data / "llmbar"):
            if not p.set.startswith("CaseStudy"):
                sets.setdefault(p.set, []).append(p)
    adversarial = [p for name, pairs in sets.items() if "Adversarial" in name for p in pairs]
    sets["LLMBar Adversarial, all"] = [replace(p, set="LLMBar Adversarial, all") for p in adversarial]
    if told.panda is not None:
        sets["PandaLM"] = panda(told.panda)
    rows: list[dict[str, str]] = []
    record: list[dict[str, Any]] = []
    for name, pairs in sets.items():
        if len(pairs) >= 90:
            pairs = out_of_fold(pairs)
        judges: Iterable[Any] = [LengthJudge(), LengthJudge(False), *dict.fromkeys(j for p in pairs for j in p.stored)]
        if name != "hh harmless":
            judges = [*judges, replace(from_hh, name="small, from hh")]
        for judge in judges:
            a = agreement(pairs, judge, times=told.times)
            rows.append(row(name, a))
            record.append({"set": name, **{k: list(v) if isinstance(v, tuple) else v for k, v in vars(a).items()}})
            print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
        people = between_people(pairs, told.times)
        if people is not None:
            record.append(
                {"set": name, "judge": "one of the people against another", **{k: list(v) for k, v in people.items()}}
            )
            told_of = {"set": name, "judge": "one of the people against another", "pairs": f"{len(pairs):,}"}
            rows.append(told_of | {"agrees, %": shown(people["accuracy"]), "kappa": shown(people["kappa"], 1)})
    some = sets["hh harmless"][:1000]
    start = time.process_time()
    from_hh.many([(p.request, p.a + " ", p.b) for p in some])
    per_thousand = time.process_time() - start
    record.append({"judge": "small, from hh", "CPU seconds per 1,000 new pairs": per_thousand})
    text = [
        "# Do small judges agree with people?",
        "A tie against a choice counts half. Brackets are 95 % bootstrap intervals over requests (agreement, kappa) or "
        "Wilson's. `small, its own set` is out of fold; sets under 90 pairs have none. Large judges' verdicts are "
        "those stored by LLMBar's and PandaLM's authors; where both orders were asked, a verdict that flips is a tie, "
        "and how often it did is told. PandaLM's are of one order. A small judge takes "
        f"{per_thousand:.1f} CPU-seconds for 1,000 pairs, and no call.",
        "",
        *table(rows),
    ]
    if told.write:
        more = " --llmbar LLMBar" * (told.llmbar is not None) + " --panda PandaLM" * (told.panda is not None)
        command = f"python benchmarks/small_judges.py{more} --write"
        write("small_judges", {"about": header(command, 0, time.time() - began), "rows": record}, text)


def row(name: str, a: PeopleAgreement) -> dict[str, str]:
    """A line of the table."""
    return {
        "set": name,
        "judge": a.judge,
        "pairs": f"{a.n:,}",
        "agrees, %": shown(a.accuracy),
        "kappa": shown(a.kappa, 1),
        "ties, %": shown(a.ties),
        "decided by the order, %": shown(a.flips),
        "took the longer, %": shown(a.longer),
        "unread": f"{a.unread:,}",
    }


if __name__ == "__main__":
    main()
