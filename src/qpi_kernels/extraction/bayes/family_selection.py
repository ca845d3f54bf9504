"""`FamilySelection`: which family of simulated kernels a map's kernel is like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.noise_model import NoiseModel
from qpi_kernels.extraction.bayes.normal_operator import ExactNormal, NormalOperator
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.symmetrisation import Symmetrisation
from qpi_kernels.linalg.evidence import Evidence, OperatorSpectrum, Quadrature
from qpi_kernels.models.kernel_prior import KernelPrior

__all__ = ["FamilySelection", "likely_families"]

# A kernel's strongest components of the library are enough to tell families apart.
_COMPONENTS = 256
# What a family's kernels may have of all others, over what those have: rare ones are not lost.
_STRANGE = 0.05
# How many are looked at in a step: so many, unless the map is large.
_AT_ONCE, _MAX_PIXELS = 32, 2**22


class FamilySelection:
    r"""Compares families of a library by the evidence that planes have for them.

    Each family is a Gaussian in the strongest components of the library, so its evidence is one
    small eigenvalue problem. Families belong to
    the host and not to the defect: all kinds share one.

    Parameters
    ----------
    problem : Problem
        The checked input.
    library : KernelPrior
        With its families.
    normal : NormalOperator
        From `qpi_kernels.extraction.bayes.normal_operator.choose_normal_operator`.
    sizes : tensor, (kind,), optional
        Relative size of the kernels of each kind; all alike when left out.
    noise : NoiseModel, optional
        White noise when left out.
    """

    def __init__(
        self,
        problem: Problem,
        library: KernelPrior,
        normal: NormalOperator,
        sizes: torch.Tensor | None = None,
        noise: NoiseModel | None = None,
    ) -> None:
        self._problem = problem
        self._exact = ExactNormal(problem, noise)
        self._library = library
        self._normal = normal
        self._kinds = len(problem.model.kinds)
        self._sizes = problem.coverage.new_ones(self._kinds) if sizes is None else sizes
        components, _ = library.components_on(problem.parameters.kernel_shape)
        self._count = min(_COMPONENTS, len(components))
        flat = torch.from_numpy(components[: self._count]).to(problem.coverage).flatten(1)
        # Of one kind; symmetry acts on each kind alike.
        every = Symmetrisation(problem).apply(flat.repeat(1, self._kinds))
        self._components = every[:, : flat.shape[1]]
        self._seen: dict[str, _Family] = {}

    def prepare(self) -> Iterator[int]:
        """Learn what the defects show of each component; a few of them per item."""
        shape = self._problem.parameters.kernel_shape
        at_once = max(1, min(_AT_ONCE, _MAX_PIXELS // int(np.prod(self._problem.image_shape))))
        blocks = []
        for kind in range(self._kinds):
            for start in range(0, self._count, at_once):
                rows = self._components[start : start + at_once]
                kernels = rows.new_zeros(len(rows), self._kinds, *shape)
                kernels[:, kind] = self._sizes[kind] * rows.view(-1, *shape)
                blocks.append(self._numbers(self._normal.apply(kernels)))
                yield len(blocks)
        image = torch.cat(blocks).cpu().double().numpy()
        image = (image + image.T) / 2
        for name in ("", *self._library.families):
            factor = np.asarray(np.kron(np.eye(self._kinds), self._factor(name)), np.float64)
            self._seen[name] = _Family(factor, *np.linalg.eigh(factor @ image @ factor.T))
            yield len(blocks) + len(self._seen)

    def costs(self, left: torch.Tensor, kernels: torch.Tensor) -> dict[str, float]:
        r"""Cost of each family, ``-2 log`` of its evidence, and under "" that of all together.

        The misfit is expanded about kernels that explain the plane well, at which it is exact, so
        an approximate normal operator G acts on small differences only:

        .. math:: S(A) = S_0 - 2 (A - A_0)^T H^T R (y - H A_0) + (A - A_0)^T G (A - A_0) .

        That one of many families is the best by chance is paid for.

        Parameters
        ----------
        left : tensor, (rows, columns)
            A plane without background.
        kernels : tensor, (kind, h, w)
            :math:`A_0`, of least squares.
        """
        problem, start = self._problem, kernels[None]
        rest = self._exact.whiten(left) - self._exact.forward(start)[0]
        slope, image = self._exact.adjoint(rest[None]), self._normal.apply(start)
        right = self._numbers(slope + image)[0].cpu().double().numpy()
        constant = rest.square().sum() + (start * (2 * slope + image)).sum()
        energy = np.array([float(constant)])
        samples = int(problem.mask.sum()) - problem.background.parameters
        found = {}
        for name, family in self._seen.items():
            quadrature = family.quadrature(right)
            evidence = Evidence(energy, samples, family.spectrum)
            ridge = evidence.best_ridge(quadrature)
            found[name] = float(evidence.cost(ridge[:, None], quadrature)[0, 0])
            if name:
                found[name] += 2 * float(np.log(len(self._seen)))
        return found

    def _numbers(self, kernels: torch.Tensor) -> torch.Tensor:
        """From kernels (v, kind, h, w) to their products with all components, (v, kind * n)."""
        sized = kernels.flatten(2) * self._sizes.view(-1, 1)
        return (sized @ self._components.T).flatten(1)

    def _factor(self, name: str) -> NDArray[np.float64]:
        """Square root of a family's covariance in components of the library over their spread."""
        if not name:
            return np.eye(self._count)
        family = self._library.families[name]
        strongest = float(self._library.spread[0])
        spread = np.maximum(self._library.spread[: self._count], 1e-6 * strongest)
        rows = (family.spread[:, None] * family.mixing[:, : self._count] / spread).astype(float)
        covariance = rows.T @ rows + _STRANGE**2 * np.eye(self._count)
        return np.asarray(np.linalg.cholesky(covariance).T)


def likely_families(costs: Sequence[Mapping[str, float]]) -> tuple[list[str], float]:
    """The family of each plane, and what all planes cost with it.

    All have the same, being of one host, unless the evidence pays for a free choice at each plane.

    Parameters
    ----------
    costs : sequence of mappings
        From `FamilySelection.costs`, of each plane.
    """
    shared = {name: sum(one[name] for one in costs) for name in costs[0]}
    best = min(shared, key=shared.__getitem__)
    each = [min(one, key=one.__getitem__) for one in costs]
    free = sum(one[name] for one, name in zip(costs, each, strict=True))
    free += 2 * (len(costs) - 1) * float(np.log(len(shared)))
    return (each, free) if free < shared[best] else ([best] * len(costs), shared[best])


class _Family:
    """The normal operator in the components of a family, by its eigenvectors."""

    def __init__(
        self,
        factor: NDArray[np.float64],
        values: NDArray[np.float64],
        vectors: NDArray[np.float64],
    ) -> None:
        self._factor, self._vectors = factor, vectors
        self._values = np.maximum(values, 0.0)
        self.spectrum = OperatorSpectrum(self._values, np.ones_like(values))

    def quadrature(self, right: NDArray[np.float64]) -> Quadrature:
        """The right-hand side in terms of the eigenvectors."""
        amplitude = self._vectors.T @ (self._factor @ right)
        square = float(amplitude @ amplitude)
        return Quadrature(
            self._values[None],
            np.square(amplitude)[None] / max(square, 1e-300),
            np.array([square**0.5]),
        )
