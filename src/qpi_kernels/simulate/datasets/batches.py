"""`SimulatedBatches`: training data that are made when they are needed and never stored."""

from __future__ import annotations

from typing import Annotated, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch.utils.data import Dataset

from qpi_kernels.parameters import IN_PIXELS, Parameters, PositiveCount, Share
from qpi_kernels.simulate.families import Recipe
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from qpi_kernels.simulate.maps.annotation import Annotation, annotate
from qpi_kernels.simulate.maps.artefact_mixture import draw_artefacts
from qpi_kernels.simulate.maps.artefacts import Artefacts, apply_artefacts, drifted
from qpi_kernels.simulate.maps.observation import superpose
from qpi_kernels.simulate.maps.placement import Placement, on_lattice, place_defects
from qpi_kernels.simulate.maps.streams import stream
from qpi_kernels.threads import one_thread

__all__ = ["Batch", "BatchParameters", "SimulatedBatches"]


_Side = Annotated[int, Field(ge=8)]


class Batch(TypedDict, total=False):
    """One training batch, all tensors float32 but for ``fold``.

    ``kernel``: (B, 1, h, w), largest absolute value 1. ``observation``: (B, 1, rows, columns), in
    units of the kernel; missing pixels are NaN. ``activation``: (B, 1, rows, columns), what was
    marked. ``fold``: (B,), int64, see `Recipe`.
    """

    kernel: torch.Tensor
    observation: torch.Tensor
    activation: torch.Tensor
    fold: torch.Tensor


class BatchParameters(Parameters):
    """Shapes, defects, artefacts and marks of a training sample."""

    kernel_shape: Annotated[tuple[_Side, _Side], IN_PIXELS] = (64, 64)
    """Height and width of the kernel to learn; its centre is at (h//2, w//2)."""
    image_shape: Annotated[tuple[_Side, _Side] | None, IN_PIXELS] = (64, 64)
    """Height and width of the observations; none for kernels alone."""
    larger_share: Share = 0.0
    """Share of the batches whose observations are twice as high and wide."""
    variants: PositiveCount = 4
    """Kernels that share band, energy and orientation and differ in impurity and core; they cost
    little more than one."""
    observations: PositiveCount = 2
    """Observations of each kernel; means nothing without them."""
    placement: Placement = Placement(margin_px=-4.0, strength_spread=0.1)
    """Positions of the defects; the count is the largest that is drawn."""
    artefacts: Artefacts | None = None
    """The same noise and artefacts for all; a random mixture when left out."""
    annotation: Annotation = Annotation()
    """Care with which the defects are marked."""


