"""`napari-qpi bench speed`: all claims on speed, measured in one run."""

from __future__ import annotations

import sys

import torch

from qpi_kernels.bench.speed.extraction import extraction_rows
from qpi_kernels.bench.speed.report import SpeedReport
from qpi_kernels.bench.speed.simulation import simulation_rows
from qpi_kernels.bench.speed.start import start_rows
from qpi_kernels.bench.speed.training import training_rows

__all__ = ["run"]


def run(repeats: int = 7) -> SpeedReport:
    """Measure extraction, also the first of a process, simulation and training.

    Parameters
    ----------
    repeats : int
        Timed repetitions where the median counts.
    """
    rows = [
        *extraction_rows(repeats),
        *start_rows(),
        *simulation_rows(),
        *training_rows(repeats),
    ]
    return SpeedReport(rows=rows, machine=f"{sys.platform}, {torch.get_num_threads()} threads")
