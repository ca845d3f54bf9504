"""`FamilySelection`: families of simulated kernels compared by a map's evidence."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from qpi_kernels.extraction.bayes.priors.library_priors import components_on
from qpi_kernels.extraction.bayes.quadratic_misfit import QuadraticMisfit
from qpi_kernels.extraction.normal_operator import NormalOperators
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.linalg.evidence import Evidence, OperatorSpectrum, Quadrature
from qpi_kernels.models.kernel_prior import KernelPrior
from qpi_kernels.progress import Event

__all__ = ["PLANES_AT_ONCE", "FamilySelection", "likely_families", "prepare_families"]

PLANES_AT_ONCE = 16
"""Planes that `FamilySelection.costs` is best given together, for short steps."""

# A kernel's strongest components of the library are enough to tell families apart.
_COMPONENTS = 256
# What a family's kernels may have of all others, over what those have: rare ones are not lost.
_OTHER_FAMILIES = 0.05
# Families are compared first at ridges of this distance in the logarithm; and by how much more, as
# -2 log evidence, one may cost there and still be compared at its own.
_RIDGE_STEP, _MAX_BEHIND = 1.1, 100.0
# Ridges whose factorisations are kept: one is up to 80 MB, and planes of a stack need a few.
_MAX_ROOTS = 8
# Components whose images are made in a step: so many, unless the map is large.
_COMPONENTS_AT_ONCE, _MAX_PIXELS = 32, 2**22
# Numbers of the maps of all components that are held at once.
_MAX_MAP_NUMBERS = 2**26


class FamilySelection:
    r"""Compares families of a library by the evidence that planes have for them.

    Each family is a Gaussian in the strongest components of the library, so its evidence is one
    small eigenvalue problem. Families belong to the host and not to the defect: all kinds share
    one. Made by `prepare_families`.

    Parameters
    ----------
    components : _Components
        The library's strongest, on the kernels' window.
    names : sequence of str
        Of the families; all kernels of the library under "", the first.
    factors, normals : tensor, (family, n, n)
        From the components to the unit numbers of each family, and the normal operator on these.
    operators : NormalOperators
        For the noise.
    samples : int
        Independent numbers of a plane.
    """

    def __init__(
        self,
        components: _Components,
        names: Sequence[str],
        factors: torch.Tensor,
        normals: torch.Tensor,
        operators: NormalOperators,
        samples: int,
    ) -> None:
        self._components = components
        self._names = names
        self._factors, self._normals = factors, normals
        self._operators = operators
        self.samples = samples
        self._roots: dict[int, torch.Tensor] = {}
        self._families: dict[int, _Family] = {}

    def costs(self, signals: torch.Tensor, kernels: torch.Tensor) -> list[dict[str, float]]:
        """Evaluate ``-2 log`` of the evidence of each family, and of all together under "".

        That one of many families is the best by chance is paid for. Families that are far behind
        at three ridges keep the best of these values, which is an upper bound.

        Parameters
        ----------
        signals : tensor, (plane, rows, columns)
            Planes without background.
        kernels : tensor, (plane, kind, h, w)
            Of least squares; the misfit is exact there, see `QuadraticMisfit`.

        Returns
        -------
        list of dict of str to float
            Of each plane.
        """
        misfits = [
            QuadraticMisfit.about(start, signal, self._operators)
            for start, signal in zip(kernels, signals, strict=True)
        ]
        right = self._components.products(torch.stack([one.right for one in misfits]))
        rights = (self._factors @ right.to(self._factors).T).cpu().numpy()
        energy = np.array([one.constant for one in misfits])
        first = [self._exact_cost(0, energy[row], rights[0, :, row]) for row in range(len(energy))]
        steps = np.array([round(float(np.log(ridge) / _RIDGE_STEP)) for _, ridge in first])
        bounds = np.full((len(self._names), len(energy)), np.inf)
        # Planes of like ridges share a factorisation.
        for step in range(int(steps.min()) - 1, int(steps.max()) + 2):
            rows = np.flatnonzero(np.abs(steps - step) <= 1)
            if len(rows):
                found = self._costs_at(step, energy[rows], rights[..., rows])
                bounds[:, rows] = np.minimum(bounds[:, rows], found)
        best = np.minimum([cost for cost, _ in first], bounds.min(axis=0))
        paid = np.array(
            [2 * float(np.log(len(self._names))) if name else 0.0 for name in self._names]
        )
        costs = []
        for row, constant in enumerate(energy):
            found = bounds[:, row] + paid
            for index in np.flatnonzero(bounds[:, row] < best[row] + _MAX_BEHIND):
                exact = self._exact_cost(int(index), constant, rights[index, :, row])[0]
                found[index] = exact + paid[index]
            costs.append(dict(zip(self._names, found.tolist(), strict=True)))
        return costs

    def _exact_cost(
        self, index: int, energy: float, right: NDArray[np.float64]
    ) -> tuple[float, float]:
        """Evaluate the cost of a family at its best ridge, and that ridge."""
        if index not in self._families:
            self._families[index] = _Family(self._normals[index].cpu().numpy())
        family = self._families[index]
        quadrature = family.quadrature(right)
        evidence = Evidence(np.array([energy]), self.samples, family.spectrum)
        ridge = evidence.best_ridge(quadrature)
        return float(evidence.cost(ridge[:, None], quadrature)[0, 0]), float(ridge[0])

    def _costs_at(
        self, step: int, energy: NDArray[np.float64], rights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Evaluate the cost of all families at one ridge for planes, (family, plane)."""
        root = self._root(step)
        solved = torch.linalg.solve_triangular(root, torch.from_numpy(rights).to(root), upper=False)
        explained = solved.square().sum(dim=-2)
        volume = 2 * root.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1, keepdim=True)
        numbers = torch.cat([explained, volume], dim=1).cpu().numpy()
        misfit = np.maximum(energy - numbers[:, :-1], 1e-13 * energy + 1e-300)
        shift = numbers[:, -1:] - root.shape[-1] * _RIDGE_STEP * step
        return np.asarray(self.samples * np.log(misfit) + shift)

    def _root(self, step: int) -> torch.Tensor:
        """Factorise the normal operators of all families at one of a row of ridges, (family, n, n).

        The planes of a stack share them.
        """
        if step not in self._roots:
            if len(self._roots) == _MAX_ROOTS:
                self._roots.clear()
            unit = torch.eye(self._normals.shape[-1]).to(self._normals)
            shifted = self._normals + float(np.exp(_RIDGE_STEP * step)) * unit
            self._roots[step], _ = torch.linalg.cholesky_ex(shifted)
        return self._roots[step]


