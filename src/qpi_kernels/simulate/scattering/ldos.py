"""`ldos_change`: the engine of the simulator, on any window and for alternative impurities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.devices import choose_device
from qpi_kernels.simulate.bands import Band, SimulationError
from qpi_kernels.simulate.bands.lattice_vectors import nearest_lattice_vectors
from qpi_kernels.simulate.scattering.greens_function import (
    MOST_ELEMENTS,
    Box,
    box_pixels,
    greens_function,
    local_greens_function,
)
from qpi_kernels.simulate.scattering.impurities import (
    Impurity,
    PhaseShiftImpurity,
    PointImpurity,
)
from qpi_kernels.simulate.scattering.instrument import EnergyResolution, SetPoint
from qpi_kernels.threads import one_thread

__all__ = ["ldos_change", "standing_waves"]

# The search for a contour is good to a few per cent of the largest momentum.
_SAMPLING_MARGIN = 1.04


@one_thread()
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
    """Simulate the LDOS change on any window of pixels, for `single_defect`.

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
    centres = _centres(band, impurities[0])
    waves = len(centres) * band.orbitals * len(band.channels) * len(window[0]) * len(window[1])
    if waves > MOST_ELEMENTS:
        raise SimulationError(
            f"the waves of {len(centres)} centres on {len(window[0])} x {len(window[1])} pixels do "
            "not fit the memory: choose fewer defects or a smaller window"
        )
    for energy in energies.tolist():
        _check_waves(band, energy, broadening, pixel_nm, tip_nm, impurities)
    place = choose_device(device) if isinstance(device, str) else device
    precision = torch.float32 if place.type == "mps" else dtype
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


@one_thread()
def standing_waves(
    band: Band,
    energies: NDArray[np.float64],
    *,
    pixel_nm: float,
    window: tuple[NDArray[np.int64], NDArray[np.int64]],
    broadening: NDArray[np.float64],
    tip_nm: float = 0.0,
) -> NDArray[np.complex128]:
    r"""Compute the waves to a point scatterer and back, without its T-matrix.

    .. math:: F_a(r) = \sum_c g_{ca}(r)\, g_{ac}(-r)

    over tunnelling channels c. A point that scatters orbital a with the amplitude T_a changes the
    LDOS by :math:`-\frac{1}{\pi} \mathrm{Im} \sum_a T_a F_a(r)`, which is linear in T.

    Parameters
    ----------
    energies, broadening : array, (energy,)
        In eV; each energy has a half-width of its own.
    window : tuple of array of int
        Rows and columns to keep, in pixels from the defect.

    Returns
    -------
    array, (energy, orbital, h, w)
        In 1/(eV nm^2)^2.

    Raises
    ------
    SimulationError
        As for `ldos_change`.
    """
    origin = torch.zeros(1, 2, dtype=torch.float64)
    solver = _Scatterer(
        band, [PointImpurity(0.0)], origin, window, pixel_nm, float(broadening.min()), tip_nm,
        torch.device("cpu"), torch.float64,
    )  # fmt: skip
    groups: dict[int, list[int]] = {}
    for number, (energy, width) in enumerate(zip(energies.tolist(), broadening, strict=True)):
        _check(np.array([energy]), pixel_nm, width, tip_nm, window)
        _check_waves(band, energy, width, pixel_nm, tip_nm, [])
        size = box_pixels(band, energy, width, pixel_nm, solver.extent)
        groups.setdefault(size, []).append(number)
    found = np.empty((len(energies), band.orbitals, *map(len, window)), complex)
    for size, index in groups.items():
        states = solver.states(size, index, energies)
        for number, at in zip(index, states.energies, strict=True):
            green = greens_function(states.hamiltonian, at, float(broadening[number]))
            out, back = solver.waves(green * states.seen, states.kx, states.ky)
            found[number] = (out * back).sum(dim=1).numpy()
    return found


