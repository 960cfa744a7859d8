"""One thread for numpy: for matrices this small more threads only wait for each other, badly so on a busy machine."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
