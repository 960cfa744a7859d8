"""Data to less and better data, with reasons: what a small machine can read is judged, and every judgement is kept."""

from __future__ import annotations

from .afterwards import Explained, WhatIf, explain, restore, what_if
from .ledger import Entry, Folder, opened
from .recipe import Recipe, recipe
from .rules import Judged, Limit, Rule
from .run import Summary, curate, judged, summary

__all__ = [
    "Entry",
    "Explained",
    "Folder",
    "Judged",
    "Limit",
    "Recipe",
    "Rule",
    "Summary",
    "WhatIf",
    "curate",
    "explain",
    "judged",
    "opened",
    "recipe",
    "restore",
    "summary",
    "what_if",
]
