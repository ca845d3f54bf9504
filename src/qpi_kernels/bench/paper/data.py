"""The data of the published protocol, made in memory, and how they are split."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.bench.paper.parameters import PaperParameters
from qpi_kernels.progress import Event
from qpi_kernels.simulate.datasets.labels import KernelLabels
from qpi_kernels.simulate.datasets.observations import binary_activation
from qpi_kernels.simulate.datasets.protocol import AXIS_A, SIDE, PaperProtocol, protocol_labels
from qpi_kernels.simulate.datasets.protocol_parameters import ProtocolParameters
from qpi_kernels.simulate.kernel_sampler import KernelSampler

__all__ = ["TEST_SETS", "KernelSet", "PaperData", "TestName", "paper_labels"]

_LOW_SYMMETRY_FAMILY = "asymmetric_cluster"
TestName = Literal[
    "ID", "OOD", "OOD 2-fold", "OOD 1-fold", "OOD families", "families", "all kernels"
]
TEST_SETS: dict[TestName, str] = {
    "ID": "other observations of the training kernels",
    "OOD": "kernels held out, a fifth of each symmetry",
    "OOD 2-fold": "those of them with two-fold symmetry",
    "OOD 1-fold": "kernels without symmetry, held out from those some models train on",
    "OOD families": "kernels held out, of the four families that some models never see",
    "families": "all kernels of these four families; only for models that never saw them",
    "all kernels": "all of the protocol's kernels",
}
"""Contents of the test sets: the observations are never those of the training."""

_CONDITIONS: dict[TestName, Callable[[KernelLabels], bool]] = {
    "ID": lambda one: one.split == "train" and one.fold > 0,
    "OOD": lambda one: one.split == "test" and one.fold > 0,
    "OOD 2-fold": lambda one: one.split == "test" and one.fold == 2,
    "OOD 1-fold": lambda one: one.split == "test" and one.fold == 0,
    "OOD families": lambda one: one.split == "test" and one.family_split == "test",
    "families": lambda one: one.family_split == "test",
    "all kernels": lambda one: one.fold > 0,
}
_LOW_SYMMETRY_KERNELS = 25
_ANGSTROM_PER_NM = 10.0


@dataclass(frozen=True, eq=False)
class KernelSet:
    """Kernels and their observations."""

    kernels: NDArray[np.float32]
    """(K, 64, 64), largest absolute value 1, the scatterer at pixel (32, 32)."""
    folds: NDArray[np.int64]
    """(K,), 0 is isotropic, 1 has no symmetry."""
    families: NDArray[np.str_]
    """(K,), the family that generated each."""
    observations: NDArray[np.float32]
    """(K, S, 64, 64), float32."""
    activations: NDArray[np.bool_]
    """(K, S, 64, 64), the published binary maps of the scatterers, see `binary_activation`."""

    def __len__(self) -> int:
        return len(self.kernels)

    def samples(self, chosen: slice) -> KernelSet:
        """Return all kernels with some of their observations."""
        return replace(
            self,
            observations=self.observations[:, chosen],
            activations=self.activations[:, chosen],
        )

    def part(self, chosen: slice) -> KernelSet:
        """Return some of the kernels."""
        return KernelSet(
            self.kernels[chosen],
            self.folds[chosen],
            self.families[chosen],
            self.observations[chosen],
            self.activations[chosen],
        )


def paper_labels(parameters: PaperParameters) -> dict[int, KernelLabels]:
    """Assign family and splits by number: the protocol's kernels, then some without symmetry."""
    protocol = _protocol_parameters(parameters)
    labels = protocol_labels(protocol)
    for number in range(101, 101 + _LOW_SYMMETRY_KERNELS):
        labels[number] = KernelLabels(
            family=_LOW_SYMMETRY_FAMILY,
            split="test" if number % 5 == 0 else "train",
            seed=parameters.seed,
        )
    return labels


