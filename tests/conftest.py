"""One thread for torch and BLAS in each test process and in the processes that tests start."""

from __future__ import annotations

import os

# Before torch is imported. Threads of several test processes would spin against each other: on two
# cores with two processes a small training takes ten times as long. Results are the same.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
