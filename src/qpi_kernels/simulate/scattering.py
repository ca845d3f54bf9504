"""The LDOS change around defects, from Green's function and T-matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.devices import choose_device
from qpi_kernels.simulate.bands import Band, SimulationError
from qpi_kernels.simulate.bands.band import nearest_lattice_vectors
from qpi_kernels.simulate.cores import CoreShape
from qpi_kernels.simulate.green import (
    Box,
    box_pixels,
    greens_function,
    local_greens_function,
)
from qpi_kernels.simulate.impurities import (
    ClusterImpurity,
    Impurity,
    PointImpurity,
    as_impurity,
)
from qpi_kernels.simulate.instrument import EnergyResolution, SetPoint

__all__ = ["SimulationError", "ldos_change", "multiple_defects", "single_defect"]

_ENERGY = "1/(eV nm^2)"


def single_defect(
    band: Band,
    *,
    bias: float | Sequence[float] | NDArray[np.float64],
    pixel_nm: float,
    shape: tuple[int, int],
    impurity: Impurity | float,
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
    impurity : Impurity or float
        What scatters; a number is a scalar point potential in eV nm^2, repulsive when positive.
    broadening : float
        Half-width eta of the states in eV.
    tip_nm : float
        Width sigma of the form factor ``phi = exp(-k^2 sigma^2 / 2)`` of tip and orbitals, for each
        Green's function; 0.05 to 0.1 nm keeps atomic contrast.
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
        ``(y, x)`` or ``(bias, y, x)`` in states/(eV nm^2), summed over tunnelling channels; ``y``
        and ``x`` in nm from the defect, ``bias`` in V.

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


def ldos_change(
    band: Band,
    energies: NDArray[np.float64],
    *,
    pixel_nm: float,
    window: tuple[NDArray[np.int64], NDArray[np.int64]],
    impurities: Sequence[Impurity],
    broadening: float,
    tip_nm: float = 0.0,
    resolution: EnergyResolution | None = None,
    setpoint: SetPoint | None = None,
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float64,
) -> torch.Tensor:
    """LDOS change on any window of pixels; the engine below `single_defect`, which see.

    Parameters
    ----------
    energies : array, (energy,)
        In eV.
    window : tuple of array of int
        Rows and columns to keep, in pixels from the defect.
    impurities : sequence of Impurity
        Alternatives with the same centres and width. The waves to and from the centres, which are
        most of the work, serve them all.
    dtype : torch.dtype
        float64, or float32 for speed (always so on Apple's MPS).

    Returns
    -------
    tensor, (impurity, energy, h, w)
        On the device.
    """
    if len({(impurity.centres_nm, impurity.width_nm) for impurity in impurities}) != 1:
        raise SimulationError("the impurities must have the same centres and width")
    _check(energies, pixel_nm, broadening, tip_nm, window)
    if band.lattice is not None and impurities[0].width_nm:
        raise SimulationError(
            "on a lattice an impurity has no width: use a ClusterImpurity of several sites"
        )
    place = choose_device(device) if isinstance(device, str) else device
    precision = torch.float32 if place.type == "mps" else dtype
    centres = _centres(band, impurities[0])
    solver = _Scatterer(
        band, impurities, centres, window, pixel_nm, broadening, tip_nm, place, precision
    )
    nodes = (EnergyResolution.none() if resolution is None else resolution).nodes(broadening)
    wanted = (energies[:, None] + nodes.offsets).ravel()
    weights = torch.from_numpy(nodes.weights).to(place, precision)
    planes = solver.density(wanted)
    shape = (len(impurities), len(energies), len(weights), *planes.shape[2:])
    smoothed = torch.einsum("iejyx,j->ieyx", planes.view(shape), weights)
    if setpoint is None:
        return smoothed
    current = setpoint.energies(broadening)
    clean = solver.clean_density(wanted).view(len(energies), len(weights)) @ weights
    return setpoint.apply(smoothed, clean, solver.density(current), solver.clean_density(current))


class _Scatterer:
    """Impurities in one band, on one window: evaluates densities at energies."""

    def __init__(
        self,
        band: Band,
        impurities: Sequence[Impurity],
        centres: torch.Tensor,
        window: tuple[NDArray[np.int64], NDArray[np.int64]],
        pixel_nm: float,
        broadening: float,
        tip_nm: float,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.band, self.impurities, self.window = band, impurities, window
        self.pixel_nm, self.broadening = pixel_nm, broadening
        self.tip_nm, self.width_nm = tip_nm, impurities[0].width_nm
        self.device, self.dtype = device, dtype
        self.centres = centres.to(device, dtype)
        self.channels = band.channels.to(device, dtype)
        pixels = centres.flip(-1).numpy() / pixel_nm
        reach = [
            max(abs(ends - pixels[:, axis]).max() for ends in (along.min(), along.max()))
            for axis, along in enumerate(window)
        ]
        self.extent = int(np.ceil(2 * max(reach)))

    def density(self, energies: NDArray[np.float64]) -> torch.Tensor:
        """LDOS change (impurity, energy, h, w)."""
        shape = (len(self.impurities), len(energies), *map(len, self.window))
        found = torch.empty(shape, device=self.device, dtype=self.dtype)
        for size, index in self._by_box(energies).items():
            box = Box(size, self.pixel_nm, self.dtype, self.device)
            at = torch.from_numpy(energies[index]).to(self.device, self.dtype)
            kx, ky = box.momenta()
            hamiltonian = self.band.hamiltonian(kx, ky)
            t_matrices = self._t_matrices(box, at, hamiltonian)
            blur = self.tip_nm**2 + self.width_nm**2
            seen = box.paired() * _gaussian(kx[0], blur) * _gaussian(ky[:, :1], blur)
            # One energy at a time: quickest, and the same bits for one and for many.
            for number, energy, t_matrix in zip(index, at, t_matrices, strict=True):
                green = greens_function(hamiltonian, energy, self.broadening)
                out, back = self._waves(green * seen, kx, ky)
                scattered = torch.einsum("nij,jcyx->nicyx", t_matrix, back)
                found[:, number] = -(out * scattered).sum(dim=(1, 2)).imag / np.pi
        return found

    def clean_density(self, energies: NDArray[np.float64]) -> torch.Tensor:
        """LDOS of the clean band as the tip sees it, averaged over the cell, (energy,)."""
        found = torch.empty(len(energies), device=self.device, dtype=self.dtype)
        for size, index in self._by_box(energies).items():
            box = Box(size, self.pixel_nm, self.dtype, self.device)
            kx, ky = box.momenta()
            hamiltonian = self.band.hamiltonian(kx, ky)
            seen = box.paired() * torch.exp(-(kx**2 + ky**2) * self.tip_nm**2)
            for number in index:
                at = torch.tensor(energies[number], device=self.device, dtype=self.dtype)
                green = greens_function(hamiltonian, at, self.broadening)
                channels = self.channels.to(green)
                trace = torch.einsum("ca,abyx,cb->yx", channels, green, channels)
                found[number] = -(trace.imag * seen).sum() / (np.pi * (size * self.pixel_nm) ** 2)
        return found

    def _by_box(self, energies: NDArray[np.float64]) -> dict[int, list[int]]:
        """Indices of the energies that share a box size."""
        groups: dict[int, list[int]] = {}
        for number, energy in enumerate(energies.tolist()):
            size = box_pixels(self.band, energy, self.broadening, self.pixel_nm, self.extent)
            groups.setdefault(size, []).append(number)
        return groups

    def _t_matrices(
        self, box: Box, energies: torch.Tensor, hamiltonian: torch.Tensor
    ) -> torch.Tensor:
        """T of every impurity, (energy, impurity, S m, S m), solved in double precision."""
        local = local_greens_function(
            self.band, energies, self.broadening, box, self.centres, self.width_nm, hamiltonian
        )
        local = local.cpu().to(torch.complex128)
        found = torch.stack([each.t_matrix(self.band, local) for each in self.impurities], dim=1)
        if not bool(found.isfinite().all()):
            raise SimulationError("there is no finite T-matrix: choose smaller strengths")
        return found.to(self.device, self.dtype.to_complex())

    def _waves(
        self, green: torch.Tensor, kx: torch.Tensor, ky: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Waves from each centre to the tip, and back: (S m, channel, h, w)."""
        size = green.shape[-1]
        forward = [torch.from_numpy(np.asarray(index) % size) for index in self.window]
        backward = [torch.from_numpy(-np.asarray(index) % size) for index in self.window]
        channels = self.channels.to(green)
        out, back = [], []
        for x, y in self.centres.tolist():
            moved = x != 0.0 or y != 0.0
            phase = _plane_wave(kx[0], -x) * _plane_wave(ky[:, :1], -y) if moved else None
            spectrum = green if phase is None else green * phase
            wave = self._transform(spectrum, forward)
            out.append(torch.einsum("ca,abyx->bcyx", channels, wave))
            if self.band.reciprocity:
                back.append(out[-1])
                continue
            if phase is not None:
                spectrum = green * phase.conj()
            wave = self._transform(spectrum, backward)
            back.append(torch.einsum("bayx,ca->bcyx", wave, channels))
        return torch.cat(out), torch.cat(back)

    def _transform(self, spectrum: torch.Tensor, window: list[torch.Tensor]) -> torch.Tensor:
        """Inverse transform to pixels, cut to a window between its two passes."""
        rows, cols = window
        half = torch.fft.ifft(spectrum, dim=-1)[..., cols]
        wave: torch.Tensor = torch.fft.ifft(half, dim=-2)[..., rows, :]
        return wave / self.pixel_nm**2


def _plane_wave(k: torch.Tensor, distance: float) -> torch.Tensor:
    """``exp(i k distance)``; of one axis, for the product of two is quicker than an exponential."""
    return torch.polar(torch.ones_like(k), k * distance)


def _gaussian(k: torch.Tensor, variance: float) -> torch.Tensor:
    """``exp(-k^2 variance / 2)`` of one axis."""
    return torch.exp(-(k**2) * (variance / 2))


def _check(
    energies: NDArray[np.float64],
    pixel_nm: float,
    broadening: float,
    tip_nm: float,
    window: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    """Raise SimulationError for what no simulation can be done with."""
    for name, value in (("pixel_nm", pixel_nm), ("broadening", broadening)):
        if not 0 < value < np.inf:
            raise SimulationError(f"{name} must be positive and finite, not {value}")
    if not 0 <= tip_nm < np.inf:
        raise SimulationError(f"tip_nm must be 0 or larger, not {tip_nm}")
    if min(map(len, window)) < 1:
        raise SimulationError("the shape must have at least one pixel in both directions")
    if energies.ndim != 1 or not len(energies) or not np.isfinite(energies).all():
        raise SimulationError("bias must be a number or a sequence of at least one finite number")


def _centres(band: Band, impurity: Impurity) -> torch.Tensor:
    """Positions (S, 2) of the scattering centres in nm; on a lattice, its nearest vectors."""
    centres = np.array(impurity.centres_nm, float).reshape(-1, 2)
    if band.lattice is not None:
        centres = nearest_lattice_vectors(centres, band.lattice)
        if len(np.unique(centres.round(9), axis=0)) < len(centres):
            raise SimulationError("two centres share a lattice site: spread the cluster or defects")
    return torch.from_numpy(centres)


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
