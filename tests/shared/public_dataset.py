"""Files in the layout of the public data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qpi_kernels.simulate.datasets.public_layout import public_csv_path, write_public_csv

__all__ = ["PUBLIC_AXIS", "write_csv"]

PUBLIC_AXIS = np.linspace(-200, 200, 64)
"""Coordinates of the pixels of a published image in angstrom."""


def write_csv(folder, number, samples, *, noisy=False, both=False) -> Path:
    """Write the samples of a kernel, clean or noisy, as CSV; return the last path."""
    for kind in (False, True) if both else (noisy,):
        chosen = {name: samples[name] for name in ("kernel", "positions_A", "axis_A")}
        chosen["observations"] = samples["observations_noisy" if kind else "observations"]
        path = public_csv_path(folder, number, noisy=kind)
        write_public_csv(path, **chosen, max_scatterers=samples["positions_A"].shape[1])
    return path
