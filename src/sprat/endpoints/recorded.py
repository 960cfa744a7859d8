"""A model known by its recorded calls: it answers offline what was recorded, and says what was not."""

from __future__ import annotations

from ..data import Dataset
from ..replay import Recorded, Recording


def recorded(name: str, data: Dataset | None = None) -> Recorded:
    """The model `name` as recorded in `data`; without data, a name to be replayed (its asks raise NotRecorded).

    Raises BadInput where the data hold no call of it.
    """
    if data is not None:
        data.require([name])
    return Recorded(name, None if data is None else Recording(data))
