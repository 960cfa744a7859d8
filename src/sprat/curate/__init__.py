"""Data to less and better data, with reasons: what a small machine can read is judged, and every judgement is kept."""

from __future__ import annotations

from .afterwards import Explained, WhatIf, explain, restore, what_if
from .dsir import Drawn, Settings, Towards, dsir
from .ledger import Entry, Folder, opened
from .recipe import Recipe, recipe
from .rules import Judged, Limit, Rule
from .run import Summary, curate, judged, summary
from .select import Selection, select

__all__ = [
    "Drawn",
    "Entry",
    "Explained",
    "Folder",
    "Judged",
    "Limit",
    "Recipe",
    "Rule",
    "Selection",
    "Settings",
    "Summary",
    "Towards",
    "WhatIf",
    "curate",
    "dsir",
    "explain",
    "judged",
    "opened",
    "recipe",
    "restore",
    "select",
    "summary",
    "what_if",
]
