"""Tune one of the aquarium's models to mark its numbers odd or even, as sprat-tuned and mackerel-tuned were.

Usage: python recipes/aquarium/tune.py sprat sprat-tuned.safetensors
       python recipes/aquarium/tune.py mackerel mackerel-tuned.safetensors

Both see the same problems in the same order (sprat.aquarium.marked), 128 a step, the loss on the answer and its end.
They differ in the peak learning rate and in the steps: 250 for sprat; 150 for mackerel, whose steps take four times as
long (on a like domain its loss fell from .087 to .078 in fifty more). A stopped run goes on from its last checkpoint,
as in train.py.
How the domain was chosen, and which ones failed, is told in src/sprat/aquarium/weights/README.md.
Needs the extra 'torch'.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sprat.aquarium.marked import draw_marked
from train import SIZES, VOCABULARY, train

STEPS = {"sprat": 250, "mackerel": 150}
PEAKS = {"sprat": 1e-3, "mackerel": 3e-4}


def main() -> None:
    """Read the command line and tune."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=PEAKS, help="the embedded model to start from")
    parser.add_argument("out", type=Path, help="the .safetensors file to write")
    parser.add_argument("--steps", type=int, help="default: 250 for sprat, 150 for mackerel")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    start = VOCABULARY.with_name(f"{given.name}.safetensors")
    peak = PEAKS[given.name]
    steps = given.steps or STEPS[given.name]
    train(SIZES[given.name], given.out, steps, {}, given.seed, start, save_every=50, peak=peak, draw=draw_marked)


if __name__ == "__main__":
    main()
