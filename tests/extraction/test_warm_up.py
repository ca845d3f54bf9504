"""What the first extraction would wait for is done beforehand, and changes no result."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

from qpi_kernels.extraction import ExtractionError, extract, start_warm_up, warm_up
from qpi_kernels.progress import Cancelled, CancelToken

# Prints which modules are loaded after each of its steps, and a hash of the kernel.
FRESH = """
import hashlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
import numpy as np
from qpi_kernels.extraction import extract, warm_up
if sys.argv[2] == "warm":
    warm_up()
before = set(sys.modules)
image = np.random.default_rng(5).normal(size=(40, 44)).astype(np.float32)
kernel = extract(image, [(20, 21.5), (9, 30)], kernel_shape=(12, 12)).kernel
print(json.dumps([sorted(set(sys.modules) - before), kernel.values.tobytes().hex()]))
"""


def in_fresh_interpreter(start: str) -> Any:
    command = [sys.executable, "-c", FRESH, json.dumps(sys.path), start]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_after_it_an_extraction_imports_nothing_and_gives_the_same_bits() -> None:
    cold, cold_kernel = in_fresh_interpreter("cold")
    warm, warm_kernel = in_fresh_interpreter("warm")
    assert "torch" in cold
    assert warm == []
    assert warm_kernel == cold_kernel


def test_a_cancelled_one_stops() -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        warm_up(cancel=cancel)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ExtractionError, match="nowhere"):
        warm_up(device="nowhere")


def test_it_runs_beside_an_extraction_once_per_process() -> None:
    start_warm_up()
    image = np.random.default_rng(6).normal(size=(32, 32))
    beside = extract(image, [(16, 16)], kernel_shape=(8, 8), method="least_squares")
    for thread in threading.enumerate():
        if thread.name == "warm-up":
            thread.join(60)
    start_warm_up().cancel()
    assert "warm-up" not in {thread.name for thread in threading.enumerate()}
    alone = extract(image, [(16, 16)], kernel_shape=(8, 8), method="least_squares")
    np.testing.assert_array_equal(beside.kernel, alone.kernel)
