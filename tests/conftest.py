"""How hard the property tests try (`--hypothesis-profile thorough`: 1,000 examples); one thread for numpy."""

import os

# For matrices this small more threads only wait for each other, badly so on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("quick")
