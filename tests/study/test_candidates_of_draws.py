"""Where draws of the small model are recorded, a study tries the doubts that they give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sprat.core import Reply, Request
from sprat.data import Call, Dataset, Example
from sprat.encoders import TfidfEncoder
from sprat.study.candidates import draws, propose
from sprat.study.job import study


def recorded(rows: int, samples: int) -> Dataset:
    """A small model whose draws agree where it is right, and a large one that always is."""
    rng = np.random.default_rng(0)
    examples: list[Example] = []
    for i in range(rows):
        right = rng.uniform() < 0.5
        said = ["yes" if right else str(rng.integers(1000)) for _ in range(samples + 1)]
        own = [Call("small", Reply(t, "small", cost=0.001, score=float(right)), k) for k, t in enumerate(said)]
        large = Call("large", Reply("yes", "large", cost=1.0, score=1.0))
        examples.append(Example(str(i), Request.of(f"question {i}"), "yes", (*own, large)))
    return Dataset(tuple(examples), "draws")


def names(data: Dataset) -> set[str]:
    return {c.name for c in propose(data, "small", "large", (), TfidfEncoder()) if "draws" in c.name}


def test_doubts_are_tried_where_every_row_has_draws() -> None:
    assert draws(recorded(5, 3), "small") == 3
    assert names(recorded(5, 3)) == {
        "cascade on agreement of its draws",
        "cascade on self-check by its draws",
        "cascade on features and its draws",
    }


def test_a_row_without_draws_leaves_none_to_try() -> None:
    data = recorded(5, 3)
    lacking = Dataset((*data.examples[1:], recorded(1, 0).examples[0]), "draws")
    assert draws(lacking, "small") == 0
    assert names(lacking) == set()


@pytest.mark.slow
def test_a_study_certifies_a_doubt_by_draws_and_counts_what_they_cost(tmp_path: Path) -> None:
    found = study(recorded(600, 3), small="small", large="large", keep=0.95)
    way = next(w for w in found.result.ways if w.name.startswith("cascade on agreement of its draws"))
    assert way.cost is not None
    assert way.quality.value > 0.9
    assert found.certificate.certified
