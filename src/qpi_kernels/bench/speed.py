"""`napari-qpi bench speed`: all claims on speed, measured in one run."""

from __future__ import annotations

import sys

import torch

from qpi_kernels.bench.extraction_speed import extraction_rows
from qpi_kernels.bench.report import SpeedReport
from qpi_kernels.bench.simulation_speed import simulation_rows
from qpi_kernels.bench.training_speed import training_rows

__all__ = ["run"]


def run(repeats: int = 7) -> SpeedReport:
    """Measure extraction, simulation and training.

    Parameters
    ----------
    repeats : int
        Timed repetitions where the median counts.
    """
    rows = [*extraction_rows(repeats), *simulation_rows(), *training_rows(repeats)]
    return SpeedReport(rows=rows, machine=f"{sys.platform}, {torch.get_num_threads()} threads")
