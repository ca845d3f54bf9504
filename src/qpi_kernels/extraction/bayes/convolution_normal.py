"""The normal operator at the cost of the kernel's size instead of the map's."""

from __future__ import annotations

import torch

from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.bayes.priors.library_priors import components_on
from qpi_kernels.extraction.normal_operator import ExactNormal, NormalOperator, NormalOperators
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.forward import ForwardModel
from qpi_kernels.linalg.rectangle_normal import correlation_lags
from qpi_kernels.linalg.transform_length import fast_length
from qpi_kernels.models.kernel_prior import KernelPrior

__all__ = [
    "ConvolutionNormal",
    "choose_normal_operator",
    "normal_operators",
    "operators_for_priors",
]

# Ratio of the transforms' sizes at which the approximation is worth it.
_MIN_SPEEDUP = 2.0
# The approximation is not taken where it loses much of its spectrum, as for ordered defects, or is
# far from the exact one, as behind a mask of stripes.
_MAX_NEGATIVE_SHARE, _MAX_DIFFERENCE = 0.02, 0.2
# The same for kernels of a prior, drawn so many, on which holes at random average out: a tenth of
# the pixels, or a fifth of the lines, changes by 2 to 15 % (measured).
_MAX_DIFFERENCE_OF_PRIORS, _DRAWN = 0.15, 8
# Components of the library that such kernels are made of.
_COMPONENTS = 128


def normal_operators(problem: Problem, noise: NoiseModel | None = None) -> NormalOperators:
    """Make the exact normal operator for a noise, white when left out, and a quick one."""
    exact = problem.normal
    if noise is not None:
        exact = ExactNormal(problem.model, problem.background, noise)
    return NormalOperators(exact, choose_normal_operator(problem, exact, noise))


def operators_for_priors(
    problem: Problem,
    operators: NormalOperators,
    library: KernelPrior,
    noise: NoiseModel | None = None,
) -> NormalOperators:
    """Choose the quick operator for kernels of which a prior knows something.

    Behind a mask of many holes the approximation does for them, though not for any kernels.

    Parameters
    ----------
    problem : Problem
        The checked input.
    operators : NormalOperators
        For any kernels.
    library : KernelPrior
        What is known.
    noise : NoiseModel, optional
        White noise when left out.
    """
    if operators.quick is not operators.exact or not _is_worth_it(problem):
        return operators
    near = ConvolutionNormal(problem.model, problem.coverage, noise)
    if near.negative_share >= _MAX_NEGATIVE_SHARE:
        return operators
    kinds = len(problem.model.kinds)
    strongest = components_on(library, problem.parameters.kernel_shape)[:_COMPONENTS]
    components = problem.symmetrisation.symmetrise(torch.from_numpy(strongest).to(problem.coverage))
    generator = torch.Generator().manual_seed(problem.parameters.seed)
    numbers = torch.randn((_DRAWN, kinds, len(components)), generator=generator).to(components)
    kernels = torch.einsum("vkc,chw->vkhw", numbers, components)

    def shown(operator: NormalOperator) -> torch.Tensor:
        """Apply an operator, and see what is left in the components."""
        return operator.apply(kernels).flatten(2) @ components.flatten(1).T

    image = shown(operators.exact)
    difference = (shown(near) - image).norm() / image.norm().clamp(min=1e-300)
    close = float(difference) < _MAX_DIFFERENCE_OF_PRIORS
    return NormalOperators(operators.exact, near, behind_holes=True) if close else operators


def _is_worth_it(problem: Problem) -> bool:
    """Tell that transforms of the kernel's size cost far less than those of the map's."""
    rows, columns = problem.model.fft_shape
    height, width = problem.parameters.kernel_shape
    return rows * columns > _MIN_SPEEDUP * (2 * height) * (2 * width)


