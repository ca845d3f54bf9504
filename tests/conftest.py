"""One thread for torch and BLAS in each test process, the device, and where real samples are."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Before torch is imported. Threads of several test processes would spin against each other: on two
# cores with two processes a small training takes ten times as long. Results are the same.
# Numba, which napari colours labels by, sets OpenMP's number for torch too.
for _name in (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
):
    os.environ.setdefault(_name, "1")
# A plugin of pytest may have loaded numba before, which refuses another number later.
if (_numba := sys.modules.get("numba.core.config")) is not None:
    _numba.reload_config()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        default="cpu",
        help="where numerics run: cpu, cuda, mps, or pretended: the CPU, strict as a GPU is",
    )


def pytest_configure(config: pytest.Config) -> None:
    # What the device `auto` stands for, here and in processes that tests start.
    os.environ["NAPARI_QPI_DEVICE"] = config.getoption("--device")


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> str:
    """Name the device of `--device`, for tests of numerics that run on any."""
    return str(pytestconfig.getoption("--device"))


@pytest.fixture(scope="session")
def pretended() -> str:
    """Name a device that pretends, see `register_pretended`; skips where torch can not."""
    from qpi_kernels.bench.gpu.pretended_device import register_pretended

    try:
        return str(register_pretended())
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True, scope="session")
def _pretended_if_asked_for(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--device") == "pretended":
        request.getfixturevalue("pretended")


def pytest_collection_finish() -> None:
    """Keep what is loaded by now out of all garbage collections."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def sample() -> Callable[[str], Path]:
    """Find a real file by name; skips when the samples are not at hand."""

    def find(name: str) -> Path:
        folder = os.environ.get("NAPARI_QPI_SAMPLES")
        if not folder:
            pytest.skip("set NAPARI_QPI_SAMPLES to the folder of real microscope files")
        path = Path(folder) / name
        if not path.exists():
            pytest.skip(f"{name} is not among the samples in NAPARI_QPI_SAMPLES")
        return path

    return find
