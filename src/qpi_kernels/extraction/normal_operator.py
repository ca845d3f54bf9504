"""The normal operator of the kernels' least-squares problem, exact and as a contract."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch

from qpi_kernels.background import Background
from qpi_kernels.forward import ForwardModel
from qpi_kernels.linalg.rectangle_normal import RectangleNormal

__all__ = ["ExactNormal", "NormalOperator", "NormalOperators", "Whitening"]

# Pixels of maps that a CPU transforms together: its caches hold no more.
_MAX_PIXELS = 2**19
# Pixels of a map, and how many for each number of `RectangleNormal`, from which on that is faster.
_MIN_PIXELS, _MIN_SHARE = 40_000, 0.3


class NormalOperator(Protocol):
    """A symmetric positive operator on kernels."""

    def apply(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the operator to kernels (v, kind, h, w)."""
        ...


class Whitening(Protocol):
    """The covariance of a map's noise, by its inverse square root."""

    def whiten(self, images: torch.Tensor) -> torch.Tensor:
        """Divide the noise's spectrum out of images (..., rows, columns)."""
        ...

    def weigh(self, images: torch.Tensor) -> torch.Tensor:
        """Apply `whiten` twice at the cost of once: the inverse covariance."""
        ...


class ExactNormal:
    r"""The normal operator :math:`H^T R\, C^{-1} R H` through the whole map.

    With ``H`` the `ForwardModel`, ``R`` the removal of the background and ``C`` the covariance of
    the noise. For white noise it is :math:`H^T P H - U U^T`, see `Background`, which costs fewer
    passes over the map, and none where it is large and without holes, see `RectangleNormal`.

    Parameters
    ----------
    model : ForwardModel
        H.
    background : Background
        R.
    noise : Whitening, optional
        C; white noise when left out.
    """

    def __init__(
        self, model: ForwardModel, background: Background, noise: Whitening | None = None
    ) -> None:
        self._model = model
        self._background = background
        self._noise = noise

    @property
    def is_white(self) -> bool:
        """True for white noise."""
        return self._noise is None

    def apply(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the operator, see `NormalOperator`."""
        if self.rectangle is not None:
            return self._without_smooth(kernels, self.rectangle.apply(kernels))
        at_once = len(kernels)
        if kernels.device.type == "cpu":
            at_once = max(1, _MAX_PIXELS // math.prod(self._model.fft_shape))
        parts = [self._apply(some) for some in torch.split(kernels, at_once)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _apply(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the operator to as many kernels as are fast together."""
        if self._noise is not None:
            weighed = self._noise.weigh(self._background.remove(self._model.apply(kernels)))
            return self._model.adjoint(self._background.remove(weighed))
        image = self._model.adjoint(self._background.remove_rows(self._model.apply(kernels)))
        return self._without_smooth(kernels, image)

    def _without_smooth(self, kernels: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Subtract what the smooth background explains of kernels from their image."""
        flat = kernels.flatten(1)
        return image - ((flat @ self._smooth.T) @ self._smooth).view(kernels.shape)

    @cached_property
    def rectangle(self) -> RectangleNormal | None:
        """The operator without smooth background on the kernels alone, None where that is slow."""
        model = self._model
        possible = self._noise is None and self._background.removes_only_smooth
        # Not measured on other devices.
        if not possible or model.device.type != "cpu":
            return None
        height, width = model.kernel_shape
        numbers = 2 * len(model.kinds) * height * width * (height + width)
        if math.prod(model.fft_shape) < max(_MIN_PIXELS, _MIN_SHARE * numbers):
            return None
        return RectangleNormal(model.activation, model.kernel_shape, model.dtype)

    @cached_property
    def _smooth(self) -> torch.Tensor:
        """Kernels U that the smooth background explains, (function, kind * h * w)."""
        return self._model.adjoint(self._background.functions).flatten(1)

    def forward(self, kernels: torch.Tensor) -> torch.Tensor:
        """Predict whitened maps (v, rows, columns) without background from kernels."""
        return self.whiten(self._background.remove(self._model.apply(kernels)))

    def adjoint(self, images: torch.Tensor) -> torch.Tensor:
        """Apply the transpose of `forward`."""
        return self._model.adjoint(self._background.remove(self.whiten(images)))

    def whiten(self, images: torch.Tensor) -> torch.Tensor:
        """Divide the noise's spectrum out of maps without background."""
        return images if self._noise is None else self._noise.whiten(images)


@dataclass(frozen=True, eq=False)
class NormalOperators:
    """The normal operator for one model of the noise, in two qualities.

    Parameters
    ----------
    exact : ExactNormal
        For right-hand sides and solutions.
    quick : NormalOperator
        The same or an approximation, for averages: spectra, draws, comparisons.
    behind_holes : bool
        True where the quick one is the mean over masks of random holes.
    """

    exact: ExactNormal
    quick: NormalOperator
    behind_holes: bool = False
