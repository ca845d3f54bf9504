"""`simulate_scan`: from a material's name to a map with its defects and its true kernel."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.progress import CancelToken, Event, GeneratorStepper, drive
from qpi_kernels.simulate.bands import Band
from qpi_kernels.simulate.maps.artefacts import apply_artefacts, drifted
from qpi_kernels.simulate.maps.observation import superpose
from qpi_kernels.simulate.maps.placement import on_lattice, place_defects
from qpi_kernels.simulate.scan.dataset import scan_with_truth
from qpi_kernels.simulate.scan.parameters import SimulatedScanParameters
from qpi_kernels.simulate.scattering.impurities import (
    ClusterImpurity,
    Impurity,
    MagneticImpurity,
    PhaseShiftImpurity,
    PointImpurity,
)
from qpi_kernels.simulate.scattering.instrument import EnergyResolution
from qpi_kernels.simulate.scattering.ldos import ldos_change

__all__ = [
    "ScanSimulation",
    "SimulatedScan",
    "SimulatedScanParameters",
    "simulate_scan",
    "simulated_scan_dataset",
]

# Waves count until their density has decayed by exp(-5).
_DECAY_LENGTHS = 2.5
# Centres and strengths of an uneven cluster, in units of its radius and potential; on the usual
# lattices they round to three different sites.
_CLUSTER_CENTRES = ((-1.0, 0.0), (1.0, 0.0), (0.0, 1.5))
_CLUSTER_STRENGTHS = (1.0, 0.5, -0.3)


@dataclass(frozen=True, eq=False)
class SimulatedScan:
    """A simulated map and what it was made from.

    Parameters
    ----------
    parameters : SimulatedScanParameters
        All choices.
    kernel : xarray.DataArray
        True kernel, ``(y, x)`` or ``(bias, y, x)``, float32, in states/(eV nm^2); ``y``, ``x`` in
        nm from the defect.
    observation : xarray.DataArray
        The map, same dims and unit; ``y``, ``x`` in nm from the first pixel.
    defects : Defects
        Where the defects appear, in pixels of the map.
    """

    parameters: SimulatedScanParameters
    kernel: xr.DataArray
    observation: xr.DataArray
    defects: Defects


def simulate_scan(
    parameters: SimulatedScanParameters | None = None,
    *,
    device: str = "auto",
    on_event: Callable[[Event], object] | None = None,
    cancel: CancelToken | None = None,
) -> SimulatedScan:
    """Simulate a map of a named material.

    Parameters
    ----------
    parameters : SimulatedScanParameters, optional
        What to simulate; a map of Ag(111) when left out.
    device : str
        ``auto``, ``cpu``, ``cuda``, ...
    on_event : callable, optional
        Called with an `Event` after each bias.
    cancel : CancelToken, optional
        Checked before each bias.

    Returns
    -------
    SimulatedScan
        The same for the same parameters on the same device.

    Raises
    ------
    SimulationError
        If waves reach too far for the pixel size, or a cluster does not fit the lattice.
    Cancelled
        If the token was cancelled.
    """
    return drive(ScanSimulation(parameters or SimulatedScanParameters(), device), on_event, cancel)


def simulated_scan_dataset(simulated: SimulatedScan) -> xr.Dataset:
    """Put a simulated scan into the form that `open_scan` gives, with the truth beside the map.

    `qpi_kernels.io.formats.netcdf.save_scan` writes it, `open_scan` and napari open it; see
    `scan_with_truth` for the variables.
    """
    return scan_with_truth(
        simulated.observation,
        simulated.kernel,
        simulated.defects,
        name=simulated.parameters.known_material.label,
        header=simulated.parameters.model_dump(),
    )


class ScanSimulation(GeneratorStepper[SimulatedScan]):
    """The stepper behind `simulate_scan`: one bias a step, then noise and artefacts.

    Parameters
    ----------
    parameters : SimulatedScanParameters
        What to simulate.
    device : str
        ``auto``, ``cpu``, ``cuda``, ...
    """

    def __init__(self, parameters: SimulatedScanParameters, device: str = "auto") -> None:
        self._parameters = parameters
        self._device = device
        self._band = parameters.known_material.make_band()
        self._impurity = _impurity(parameters, self._band)
        self._artefacts = parameters.scan_artefacts()
        shape, pixel_nm = parameters.image_shape, parameters.pixel_nm
        self._margin = self._artefacts.drift(shape, pixel_nm=pixel_nm).margin_px
        placed = place_defects(parameters.placement(), shape, parameters.seed)
        self._defects = on_lattice(placed, self._band.lattice, pixel_nm)

    def _run(self) -> Generator[Event, None, SimulatedScan]:
        """Simulate kernel and clean map of each bias, then scan the maps."""
        kernels: list[NDArray[np.float32]] = []
        signals: list[NDArray[np.float32]] = []
        biases = self._parameters.bias_values.tolist()
        for number, bias in enumerate(biases, start=1):
            wide = self._wide_kernel(bias)
            rows, cols = (
                np.arange(size) - size // 2 + whole // 2
                for size, whole in zip(self._parameters.kernel_shape, wide.shape, strict=True)
            )
            kernels.append(wide[np.ix_(rows, cols)])
            signals.append(self._signal(wide, bias))
            yield Event(f"{bias:g} V", number, len(biases) + 1)
        return self._scan(np.stack(kernels), np.stack(signals))

    def _wide_kernel(self, bias: float) -> NDArray[np.float32]:
        """Simulate the kernel as far as its waves reach, or as map and kept kernel do."""
        parameters = self._parameters
        damping = self._band.smallest_damping(bias, parameters.broadening, parameters.pixel_nm)
        reach = int(np.ceil(_DECAY_LENGTHS / (damping * parameters.pixel_nm)))
        halves = (
            max(min(size + parameters.margin + 2 * self._margin - 1, reach), kept // 2)
            for size, kept in zip(parameters.image_shape, parameters.kernel_shape, strict=True)
        )
        rows, cols = (np.arange(-half, half + 1) for half in halves)
        return self._density(self._impurity, bias, (rows, cols))

    def _signal(self, wide: NDArray[np.float32], bias: float) -> NDArray[np.float32]:
        """Simulate the clean map with its margin."""
        parameters, margin = self._parameters, self._margin
        if not parameters.multiple_scattering:
            rows, cols = (size + 2 * margin for size in parameters.image_shape)
            moved = self._defects.moved(self._defects.positions + margin)
            return superpose(wide, moved, (rows, cols))
        centres = self._defects.positions[:, ::-1] * parameters.pixel_nm
        together = ClusterImpurity(
            tuple((x, y) for x, y in centres.tolist()),
            tuple((parameters.strength * self._defects.strength).tolist()),
            orbital=parameters.known_material.orbital,
        )
        down, across = (np.arange(-margin, size + margin) for size in parameters.image_shape)
        return self._density(together, bias, (down, across))

    def _density(
        self, impurity: Impurity, bias: float, window: tuple[NDArray[np.int64], NDArray[np.int64]]
    ) -> NDArray[np.float32]:
        """Simulate the change of the density of states about an impurity, (rows, columns)."""
        parameters = self._parameters
        resolution = None
        if parameters.temperature or parameters.modulation:
            resolution = EnergyResolution(parameters.temperature, parameters.modulation)
        planes = ldos_change(
            self._band,
            np.array([bias]),
            pixel_nm=parameters.pixel_nm,
            window=window,
            impurities=[impurity],
            broadening=parameters.broadening,
            tip_nm=parameters.known_material.tip_nm,
            resolution=resolution,
            device=self._device,
            dtype=torch.float32,
        )
        values: NDArray[np.float32] = planes[0, 0].cpu().numpy()
        return values

    def _scan(self, kernels: NDArray[np.float32], signals: NDArray[np.float32]) -> SimulatedScan:
        """Add noise and artefacts to the clean maps, and label everything."""
        parameters = self._parameters
        shape, pixel_nm = parameters.image_shape, parameters.pixel_nm
        scanned = apply_artefacts(
            signals,
            self._artefacts,
            pixel_nm=pixel_nm,
            seed=parameters.seed,
            margin_px=self._margin,
        )
        y, x = (np.arange(size) * pixel_nm for size in shape)
        observation = _labelled(scanned.astype(np.float32), y, x, parameters, "dI/dV")
        y, x = ((np.arange(size) - size // 2) * pixel_nm for size in parameters.kernel_shape)
        kernel = _labelled(kernels, y, x, parameters, "true kernel")
        seen = drifted(self._defects, self._artefacts, shape, pixel_nm=pixel_nm)
        return SimulatedScan(parameters, kernel.rename("kernel"), observation.rename("didv"), seen)


def _impurity(parameters: SimulatedScanParameters, band: Band) -> Impurity:
    """Make the impurity that the parameters name."""
    material, strength = parameters.known_material, parameters.strength
    radius, orbital = material.cluster_nm, material.orbital
    # A continuum needs no sharper point than a pixel; a lattice has no use for a width.
    width = 0.5 * parameters.pixel_nm if band.lattice is None else 0.0
    match parameters.impurity:
        case "phase_shift":
            return PhaseShiftImpurity(np.deg2rad(parameters.phase_deg), orbital=orbital)
        case "magnetic":
            return MagneticImpurity(strength)
        case "trimer":
            trimer = ClusterImpurity.trimer(radius, strength, angle_deg=0.0, width_nm=width)
            return replace(trimer, orbital=orbital)
        case "cluster":
            return ClusterImpurity(
                tuple((radius * x, radius * y) for x, y in _CLUSTER_CENTRES),
                tuple(strength * share for share in _CLUSTER_STRENGTHS),
                width,
                orbital,
            )
        case _:
            return PointImpurity(strength, orbital)


def _labelled(
    planes: NDArray[np.float32],
    y: NDArray[np.floating],
    x: NDArray[np.floating],
    parameters: SimulatedScanParameters,
    title: str,
) -> xr.DataArray:
    """Label planes with bias, coordinates and parameters; one plane loses the bias dim."""
    array = xr.DataArray(
        planes,
        dims=("bias", "y", "x"),
        coords={
            "bias": ("bias", parameters.bias_values, {"units": "V"}),
            "y": ("y", y, {"units": "nm"}),
            "x": ("x", x, {"units": "nm"}),
        },
        attrs={
            "units": "1/(eV nm^2)",
            "long_name": title,
            "quantity": "didv",
            "simulation": json.dumps(parameters.model_dump(mode="json")),
        },
    )
    return array if parameters.biases > 1 else array.isel(bias=0)
