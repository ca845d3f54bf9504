"""`PaperProtocol`: the data set of arXiv 2506.05325, made anew with this simulator."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.progress import Event, GeneratorStepper
from qpi_kernels.simulate.datasets.labels import (
    KernelLabels,
    published_fold,
    read_record,
    write_record,
)
from qpi_kernels.simulate.datasets.netcdf_layout import is_netcdf_name, netcdf_path, write_netcdf
from qpi_kernels.simulate.datasets.protocol_parameters import ProtocolParameters
from qpi_kernels.simulate.datasets.public_layout import (
    kernel_number,
    public_csv_path,
    write_public_csv,
)
from qpi_kernels.simulate.families import FAMILIES, ISOTROPIC, Recipe
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from qpi_kernels.simulate.maps.artefacts import apply_artefacts
from qpi_kernels.simulate.maps.observation import superpose
from qpi_kernels.simulate.maps.placement import Placement, on_lattice, place_defects
from qpi_kernels.simulate.maps.streams import stream

__all__ = ["PaperProtocol", "ProtocolError", "ProtocolKernel", "protocol_labels"]

SIDE = 64
MOST_SCATTERERS = 20
AXIS_A = np.linspace(-200.0, 200.0, SIDE)
_PITCH_A = float(AXIS_A[1] - AXIS_A[0])
# Waves from scatterers in the central half reach 48 pixels; the rest keeps the window's edge away.
_WINDOW = 129
# Data sets stay as they are when families are added.
_FAMILIES = (
    "free_electrons",
    "rashba",
    "elliptic",
    "warped_two_fold",
    "nematic_pockets",
    "trimer",
    "trigonal_dirac",
    "graphene_site",
    "warped_four_fold",
    "square_lattice",
    "cuprate",
    "warped_six_fold",
    "triangular_lattice",
    "dichalcogenide",
    "warped_dirac",
    "asymmetric_cluster",
)
_HELD_OUT_FAMILIES = ("nematic_pockets", "graphene_site", "cuprate", "dichalcogenide")


class ProtocolError(ValueError):
    """A data set can not be written as asked; the message says what to change."""


@dataclass(frozen=True, eq=False)
class ProtocolKernel:
    """One kernel with its observations.

    Parameters
    ----------
    number : int
        1 to 100.
    recipe : Recipe
        What the kernel is made of.
    labels : KernelLabels
        Its symmetry, family and splits.
    image : array, (64, 64)
        Map of one scatterer at coordinate (0, 0), which lies between four pixels.
    positions_A : array, (sample, 20, 2)
        Scatterers as (x, y) in Angstrom, NaN where unused.
    clean, noisy : array, (sample, 64, 64)
        Observations, float32.
    """

    number: int
    recipe: Recipe
    labels: KernelLabels
    image: NDArray[np.float32]
    positions_A: NDArray[np.float64]  # noqa: N815 - the unit's own letter
    clean: NDArray[np.float32]
    noisy: NDArray[np.float32]


class PaperProtocol(GeneratorStepper[Path]):
    """Write the data set of the published protocol, a kernel a step.

    100 kernels on 64 x 64 pixels and 400 Angstrom, 2-, 3-, 4- and 6-fold and isotropic as the
    published labels have it; 500 observations of each with 1 to 20 unit scatterers at random in the
    central half of the frame. Two splits: by kernel, a fifth of each symmetry held out; and by
    family, with four whole families held out. Kernels that a former run has finished are kept.

    Parameters
    ----------
    folder : path-like
        Where the data set goes.
    parameters : ProtocolParameters, optional
        What is changed of the protocol.

    Raises
    ------
    ProtocolError
        If the folder holds a data set made with other parameters.
    """

    def __init__(self, folder: str | Path, parameters: ProtocolParameters | None = None) -> None:
        self.folder = Path(folder)
        self.parameters = parameters or ProtocolParameters()
        self._libraries = {
            name: KernelSampler(
                [name],
                shape=(_WINDOW, _WINDOW),
                pixel_nm=_PITCH_A / 10,
                seed=self.parameters.seed,
            )
            for name in _FAMILIES
        }
        self._labels = {
            number: labels.model_copy(
                update={"parameters": _described(self._libraries[labels.family].recipe(number))}
            )
            for number, labels in protocol_labels(self.parameters).items()
        }
        self._check_folder()
        self._missing = [number for number in self._labels if not self._is_written(number)]

    @property
    def written(self) -> int:
        """Number of kernels that are written."""
        return len(self._labels) - len(self._missing)

    def _run(self) -> Generator[Event, None, Path]:
        """Write each missing kernel; return the folder, which `read_qpi_dataset` reads."""
        write_record(self.folder, self._labels, self._description())
        total = len(self._labels)
        while self._missing:
            number = self._missing[0]
            self.write(self.simulate(number))
            self._missing.pop(0)
            yield Event(f"kernel {number} of {total}", self.written, total)
        return self.folder

    def simulate(self, number: int) -> ProtocolKernel:
        """Make one kernel and its observations, the same whenever it is asked for."""
        return self.simulate_as(number, self._labels[number])

    def simulate_as(self, number: int, labels: KernelLabels) -> ProtocolKernel:
        """Make a kernel of any family and number in the way of the protocol.

        For kernels that the published data set has not, such as those without symmetry.
        """
        library = self._libraries[labels.family]
        recipe = library.recipe(number)
        kernel = library.values([recipe])[0]
        kernel /= np.abs(kernel).max()
        count = self.parameters.observations
        positions = np.full((count, MOST_SCATTERERS, 2), np.nan)
        clean = np.empty((count, SIDE, SIDE), np.float32)
        noisy = np.empty_like(clean)
        for sample in range(count):
            seed = (self.parameters.seed, number, sample)
            defects = _scatterers(seed, recipe)
            positions[sample, : len(defects)] = _PITCH_A * defects.positions[:, ::-1] + AXIS_A[0]
            clean[sample] = superpose(kernel, defects, (SIDE, SIDE))
            noisy[sample] = apply_artefacts(
                clean[sample], self.parameters.artefacts, pixel_nm=_PITCH_A / 10, seed=seed
            )
        alone = Defects([((SIDE - 1) / 2, (SIDE - 1) / 2)])
        image = superpose(kernel, alone, (SIDE, SIDE))
        return ProtocolKernel(number, recipe, labels, image, positions, clean, noisy)

    def write(self, made: ProtocolKernel) -> None:
        """Write one kernel's files."""
        common: dict[str, Any] = {
            "kernel": made.image,
            "positions_A": made.positions_A,
            "axis_A": AXIS_A,
        }
        if self.parameters.layout != "csv":
            write_netcdf(
                netcdf_path(self.folder, made.number),
                number=made.number,
                observations=made.clean,
                observations_noisy=made.noisy,
                labels=made.labels,
                **common,
            )
        if self.parameters.layout != "netcdf":
            for noisy, observations in ((False, made.clean), (True, made.noisy)):
                write_public_csv(
                    public_csv_path(self.folder, made.number, noisy=noisy),
                    observations=observations,
                    max_scatterers=MOST_SCATTERERS,
                    **common,
                )

    def _is_written(self, number: int) -> bool:
        """Tell whether all files of a kernel are there."""
        files = []
        if self.parameters.layout != "csv":
            files.append(netcdf_path(self.folder, number))
        if self.parameters.layout != "netcdf":
            files += [public_csv_path(self.folder, number, noisy=noisy) for noisy in (False, True)]
        return all(file.exists() for file in files)

    def _description(self) -> dict[str, Any]:
        """Describe the parameters, for the record in the folder."""
        parameters = json.loads(self.parameters.model_dump_json())
        return {"name": "paper", "version": _version(), **parameters}

    def _check_folder(self) -> None:
        """Refuse a folder whose data set was made with other parameters."""
        found = read_record(self.folder) if self.folder.is_dir() else None
        if found is None:
            self._check_foreign()
            return
        asked = self._description()
        other = [
            f"{name} {found.protocol.get(name)!r}, not {value!r}"
            for name, value in asked.items()
            if found.protocol.get(name) != value
        ]
        if other:
            raise ProtocolError(
                f"{self.folder} holds a data set with {'; '.join(other)}: choose another folder"
            )

    def _check_foreign(self) -> None:
        """Refuse a folder with kernels of another data set, such as the public one."""
        files = self.folder.rglob("*") if self.folder.exists() else []
        for file in sorted(files):
            if kernel_number(file) is not None or is_netcdf_name(file):
                raise ProtocolError(
                    f"{self.folder} holds kernels of another data set ({file.name}): choose "
                    "another folder"
                )


