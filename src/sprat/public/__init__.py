"""Public sets of recorded outcomes by name, from SPRAT_DATA where it holds them, else from their repositories."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from ..data import Dataset
from .fetch import source
from .mmlu_pro import mmlu_pro
from .routellm import gsm8k, mmlu, mtbench

__all__ = ["NAMES", "load"]

_ROUTELLM = {"routellm-mmlu": mmlu, "routellm-gsm8k": gsm8k, "routellm-mtbench": mtbench}
NAMES = (*_ROUTELLM, "mmlu-pro")


def load(name: str, models: Sequence[str] | None = None, *, base: str | None = None) -> Dataset:
    """The public set called `name` (see NAMES) with the recorded calls of these models, or of all.

    `base` is a mirror of raw.githubusercontent.com. Raises BadInput for an unknown name or model, Unreachable where the
    network can't be reached, Garbled where a file or the number of rows is not as it was.
    """
    found = source(name)
    if name not in _ROUTELLM:
        data = mmlu_pro(found, models, base)
    else:
        data = _ROUTELLM[name](found, base)
        if models is not None:
            data.require(models)
            data = data.of_models(models)
    # Whichever models are read, these are parts of one set: its hash is that of the set and of its questions.
    rows = sorted([e.id, e.request.key, e.target] for e in data)
    published = json.dumps([name, found.repository, found.commit, rows])
    return replace(data, part_of=hashlib.sha256(published.encode()).hexdigest())
