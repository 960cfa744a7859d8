"""The main job: from recorded calls to the cheapest way of working that keeps the quality asked for, certified."""

from .certificate import Certificate, check
from .job import Study, study

__all__ = ["Certificate", "Study", "check", "study"]
