"""Square roots of Gaussian priors: kernels as a linear map of independent unit numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = [
    "ComponentRoot",
    "CovarianceRoot",
    "KindRoot",
    "SmoothRoot",
    "SumRoot",
    "WhiteRoot",
]


class CovarianceRoot(Protocol):
    """A map L from unit numbers to kernels: the prior's covariance is L L^T."""

    @property
    def size(self) -> int:
        """How many unit numbers."""
        ...

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """From unit numbers (v, size) to kernels (v, h, w)."""
        ...

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """The transpose of `apply`."""
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
        """See `CovarianceRoot`."""
        return numbers.view(-1, *self._shape)

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """See `CovarianceRoot`."""
        return kernels.flatten(1)


class SmoothRoot:
    """Waves of some spectrum under an envelope, both round.

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

    def __init__(
        self,
        shape: tuple[int, int],
        profile: NDArray[np.floating],
        spectrum: NDArray[np.floating],
        *,
        period: float,
        scale: float,
        like: torch.Tensor,
    ) -> None:
        self._shape = shape
        self.size = shape[0] * shape[1]
        rows, columns = (np.arange(side) - side // 2 for side in shape)
        radius = np.hypot(rows[:, None], columns[None, :]) / scale
        envelope = np.interp(radius, np.arange(len(profile)), profile)
        momentum = period * np.hypot(
            np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
        )
        power = np.interp(momentum, np.arange(len(spectrum)), spectrum)
        self._envelope = torch.from_numpy(envelope).to(like)
        self._filter = torch.from_numpy(np.sqrt(power)).to(like)

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """See `CovarianceRoot`."""
        return self._filtered(numbers.view(-1, *self._shape)) * self._envelope

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """See `CovarianceRoot`."""
        return self._filtered(kernels * self._envelope).flatten(1)

    def _filtered(self, images: torch.Tensor) -> torch.Tensor:
        if not len(images):
            return images
        spectrum = torch.fft.rfft2(images) * self._filter
        filtered: torch.Tensor = torch.fft.irfft2(spectrum, s=self._shape)
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
        """See `CovarianceRoot`."""
        return (numbers @ self._components).view(-1, *self._shape)

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """See `CovarianceRoot`."""
        return kernels.flatten(1) @ self._components.T


class SumRoot:
    """Sum of independent parts, each with a weight.

    Parameters
    ----------
    parts : sequence of (float, CovarianceRoot)
        Weights multiply standard deviations.
    """

    def __init__(self, parts: Sequence[tuple[float, CovarianceRoot]]) -> None:
        self._parts = parts
        self._sizes = [part.size for _, part in parts]
        self.size = sum(self._sizes)

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """See `CovarianceRoot`."""
        shares = torch.split(numbers, self._sizes, dim=1)
        made = [
            weight * part.apply(share)
            for (weight, part), share in zip(self._parts, shares, strict=True)
        ]
        return torch.stack(made).sum(dim=0)

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """See `CovarianceRoot`."""
        return torch.cat([weight * part.adjoint(kernels) for weight, part in self._parts], dim=1)


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

    def apply(self, numbers: torch.Tensor) -> torch.Tensor:
        """See `CovarianceRoot`."""
        count = len(self._kinds)
        made = [kind.apply(numbers[index::count]) for index, kind in enumerate(self._kinds)]
        return torch.stack(made, dim=1).flatten(0, 1)

    def adjoint(self, kernels: torch.Tensor) -> torch.Tensor:
        """See `CovarianceRoot`."""
        count = len(self._kinds)
        made = [kind.adjoint(kernels[index::count]) for index, kind in enumerate(self._kinds)]
        return torch.stack(made, dim=1).flatten(0, 1)
