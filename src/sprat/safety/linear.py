"""A linear scorer over hashed words: numpy alone, 30,000 words a second, and it can say which words count.

A window of words has the logit bias + (sum of its features' weights) / sqrt(number of features); a text the largest
of its windows, so a page cannot hide a line. That logit, with the logarithm of the number of windows (more of them
reach further by chance), is calibrated on rows that taught nothing (Platt 1999). A baseline in its kind, as fastText
(arXiv 1607.01759) without a hidden layer; what it is worth is in `worth`, measured by benchmarks/safety.py.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from .features import Words, windows, words
from .scorer import Floats, Span, texts_of
from .worth import worth_of

EMBEDDED = Path(__file__).parent / "weights"
TELLING = 0.5  # log-odds that a word adds, from which on it is shown
_MOST = 16


@dataclass(frozen=True, eq=False)
class Weights:
    """What a scorer learnt: `table` (buckets,) of whole numbers times `scale`, `bias`, `width` of a window.

    `curve` (3,) is what the text's logit, the log of its windows, and 1 are multiplied by; `rate` is the share of
    unsafe rows among those it was calibrated on.
    """

    table: np.ndarray
    scale: float
    bias: float
    width: int
    curve: Floats
    rate: float
    kind: str
    about: Mapping[str, Any]

    def per_word(self, read: Words) -> Floats:
        """The sum of the weights of each word's features, (n,)."""
        if not read.places:
            return np.zeros(0)
        return np.add.reduceat(self.table[read.buckets].astype(np.float64), read.firsts[:-1]) * self.scale

    def logits(self, read: Words) -> tuple[Floats, list[tuple[int, int]]]:
        """The logit of each window, and where the windows are."""
        cut = windows(len(read.places), self.width)
        sums = np.concatenate([np.zeros(1), np.cumsum(self.per_word(read))])
        first, last = np.array(cut).T
        features = np.maximum(read.firsts[last] - read.firsts[first], 1)
        return self.bias + (sums[last] - sums[first]) / np.sqrt(features), cut


@lru_cache(maxsize=8)
def read_weights(path: Path) -> Weights:
    """The file's weights; BadInput where there is none, or it is not such a file."""
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as found:
            held = {k: found[k] for k in found.files}
        about = json.loads(held["about"].tobytes())
        return Weights(
            held["table"], float(held["scale"]), float(held["bias"]), int(about["width"]),
            held["curve"].astype(np.float64), float(about["rate"]), str(about["kind"]), about,
        )  # fmt: skip
    except FileNotFoundError as missing:
        raise BadInput(
            f"There are no scorer's weights at {path}.", hint="Reinstall sprat, or name a file."
        ) from missing
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as broken:
        raise BadInput(f"{path} is not a file of a linear scorer.", hint="Make one by recipes/safety.") from broken


@dataclass(frozen=True)
class Linear:
    """A linear scorer by the file of its weights; `rate` moves its probabilities to another share of unsafe texts.

    A probability is right for texts as those it was calibrated on, where `worth` says how many were unsafe. At another
    rate, and unsafe texts that look alike, the odds change by the ratio of the odds (Saerens et al. 2002).
    """

    weights: Path
    rate: float | None = None

    @property
    def name(self) -> str:
        """The kind of what it finds."""
        return read_weights(self.weights).kind

    @property
    def worth(self) -> Mapping[str, Any]:
        """What was measured, beside the weights."""
        return worth_of(self.weights)

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """P(unsafe) of each text (n,); one without a word has none that could be: 0. BadInput where one is no str."""
        held = read_weights(self.weights)
        out = np.zeros(len(found := texts_of(texts)))
        for i, text in enumerate(found):
            read = words(text, len(held.table))
            if read.places:
                out[i] = self._probability(held, *held.logits(read))
        return out

    def _probability(self, held: Weights, logits: Floats, cut: list[tuple[int, int]]) -> float:
        z = float(held.curve @ np.array([logits.max(), np.log(len(cut)), 1.0]))
        if self.rate is not None:
            z += float(np.log(self.rate / (1 - self.rate)) - np.log(held.rate / (1 - held.rate)))
        return float(0.5 * (1 + np.tanh(0.5 * z)))

    def spans(self, text: str) -> list[Span]:
        """The words (16 at most) that raise the log-odds of the strongest window by .5 or more, each with its share.

        Empty below a probability of one half.
        """
        held = read_weights(self.weights)
        (text,) = texts_of([text])
        read = words(text, len(held.table))
        if not read.places:
            return []
        logits, cut = held.logits(read)
        if self._probability(held, logits, cut) < 0.5:
            return []
        first, last = cut[int(logits.argmax())]
        features = max(1, int(read.firsts[last] - read.firsts[first]))
        added = held.per_word(read)[first:last] * float(held.curve[0]) / np.sqrt(features)
        shown = [i for i in np.argsort(-added)[:_MOST].tolist() if added[i] >= TELLING]
        total = float(np.maximum(added, 0).sum()) or 1.0
        places = read.places[first:last]
        return [Span(*places[i], kind=held.kind, score=float(added[i]) / total) for i in sorted(shown)]


def linear(kind: str, rate: float | None = None) -> Linear:
    """The embedded linear scorer of this kind; BadInput for a rate that is not between 0 and 1."""
    if rate is not None and not 0 < rate < 1:
        raise BadInput(f"A rate of unsafe texts lies between 0 and 1, not at {rate}.")
    return Linear(EMBEDDED / f"{kind}.npz", rate)
