"""What a second of processor time draws where nothing counts it: a core's share of the rated power, said to be a guess.

A baseline, as codecarbon and others have it: CPU-seconds x TDP / cores. The range: low is TDP / threads, two threads
sharing one core's power; high is twice a core's share, as where few cores run, faster, beside what all share.
"""

from __future__ import annotations

import platform
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..errors import BadInput
from .amount import Energy

METHOD = "CPU seconds x TDP, estimated"
# Per core, where the model is unknown: between a server's core of many (360 W / 128 threads) and a desktop's fastest.
UNKNOWN_WATTS = (2.0, 5.0, 12.0)


@dataclass(frozen=True)
class Share:
    """Watts that one busy core draws, with a low and a high, and where they come from."""

    watts: float
    low: float
    high: float
    note: str

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.watts <= self.high < float("inf"):
            raise BadInput(
                f"A core's watts are {self.low}, {self.watts}, {self.high}; they need to rise, and to be above 0."
            )

    def of(self, cpu_seconds: float) -> Energy:
        """The energy of so many seconds of processor time, all threads together."""
        value, low, high = (cpu_seconds * w for w in (self.watts, self.low, self.high))
        return Energy(
            value, low, high, METHOD, "estimated", (self.note, "memory, disks, fans and losses are not in it")
        )


def share(model: str | None = None, watts: float | None = None) -> Share:
    """A core's share: `watts` if given, else that of the processor named `model` (this machine's), if it is known."""
    if watts is not None:
        return Share(watts, watts, watts, f"{watts:g} W per core, as given")
    name = processor() if model is None else model
    found = max((k for k in _table() if _names(k, name)), key=len, default=None)
    if found is None:
        low, middle, high = UNKNOWN_WATTS
        said = f"'{name}' is not in the table" if name else "the processor's model is not known"
        return Share(middle, low, high, f"{said}: {middle:g} W per core assumed, {low:g} to {high:g}")
    rated, cores, threads = _table()[found]
    each = rated / cores
    return Share(each, rated / threads, 2 * each, f"{found}: {rated:g} W rated for {cores:g} cores, {each:.1f} W each")


def _names(key: str, name: str) -> bool:
    return re.search(rf"(?<![\w+-]){re.escape(key)}(?![\w+-])", re.sub(r"\((?:R|TM)\)| CPU", "", name)) is not None


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The model of this machine's processor as it calls itself, "" where it says nothing."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


@cache
def _table() -> dict[str, tuple[float, float, float]]:
    text = (Path(__file__).parent / "processors.toml").read_text(encoding="utf-8")
    return {name: (row[0], row[1], row[2]) for name, row in tomllib.loads(text).items()}
