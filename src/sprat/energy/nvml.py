"""Reads NVIDIA's energy counters through NVML (nvidia-ml-py): millijoules of a board since its driver was loaded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput

DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Board:
    """One board's counter; `library` is pynvml."""

    library: Any
    handle: Any
    name: str
    wraps_at: float | None = None

    def read(self) -> float:
        """Joules since the driver was loaded; OSError where the board does not count (before Volta)."""
        try:
            return self.library.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1000
        except self.library.NVMLError as error:
            raise OSError(str(error)) from error


def boards(
    only: Sequence[int] | None = None, library: Any = None, driver: Path = DRIVER
) -> tuple[list[Board], list[str]]:
    """The boards (those numbered in `only`), and what is there but can't be counted. No driver: neither.

    BadInput for a number that no board has.
    """
    if library is None:
        try:
            import pynvml as library  # pyright: ignore[reportMissingImports]
        except ImportError:
            there = driver.is_file()
            why = "a graphics processor is there, but not nvidia-ml-py to read it: pip install 'sprat[energy]'"
            return [], [why] if there else []
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        return [], [f"a graphics processor is there, but NVML can't be begun: {error}"] if driver.is_file() else []
    count = int(library.nvmlDeviceGetCount())
    asked = range(count) if only is None else only
    if any(not 0 <= i < count for i in asked):
        raise BadInput(f"There are {count} graphics processors here; {list(asked)} names another.")
    return [Board(library, library.nvmlDeviceGetHandleByIndex(i), f"GPU {i}") for i in asked], []


def close(found: Sequence[Board]) -> None:
    """Let go of NVML, once for each time that `boards` began it."""
    if found:
        with suppress(found[0].library.NVMLError):
            found[0].library.nvmlShutdown()