class PaperData:
    """Simulate the data, a kernel a step.

    100 kernels with the published symmetries, and 25 without symmetry for a question of ours. The
    split by kernel and the split by family are the protocol's; the first observations of a kernel
    are for training, the others for tests.

    Parameters
    ----------
    folder : path-like
        Named in messages only; nothing is written.
    parameters : PaperParameters
        Sizes and seed.
    """

    def __init__(self, folder: str | Path, parameters: PaperParameters) -> None:
        self.parameters = parameters
        self.labels = paper_labels(parameters)
        self._protocol = PaperProtocol(folder, _protocol_parameters(parameters))
        self._made: list[_Simulated] = []

    def __len__(self) -> int:
        return len(self.labels)

    def make(self) -> Generator[Event, None, None]:
        """Simulate all kernels; yield an event after each."""
        for done, (number, labels) in enumerate(self.labels.items(), start=1):
            self._made.append(self._simulate(number, labels))
            yield Event(f"simulating kernel {done} of {len(self)}", done, len(self))

    def training(
        self, *, noisy: bool = False, families_held_out: bool = False, low_symmetry: bool = False
    ) -> KernelSet:
        """Return training kernels and their training observations.

        Parameters
        ----------
        noisy : bool
            Observations with noise.
        families_held_out : bool
            Without the families that the protocol holds out.
        low_symmetry : bool
            With kernels that have no symmetry.
        """

        def condition(one: KernelLabels) -> bool:
            known = not families_held_out or one.family_split != "test"
            return one.split == "train" and known and (low_symmetry or bool(one.fold))

        first = slice(None, self.parameters.chosen("observations"))
        return self._chosen(condition, first, noisy=noisy)

    def tests(self, name: TestName, *, noisy: bool = False) -> KernelSet:
        """Return test observations of some kernels, see `TEST_SETS`; there may be none."""
        last = slice(self.parameters.chosen("observations"), None)
        return self._chosen(_CONDITIONS[name], last, noisy=noisy)

    def _chosen(
        self, condition: Callable[[KernelLabels], bool], samples: slice, *, noisy: bool
    ) -> KernelSet:
        """Gather kernels that meet a condition, with some of their observations."""
        chosen = [
            made
            for made, labels in zip(self._made, self.labels.values(), strict=True)
            if condition(labels)
        ]
        images = [(one.noisy if noisy else one.clean)[samples] for one in chosen]
        marks = [one.activations[samples] for one in chosen]
        return KernelSet(
            np.stack([one.kernel for one in chosen]) if chosen else np.zeros((0, SIDE, SIDE), "f4"),
            np.array([one.fold for one in chosen], np.int64),
            np.array([one.family for one in chosen], np.str_),
            np.stack(images) if chosen else np.zeros((0, 0, SIDE, SIDE), "f4"),
            np.stack(marks) if chosen else np.zeros((0, 0, SIDE, SIDE), bool),
        )

    def _simulate(self, number: int, labels: KernelLabels) -> _Simulated:
        """Simulate one kernel, its observations and their published maps."""
        made = self._protocol.simulate_as(number, labels)
        return _Simulated(
            self._centred_kernel(number, labels),
            made.recipe.fold,
            labels.family,
            made.clean,
            made.noisy,
            np.stack([_activation(positions) for positions in made.positions_A]),
        )

    def _centred_kernel(self, number: int, labels: KernelLabels) -> NDArray[np.float32]:
        """Return the kernel with its scatterer on a pixel, about which the symmetric loss rotates.

        The published image has it between four pixels.
        """
        library = KernelSampler(
            [labels.family],
            shape=(SIDE, SIDE),
            pixel_nm=float(AXIS_A[1] - AXIS_A[0]) / _ANGSTROM_PER_NM,
            seed=self.parameters.seed,
        )
        kernel = library.values([library.recipe(number)])[0]
        return np.asarray(kernel / np.abs(kernel).max(), np.float32)


@dataclass(frozen=True, eq=False)
class _Simulated:
    """One kernel with all its observations, (S, 64, 64)."""

    kernel: NDArray[np.float32]
    fold: int
    family: str
    clean: NDArray[np.float32]
    noisy: NDArray[np.float32]
    activations: NDArray[np.bool_]


def _activation(positions_A: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark scatterers on the published map, (64, 64)."""
    used = positions_A[~np.isnan(positions_A).any(axis=-1)]
    # To the digits that the published files hold: truncation must not see 99.99999999999999.
    return binary_activation(np.round(used, 9), np.round(AXIS_A, 9)).astype(bool)


def _protocol_parameters(parameters: PaperParameters) -> ProtocolParameters:
    """Translate the benchmark's sizes into the protocol's."""
    return ProtocolParameters(
        kernels=parameters.chosen("kernels"),
        observations=parameters.chosen("observations") + parameters.chosen("tests"),
        seed=parameters.seed,
    )