def prepare_families(
    problem: Problem,
    library: KernelPrior,
    operators: NormalOperators,
    sizes: torch.Tensor | None = None,
) -> Generator[Event, None, FamilySelection]:
    """Work out what the defects show of each family of a library.

    Parameters
    ----------
    problem : Problem
        The checked input.
    library : KernelPrior
        With its families.
    operators, sizes
        As in `PosteriorSolver`.
    """
    message = "Comparing families of simulated kernels"
    components = _Components.of(problem, library, sizes)
    pixels = int(np.prod(problem.image_shape))
    at_once = max(1, min(_COMPONENTS_AT_ONCE, _MAX_PIXELS // pixels))
    if problem.device.type == "cuda":
        at_once = components.count
    # Coloured noise spreads maps to pixels that do not count.
    counted = problem.mask_tensor if operators.exact.is_white else problem.mask_tensor.new_ones(1)
    places = counted.expand(problem.image_shape).flatten().nonzero()[:, 0]
    # Behind a mask the exact operator is the quick one: products of maps take half its transforms.
    by_maps = operators.quick is operators.exact
    by_maps &= components.count * components.kinds * len(places) <= _MAX_MAP_NUMBERS
    if by_maps and problem.device.type == "cpu":
        at_once = max(1, at_once // 4)
    total = -(-components.count // at_once) * components.kinds + 1
    products = []
    for kernels in components.kernels(at_once):
        if by_maps:
            maps = operators.exact.forward(kernels).flatten(1)
            products.append(maps.index_select(1, places))
        else:
            products.append(components.products(operators.quick.apply(kernels)))
        yield Event(message, len(products), total)
    normal = torch.cat(products)
    if by_maps:
        normal = normal @ normal.T
    normal = normal.cpu().double() if normal.device.type == "mps" else normal.double()
    normal = (normal + normal.T) / 2
    roots = _covariance_roots(library, components.count, normal.device)
    unit = torch.eye(components.kinds).to(roots)
    factors = torch.stack([torch.kron(unit, root) for root in roots]) if len(unit) > 1 else roots
    normals = factors @ normal @ factors.mT
    yield Event(message, total, total)
    names = ("", *library.families)
    return FamilySelection(components, names, factors, normals, operators, problem.samples)


def likely_families(costs: Sequence[Mapping[str, float]]) -> tuple[list[str], float]:
    """Choose the family of each plane, and sum what all planes cost with it.

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


@dataclass(frozen=True, eq=False)
class _Components:
    """Symmetric components of kernels, (component, h * w), for kinds of relative sizes."""

    values: torch.Tensor
    shape: tuple[int, int]
    sizes: torch.Tensor

    @classmethod
    def of(cls, problem: Problem, library: KernelPrior, sizes: torch.Tensor | None) -> _Components:
        """Take the strongest components of a library on the window of a problem."""
        shape, kinds = problem.parameters.kernel_shape, len(problem.model.kinds)
        components = components_on(library, shape)
        strongest = torch.from_numpy(components[:_COMPONENTS]).to(problem.coverage)
        values = problem.symmetrisation.symmetrise(strongest).flatten(1)
        return cls(values, shape, problem.coverage.new_ones(kinds) if sizes is None else sizes)

    @property
    def count(self) -> int:
        """Number of components."""
        return len(self.values)

    @property
    def kinds(self) -> int:
        """Number of kinds."""
        return len(self.sizes)

    def kernels(self, at_once: int) -> Generator[torch.Tensor, None, None]:
        """Yield the components as kernels (v, kind, h, w) of each kind alone, a few at a time."""
        for kind in range(self.kinds):
            for rows in torch.split(self.values, at_once):
                kernels = rows.new_zeros(len(rows), self.kinds, *self.shape)
                kernels[:, kind] = self.sizes[kind] * rows.view(-1, *self.shape)
                yield kernels

    def products(self, kernels: torch.Tensor) -> torch.Tensor:
        """Multiply kernels (v, kind, h, w) by all components: (v, kind * component)."""
        sized = kernels.flatten(2) * self.sizes.view(-1, 1)
        return (sized @ self.values.T).flatten(1)


@lru_cache(maxsize=4)
def _covariance_roots(library: KernelPrior, count: int, device: torch.device) -> torch.Tensor:
    """Root the covariances of families in the library's first components, (family, n, n).

    In components over their spread; the first is that of all kernels.
    """
    spread = np.maximum(library.spread[:count], 1e-6 * float(library.spread[0]))
    roots = [np.eye(count)]
    for family in library.families.values():
        rows = (family.spread[:, None] * family.mixing[:, :count] / spread).astype(float)
        covariance = rows.T @ rows + _OTHER_FAMILIES**2 * np.eye(count)
        roots.append(np.linalg.cholesky(covariance).T)
    return torch.from_numpy(np.stack(roots)).to(device)


class _Family:
    """The normal operator in the components of a family, by its eigenvectors.

    Parameters
    ----------
    normal : array, (n, n)
        The normal operator on the family's unit numbers.
    """

    def __init__(self, normal: NDArray[np.float64]) -> None:
        values, self._vectors = np.linalg.eigh(normal)
        self._values = np.maximum(values, 0.0)
        self.spectrum = OperatorSpectrum(self._values, np.ones_like(values))

    def quadrature(self, right: NDArray[np.float64]) -> Quadrature:
        """Expand a right-hand side of the unit numbers in the eigenvectors."""
        amplitude = self._vectors.T @ right
        square = float(amplitude @ amplitude)
        return Quadrature(
            self._values[None],
            np.square(amplitude)[None] / max(square, 1e-300),
            np.array([square**0.5]),
        )
