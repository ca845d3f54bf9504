"""The batches of a training one after the other, made here or by processes beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Protocol, cast

import torch
from torch.utils.data import DataLoader, Dataset

from qpi_kernels.simulate.datasets.batches import Batch, SimulatedBatches
from qpi_kernels.train.data.device_batches import DeviceBatches, fits_on
from qpi_kernels.train.dataset_batches import DatasetBatches
from qpi_kernels.train.parameters import TrainingError

__all__ = ["Batches", "start_stream", "worker_count"]

# A processor makes 300 maps a second: so many are enough for the fastest networks.
_MAX_WORKERS = 12
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Batches(Protocol):
    """Batches by number, such as `SimulatedBatches`, `DatasetBatches` or a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, step: int, /) -> Batch: ...


def worker_count(batches: Batches, device: torch.device) -> int:
    """Choose the number of processes that make batches beside a training.

    A network on a CPU uses all processors itself, and batches of a data set are only copied: none
    for these. Simulation for a GPU gets all processors but one.
    """
    if device.type == "cpu" or not isinstance(batches, SimulatedBatches):
        return 0
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(_processors() // here - 1, _MAX_WORKERS)


def start_stream(
    batches: Batches,
    steps: range,
    *,
    workers: int | None = None,
    device: torch.device | None = None,
) -> Generator[Batch, None, None]:
    """Give batches in the order of their numbers, the same ones whoever makes them.

    Parameters
    ----------
    batches : Batches
        By number.
    steps : range
        Numbers of the batches.
    workers : int, optional
        Processes that make them beside this one, a thread each; `worker_count` if left out.
    device : torch.device, optional
        Where the training runs: a data set that fits lies there, other batches come in pinned
        memory. The CPU if left out.

    Returns
    -------
    generator
        Closing it ends the processes.

    Raises
    ------
    TrainingError
        If there are fewer batches.
    """
    if len(batches) < steps.stop:
        raise TrainingError(
            f"there are {len(batches)} batches for {steps.stop} steps; give more batches or ask "
            "for fewer steps"
        )
    device = device or torch.device("cpu")
    if workers is None:
        workers = worker_count(batches, device)
    if not workers:
        if isinstance(batches, DatasetBatches) and fits_on(batches, device):
            batches = DeviceBatches(batches, device)
        return (batches[step] for step in steps)
    loader: DataLoader[Batch] = DataLoader(
        cast("Dataset[Batch]", batches),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        # A copy of a process with threads (napari, OpenMP, CUDA) may stand still.
        multiprocessing_context="spawn",
        pin_memory=device.type == "cuda",
    )
    with _fresh_processes(hide_script=type(batches).__module__ != "__main__"):
        loaded = iter(loader)
    return _until_closed(loaded)


def _until_closed(batches: Iterator[Batch]) -> Generator[Batch, None, None]:
    """Pass batches on, and let go of their source when closed."""
    yield from batches


@contextmanager
def _fresh_processes(*, hide_script: bool) -> Iterator[None]:
    """Start processes with one thread each in this block, that do not run the user's script again.

    A spawned process imports the main script of its parent, which without a guard would open
    another napari. No worker needs it.
    """
    script, before = sys.modules["__main__"], {name: os.environ.get(name) for name in _THREADS}
    if hide_script:
        sys.modules["__main__"] = ModuleType("__main__")
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        sys.modules["__main__"] = script
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _processors() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
