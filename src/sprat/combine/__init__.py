"""models -> model, by text: each file is one technique."""

from .assign import Assign, assign
from .best_of import BestOf, best_of
from .blend import Blend, blend
from .cascade import Cascade, cascade
from .fallback import Fallback, fallback
from .frugal_cascade import frugal_cascade
from .route import Route, route
from .vote import Vote, vote
from .watchful import Watchful, watchful

__all__ = [
    "Assign",
    "BestOf",
    "Blend",
    "Cascade",
    "Fallback",
    "Route",
    "Vote",
    "Watchful",
    "assign",
    "best_of",
    "blend",
    "cascade",
    "fallback",
    "frugal_cascade",
    "route",
    "vote",
    "watchful",
]