def choose_normal_operator(
    problem: Problem, exact: ExactNormal, noise: NoiseModel | None = None
) -> NormalOperator:
    """Choose the exact operator, unless transforms of the kernel's size cost far less and do.

    Parameters
    ----------
    problem : Problem
        The checked input.
    exact : ExactNormal
        The operator for this noise.
    noise : NoiseModel, optional
        White noise when left out.
    """
    if not _is_worth_it(problem):
        return exact
    near = ConvolutionNormal(problem.model, problem.coverage, noise)
    size = (2, len(problem.model.kinds), *problem.parameters.kernel_shape)
    generator = torch.Generator().manual_seed(problem.parameters.seed)
    kernels = torch.randn(size, generator=generator).to(problem.coverage)
    if near.negative_share >= _MAX_NEGATIVE_SHARE:
        return exact
    return near if _difference(near, exact, kernels) < _MAX_DIFFERENCE else exact


def _difference(near: NormalOperator, exact: NormalOperator, kernels: torch.Tensor) -> float:
    """Compare two operators on kernels, by the norm of their difference over that of one."""
    image = exact.apply(kernels)
    return float((near.apply(kernels) - image).norm() / image.norm().clamp(min=1e-300))


class ConvolutionNormal:
    r"""The normal operator on kernels without the details of the image's edges.

    Far from edges and mask :math:`H^T W H` is a convolution with the correlation of the activation
    maps, T. Here each kernel pixel is weighed by the share of defects that show it on a counted
    pixel: :math:`D^{1/2} T D^{1/2}`, whose diagonal is the true one, the coverage. For
    averages over pixels or directions: determinants, traces, standard deviations.

    Parameters
    ----------
    model : ForwardModel
        The convolution with the activation maps.
    coverage : tensor, (kind, h, w)
        The true diagonal, see `ForwardModel.coverage`.
    noise : NoiseModel, optional
        White noise when left out.
    """

    def __init__(
        self, model: ForwardModel, coverage: torch.Tensor, noise: NoiseModel | None = None
    ) -> None:
        self._shape = model.kernel_shape
        self._size = [fast_length(2 * side - 1) for side in self._shape]
        lags = self._lags(model.activation, noise)
        # A spectrum that is cut to a window of lags may dip below zero.
        spectrum = torch.fft.rfft2(lags).permute(2, 3, 0, 1)
        values, vectors = torch.linalg.eigh((spectrum + spectrum.mH) / 2)
        self.negative_share = float(
            -values.clamp(max=0.0).sum() / values.abs().sum().clamp(min=1e-300)
        )
        positive = (vectors * values.clamp(min=0.0).unsqueeze(-2)) @ vectors.mH
        precision = torch.complex64 if model.dtype == torch.float32 else torch.complex128
        self._spectrum = positive.permute(2, 3, 0, 1).to(model.device, precision)
        total = model.activation.square().sum(dim=(-2, -1)).view(-1, 1, 1)
        total = total.to(coverage)
        self._weight = (coverage / total.clamp(min=1e-300)).sqrt()

    def _lags(self, activation: torch.Tensor, noise: NoiseModel | None) -> torch.Tensor:
        """Correlate the activation maps: (kind, kind, lag rows, lag columns), lag 0 first."""
        extent = [
            fast_length(have + side - 1)
            for have, side in zip(activation.shape[-2:], self._shape, strict=True)
        ]
        spectrum = torch.fft.rfft2(activation, s=extent)
        product = spectrum[:, None].conj() * spectrum[None, :]
        if noise is not None:
            product = product * noise.inverse_on((extent[0], extent[1]))
        return correlation_lags(product, extent, list(self._shape))

    def apply(self, kernels: torch.Tensor) -> torch.Tensor:
        """Apply the operator, see `NormalOperator`."""
        return self._cut(self._mixed(torch.fft.rfft2(kernels * self._weight, s=self._size)))

    def _mixed(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Apply the correlation to spectra (v, kind, ...)."""
        if len(self._spectrum) == 1:
            single: torch.Tensor = spectrum * self._spectrum[0, 0]
            return single
        mixed: torch.Tensor = torch.einsum("tsyx,vsyx->vtyx", self._spectrum, spectrum)
        return mixed

    def _cut(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Transform spectra back to kernels on their window, weighted."""
        rows, columns = self._shape
        images: torch.Tensor = torch.fft.irfft2(spectrum, s=self._size)
        cut: torch.Tensor = images[..., :rows, :columns] * self._weight
        return cut
