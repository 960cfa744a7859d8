"""Where the small model is not enough, and what the decision goes by.

Parts of the traffic are the rows' own groups, else clusters of the prompts' vectors found on the fit rows; a part is
named only when the gap's interval, corrected for the number of parts looked at, is clear of 0 on the other rows.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..data import Dataset
from .certify import mean_interval
from .evidence import Evidence
from .interval import per_unit, rank_correlation
from .result import Driver, Interval, Weak
from .score import Ints

MOST, EXAMPLES = 8, 3


def weak(found: Evidence, encoder: Any) -> list[Weak]:
    """The parts where the small model is worse by more than chance, the largest loss of quality first."""
    rows = np.concatenate([found.cut.calibration, found.cut.test])
    data = found.data.take(rows)
    labels = _labels(found, data, encoder)
    facts = found.facts.take(rows)
    parts = sorted(set(labels) - {""})
    rows_found: list[Weak] = []
    for part in parts:
        at = np.flatnonzero(np.array([label == part for label in labels]))
        if len(at) < 10:
            continue
        units = facts.units[at]
        small, large = per_unit(facts.scores[at, 0], units), per_unit(facts.reference[at], units)
        gap = large - small
        low, high = mean_interval(gap, 1 - 0.05 / len(parts), -1.0, 1.0)
        if low <= 0:
            continue
        rows_found.append(
            Weak(
                name=part,
                rows=len(at),
                small=_interval(small),
                large=_interval(large),
                gap=Interval(float(gap.mean()), low, high),
                examples=_examples(
                    found, data, at[facts.reference[at] > facts.scores[at, 0]][:EXAMPLES].astype(np.int64)
                ),
            )
        )
    return sorted(rows_found, key=lambda w: -w.rows * w.gap.value)[:MOST]


def _interval(scores: Any) -> Interval:
    return Interval(float(np.mean(scores)), *mean_interval(scores))


def _labels(found: Evidence, data: Dataset, encoder: Any) -> list[str]:
    groups = [e.request.group or "" for e in data]
    if len({g for g in groups if g}) >= 2:
        return groups
    return _clusters(found, data, encoder)


def _clusters(found: Evidence, data: Dataset, encoder: Any) -> list[str]:
    from sklearn.cluster import k_means

    fit = [found.data.examples[int(i)].request.text for i in found.cut.fit]
    vectors = encoder.encode(fit)
    k = int(np.clip(len(fit) // 60, 2, 12))
    if len(np.unique(vectors, axis=0)) < k:
        return [""] * len(data)
    found_: Any = k_means(vectors, k, n_init=3, random_state=found.data.seed % 2**31)  # pyright: ignore[reportArgumentType]
    centers, labels = found_[0], found_[1]
    names = _named(fit, labels, k)
    texts = [e.request.text for e in data]
    distance = ((encoder.encode(texts)[:, None, :] - centers[None]) ** 2).sum(axis=2)
    return [names[int(c)] for c in distance.argmin(axis=1)]


def _named(texts: list[str], labels: Any, k: int) -> list[str]:
    """Each cluster by the three words that set it apart most from the rest."""
    everywhere: Counter[str] = Counter()
    inside: list[Counter[str]] = [Counter() for _ in range(k)]
    for text, label in zip(texts, labels, strict=True):
        words = {w.strip(".,:;?!()\"'").lower() for w in text.split()}
        kept = {w for w in words if len(w) > 2 and w.isalpha()}
        everywhere.update(kept)
        inside[int(label)].update(kept)
    names: list[str] = []
    for i, counts in enumerate(inside):
        size = max(1, int((labels == i).sum()))
        rest = max(1, len(texts) - size)
        lift = {w: c / size - (everywhere[w] - c) / rest for w, c in counts.items()}
        best = sorted(lift, key=lambda w: (-lift[w], w))[:3]
        name = "prompts with " + ", ".join(best) if best else f"cluster {i + 1}"
        names.append(name if name not in names else f"{name} ({i + 1})")
    return names


def _examples(found: Evidence, data: Dataset, rows: Ints) -> tuple[dict[str, str], ...]:
    asked = found.asked
    picked: list[dict[str, str]] = []
    for i in rows:
        example = data.examples[int(i)]
        said = {m: r.text for m in (asked.small, asked.large) if (r := example.reply(m)) and r.text is not None}
        shown = {"prompt": example.request.text, "target": example.target or "", **said}
        picked.append({k: v if len(v) <= 400 else v[:399] + "…" for k, v in shown.items() if v})
    return tuple(picked)


def drivers(found: Evidence) -> list[Driver]:
    """Rank correlations of the leading way's trust with readable features of the request, and with the groups."""
    setting = found.leading
    if setting is None:
        return []
    values = found.held.shown[setting.candidate].values
    if not values.shape[1]:
        return []
    trust = values[:, 0]
    shown = found.data.take(found.cut.shown)
    texts = [e.request.text for e in shown]
    features = {
        "length of the prompt (characters)": [len(t) for t in texts],
        "digits in the prompt": [sum(c.isdigit() for c in t) for t in texts],
        "lines in the prompt": [t.count("\n") + 1 for t in texts],
        "question marks": [t.count("?") for t in texts],
        "mean word length": [float(np.mean([len(w) for w in t.split()] or [0])) for t in texts],
    }
    groups = Counter(e.request.group for e in shown if e.request.group is not None)
    for group, _ in groups.most_common(12):
        features[f"group: {group}"] = [float(e.request.group == group) for e in shown]
    varying = {k: np.asarray(v, dtype=np.float64) for k, v in features.items() if len(set(v)) > 1}
    rows = [Driver(k, rank_correlation(trust, v)) for k, v in varying.items()]
    return sorted(rows, key=lambda d: -abs(d.correlation.value))
