"""models -> model, by text: each file is one technique."""

from .assign import Assign, assign
from .best_of import BestOf, best_of
from .cascade import Cascade, cascade
from .fallback import Fallback, fallback
from .route import Route, route
from .vote import Vote, vote

__all__ = [
    "Assign",
    "BestOf",
    "Cascade",
    "Fallback",
    "Route",
    "Vote",
    "assign",
    "best_of",
    "cascade",
    "fallback",
    "route",
    "vote",
]
