"""The rows that the safety scorers learn from, with the unit of each: rows of one unit never stand on two sides.

Found below SPRAT_DATA; nothing of them is kept in the project but hashed weights.
"""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
import re
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np


class Row(NamedTuple):
    """A text, whether it is unsafe, the unit that it belongs to, and where it is from."""

    text: str
    unsafe: bool
    unit: str
    source: str


def part(unit: str, parts: int = 20) -> int:
    """Which of so many parts a unit is in, by its hash."""
    return crc32(f"safety {unit}".encode()) % parts


def objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def tweets(data: Path) -> list[Row]:
    """Davidson et al. (arXiv 1703.04009), MIT: hate or offensive by most of three or more people, or neither.

    A unit is a tweet without names, links, retweet marks and signs, so that a retweet stands where its tweet does.
    """
    with gzip.open(data / "toxicity" / "labeled_data.csv.gz", "rt", encoding="utf-8") as file:
        found = list(csv.DictReader(io.StringIO(file.read())))
    return [Row(html.unescape(r["tweet"]), r["class"] != "2", _unit(r["tweet"]), "tweets") for r in found]


def _unit(tweet: str) -> str:
    bare = re.sub(r"https?://\S+|@\w+:?|&#?\w+;|\bRT\b", " ", tweet)
    return " ".join(re.findall(r"\w+", bare.lower())[:12])


def ordinary(data: Path) -> list[Row]:
    """Instructions and answers of Dolly (CC BY-SA 3.0) and of self-instruct's seeds (Apache-2.0): to be used."""
    rows = list[Row]()
    for i, one in enumerate(objects(data / "dolly_3k" / "dolly_3k.jsonl.gz")):
        for text in (one["instruction"], one["input"], one["output"]):
            if text.strip():
                rows.append(Row(text, False, f"dolly {i}", "ordinary"))
    for i, one in enumerate(objects(data / "self_instruct" / "seed_tasks.jsonl.gz")):
        for text in (one["instruction"], *(x for s in one["instances"] for x in (s["input"], s["output"]))):
            if text.strip():
                rows.append(Row(text, False, f"seed {i}", "ordinary"))
    return rows


def pages(rows: list[Row], count: int, seed: int, most: int = 24) -> list[Row]:
    """Longer texts put together from these rows: ordinary ones one after the other, half with one tweet among them.

    A page is unsafe where its tweet is; so that what a long text's logit is worth is learnt from both kinds.
    """
    rng = np.random.default_rng(seed)
    plain = [r for r in rows if r.source == "ordinary"]
    kinds = [[r for r in rows if r.source == "tweets" and r.unsafe == unsafe] for unsafe in (False, True)]
    made = list[Row]()
    for i in range(count):
        n = int(np.exp(rng.uniform(np.log(2), np.log(most))))
        parts = [plain[int(k)].text for k in rng.integers(0, len(plain), n)]
        unsafe = i % 4 == 3
        if i % 2:
            tweet = kinds[unsafe][int(rng.integers(len(kinds[unsafe])))].text
            parts.insert(int(rng.integers(0, n + 1)), tweet)
        made.append(Row("\n\n".join(parts), unsafe, f"page {i}", "pages"))
    return made


def within(rows: list[Row], width: int, seed: int) -> list[Row]:
    """Each tweet with words of ordinary texts around it, `width` words in all: what a window of a longer text holds."""
    rng = np.random.default_rng(seed)
    plain = [r.text.split() for r in rows if r.source == "ordinary"]
    made = list[Row]()
    for r in rows:
        room = width - len(re.findall(r"\w+|[^\w\s]", r.text))
        if r.source == "tweets" and room > 0:
            before, after = (plain[int(rng.integers(len(plain)))] for _ in range(2))
            first = int(rng.integers(0, room + 1))
            text = " ".join([*before[len(before) - min(first, len(before)) :], r.text, *after[: room - first]])
            made.append(Row(text, r.unsafe, r.unit, "filled"))
    return made