class SimulatedBatches(Dataset[Batch]):
    """Batches by number: batch ``i`` is always the same, whoever asks for it and in which order.

    So training resumes at any step by starting there, any number of loader workers gives the same
    sequence, and several processes share a global batch. Load it with ``DataLoader(batches,
    batch_size=None, sampler=range(first_step, len(batches)))``, which takes a batch as it is.

    Parameters
    ----------
    library : KernelSampler
        Where kernels come from. Its window may be larger than the kernel to learn: then waves
        reach further in the observation than the window shows, as they do in life.
    parameters : BatchParameters
        What a sample looks like.
    batch_size : int
        Samples in the global batch.
    steps : int
        Number of batches.
    seed : int
        Seed of everything that the library does not draw.
    rank, processes : int
        Which share of each global batch to make, for several processes.

    Raises
    ------
    ValueError
        If the batch can not be divided so, or the library's window is too small.
    """

    def __init__(
        self,
        library: KernelSampler,
        parameters: BatchParameters | None = None,
        *,
        batch_size: int = 32,
        steps: int = 10_000,
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.parameters = parameters or BatchParameters()
        if batch_size < 1 or steps < 1 or seed < 0 or not 0 <= rank < processes:
            raise ValueError(
                "batch_size and steps must be positive, the seed not negative, and rank one of "
                "0 to processes - 1"
            )
        if batch_size % (processes * self._samples_per_host):
            raise ValueError(
                f"a batch of {batch_size} does not divide into {processes} processes times "
                f"{self._samples_per_host} samples of one band"
            )
        if any(
            have < want
            for have, want in zip(library.shape, self.parameters.kernel_shape, strict=True)
        ):
            raise ValueError("the library's window must not be smaller than the kernel's")
        self.library = library
        self.batch_size = batch_size
        self.steps = steps
        self.seed = seed
        self.rank = rank
        self.processes = processes

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        """Make batch number `step`."""
        if not 0 <= step < self.steps:
            raise IndexError(f"there are batches 0 to {self.steps - 1}, not {step}")
        with one_thread():
            return self._make(step)

    def _make(self, step: int) -> Batch:
        """Simulate the samples of one process's share of a batch."""
        share = self.batch_size // self.processes
        first = step * self.batch_size + self.rank * share
        kernels: list[NDArray[np.float32]] = []
        recipes: list[Recipe] = []
        for start in range(first, first + share, self._samples_per_host):
            alike = self.library.variants(start // self._samples_per_host, self.parameters.variants)
            made = [kernel / np.abs(kernel).max() for kernel in self.library.values(alike)]
            for kernel, recipe in zip(made, alike, strict=True):
                kernels += [kernel] * self._samples_per_kernel
                recipes += [recipe] * self._samples_per_kernel
        batch = Batch(
            kernel=_stacked([_cropped(kernel, self.parameters.kernel_shape) for kernel in kernels]),
            fold=torch.tensor([recipe.fold for recipe in recipes]),
        )
        if self.parameters.image_shape is not None:
            shape = self._image_shape(step)
            seen = [
                self._observe(kernel, recipe, first + index, shape)
                for index, (kernel, recipe) in enumerate(zip(kernels, recipes, strict=True))
            ]
            batch["observation"] = _stacked([observation for observation, _ in seen])
            batch["activation"] = _stacked([activation for _, activation in seen])
        return batch

    @property
    def _samples_per_kernel(self) -> int:
        return 1 if self.parameters.image_shape is None else self.parameters.observations

    @property
    def _samples_per_host(self) -> int:
        return self.parameters.variants * self._samples_per_kernel

    def _image_shape(self, step: int) -> tuple[int, int]:
        """Draw the size of a batch's observations: one for all, that they can be stacked."""
        assert self.parameters.image_shape is not None
        height, width = self.parameters.image_shape
        drawn = stream((self.seed, step), "image size").random()
        factor = 2 if drawn < self.parameters.larger_share else 1
        return factor * height, factor * width

    def _observe(
        self, kernel: NDArray[np.float32], recipe: Recipe, index: int, shape: tuple[int, int]
    ) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Simulate observation and activation of sample number `index`."""
        seed, pixel_nm = (self.seed, index), self.library.pixel_nm
        largest = self.parameters.placement.count
        count = int(stream(seed, "count").integers(1, largest + 1))
        placement = self.parameters.placement.model_copy(update={"count": count})
        placed = place_defects(placement, shape, seed)
        defects = on_lattice(placed, recipe.band.lattice, pixel_nm)
        artefacts = self.parameters.artefacts
        if artefacts is None:
            artefacts = draw_artefacts(shape, pixel_nm=pixel_nm, seed=seed)
        # Drift looks beyond the frame.
        margin = artefacts.drift(shape, pixel_nm=pixel_nm).margin_px
        wide = shape[0] + 2 * margin, shape[1] + 2 * margin
        clean = superpose(kernel, defects.moved(defects.positions + margin), wide)
        observation = apply_artefacts(
            clean, artefacts, pixel_nm=pixel_nm, seed=seed, margin_px=margin
        )
        seen = drifted(defects, artefacts, shape, pixel_nm=pixel_nm)
        marked = annotate(seen, shape, self.parameters.annotation, seed)
        return observation, marked.activation(shape)


def _cropped(kernel: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Crop a kernel to its middle; index (h//2, w//2) stays the centre."""
    rows, cols = (
        slice(have // 2 - want // 2, have // 2 - want // 2 + want)
        for have, want in zip(kernel.shape, shape, strict=True)
    )
    return kernel[rows, cols]


def _stacked(arrays: list[NDArray[np.float32]] | list[NDArray[np.floating]]) -> torch.Tensor:
    """Stack images into a float32 batch (B, 1, rows, columns)."""
    return torch.from_numpy(np.stack(arrays).astype(np.float32)[:, None])
