"""`KernelSampler`: any number of different kernels, each by its index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.simulate.bands.crystal import CrystalBand
from qpi_kernels.simulate.families import FAMILIES, Recipe
from qpi_kernels.simulate.scattering.impurities import Impurity
from qpi_kernels.simulate.scattering.kernels import single_defect
from qpi_kernels.simulate.scattering.ldos import ldos_change
from qpi_kernels.simulate.scattering.site_density import site_density
from qpi_kernels.simulate.scattering.site_impurity import SiteImpurity

__all__ = ["KernelSampler"]


class KernelSampler:
    """Draw kernels from named families, without end and without storage.

    Kernel number ``i`` depends on the seed, ``i`` and the choice of families alone (its lengths on
    the pixel size, too), so a library
    can be read in any order, by several processes, and picked up again where it was left.

    Parameters
    ----------
    families : sequence of str, optional
        Which of `FAMILIES`; all when left out. Leaving some out and testing on them is how a
        method shows what it does with physics that it has never seen.
    shape : tuple of int
        Kernel size (h, w); the defect sits at ``(h//2, w//2)``.
    pixel_nm : float
        Pixel pitch.
    seed : int
        Another seed gives other kernels of the same families.
    device : str
        ``cpu`` (the default: one small kernel is no work for a GPU), ``cuda``, ``auto``.

    Raises
    ------
    ValueError
        If a family is unknown.

    Examples
    --------
    >>> library = KernelSampler(["free_electrons", "elliptic"], shape=(32, 32), seed=1)
    >>> library.recipe(0).family in library.families
    True
    >>> library.kernel(0).shape
    (32, 32)
    """

    def __init__(
        self,
        families: Sequence[str] | None = None,
        *,
        shape: tuple[int, int] = (64, 64),
        pixel_nm: float = 0.625,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        if isinstance(families, str):
            families = [families]
        chosen = tuple(FAMILIES if families is None else dict.fromkeys(families))
        unknown = [name for name in chosen if name not in FAMILIES]
        if unknown or not chosen:
            raise ValueError(
                f"unknown families {', '.join(unknown) or '(none given)'}; "
                f"choose from {', '.join(FAMILIES)}"
            )
        self.families = chosen
        self.shape = shape
        self.pixel_nm = pixel_nm
        self.seed = seed
        self.device = device

    def without(self, *families: str) -> KernelSampler:
        """Return the same library with whole families held out.

        Raises
        ------
        ValueError
            If a family is not in the library, or none is left.
        """
        unknown = [name for name in families if name not in self.families]
        if unknown:
            raise ValueError(
                f"{', '.join(unknown)} can not be held out: the library has "
                f"{', '.join(self.families)}"
            )
        kept = [name for name in self.families if name not in families]
        return KernelSampler(
            kept, shape=self.shape, pixel_nm=self.pixel_nm, seed=self.seed, device=self.device
        )

    def recipe(self, index: int) -> Recipe:
        """Draw the recipe of kernel number `index`."""
        rng = np.random.default_rng([self.seed, index])
        name = self.families[int(rng.integers(len(self.families)))]
        return FAMILIES[name].recipe(rng, self.pixel_nm)

    def kernel(self, index: int) -> xr.DataArray:
        """Simulate kernel number `index` by `single_defect`; family and fold are in the attrs."""
        return self.make(self.recipe(index))

    def make(self, recipe: Recipe, bias: Sequence[float] | None = None) -> xr.DataArray:
        """Simulate a recipe on this library's pixels.

        Parameters
        ----------
        recipe : Recipe
            From `recipe`.
        bias : sequence of float, optional
            Other biases than the recipe's, in V; gives a ``(bias, y, x)`` stack.
        """
        kernel = single_defect(
            recipe.band,
            bias=recipe.bias if bias is None else bias,
            pixel_nm=self.pixel_nm,
            shape=self.shape,
            impurity=recipe.impurity,
            broadening=recipe.broadening,
            tip_nm=recipe.tip_nm,
            core=recipe.core,
            device=self.device,
        )
        return kernel.assign_attrs(family=recipe.family, fold=recipe.fold)

    def values(self, recipes: Sequence[Recipe]) -> NDArray[np.float32]:
        """Simulate kernels of recipes in single precision, for training.

        Parameters
        ----------
        recipes : sequence of Recipe
            A recipe, or one and its `variants`.

        Returns
        -------
        array, (recipe, h, w)
            Else as `make` gives them.
        """
        rows, cols = (np.arange(n) - n // 2 for n in self.shape)
        kernels = self._without_cores(recipes)
        for kernel, recipe in zip(kernels, recipes, strict=True):
            if recipe.core is not None:
                core = recipe.core.density(cols * self.pixel_nm, rows * self.pixel_nm)
                kernel += np.float32(np.abs(kernel).max()) * core.astype(np.float32)
        return kernels

    def _without_cores(self, recipes: Sequence[Recipe]) -> NDArray[np.float32]:
        """Simulate kernels of recipes of one band."""
        first = recipes[0]
        energies, impurities = np.array([first.bias]), [recipe.impurity for recipe in recipes]
        if isinstance(first.band, CrystalBand):
            found = site_density(
                first.band,
                energies,
                pixel_nm=self.pixel_nm,
                shape=self.shape,
                impurities=cast(list[SiteImpurity], impurities),
                broadening=first.broadening,
                tip_nm=first.tip_nm,
            )
            return found[:, 0].astype(np.float32)
        rows, cols = (np.arange(n) - n // 2 for n in self.shape)
        planes = ldos_change(
            first.band,
            energies,
            pixel_nm=self.pixel_nm,
            window=(rows, cols),
            impurities=cast(list[Impurity], impurities),
            broadening=first.broadening,
            tip_nm=first.tip_nm,
            device=self.device,
            dtype=torch.float32,
        )
        kernels: NDArray[np.float32] = planes[:, 0].cpu().numpy()
        return kernels

    def variants(self, index: int, count: int) -> list[Recipe]:
        """Draw recipe number `index` and others with its band, energy and orientation.

        They differ in how strongly the defect scatters and in its core. Simulating them together
        costs little more than one alone: cheap variety for training.
        """
        recipe = self.recipe(index)
        rng = np.random.default_rng([self.seed, index, 1])
        family = FAMILIES[recipe.family]
        return [recipe, *(family.variant(rng, recipe, self.pixel_nm) for _ in range(count - 1))]

    def __iter__(self) -> Iterator[Recipe]:
        """Yield recipes 0, 1, 2, ... without end."""
        index = 0
        while True:
            yield self.recipe(index)
            index += 1
