"""Trains the prompt-injection scorer: our attacks in ordinary texts, and BIPIA's training attacks in its emails.

    python recipes/safety/injection.py --data $SPRAT_DATA --injections FOLDER --out injection.npz

FOLDER holds files of github.com/microsoft/BIPIA's benchmark/ (MIT, arXiv 2312.14197) under bipia/, `/` as `_`; without
it, ours alone teach.
What is shipped learnt every family; its curve and its worth come from rounds that each leave families out, with
carriers (the texts around an attack) that taught nothing. BIPIA's test attacks and contexts are never learnt.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from attacks import FAMILIES, GOALS, HARMLESS
from learn import curve, fitted, pooled, rounded, store
from scipy.sparse import csr_matrix
from sets import Row, ordinary, part

from sprat.safety.features import windows, words
from sprat.safety.linear import Weights

BUCKETS, WIDTH, SEED, ROUNDS = 1 << 16, 24, 0, 4
STRENGTH = 30.0
VARIANTS = 10  # of every template: goals, and texts around it


class Case(NamedTuple):
    """A text, the characters that are an attack (None: none are), its family, and the carrier's unit."""

    text: str
    attack: tuple[int, int] | None
    family: str
    unit: str


def cases(data: Path, injections: Path | None, seed: int = SEED) -> list[Case]:
    """Attacks alone and inside ordinary texts, look-alikes in the same way, and ordinary texts."""
    rng = np.random.default_rng(seed)
    plain = ordinary(data)
    made = [Case(r.text, None, "ordinary", r.unit) for r in plain]
    for families, unsafe in ((FAMILIES, True), (HARMLESS, False)):
        for family, templates in families.items():
            for template in templates:
                for k in range(VARIANTS if "{goal}" in template else VARIANTS // 2):
                    said = template.format(goal=_goal(rng))
                    made.append(_placed(said, unsafe, family, plain, k % 4, rng))
    if injections is not None:
        made += bipia(injections, "train", rng)
    return made


def _goal(rng: np.random.Generator) -> str:
    number = int(rng.integers(1000, 9999))
    told = {
        "mail": f"x{number}@mail.test",
        "shop": f"Shop {number}",
        "number": number,
        "link": f"https://s{number}.test",
    }
    return GOALS[int(rng.integers(len(GOALS)))].format(**told)


def _placed(said: str, unsafe: bool, family: str, plain: Sequence[Row], how: int, rng: np.random.Generator) -> Case:
    """Alone (0), after an ordinary text (1), before one (2), or between its sentences (3)."""
    carrier = plain[int(rng.integers(len(plain)))]
    if how == 0:
        return Case(said, (0, len(said)) if unsafe else None, family, f"alone {family}")
    return _inside(said, carrier.text, carrier.unit, unsafe, family, how, rng)


def _inside(said: str, text: str, unit: str, unsafe: bool, family: str, how: int, rng: np.random.Generator) -> Case:
    stops = [i + 1 for i, c in enumerate(text) if c in ".!?\n"]
    at = {1: len(text), 2: 0}.get(how, stops[int(rng.integers(len(stops)))] if stops else len(text))
    before, after = text[:at].rstrip(), text[at:].lstrip()
    lead = f"{before}{rng.choice([' ', chr(10), chr(10) * 2])}" if before else ""
    whole = f"{lead}{said} {after}".strip()
    return Case(whole, (len(lead), len(lead) + len(said)) if unsafe else None, family, unit)


def bipia(folder: Path, side: str, rng: np.random.Generator, each: int = 6) -> list[Case]:
    """BIPIA's emails with each of the side's text attacks at their start, middle or end; and as they are."""
    emails = [json.loads(x)["context"] for x in (folder / "bipia" / f"email_{side}.jsonl").read_text().splitlines()]
    found = json.loads((folder / "bipia" / f"text_attack_{side}.json").read_text())
    made = [Case(mail, None, f"bipia {side}", f"email {side} {i}") for i, mail in enumerate(emails)]
    for kind, attacks in found.items():
        for attack in attacks:
            for how in range(each):
                i = int(rng.integers(len(emails)))
                one = _inside(attack, emails[i], f"email {side} {i}", True, f"bipia {kind}", 1 + how % 3, rng)
                made.append(one)
    return made


def rows_of(found: Sequence[Case]) -> tuple[csr_matrix, np.ndarray, np.ndarray]:
    """Each window's features, whose it is, and whether it holds at least half of an attack (or is filled by one)."""
    places, values, ends, owner, bad = list[np.ndarray](), list[np.ndarray](), [0], list[int](), list[float]()
    for i, case in enumerate(found):
        read = words(case.text, BUCKETS)
        struck = [case.attack is not None and case.attack[0] <= a and b <= case.attack[1] for a, b in read.places]
        for first, last in windows(len(read.places), WIDTH):
            inside = sum(struck[first:last])
            buckets = read.buckets[read.firsts[first] : read.firsts[last]]
            at, counts = np.unique(buckets, return_counts=True)
            places.append(at)
            values.append(counts / np.sqrt(max(1, len(buckets))))
            ends.append(ends[-1] + len(at))
            owner.append(i)
            share = inside / max(1, min(sum(struck), last - first))
            bad.append(1.0 if inside and share >= 0.5 else (0.0 if not inside else np.nan))
    x = csr_matrix((np.concatenate(values), np.concatenate(places), np.array(ends)), shape=(len(owner), BUCKETS))
    return x, np.array(owner), np.array(bad)


def rounds(found: Sequence[Case]) -> np.ndarray:
    """The round (n,) in which a case is measured: families are dealt out, ordinary texts go by their unit."""
    named = list(dict.fromkeys(c.family for c in found if not c.family.startswith(("ordinary", "bipia train"))))
    dealt = {f: i % ROUNDS for i, f in enumerate(named)}
    return np.array([dealt.get(c.family, part(c.unit, ROUNDS)) for c in found])


def out_of_round(found: Sequence[Case]) -> tuple[np.ndarray, np.ndarray]:
    """Each case's logit features (n, 3) by what was learnt without its family and its carrier, and the rounds."""
    x, owner, bad = rows_of(found)
    when = rounds(found)
    carriers = np.array([part(c.unit, ROUNDS) for c in found])
    whole = np.empty((len(found), 3))
    for r in range(ROUNDS):
        teach = ((when != r) & (carriers != r))[owner] & np.isfinite(bad)
        table, scale, bias = rounded(_fit(x, bad, teach))
        keep = when == r
        whole[keep] = pooled(x @ (table * scale) + bias, owner, len(found))[keep]
    return whole, when


def _fit(x: csr_matrix, bad: np.ndarray, teach: np.ndarray) -> object:
    return fitted(x[teach], bad[teach], STRENGTH, SEED)


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--injections", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    told = parser.parse_args()
    found = cases(told.data, told.injections)
    whole, _ = out_of_round(found)
    y = np.array([c.attack is not None for c in found], float)
    made = curve(whole, y)
    x, _, bad = rows_of(found)
    table, scale, bias = rounded(_fit(x, bad, np.isfinite(bad)))
    about = {
        "strength": STRENGTH,
        "taught": len(found),
        "families": len(FAMILIES),
        "bipia": told.injections is not None,
    }
    store(told.out, Weights(table, scale, bias, WIDTH, made, float(y.mean()), "injection", about))
    print(made, y.mean(), about, told.out.stat().st_size)


if __name__ == "__main__":
    main()
