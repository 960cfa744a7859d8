"""BERTScore: precision, recall and F of the tokens of a text against those of one reference or of several.

arXiv 1904.09675, with rarity weights and with baseline rescaling that can be computed for any encoder. Checked by hand
(tests/similarity/test_scores.py) and against the package bert-score to 1e-5 (benchmarks/bertscore.py).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from .greedy import Floats, Weigh, f_of, matched, plain
from .hub_tokens import HubTokens
from .token_cache import cached
from .token_vectors import StaticTokens, TokenEncoder, Tokens


@dataclass(frozen=True)
class Baseline:
    """What texts score that have nothing to do with each other: the means over `pairs` random pairs of one encoder."""

    precision: float
    recall: float
    f: float
    pairs: int
    encoder: str

    def save(self, path: Path) -> None:
        """Writes it as JSON, whole or not at all."""
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps(asdict(self)) + "\n")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Reads what `save` wrote; BadInput where the file is not such."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, TypeError, ValueError) as broken:
            hint = "Make one with sprat.similarity.baseline(texts, encoder).save(path)."
            raise BadInput(f"{path} is no saved baseline.", hint=hint) from broken


@dataclass(frozen=True, eq=False)
class BertScores:
    """Scores (n,): cosines, or shares of the way from the baseline to 1 where `baseline` is set.

    A text without words scores 0 against any; `empty` counts such pairs. NaN where rarity weighs every token 0.
    """

    precision: Floats
    recall: Floats
    f: Floats
    encoder: str
    empty: int = 0
    baseline: Baseline | None = None

    def of(self, what: str) -> Floats:
        """The scores by name: precision, recall or f; BadInput for another."""
        if what not in ("precision", "recall", "f"):
            raise BadInput(f"BERTScore gives precision, recall and f, not '{what}'.")
        return np.asarray(getattr(self, what), np.float64)


def token_encoder(named: str | TokenEncoder = "static", layer: int | None = None, device: str = "cpu") -> TokenEncoder:
    """An encoder by name: "static" (embedded), or any transformers encoder, whose vectors are kept on disk."""
    if not isinstance(named, str):
        return named
    if named == "static":
        if layer is not None:
            raise BadInput("The static encoder has no layers.", hint="Name a transformers encoder, or no layer.")
        return StaticTokens()
    return cached(HubTokens(named, layer, device))


def bertscore(
    texts: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    encoder: str | TokenEncoder = "static",
    *,
    layer: int | None = None,
    device: str = "cpu",
    idf: bool | Sequence[str] = False,
    rescale: Baseline | None = None,
) -> BertScores:
    """BERTScore of each text against its reference; against several, the best of each of P, R and F.

    `idf` weighs tokens by their rarity in the references, or in the texts that it lists. Raises BadInput where numbers
    don't match, a text has no reference, or the baseline is another encoder's; MissingExtra without torch.
    """
    reader = token_encoder(encoder, layer, device)
    if isinstance(texts, str) or isinstance(references, str):
        raise BadInput("bertscore takes lists of texts and was given one string.", hint="Write bertscore([a], [b]).")
    loose: Sequence[Any] = references  # what types promise, callers may break: a column of None
    given: list[list[Any]] = [[r] if r is None or isinstance(r, str) else list(r) for r in loose]
    if len(given) != len(texts):
        raise BadInput(f"There are {len(texts):,} texts and references for {len(given):,}.")
    every: list[Any] = [*texts, *(r for g in given for r in g)]
    if not all(isinstance(t, str) for t in every):
        raise BadInput("bertscore was given something that is no text.", hint="Leave out rows without a text.")
    if not all(given):
        raise BadInput(f"Text {next(i for i, g in enumerate(given) if not g)} has no reference.")
    if rescale is not None and rescale.encoder != reader.name:
        raise BadInput(
            f"The baseline is that of the encoder {rescale.encoder}; this is {reader.name}.",
            hint="Compute one with sprat.similarity.baseline(texts, encoder).",
        )
    flat = [r for group in given for r in group]
    unique = {text: i for i, text in enumerate(dict.fromkeys([*texts, *flat]))}
    tokens = reader.tokens(list(unique))
    weigh = plain
    if idf is not False:
        learnt = [tokens[unique[r]] for r in flat] if idf is True else reader.tokens(list(idf))
        weigh = rarity(learnt)
    pairs = [(unique[text], unique[r]) for text, group in zip(texts, given, strict=True) for r in group]
    distinct = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}
    precision, recall = matched(tokens, list(distinct), weigh)
    places = np.array([distinct[pair] for pair in pairs], np.int64)
    scores = np.stack([precision, recall, f_of(precision, recall)])[:, places]
    starts = np.cumsum([0, *(len(g) for g in given)])[:-1]
    best = np.maximum.reduceat(scores, starts, axis=1) if len(texts) else scores
    if rescale is not None:
        base = np.array([[rescale.precision], [rescale.recall], [rescale.f]])
        best = (best - base) / (1 - base)
    wordless = [not t.plain.any() for t in tokens]
    empty = sum(wordless[a] or wordless[b] for a, b in pairs)
    return BertScores(best[0], best[1], best[2], reader.name, empty, rescale)


def rarity(texts: Sequence[Tokens]) -> Weigh:
    """Weights log((n + 1) / (texts with the token + 1)) over n texts; BadInput for fewer than two."""
    if len(texts) < 2:
        raise BadInput(f"Rarity was asked for over {len(texts)} text.", hint="Give at least two; some hundreds help.")
    having = Counter(int(i) for t in texts for i in np.unique(t.ids))
    weight = {i: log((len(texts) + 1) / (count + 1)) for i, count in having.items()}
    unseen = log(len(texts) + 1)

    def weigh(tokens: Tokens) -> NDArray[np.float32]:
        return np.array([weight.get(i, unseen) for i in tokens.ids.tolist()], np.float32)

    return weigh


def baseline(
    texts: Sequence[str],
    encoder: str | TokenEncoder = "static",
    *,
    layer: int | None = None,
    device: str = "cpu",
    pairs: int = 10_000,
    seed: int = 0,
) -> Baseline:
    """The mean P, R and F of `pairs` random pairs of different texts; BadInput for fewer than two texts.

    The paper took half a million pairs of sentences of Common Crawl; some thousands of one's own kind of text do.
    """
    reader = token_encoder(encoder, layer, device)
    distinct = [t for t in dict.fromkeys(texts) if t.strip()]
    if len(distinct) < 2 or pairs < 1:
        raise BadInput(f"A baseline needs at least two different texts and one pair; got {len(distinct)} and {pairs}.")
    rng = np.random.default_rng(seed)
    left = rng.integers(0, len(distinct), pairs)
    right = (left + rng.integers(1, len(distinct), pairs)) % len(distinct)
    drawn = list(zip(left.tolist(), right.tolist(), strict=True))
    precision, recall = matched(reader.tokens(distinct), drawn)
    f = f_of(precision, recall)
    return Baseline(float(precision.mean()), float(recall.mean()), float(f.mean()), pairs, reader.name)
