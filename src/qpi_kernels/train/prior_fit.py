"""`PriorFit`: from a kernel library to the prior that extraction uses."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from qpi_kernels.models.kernel_prior import FamilyPrior, KernelPrior
from qpi_kernels.progress import Event, GeneratorStepper
from qpi_kernels.simulate.families import FAMILIES
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from qpi_kernels.train.files.card import code_version

__all__ = ["PriorFit"]

# Half precision is enough for covariances: tens of thousands of kernels are kept at once.
Kernels = NDArray[np.float16]

_VARIANTS = 4
_KERNELS_PER_STEP = 64
_BLOCK = 512
# A family keeps so many components, or those without which they lose this share of their variance.
_MAX_COMPONENTS, _LOST_VARIANCE = 384, 1e-5
# Atoms of any lattice turned by any angle have no few components: these keep their smooth part,
# for which this share of the kernels is enough.
_CRYSTAL_COMPONENTS, _CRYSTAL_SHARE = 32, 4


class PriorFit(GeneratorStepper[KernelPrior]):
    """Simulate as many kernels of each family and compress them, 64 kernels a step.

    The components are those of the families that are band-limited, where there is one; of the
    others they hold the smooth part, and envelope, spectrum and fold describe the rest.

    Parameters
    ----------
    library : KernelSampler
        Where kernels come from.
    count : int
        How many at most; a multiple of 64 is made of each family, of those that are not
        band-limited a quarter.
    components : int
        Principal components that are kept of all band-limited kernels together; families are
        described by these.
    """

    def __init__(self, library: KernelSampler, count: int = 65_536, components: int = 1024) -> None:
        self._library = library
        self._components = components
        most = -(-count // (_KERNELS_PER_STEP * len(library.families)))
        self._batches = {
            name: most if FAMILIES[name].band_limited else -(-most // _CRYSTAL_SHARE)
            for name in library.families
        }

    @property
    def count(self) -> int:
        """Number of kernels that are simulated."""
        return _KERNELS_PER_STEP * sum(self._batches.values())

    def _run(self) -> Generator[Event, None, KernelPrior]:
        """Simulate every family's kernels, then compress all of them."""
        families = self._library.families
        made: dict[str, list[Kernels]] = {name: [] for name in families}
        total, done = sum(self._batches.values()) + 1, 0
        for name in families:
            source = KernelSampler(
                [name],
                shape=self._library.shape,
                pixel_nm=self._library.pixel_nm,
                seed=self._library.seed,
                device=self._library.device,
            )
            for number in range(self._batches[name]):
                made[name].append(_batch(source, number))
                done += 1
                yield Event(f"Simulating kernels: {name}", done, total)
        return self._compress(made)

    def _compress(self, made: dict[str, list[Kernels]]) -> KernelPrior:
        """Compute principal components of all kernels, and each family's covariance in them."""
        smooth = [name for name in made if FAMILIES[name].band_limited] or list(made)
        everything = [batch for name in smooth for batch in made[name]]
        flat = [batch.reshape(len(batch), -1) for batch in everything]
        values, vectors = _components(flat, self._components)
        profile, spectrum = _common(everything)
        return KernelPrior(
            vectors.reshape(-1, *self._library.shape),
            np.sqrt(values).astype(np.float32),
            profile,
            spectrum,
            self._description(),
            {
                name: _family(
                    batches,
                    vectors,
                    _MAX_COMPONENTS if name in smooth else _CRYSTAL_COMPONENTS,
                    FAMILIES[name].fold,
                )
                for name, batches in made.items()
            },
        )

    def _description(self) -> dict[str, Any]:
        """Describe the kernels and the software, for the prior's file."""
        return {
            "families": list(self._library.families),
            "seed": self._library.seed,
            "kernels": self.count,
            "components": self._components,
            "variants": _VARIANTS,
            "shape": list(self._library.shape),
            "pixel_nm": self._library.pixel_nm,
            "software": code_version(),
        }


def _batch(source: KernelSampler, number: int) -> Kernels:
    """Simulate 64 kernels of one family, each of norm 1, in half precision."""
    hosts = _KERNELS_PER_STEP // _VARIANTS
    made: list[NDArray[np.float32]] = []
    for host in range(number * hosts, (number + 1) * hosts):
        recipes = source.variants(host, _VARIANTS)
        made += [kernel / np.linalg.norm(kernel) for kernel in source.values(recipes)]
    return np.stack(made).astype(np.float16)


def _family(
    made: Sequence[Kernels], vectors: NDArray[np.float32], count: int, fold: int
) -> FamilyPrior:
    """Compress one family's kernels in the common principal components."""
    numbers = [batch.reshape(len(batch), -1).astype(np.float32) @ vectors.T for batch in made]
    values, mixing = _components(numbers, count)
    lost = 1 - np.cumsum(values) / values.sum()
    kept = int(np.searchsorted(-lost, -_LOST_VARIANCE)) + 1
    profile, spectrum = _common(made)
    spread = np.sqrt(values[:kept]).astype(np.float32)
    return FamilyPrior(mixing[:kept], spread, profile, spectrum, fold)


def _components(
    batches: Sequence[NDArray[np.floating]], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Compute principal components of rows of numbers: mean squares along them, and rows."""
    rows, size = sum(map(len, batches)), batches[0].shape[1]
    if rows >= size:
        return _principal(_power(batches), count)
    # Fewer rows than numbers span a space of their own, which is found without the products.
    everything = np.concatenate(batches).astype(np.float64)
    _, along, vectors = scipy.linalg.svd(everything, full_matrices=False)
    return np.square(along[:count]) / rows, vectors[:count].astype(np.float32)


def _power(batches: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Sum mean products of pairs of numbers, in float64 for thousands of kernels."""
    size = batches[0].shape[1]
    power = np.zeros((size, size))
    together = _BLOCK // _KERNELS_PER_STEP
    for start in range(0, len(batches), together):
        block = np.concatenate(batches[start : start + together]).astype(np.float64)
        power += block.T @ block
    return power / sum(map(len, batches))


def _principal(
    power: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Compute the largest eigenvalues, and the eigenvectors as rows."""
    size = len(power)
    values, vectors = scipy.linalg.eigh(
        power, subset_by_index=[max(size - count, 0), size - 1], overwrite_a=True
    )
    rows = np.ascontiguousarray(vectors[:, ::-1].T, np.float32)
    return np.maximum(values[::-1], 0.0), rows


def _common(batches: Sequence[Kernels]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Measure the radial profile of the standard deviation, and the spectrum of what it leaves."""
    height, width = batches[0].shape[1:]
    rows, columns = (np.arange(side) - side // 2 for side in (height, width))
    radius = np.hypot(rows[:, None], columns[None, :])
    square = np.mean([np.square(batch, dtype=np.float64).mean(axis=0) for batch in batches], axis=0)
    profile = np.sqrt(_radial_mean(radius, square))
    level = np.interp(radius, np.arange(len(profile)), profile)
    power = np.mean(
        [np.square(np.abs(np.fft.fft2(batch / level))).mean(axis=0) for batch in batches], axis=0
    )
    momentum = width * np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    spectrum = _radial_mean(momentum, power)
    return profile.astype(np.float32), (spectrum / power.mean()).astype(np.float32)


def _radial_mean(radius: NDArray[np.float64], values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Average values at a distance of 0, 1, 2 ... (rounded)."""
    ring = np.round(radius).astype(int).ravel()
    return np.asarray(np.bincount(ring, values.ravel()) / np.bincount(ring))
