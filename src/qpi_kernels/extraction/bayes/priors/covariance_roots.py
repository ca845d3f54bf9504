"""Square roots of Gaussian priors: linear maps from independent unit numbers to kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.symmetrisation import Symmetrisation
from qpi_kernels.linalg.transform_length import fast_length

__all__ = [
    "ComponentRoot",
    "CovarianceRoot",
    "KernelRoot",
    "KindRoot",
    "PixelRoot",
    "SumRoot",
    "WaveRoot",
    "WhiteRoot",
]


class CovarianceRoot(Protocol):
    """A map L from unit numbers to kernels: the prior's covariance is L L^T."""

    @property
    def size(self) -> int:
        """Number of unit numbers."""
        ...

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """Apply the root to unit numbers (v, size), giving kernels (v, h, w)."""
        ...

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the transpose of `apply`."""
        ...

    @property
    def variance(self) -> torch.Tensor | None:
        """Variance of each pixel of a kernel, (h, w); None where it is not known."""
        ...


class WhiteRoot:
    """Every pixel on its own: the ridge.

    Parameters
    ----------
    shape : tuple of int
        Kernel window.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self.size = shape[0] * shape[1]

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """Apply the root, see `CovarianceRoot`."""
        return numbers.view(-1, *self._shape)

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the transpose, see `CovarianceRoot`."""
        return kernels.flatten(1)

    @property
    def variance(self) -> torch.Tensor:
        """Variance of each pixel, see `CovarianceRoot`."""
        return torch.ones(self._shape)


class PixelRoot:
    """Every pixel on its own, with a standard deviation of its own.

    Parameters
    ----------
    deviations : array, (h, w)
        The standard deviations.
    like : tensor
        Precision and device.
    """

    def __init__(self, deviations: NDArray[np.floating], like: torch.Tensor) -> None:
        self._deviations = torch.from_numpy(deviations).to(like)
        self.size = deviations.size

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """Apply the root, see `CovarianceRoot`."""
        return numbers.reshape(-1, *self._deviations.shape) * self._deviations

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the transpose, see `CovarianceRoot`."""
        return (kernels * self._deviations).flatten(1)

    @property
    def variance(self) -> torch.Tensor:
        """Variance of each pixel, see `CovarianceRoot`."""
        return self._deviations.square()


