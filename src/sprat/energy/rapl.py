"""Reads Linux's RAPL counters (powercap): joules of each processor package and of its memory where it is apart.

Of the zones in /sys/class/powercap only packages and their 'dram' are counted: 'core' and 'uncore' lie within their
package, 'intel-rapl-mmio' is the same package read another way, and 'psys' holds the packages again (it is taken where
there is no package). AMD's processors stand there under the same names. The kernel's documentation of powercap says
what the files hold; a counter begins anew at max_energy_range_uj, after 20 minutes at 200 W.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
_PACKAGE = re.compile(r"intel-rapl:\d+")
_PART = re.compile(r"intel-rapl:\d+:\d+")


@dataclass(frozen=True)
class Zone:
    """One zone's counter; `folder` holds its files."""

    folder: Path
    name: str
    wraps_at: float | None

    def read(self) -> float:
        """Joules since some moment; OSError where only root may read it, as since Linux 5.10."""
        try:
            return int((self.folder / "energy_uj").read_text()) / 1e6
        except ValueError as error:
            raise OSError(f"{self.folder / 'energy_uj'} holds no number") from error


def zones(root: Path = POWERCAP) -> list[Zone]:
    """The zones to add up, none counted twice; none where there is no RAPL. They may still not be readable."""
    try:
        names = sorted(p.name for p in root.iterdir())
    except OSError:
        return []
    found = [z for n in names if _PACKAGE.fullmatch(n) and (z := _zone(root / n)) is not None]
    packages = [z for z in found if z.name.startswith("package")]
    if not packages:
        return [z for z in found if z.name == "psys"][:1]
    inside = tuple(f"{z.folder.name}:" for z in packages)
    parts = [z for n in names if _PART.fullmatch(n) and n.startswith(inside) and (z := _zone(root / n)) is not None]
    if not parts:  # some kernels list a part only within its package's folder
        parts = [
            z
            for p in packages
            for f in sorted(p.folder.glob("intel-rapl:*:*"))
            if _PART.fullmatch(f.name) and (z := _zone(f)) is not None
        ]
    return [*packages, *(z for z in parts if z.name.startswith("dram"))]


def _zone(folder: Path) -> Zone | None:
    try:
        name = (folder / "name").read_text().strip()
        wraps_at = int((folder / "max_energy_range_uj").read_text()) / 1e6
    except (OSError, ValueError):
        return None if not (folder / "name").is_file() else Zone(folder, (folder / "name").read_text().strip(), None)
    if name == "dram" or re.fullmatch(r"core|uncore", name):
        name = f"{name} of {folder.name.rpartition(':')[0]}"
    return Zone(folder, name, wraps_at)
