"""The LDOS change around defects, from Green's function and T-matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.simulate.bands import Band, SimulationError
from qpi_kernels.simulate.bands.crystal import CrystalBand
from qpi_kernels.simulate.scattering.defect_core import CoreShape
from qpi_kernels.simulate.scattering.impurities import (
    ClusterImpurity,
    Impurity,
    PointImpurity,
    as_impurity,
)
from qpi_kernels.simulate.scattering.instrument import EnergyResolution, SetPoint
from qpi_kernels.simulate.scattering.ldos import ldos_change
from qpi_kernels.simulate.scattering.site_density import site_density
from qpi_kernels.simulate.scattering.site_impurity import SiteImpurity

__all__ = ["SimulationError", "multiple_defects", "single_defect"]

_ENERGY = "1/(eV nm^2)"


def single_defect(
    band: Band,
    *,
    bias: float | Sequence[float] | NDArray[np.float64],
    pixel_nm: float,
    shape: tuple[int, int],
    impurity: Impurity | SiteImpurity | float,
    broadening: float,
    tip_nm: float = 0.0,
    resolution: EnergyResolution | None = None,
    setpoint: SetPoint | None = None,
    core: CoreShape | None = None,
    device: str = "auto",
) -> xr.DataArray:
    r"""Simulate the kernel: how one defect changes the local density of states.

    .. math:: \delta\rho(r, E) = -\frac{1}{\pi} \mathrm{Im\,Tr}\, g(r)\, T\, g(-r), \quad
              T = V / (1 - V g(0)), \quad
              g(r) = \int \frac{d^2k}{(2\pi)^2} \varphi(k) e^{ikr} [E + i\eta - H(k)]^{-1}

    (T-matrix theory, for example Balatsky, Vekhter and Zhu, RMP 78, 373, 2006). The trace runs over
    the tunnelling channels. The transform covers a box so large that no wave returns through its
    edge, and is cropped.

    Parameters
    ----------
    band : Band
        The material: one of `qpi_kernels.simulate.bands`, a `CustomBand` around any H(k), or a
        `WannierBand`.
    bias : float or sequence of float
        Sample bias in V, the energy in eV above the Fermi level; a sequence gives a stack.
    pixel_nm : float
        Pixel pitch.
    shape : tuple of int
        Kernel size (h, w); the defect sits at ``(h//2, w//2)``.
    impurity : Impurity, SiteImpurity or float
        What scatters; a number is a scalar point potential in eV nm^2, repulsive when positive. A
        `SiteImpurity` of a `CrystalBand` shows the orbitals one by one, see `site_density`.
    broadening : float
        Half-width eta of the states in eV.
    tip_nm : float
        Width sigma of the form factor ``phi = exp(-k^2 sigma^2 / 2)`` of tip and orbitals, for each
        Green's function; 0.05 to 0.1 nm keeps atomic contrast. With a `SiteImpurity` that of the
        density.
    resolution : EnergyResolution, optional
        Thermal and lock-in broadening on top of `broadening`; none when left out.
    setpoint : SetPoint, optional
        Constant-current set-point whose effect the map shows; constant height when left out.
    core : CoreShape, optional
        What the defect itself adds close by; nothing when left out.
    device : str
        ``auto``, ``cpu``, ``cuda``, ...

    Returns
    -------
    xarray.DataArray
        ``(y, x)`` or ``(bias, y, x)`` in states/(eV nm^2), summed over tunnelling channels: per
        spin for a band that has no spin. ``y`` and ``x`` in nm from the defect, ``bias`` in V.

    Raises
    ------
    SimulationError
        If a size is not positive, the waves reach too far for the box limit or are too short for
        the pixels, or the impurity does not suit the band: no spin, no such orbital, orbitals of
        several places.
    DeviceError
        If the device does not exist.
    """
    biases = np.atleast_1d(np.asarray(bias, float))
    if isinstance(impurity, SiteImpurity):
        if not isinstance(band, CrystalBand) or resolution is not None or setpoint is not None:
            raise SimulationError(
                "a SiteImpurity needs a CrystalBand, and no energy resolution or set-point"
            )
        values = site_density(
            band,
            biases,
            pixel_nm=pixel_nm,
            shape=shape,
            impurities=[impurity],
            broadening=broadening,
            tip_nm=tip_nm,
        )[0]
    else:
        planes = ldos_change(
            band,
            biases,
            pixel_nm=pixel_nm,
            window=_centred_window(shape),
            impurities=[as_impurity(impurity)],
            broadening=broadening,
            tip_nm=tip_nm,
            resolution=resolution,
            setpoint=setpoint,
            device=device,
        )
        values = planes[0].cpu().double().numpy()
    y, x = ((np.arange(n) - n // 2) * pixel_nm for n in shape)
    if core is not None:
        values = values + core.density(x, y) * np.abs(values).max(axis=(-2, -1), keepdims=True)
    described = {"band": band, "impurity": impurity, "broadening (eV)": broadening}
    return _labelled(values, biases, y, x, "kernel", described).squeeze(
        [] if np.ndim(bias) else ["bias"]
    )


def multiple_defects(
    band: Band,
    defects: Defects,
    *,
    bias: float | Sequence[float] | NDArray[np.float64],
    pixel_nm: float,
    shape: tuple[int, int],
    impurity: PointImpurity | float,
    broadening: float,
    tip_nm: float = 0.0,
    device: str = "auto",
) -> xr.DataArray:
    r"""Simulate the map of many point defects with all multiple scattering between them.

    .. math:: \delta\rho(r) = -\frac{1}{\pi} \mathrm{Im\,Tr} \sum_{ij} g(r - r_i) T_{ij} g(r_j - r),
              \quad T = (V^{-1} - g(r_i - r_j))^{-1}

    Its difference from superposed kernels is the model error of ``Y = A (*) M``.

    Parameters
    ----------
    band, bias, pixel_nm, broadening, tip_nm, device
        As for `single_defect`.
    defects : Defects
        Positions in pixels of the map, possibly outside; strengths multiply `impurity`, which
        makes a strength a potential here. On a lattice they are moved to the nearest lattice
        vector from the map's first pixel.
    shape : tuple of int
        Map size (rows, columns).
    impurity : PointImpurity or float
        What a defect of strength 1 is; a number is a scalar point potential in eV nm^2.

    Returns
    -------
    xarray.DataArray
        ``(y, x)`` or ``(bias, y, x)`` in states/(eV nm^2); ``y`` and ``x`` in nm from the first
        pixel.
    """
    point = as_impurity(impurity)
    if not isinstance(point, PointImpurity):
        raise SimulationError("the defects must be point impurities")
    if not len(defects):
        raise SimulationError("there are no defects to scatter at")
    centres = tuple((col * pixel_nm, row * pixel_nm) for row, col in defects.positions.tolist())
    strengths = tuple((point.strength * defects.strength).tolist())
    cluster = ClusterImpurity(centres, strengths, orbital=point.orbital)
    biases = np.atleast_1d(np.asarray(bias, float))
    planes = ldos_change(
        band,
        biases,
        pixel_nm=pixel_nm,
        window=(np.arange(shape[0]), np.arange(shape[1])),
        impurities=[cluster],
        broadening=broadening,
        tip_nm=tip_nm,
        device=device,
    )
    y, x = (np.arange(n) * pixel_nm for n in shape)
    described = {"band": band, "impurity": impurity, "broadening (eV)": broadening}
    values = planes[0].cpu().double().numpy()
    return _labelled(values, biases, y, x, "didv", described).squeeze(
        [] if np.ndim(bias) else ["bias"]
    )


def _centred_window(
    shape: tuple[int, int],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, cols = (np.arange(n) - n // 2 for n in shape)
    return rows, cols


def _labelled(
    values: NDArray[np.float64],
    biases: NDArray[np.float64],
    y: NDArray[np.floating],
    x: NDArray[np.floating],
    name: str,
    described: Mapping[str, object],
) -> xr.DataArray:
    """Label planes with bias, coordinates and a description."""
    return xr.DataArray(
        values,
        dims=("bias", "y", "x"),
        coords={
            "bias": ("bias", biases, {"units": "V"}),
            "y": ("y", y, {"units": "nm"}),
            "x": ("x", x, {"units": "nm"}),
        },
        name=name,
        attrs={
            "units": _ENERGY,
            "long_name": "LDOS change",
            "quantity": "didv",
            **{key: str(value) for key, value in described.items()},
        },
    )