def protocol_labels(parameters: ProtocolParameters) -> dict[int, KernelLabels]:
    """Assign symmetry, family and splits to each kernel, by number."""
    numbers = range(1, parameters.kernels + 1)
    labels: dict[int, KernelLabels] = {}
    for label in (1, 2, 3, 4, 6):
        fold = ISOTROPIC if label == 1 else label
        families = [name for name in _FAMILIES if FAMILIES[name].fold == fold]
        members = [number for number in numbers if published_fold(number) == label]
        shuffled = stream((parameters.seed, label), "split").permutation(members)
        held_out = set(shuffled[: round(len(members) / 5)].tolist())
        for rank, number in enumerate(members):
            family = families[rank % len(families)]
            labels[number] = KernelLabels(
                fold=label,
                family=family,
                split="test" if number in held_out else "train",
                family_split="test" if family in _HELD_OUT_FAMILIES else "train",
                seed=parameters.seed,
            )
    return dict(sorted(labels.items()))


def _scatterers(seed: tuple[int, int, int], recipe: Recipe) -> Defects:
    """Draw 1 to 20 scatterers within 100 Angstrom, in pixels; those of a crystal on its sites."""
    count = int(stream(seed, "count").integers(1, MOST_SCATTERERS + 1))
    low, high = ((edge - AXIS_A[0]) / _PITCH_A for edge in (-100.0, 100.0))
    placement = Placement(count=count, margin_px=-low - 0.5)
    placed = place_defects(placement, (SIDE, SIDE), seed)
    defects = on_lattice(placed, recipe.band.lattice, _PITCH_A / 10)
    inside = ((defects.positions >= low) & (defects.positions <= high)).all(axis=1)
    if not inside.any():
        return on_lattice(Defects([(SIDE / 2, SIDE / 2)]), recipe.band.lattice, _PITCH_A / 10)
    return defects[inside]


def _version() -> str:
    """Return the version of the installed package."""
    try:
        return version("napari-qpi")
    except PackageNotFoundError:
        return "not installed"


def _described(recipe: Recipe) -> dict[str, Any]:
    """Describe a kernel's recipe as JSON values."""
    return {
        "band": str(recipe.band),
        "bias_V": recipe.bias,
        "impurity": str(recipe.impurity),
        "broadening_eV": recipe.broadening,
        "tip_nm": recipe.tip_nm,
        "core": str(recipe.core),
    }