class _BoxStates(NamedTuple):
    """A band on the box that some of the energies share."""

    energies: torch.Tensor
    box: Box
    kx: torch.Tensor
    ky: torch.Tensor
    hamiltonian: torch.Tensor
    seen: torch.Tensor
    """Share of each momentum that tip and impurity see."""


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
        """Compute the LDOS change (impurity, energy, h, w)."""
        shape = (len(self.impurities), len(energies), *map(len, self.window))
        found = torch.empty(shape, device=self.device, dtype=self.dtype)
        for size, index in self._by_box(energies).items():
            states = self.states(size, index, energies)
            t_matrices = self._t_matrices(states.box, states.energies, states.hamiltonian)
            # One energy at a time: quickest, and the same bits for one and for many.
            for number, energy, t_matrix in zip(index, states.energies, t_matrices, strict=True):
                green = greens_function(states.hamiltonian, energy, self.broadening)
                out, back = self.waves(green * states.seen, states.kx, states.ky)
                scattered = torch.einsum("nij,jcyx->nicyx", t_matrix, back)
                found[:, number] = -(out * scattered).sum(dim=(1, 2)).imag / np.pi
        return found

    def states(self, size: int, index: list[int], energies: NDArray[np.float64]) -> _BoxStates:
        """Compute the band on a box of a side, for some of the energies."""
        box = Box(size, self.pixel_nm, self.dtype, self.device)
        at = torch.from_numpy(energies[index]).to(self.device, self.dtype)
        kx, ky = box.momenta()
        blur = self.tip_nm**2 + self.width_nm**2
        seen = box.paired() * _gaussian(kx[0], blur) * _gaussian(ky[:, :1], blur)
        return _BoxStates(at, box, kx, ky, self.band.hamiltonian(kx, ky), seen)

    def clean_density(self, energies: NDArray[np.float64]) -> torch.Tensor:
        """Compute the clean band's LDOS under the tip, averaged over the cell, (energy,)."""
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
        """Group the indices of energies that share a box size."""
        groups: dict[int, list[int]] = {}
        for number, energy in enumerate(energies.tolist()):
            size = box_pixels(self.band, energy, self.broadening, self.pixel_nm, self.extent)
            groups.setdefault(size, []).append(number)
        return groups

    def _t_matrices(
        self, box: Box, energies: torch.Tensor, hamiltonian: torch.Tensor
    ) -> torch.Tensor:
        """Compute T of every impurity, (energy, impurity, S m, S m), solved in double precision."""
        local = local_greens_function(
            self.band, energies, self.broadening, box, self.centres, self.width_nm, hamiltonian
        )
        local = local.cpu().to(torch.complex128)
        found = torch.stack([each.t_matrix(self.band, local) for each in self.impurities], dim=1)
        if not bool(found.isfinite().all()):
            raise SimulationError("there is no finite T-matrix: choose smaller strengths")
        return found.to(self.device, self.dtype.to_complex())

    def waves(
        self, green: torch.Tensor, kx: torch.Tensor, ky: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute waves from each centre to the tip, and back: (S m, channel, h, w)."""
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
        """Transform back to pixels, cut to a window between its two passes."""
        rows, cols = window
        half = torch.fft.ifft(spectrum, dim=-1)[..., cols]
        wave: torch.Tensor = torch.fft.ifft(half, dim=-2)[..., rows, :]
        return wave / self.pixel_nm**2


def _check_waves(
    band: Band,
    energy: float,
    broadening: float,
    pixel_nm: float,
    tip_nm: float,
    impurities: Sequence[Impurity],
) -> None:
    """Raise SimulationError where the pixels can not show the waves, or there are none to shift."""
    contour = band.contour(energy, broadening, pixel_nm)
    if contour.distance > 0 and any(isinstance(each, PhaseShiftImpurity) for each in impurities):
        raise SimulationError(
            f"there is no state at {energy:g} V whose phase could be shifted; choose another bias "
            "or a potential"
        )
    # Densities have twice the momentum of the waves. Of a lattice all zones count, and the tip
    # alone ends them.
    shown = np.pi / pixel_nm
    seen = np.exp(-((contour.momentum * tip_nm) ** 2))
    if band.lattice is None and 2 * contour.momentum > _SAMPLING_MARGIN * shown and seen > 0.01:
        raise SimulationError(
            f"ripples of 2k = {2 * contour.momentum:.3g}/nm at {energy:g} V are finer than the "
            f"pixels show: choose smaller pixels, below {np.pi / 2 / contour.momentum:.2g} nm"
        )


def _plane_wave(k: torch.Tensor, distance: float) -> torch.Tensor:
    """Compute ``exp(i k distance)`` of one axis: two are quicker than one of both."""
    return torch.polar(torch.ones_like(k), k * distance)


def _gaussian(k: torch.Tensor, variance: float) -> torch.Tensor:
    """Compute ``exp(-k^2 variance / 2)`` of one axis."""
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
    """List the scattering centres (S, 2) in nm; on a lattice, its nearest vectors."""
    centres = np.array(impurity.centres_nm, float).reshape(-1, 2)
    if band.lattice is not None:
        centres = nearest_lattice_vectors(centres, band.lattice)
        if len(np.unique(centres.round(9), axis=0)) < len(centres):
            raise SimulationError("two centres share a lattice site: spread the cluster or defects")
    return torch.from_numpy(centres)