class WaveRoot:
    """Waves of some spectrum under an envelope, periodic in `period`.

    Parameters
    ----------
    envelope : array, (h, w)
        Standard deviation at each pixel.
    power : array, (rows, columns // 2 + 1)
        Power at each wave vector of `numpy.fft.rfft2` on the `period` of the window.
    like : tensor
        Precision and device.
    """

    def __init__(
        self, envelope: NDArray[np.floating], power: NDArray[np.floating], like: torch.Tensor
    ) -> None:
        self._shape = envelope.shape
        self._period = self.period(envelope.shape)
        self.size = self._period[0] * self._period[1]
        self._envelope = torch.from_numpy(envelope).to(like)
        self._filter = torch.from_numpy(np.sqrt(power)).to(like)

    @staticmethod
    def period(window: Sequence[int]) -> tuple[int, int]:
        """Return the rows and columns after which the waves of a window repeat."""
        rows, columns = window
        return fast_length(rows), fast_length(columns)

    @classmethod
    def round(
        cls,
        shape: tuple[int, int],
        profile: NDArray[np.floating],
        spectrum: NDArray[np.floating],
        *,
        period: float,
        scale: float,
        like: torch.Tensor,
    ) -> WaveRoot:
        """Make one whose envelope and spectrum are round.

        Parameters
        ----------
        shape : tuple of int
            Kernel window.
        profile : array, (p,)
            Standard deviation at 0, 1, 2 ... ``scale`` pixels from the centre.
        spectrum : array, (q,)
            Power at 0, 1, 2 ... periods per ``period`` pixels.
        period : float
            See above; in pixels of the window.
        scale : float
            Pixels of the window per unit of ``profile``.
        like : tensor
            Precision and device.
        """
        rows, columns = (np.arange(side) - side // 2 for side in shape)
        radius = np.hypot(rows[:, None], columns[None, :]) / scale
        envelope = np.interp(radius, np.arange(len(profile)), profile)
        repeat = cls.period(shape)
        momentum = period * np.hypot(
            np.fft.fftfreq(repeat[0])[:, None], np.fft.rfftfreq(repeat[1])[None, :]
        )
        return cls(envelope, np.interp(momentum, np.arange(len(spectrum)), spectrum), like)

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """Apply the root, see `CovarianceRoot`."""
        waves = self._filtered(numbers.reshape(-1, *self._period))
        return waves[:, : self._shape[0], : self._shape[1]] * self._envelope

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the transpose, see `CovarianceRoot`."""
        return self._filtered(kernels * self._envelope).flatten(1)

    @property
    def shape(self) -> tuple[int, int]:
        """Size of the window."""
        rows, columns = self._shape
        return rows, columns

    def scaled(self, envelope: NDArray[np.floating], power: NDArray[np.floating]) -> WaveRoot:
        """Multiply the envelope and the power by factors of their sizes."""
        return WaveRoot(
            self._envelope.cpu().numpy() * envelope,
            self._filter.square().cpu().numpy() * power,
            self._envelope,
        )

    @property
    def variance(self) -> torch.Tensor:
        """Variance of each pixel, see `CovarianceRoot`."""
        # Waves along the columns stand for those of the opposite wave vectors, too.
        times = torch.full_like(self._filter[0], 2.0)
        times[0] = 1.0
        if self._period[1] % 2 == 0:
            times[-1] = 1.0
        mean = (self._filter.square() * times).sum() / self.size
        return self._envelope.square() * mean

    def _filtered(self, images: torch.Tensor) -> torch.Tensor:
        """Multiply the spectra of images by that of the waves."""
        if not len(images):
            return images
        spectrum = torch.fft.rfft2(images, s=self._period) * self._filter
        filtered: torch.Tensor = torch.fft.irfft2(spectrum, s=self._period)
        return filtered


class ComponentRoot:
    """A few components with a standard deviation each.

    Parameters
    ----------
    components : tensor, (m, h, w)
        Times their standard deviations.
    """

    def __init__(self, components: torch.Tensor) -> None:
        self._shape = components.shape[1:]
        self._components = components.flatten(1)
        self.size = len(components)

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """Apply the root, see `CovarianceRoot`."""
        return (numbers @ self._components).view(-1, *self._shape)

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the transpose, see `CovarianceRoot`."""
        return kernels.flatten(1) @ self._components.T

    def scaled(self, factors: NDArray[np.floating]) -> ComponentRoot:
        """Multiply the standard deviations by factors (m,)."""
        rows = torch.from_numpy(factors).to(self._components)[:, None] * self._components
        return ComponentRoot(rows.view(-1, *self._shape))

    @property
    def variance(self) -> torch.Tensor:
        """Variance of each pixel, see `CovarianceRoot`."""
        return self._components.square().sum(dim=0).view(*self._shape)


class SumRoot:
    """Sum of independent parts, each with a weight.

    Parameters
    ----------
    parts : sequence of (float, CovarianceRoot)
        Weights multiply standard deviations.
    """

    def __init__(self, parts: Sequence[tuple[float, CovarianceRoot]]) -> None:
        self.parts = tuple(parts)
        self._sizes = [part.size for _, part in parts]
        self.size = sum(self._sizes)

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """Apply the root, see `CovarianceRoot`."""
        shares = torch.split(numbers, self._sizes, dim=1)
        made = [
            weight * part.apply(share)
            for (weight, part), share in zip(self.parts, shares, strict=True)
        ]
        return torch.stack(made).sum(dim=0)

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the transpose, see `CovarianceRoot`."""
        return torch.cat([weight * part.adjoint(kernels) for weight, part in self.parts], dim=1)

    @property
    def variance(self) -> torch.Tensor | None:
        """Variance of each pixel, see `CovarianceRoot`."""
        known = [(weight, part.variance) for weight, part in self.parts]
        found = [weight**2 * variance for weight, variance in known if variance is not None]
        return torch.stack(found).sum(dim=0) if len(found) == len(known) else None


class KindRoot:
    """A factor for each kind of defect, where each has a prior of its own.

    Parameters
    ----------
    kinds : sequence of CovarianceRoot
        Of one size. Vectors go round the kinds: ``v`` is a multiple of their number.
    """

    def __init__(self, kinds: Sequence[CovarianceRoot]) -> None:
        self._kinds = kinds
        self.size = kinds[0].size

    def kind(self, index: int) -> CovarianceRoot:
        """Return the factor of one kind."""
        return self._kinds[index]

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """Apply the root, see `CovarianceRoot`."""
        count = len(self._kinds)
        made = [kind.apply(numbers[index::count]) for index, kind in enumerate(self._kinds)]
        return torch.stack(made, dim=1).flatten(0, 1)

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the transpose, see `CovarianceRoot`."""
        count = len(self._kinds)
        made = [kind.adjoint(kernels[index::count]) for index, kind in enumerate(self._kinds)]
        return torch.stack(made, dim=1).flatten(0, 1)

    @property
    def variance(self) -> torch.Tensor | None:
        """Variance of each pixel of each kind, (kind, h, w); None where one is not known."""
        found = [one for one in (kind.variance for kind in self._kinds) if one is not None]
        return torch.stack(found) if len(found) == len(self._kinds) else None


class KernelRoot:
    """Square root of the prior of the kernels of all kinds, from that of one kind.

    Parameters
    ----------
    root : CovarianceRoot
        Of one kind.
    kinds : int
        How many kinds there are.
    symmetrisation : Symmetrisation
        The average over the imposed point group.
    sizes : tensor, (kind,), optional
        Relative size of the kernels of each kind; all alike when left out.
    """

    def __init__(
        self,
        root: CovarianceRoot,
        kinds: int,
        symmetrisation: Symmetrisation,
        sizes: torch.Tensor | None = None,
    ) -> None:
        self._root = root
        self._kinds = kinds
        self._symmetrisation = symmetrisation
        self._sizes = None if sizes is None else sizes.view(-1, 1, 1)
        self.size = kinds * root.size
        self.rank = min(symmetrisation.rank, self.size)

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """Apply the root to unit numbers (v, size), giving kernels (v, kind, h, w)."""
        kernels = self._root.apply(numbers.reshape(-1, self._root.size))
        kernels = self._symmetrisation.symmetrise(kernels)
        kernels = kernels.view(len(numbers), self._kinds, *kernels.shape[1:])
        return kernels if self._sizes is None else kernels * self._sizes

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the transpose of `apply`."""
        sized = kernels if self._sizes is None else kernels * self._sizes
        flat = self._symmetrisation.adjoint(sized.flatten(0, 1).flatten(1))
        numbers = self._root.adjoint(flat.view(-1, *kernels.shape[-2:]))
        return numbers.reshape(len(kernels), self.size)

    @property
    def variance(self) -> torch.Tensor | None:
        """Variance of each pixel, (kind, h, w); None where a symmetry averages over it."""
        variance = None if self._symmetrisation.imposed else self._root.variance
        if variance is None:
            return None
        if variance.ndim == 2:
            variance = variance.expand(self._kinds, *variance.shape)
        if self._sizes is None:
            return variance
        return variance.to(self._sizes) * self._sizes.square()
