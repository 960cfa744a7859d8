"""A heavy optional library, imported when it is first needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import MissingExtra


def library(name: str, needed_for: str) -> Any:
    """The module `name` of the extra 'torch'; MissingExtra where it is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        raise MissingExtra("torch", needed_for) from missing
