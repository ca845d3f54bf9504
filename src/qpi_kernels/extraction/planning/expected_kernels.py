"""Kernels that a planned map is expected to show, on its pixels and in its units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

import numpy as np
import scipy.signal
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.interpolation import resampling_matrix
from qpi_kernels.result import KernelResult
from qpi_kernels.simulate.families import FAMILIES
from qpi_kernels.simulate.kernel_sampler import KernelSampler

__all__ = ["ExpectedKernels", "ExpectedPrior", "is_families"]

ExpectedPrior: TypeAlias = str | Sequence[str] | KernelResult | xr.DataArray | ArrayLike
"""Expected kernel: a result, an array, families of simulated kernels or "library"."""

# Simulated kernels that stand for families.
_SIMULATED = 4


@dataclass(frozen=True, eq=False)
class ExpectedKernels:
    """Kernels as likely as the one that a map is to show.

    Parameters
    ----------
    kernels : tuple of array, (bias, kind, h, w)
        In the map's units, centre at ``(h//2, w//2)``.
    beyond : tuple of float
        Share of the power of each that lies beyond what the pixels resolve.
    description : str
        Where they come from, in words.
    """

    kernels: tuple[NDArray[np.float64], ...]
    beyond: tuple[float, ...]
    description: str

    @classmethod
    def of(
        cls,
        prior: ExpectedPrior,
        window: tuple[int, int],
        pixel_nm: float,
        kinds: Sequence[str],
        *,
        signal: float | None = None,
        seed: int = 0,
        finest_nm: float | None = None,
    ) -> ExpectedKernels:
        """Put what is known of a kernel on the pixels of a map.

        Parameters
        ----------
        prior : str, sequence of str, KernelResult or array
            As in `qpi_kernels.extraction.plan`.
        window : tuple of int
            Kernel window, in pixels of the map.
        pixel_nm : float
            Pixel pitch of the map.
        kinds : sequence of str
            Kinds of defects.
        signal : float, optional
            Root mean square of the first kind's kernels over the window.
        seed : int
            Of simulated kernels.
        finest_nm : float, optional
            Pitch on which simulated kernels, and arrays without coordinates, are given; that of
            the map when left out.

        Raises
        ------
        ExtractionError
            If the prior is unknown, or needs a signal and none is given.
        """
        given_nm = finest_nm or pixel_nm
        if is_families(prior):
            names = [prior] if isinstance(prior, str) else list(prior)
            if signal is None:
                raise ExtractionError(
                    "simulated kernels have no amplitude of their own: give signal=, the root "
                    "mean square of the expected kernel over its window, in the map's units"
                )
            made = _simulated(names, window, pixel_nm, given_nm, seed)
            where = f"simulated kernels of {', '.join(names)}"
            if names == ["library"]:
                where = "simulated kernels of the library"
            sources = [one[None, None] for one in made]
        else:
            found, given_nm, where = _given(prior, given_nm, kinds)
            sources = [found]
        resampled = [_resample(one, window, given_nm / pixel_nm) for one in sources]
        kernels = []
        for one in resampled:
            spread = np.broadcast_to(one, (len(one), len(kinds), *window))
            size = float(np.sqrt(np.square(spread[:, 0]).mean()))
            if not size > 0:
                raise ExtractionError("the expected kernel is zero on the window; take a larger")
            kernels.append(spread * (1.0 if signal is None else signal / size))
        beyond = tuple(_share_beyond(one, given_nm / pixel_nm) for one in sources)
        return cls(tuple(kernels), beyond, where)


def is_families(prior: object) -> TypeGuard[str | Sequence[str]]:
    """Tell that a prior is the name of a family of simulated kernels, or a sequence of names."""
    return isinstance(prior, str) or (
        isinstance(prior, Sequence) and bool(prior) and all(isinstance(one, str) for one in prior)
    )


def _simulated(
    names: Sequence[str],
    window: tuple[int, int],
    pixel_nm: float,
    given_nm: float,
    seed: int,
) -> list[NDArray[np.float64]]:
    """Draw kernels of families, each of norm 1, on a pitch."""
    unknown = [name for name in names if name != "library" and name not in FAMILIES]
    if unknown or not names:
        raise ExtractionError(
            f"no families {', '.join(unknown) or '(none given)'}; give a KernelResult or an array "
            f"as prior=, 'library', or some of {', '.join(FAMILIES)}"
        )
    if "library" in names:
        names = [name for name, family in FAMILIES.items() if family.band_limited]
    sides = [max(3, round(side * pixel_nm / given_nm)) for side in window]
    sampler = KernelSampler(names, shape=(sides[0], sides[1]), pixel_nm=given_nm, seed=seed)
    drawn = [np.asarray(sampler.kernel(index).values, float) for index in range(_SIMULATED)]
    return [one / np.sqrt(np.square(one).sum()) for one in drawn]


def _given(
    prior: KernelResult | xr.DataArray | ArrayLike, given_nm: float, kinds: Sequence[str]
) -> tuple[NDArray[np.float64], float, str]:
    """Take a known kernel as (bias, kind, h, w), with its pitch and origin."""
    kernel: xr.DataArray | ArrayLike
    kernel, where = prior, "a given kernel"  # type: ignore[assignment]
    if isinstance(prior, KernelResult):
        kernel, where = prior.kernel, "a kernel found before"
    if isinstance(kernel, xr.DataArray):
        if not {"y", "x"} <= set(kernel.dims):
            raise ExtractionError("an expected kernel needs the dims y and x")
        if kernel["x"].attrs.get("units") == "nm" and kernel.sizes["x"] > 1:
            given_nm = abs(float(kernel["x"][1] - kernel["x"][0]))
        more = [dim for dim in kernel.dims if dim not in ("kind", "y", "x")]
        if len(more) > 1:
            raise ExtractionError(f"an expected kernel has no dims {more[1:]}")
        for dim in (*more, *(["bias"] if not more else []), "kind"):
            if dim not in kernel.dims:
                kernel = kernel.drop_vars([dim], errors="ignore")
                kernel = kernel.expand_dims(dim)
        first = more[0] if more else "bias"
        if kernel.sizes["kind"] > 1 and "kind" in kernel.coords:
            known = [str(one) for one in kernel["kind"].values]
            if set(kinds) <= set(known):
                kernel = kernel.isel(kind=[known.index(kind) for kind in kinds])
        values = np.asarray(kernel.transpose(first, "kind", "y", "x").values, float)
    else:
        values = np.asarray(kernel, float)
        if not 2 <= values.ndim <= 4:
            raise ExtractionError(
                "an expected kernel is (y, x), (kind, y, x) or (bias, kind, y, x)"
            )
        values = values.reshape((1,) * (4 - values.ndim) + values.shape)
    if not np.isfinite(values).all():
        raise ExtractionError("the expected kernel holds NaN")
    if values.shape[1] not in (1, len(kinds)):
        raise ExtractionError(
            f"the expected kernel has {values.shape[1]} kinds, the defects {len(kinds)}"
        )
    return values, given_nm, where


def _resample(
    kernels: NDArray[np.float64], window: tuple[int, int], step: float
) -> NDArray[np.float64]:
    """Show kernels (..., h, w) on another window, ``1/step`` of their pixels a pixel of it."""
    rows, columns = (
        resampling_matrix(size, side, 1 / step)
        for size, side in zip(kernels.shape[-2:], window, strict=True)
    )
    return np.asarray(rows @ kernels @ columns.T)


def _share_beyond(kernels: NDArray[np.float64], step: float) -> float:
    """Find the share of power beyond the Nyquist limit of pixels ``1/step`` as large."""
    if step >= 1:
        return 0.0
    # Tapered, or the window's edges would show as waves of all lengths.
    taper = [scipy.signal.windows.tukey(size, sym=False) for size in kernels.shape[-2:]]
    power = np.abs(np.fft.fft2(kernels * np.outer(*taper))) ** 2
    rows, columns = (np.abs(np.fft.fftfreq(size)) for size in kernels.shape[-2:])
    outside = np.maximum(rows[:, None], columns[None, :]) > step / 2
    return float(power[..., outside].sum() / power.sum())
