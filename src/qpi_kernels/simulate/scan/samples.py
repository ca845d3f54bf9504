"""Five small scans with known defects and kernels, made on the spot."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.simulate.bands import Band, ParabolicBand, TriangularBand
from qpi_kernels.simulate.maps.observation import observe
from qpi_kernels.simulate.maps.placement import on_lattice, scatter_defects
from qpi_kernels.simulate.scan.dataset import scan_with_truth
from qpi_kernels.simulate.scan.simulation import (
    SimulatedScanParameters,
    simulate_scan,
    simulated_scan_dataset,
)
from qpi_kernels.simulate.scattering.kernels import single_defect

__all__ = ["ag111_map", "bi2te3_grid", "bias_grid", "sparse_map", "triangular_map"]

_SILVER = ParabolicBand(mass=0.40, onset=-0.065)


def triangular_map() -> xr.Dataset:
    """Simulate a clean, atomically resolved dI/dV map of a triangular lattice, 256 x 256."""
    band = TriangularBand(hopping=0.1, lattice_nm=0.4)
    pixel_nm = 0.1
    drawn = scatter_defects(30, (256, 256), seed=3, min_distance_px=10)
    defects = on_lattice(drawn, band.lattice, pixel_nm)
    return _scan(
        band, defects, bias=0.1, pixel_nm=pixel_nm, impurity=0.3, broadening=0.008, tip_nm=0.08,
        noise=0.02, row_offsets=0.0, name="triangular lattice",
    )  # fmt: skip


def ag111_map() -> xr.Dataset:
    """Simulate a noisy dI/dV map of an Ag(111)-like surface state with row offsets, 256 x 256."""
    defects = scatter_defects(25, (256, 256), seed=7, min_distance_px=10, margin_px=6)
    return _scan(
        _SILVER, defects, bias=0.05, pixel_nm=0.3, impurity=-1.0, broadening=0.006, tip_nm=0.2,
        noise=0.5, row_offsets=0.2, name="Ag(111)-like surface state",
    )  # fmt: skip


def sparse_map() -> xr.Dataset:
    """Simulate a dI/dV map of which every fifth pixel was measured, at random; NaN elsewhere."""
    defects = scatter_defects(20, (160, 160), seed=9, min_distance_px=10, margin_px=6)
    scan = _scan(
        _SILVER, defects, bias=0.05, pixel_nm=0.3, impurity=-1.0, broadening=0.006, tip_nm=0.2,
        noise=0.3, row_offsets=0.0, name="Ag(111)-like surface state, sparse", size=160,
    )  # fmt: skip
    measured = np.random.default_rng(9).random((160, 160)) < 0.2
    scan["didv"] = scan["didv"].where(xr.DataArray(measured, dims=("y", "x")))
    return scan.assign_attrs(complete=False)


def bias_grid() -> xr.Dataset:
    """Simulate a grid of dI/dV spectra: 21 biases from -50 to +150 mV on 96 x 96 points."""
    defects = scatter_defects(12, (96, 96), seed=11, min_distance_px=8)
    return _scan(
        _SILVER, defects, bias=np.linspace(-0.05, 0.15, 21), pixel_nm=0.5, impurity=-1.0,
        broadening=0.008, tip_nm=0.3, noise=0.3, row_offsets=0.0, name="Ag(111)-like grid",
    )  # fmt: skip


def bi2te3_grid() -> xr.Dataset:
    """Simulate a grid over bias of a warped topological state: 9 biases on 96 x 96 points."""
    parameters = SimulatedScanParameters(
        material="Bi2Te3", bias=-0.05, last_bias=0.15, biases=9, image_shape=(96, 96), seed=5,
        noise=0.2, arrangement="hard_core",
    )  # fmt: skip
    return simulated_scan_dataset(simulate_scan(parameters))


def _scan(
    band: Band,
    defects: Defects,
    *,
    bias: float | NDArray[np.float64],
    pixel_nm: float,
    impurity: float,
    broadening: float,
    tip_nm: float,
    noise: float,
    row_offsets: float,
    name: str,
    size: int | None = None,
) -> xr.Dataset:
    """Simulate a scan as `open_scan` would give it, with the truth beside it.

    The true kernel is as large as the map's diagonal allows, as waves are in nature; it is stored
    cropped to a quarter of the map.
    """
    grid = np.ndim(bias) > 0
    size = size or (96 if grid else 256)
    kernel = single_defect(
        band, bias=bias, pixel_nm=pixel_nm, shape=(size + 1, size + 1), impurity=impurity,
        broadening=broadening, tip_nm=tip_nm,
    )  # fmt: skip
    didv = observe(
        kernel,
        defects,
        (size, size),
        noise=noise,
        row_offsets=row_offsets,
        seed=defects.positions.size,
    )
    window = 33 if grid else 65
    first = size // 2 - window // 2
    middle = slice(first, first + window)
    return scan_with_truth(
        didv,
        kernel.isel(y=middle, x=middle),
        defects,
        name=name,
        header={
            "band": repr(band),
            "impurity (eV nm^2)": impurity,
            "broadening (eV)": broadening,
        },
    )
