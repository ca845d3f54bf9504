"""Batches from kernels and observations that are already there, and how they are split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Dataset

from qpi_kernels.interpolation import kaiser_sinc_weights
from qpi_kernels.simulate.datasets.batches import Batch
from qpi_kernels.simulate.datasets.observations import paper_activation
from qpi_kernels.simulate.maps.streams import stream
from qpi_kernels.train.parameters import TrainingError

__all__ = ["DatasetBatches", "DatasetSplit", "folds_of_labels"]

# 250 observations of each kernel are trained on and 62 tested (training scripts of arXiv
# 2506.05325), whatever the data set holds.
_MAX_OBSERVATIONS = 312
_HELD_OUT = 0.2


@dataclass(frozen=True)
class DatasetSplit:
    """Split of kernels and observations into trained and held out, as published, with a seed.

    A fifth of the kernels is held out (out of distribution). Of the other kernels' observations a
    fifth is held out (in distribution); the same numbers for all kernels.

    Parameters
    ----------
    kernels, held_out_kernels : tuple of int
        Indices along the data set's kernels, rising.
    observations, held_out_observations : tuple of int
        Indices along the samples, rising.
    """

    kernels: tuple[int, ...]
    held_out_kernels: tuple[int, ...]
    observations: tuple[int, ...]
    held_out_observations: tuple[int, ...]

    @classmethod
    def draw(cls, kernels: int, observations: int, seed: int = 0) -> DatasetSplit:
        """Split so many kernels, with so many observations each, by the seed alone.

        Raises
        ------
        TrainingError
            If there are fewer than two kernels.
        """
        if kernels < 2:
            raise TrainingError("a data set needs two kernels at least: one is held out")
        train, held_out = _parted(kernels, max(1, round(_HELD_OUT * kernels)), seed, "kernels")
        used = min(observations, _MAX_OBSERVATIONS)
        return cls(train, held_out, *_parted(used, round(_HELD_OUT * used), seed, "observations"))

    @classmethod
    def of_dataset(cls, dataset: xr.Dataset, seed: int = 0) -> DatasetSplit:
        """Split a data set by its own labels of kernels if it has them, else by the seed.

        Parameters
        ----------
        dataset : xarray.Dataset
            From `read_qpi_dataset`.
        seed : int
            Seed of what the labels leave open.
        """
        drawn = cls.draw(dataset.sizes["kernel"], int(dataset["sample_count"].min()), seed)
        labels = dataset["split"].values.tolist() if "split" in dataset else []
        train = tuple(index for index, label in enumerate(labels) if label == "train")
        test = tuple(index for index, label in enumerate(labels) if label == "test")
        if not train or not test:
            return drawn
        return cls(train, test, drawn.observations, drawn.held_out_observations)


class DatasetBatches(Dataset[Batch]):
    """Batches by number from arrays in memory: batch ``i`` is always the same.

    Each epoch goes through all samples in an order of its own; an epoch that ends within a batch
    is followed by the next. Used like `SimulatedBatches`.

    Parameters
    ----------
    kernels : array, (K, h, w)
        The truth.
    observations, activations : array, (K, S, rows, columns), optional
        S observations of each kernel and what was marked in them; None for kernels alone. Missing
        pixels are NaN.
    folds : array of int, (K,)
        As in `Batch`: 0 is isotropic, 1 has no symmetry. See `folds_of_labels` for data sets.
    batch_size, steps : int
        Samples in the global batch, and number of batches.
    seed : int
        Seed of the order.
    rank, processes : int
        Which share of each global batch to make, for several processes.

    Raises
    ------
    ValueError
        If the arrays do not fit each other, or the batch does not divide.
    """

    def __init__(
        self,
        kernels: ArrayLike,
        observations: ArrayLike | None,
        activations: ArrayLike | None,
        folds: ArrayLike,
        *,
        batch_size: int,
        steps: int,
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.kernels = np.asarray(kernels, np.float32)
        self.observations = None if observations is None else np.asarray(observations, np.float32)
        # Marks are often 0 and 1: kept in the type that they come in.
        self.activations = None if activations is None else np.asarray(activations)
        self.folds = np.asarray(folds, np.int64)
        self.batch_size = batch_size
        self.steps = steps
        self.seed = seed
        self.rank = rank
        self.processes = processes
        self._epoch, self._order = -1, np.zeros(0, np.int64)
        self._check()

    @classmethod
    def of_dataset(
        cls,
        dataset: xr.Dataset,
        kernels: Sequence[int],
        samples: Sequence[int] | None,
        *,
        batch_size: int,
        steps: int,
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
        noisy: bool = True,
    ) -> DatasetBatches:
        """Read the chosen kernels and observations of a data set.

        Kernels are moved to have their scatterer on pixel ``(h//2, w//2)`` as everywhere else; in
        data sets it lies at ``kernel_centre_px``, between four pixels in the public one. Their
        edges are repeated outward for that.

        Parameters
        ----------
        dataset : xarray.Dataset
            From `read_qpi_dataset`.
        kernels, samples : sequence of int
            Indices, as `DatasetSplit` has them; no samples (None) for kernels alone.
        batch_size, steps, seed, rank, processes : int
            See the class.
        noisy : bool
            Take the noisy observations where there are any.
        """
        chosen = dataset.isel(kernel=list(kernels))
        observations = activations = None
        if samples is not None:
            noisy = noisy and "observation_noisy" in dataset
            images = chosen["observation_noisy" if noisy else "observation"]
            observations = images.isel(sample=list(samples)).values
            places = np.ndindex(len(kernels), len(samples))
            marked = [paper_activation(chosen, k, samples[s]).astype(bool) for k, s in places]
            activations = np.stack(marked).reshape(observations.shape)
        return cls(
            _centred(chosen["kernel_true"].values, dataset.attrs["kernel_centre_px"]),
            observations,
            activations,
            folds_of_labels(chosen["fold"].values),
            batch_size=batch_size,
            steps=steps,
            seed=seed,
            rank=rank,
            processes=processes,
        )

    @property
    def samples(self) -> int:
        """Samples of an epoch."""
        return len(self.kernels) * self._per_kernel

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        """Make batch number `step`."""
        numbers, samples = self.places(step)
        kernels = self.kernels[numbers]
        peaks = np.abs(kernels).max(axis=(1, 2), keepdims=True).clip(1e-12)
        batch = Batch(kernel=_tensor(kernels / peaks), fold=torch.tensor(self.folds[numbers]))
        if self.observations is not None and self.activations is not None:
            batch["observation"] = _tensor(self.observations[numbers, samples] / peaks)
            batch["activation"] = _tensor(self.activations[numbers, samples])
        return batch

    def places(self, step: int) -> tuple[list[int], list[int]]:
        """Find kernels and observations of this process's share of a batch: their indices."""
        if not 0 <= step < self.steps:
            raise IndexError(f"there are batches 0 to {self.steps - 1}, not {step}")
        share = self.batch_size // self.processes
        first = step * self.batch_size + self.rank * share
        places = [self._sample(position) for position in range(first, first + share)]
        numbers, samples = zip(*places, strict=True)
        return list(numbers), list(samples)

    @property
    def _per_kernel(self) -> int:
        return 1 if self.observations is None else self.observations.shape[1]

    def _sample(self, position: int) -> tuple[int, int]:
        """Find kernel and observation at a place in the endless row of epochs."""
        epoch, place = divmod(position, self.samples)
        if epoch != self._epoch:
            self._order = stream((self.seed, epoch), "epoch").permutation(self.samples)
            self._epoch = epoch
        kernel, sample = divmod(int(self._order[place]), self._per_kernel)
        return kernel, sample

    def _check(self) -> None:
        """Refuse arrays that do not fit together."""
        count = len(self.kernels)
        if self.kernels.ndim != 3 or not self.samples or self.folds.shape != (count,):
            raise ValueError(
                f"kernels must be (K, h, w) and folds (K,), not {self.kernels.shape} and "
                f"{self.folds.shape}"
            )
        seen, marked = self.observations, self.activations
        if (seen is None) != (marked is None):
            raise ValueError("observations and activations go together: give both or neither")
        if (
            seen is not None
            and marked is not None
            and (seen.ndim != 4 or len(seen) != count or seen.shape != marked.shape)
        ):
            raise ValueError(
                f"observations and activations must be ({count}, S, rows, columns), not "
                f"{seen.shape} and {marked.shape}"
            )
        if self.batch_size < 1 or self.steps < 1 or self.batch_size % self.processes:
            raise ValueError(
                f"a batch of {self.batch_size} does not divide into {self.processes} processes, "
                "or there are no steps"
            )


def folds_of_labels(labels: ArrayLike) -> NDArray[np.int64]:
    """Turn a data set's symmetry labels into the folds of `Batch`.

    Label 1 is isotropic there, which is fold 0 here; label 0 is unknown, which is fold 1 here: no
    symmetry is asked for.
    """
    given = np.asarray(labels, np.int64)
    return np.select([given == 1, given == 0], [0, 1], given)


def _centred(kernels: NDArray[np.generic], centre_px: Sequence[float]) -> NDArray[np.float64]:
    """Shift kernels (K, h, w) so that pixel `centre_px` lies at ``(h//2, w//2)``."""
    moved = np.asarray(kernels, np.float64)
    for axis, centre in zip((1, 2), centre_px, strict=True):
        side = moved.shape[axis]
        offset = centre - side // 2
        if offset == 0:
            continue
        if abs(offset) > 0.5:
            raise ValueError(f"the kernels' centre {tuple(centre_px)} is not the window's")
        (weights,) = kaiser_sinc_weights(np.array([offset]))
        reach = len(weights) // 2
        widths = [(reach, reach) if number == axis else (0, 0) for number in range(3)]
        wide = np.pad(moved, widths, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(wide, len(weights), axis=axis)
        moved = windows @ weights
    return moved


def _parted(
    count: int, held_out: int, seed: int, name: str
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split 0 ... count - 1 into kept and held-out numbers."""
    order = stream(seed, f"split {name}").permutation(count).tolist()
    return tuple(sorted(order[held_out:])), tuple(sorted(order[:held_out]))


def _tensor(images: NDArray[np.generic]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images, np.float32)[:, None])
