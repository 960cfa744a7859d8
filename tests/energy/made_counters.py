"""Counters for tests: a powercap folder, and an NVML without a GPU behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def zone(root: Path, name: str, called: str, joules: float = 0.0, wraps_at: float = 262143.328850) -> Path:
    """One zone's folder with the files that the kernel puts there."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(called + "\n")
    (folder / "max_energy_range_uj").write_text(f"{round(wraps_at * 1e6)}\n")
    count(folder, joules)
    return folder


def count(folder: Path, joules: float) -> None:
    """What the zone's counter says now."""
    (folder / "energy_uj").write_text(f"{round(joules * 1e6)}\n")


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Nvml:
    """As much of pynvml as is used; `millijoules` per GPU, None where it does not count."""

    class NVMLError(Exception):
        """What NVML raises."""

    def __init__(self, *millijoules: int | None, begins: bool = True) -> None:
        self.millijoules, self.begins, self.open = list(millijoules), begins, 0

    def nvmlInit(self) -> None:
        if not self.begins:
            raise self.NVMLError("Driver Not Loaded")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.millijoules)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int:
        told = self.millijoules[handle]
        if told is None:
            raise self.NVMLError("Not Supported")
        return told
