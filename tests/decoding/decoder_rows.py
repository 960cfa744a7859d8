"""One row per decoder, for the conformance suite in test_decoders_conform.py: what is public and has no row is red."""

from __future__ import annotations

from functools import cache
from typing import Any

import sprat
from sprat import decoding

BIG, SMALL, FRY = (sprat.tiny(name) for name in ("mackerel", "sprat", "fry"))
PROMPTS = ["12+7=", "52-17=", "sort 31 4 15:", "reverse shark:", "max 7 120 43:", "roman 44:", "count b in abbac:"]

WRITERS = {  # ways of writing, whose scores are those of what they write with
    "choose": lambda: decoding.choose(BIG, ("krahs", "krah", "19", "35", "4 15 31", "120", "XLIV", "2")),
    "search": lambda: decoding.search(BIG, tuned=SMALL, untuned=FRY, beams=2, samples=2, chunk=3),
    "speculate": lambda: decoding.speculate(BIG + 0.5 * (SMALL - FRY), SMALL, 3),
}
DECODERS = WRITERS | {
    "contrast": lambda: decoding.contrast(BIG, FRY),
    "dexperts": lambda: decoding.dexperts(BIG, expert=SMALL, anti=FRY, alpha=0.5),
    "emulate": lambda: decoding.emulate(BIG, tuned=(SMALL, BIG), untuned=FRY, weights=(0.3, 0.2)),
    "induce_contrast": lambda: decoding.induce_contrast(BIG, FRY),
    "mix": lambda: decoding.mix(BIG, SMALL, 0.7),
    "product": lambda: decoding.product(BIG, decoding.steered(FRY, ("7",)), 0.2),
    "proxy_tune": lambda: decoding.proxy_tune(BIG, tuned=SMALL, untuned=FRY, alpha=0.5),
    "steered": lambda: decoding.steered(BIG, (" ",)),
    "told": lambda: decoding.told(BIG, before=" "),
    "weighted": lambda: BIG + 0.5 * (SMALL - FRY),
}


@cache
def built(name: str) -> Any:
    """The row's decoder, made once."""
    return DECODERS[name]()
