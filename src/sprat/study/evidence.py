"""All that a study has measured, before it is put into words, tables and charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..data import Dataset
from .certificate import Certificate
from .score import Facts, Outcome, Trusted, outcome
from .split import Cut
from .tried import Asked, Setting, Tried


@dataclass(frozen=True)
class Held:
    """The candidates fitted on all fit rows, and their trust on the rows that were held out."""

    signals: tuple[tuple[Any, ...], ...]
    calibration: tuple[Trusted, ...]
    shown: tuple[Trusted, ...]


@dataclass(frozen=True)
class Evidence:
    """Everything that the words, tables and charts of a study are made from."""

    data: Dataset
    asked: Asked
    cut: Cut
    facts: Facts
    tried: Tried
    held: Held
    certificate: Certificate
    chosen: Setting | None

    @cached_property
    def shown(self) -> Facts:
        """What is recorded on the rows shown."""
        return self.facts.take(self.cut.shown)

    def on_shown(self, settings: Sequence[Setting]) -> Outcome:
        """Settings on the rows shown."""
        return joined(self.tried, self.held.shown, settings, self.shown)

    @property
    def leading(self) -> Setting | None:
        """The certified setting, else the one first in the list: what a refusal's charts are about."""
        return self.chosen or next(iter(self.tried.listed), None)

    @property
    def passed(self) -> list[Setting]:
        """The certified settings, in the order in which they were walked."""
        listed = self.tried.listed
        return [] if self.chosen is None else listed[: listed.index(self.chosen) + 1]

    def on_calibration(self, settings: Sequence[Setting]) -> Outcome:
        """Settings on the calibration rows."""
        facts = self.facts.take(self.cut.calibration)
        return joined(self.tried, self.held.calibration, settings, facts)


def joined(tried: Tried, trusts: Sequence[Trusted], settings: Sequence[Setting], facts: Facts) -> Outcome:
    """Settings of several candidates on the same rows, side by side."""
    return Outcome.joined(
        [outcome(tried.candidates[s.candidate], trusts[s.candidate], [s.thresholds], facts) for s in settings]
    )
