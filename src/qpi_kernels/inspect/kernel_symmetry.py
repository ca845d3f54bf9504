"""Symmetry of a kernel, beside the scores of noise and of a symmetric kernel with that noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.axes import InspectionError, image_dims
from qpi_kernels.result import KernelResult
from qpi_kernels.symmetry import Symmetry, inscribed_disc, operation_scores, symmetrisation_matrix

__all__ = ["SymmetryScores", "symmetry_scores"]

_FOLDS = (2, 3, 4, 6)
_MIRRORS_DEG = (0, 30, 45, 60, 90, 120, 135, 150)
_MAX_DRAWN_PIXELS = 500_000
_MIN_DRAWS, _MAX_DRAWS = 8, 64
_CLEAR = 3.0
_COMPATIBLE = 2.0
_WORDS = {
    "score": "correlation with the copy",
    "chance": "mean score of noise alone",
    "chance_std": "standard deviation of the scores of noise alone",
    "reachable": "mean score of a symmetric kernel with this noise",
    "reachable_std": "standard deviation of these",
}
_group_matrix = lru_cache(maxsize=16)(symmetrisation_matrix)


@dataclass(frozen=True, eq=False)
class SymmetryScores:
    """Correlations of a kernel with its own copies, by the name of the operation.

    Parameters
    ----------
    score : dict
        ``"C2"``, ``"C3"``, ``"C4"``, ``"C6"`` for rotations, ``"m 30"`` for the mirror line at 30
        degrees (anticlockwise from the horizontal, as seen) to a Pearson correlation over the
        inscribed disc; 1 is symmetric.
    chance, chance_std : dict
        Mean and standard deviation of the score of noise with the kernel's standard deviation.
    reachable, reachable_std : dict
        The same of a kernel as strong as this one that has the symmetry, with that noise. NaN
        where no standard deviation is known.
    draws : int
        Draws of noise behind these.
    noise_share : float
        Power of noise, at most, over that of the kernel; 1 where no standard deviation is known.
    """

    score: dict[str, float]
    chance: dict[str, float]
    chance_std: dict[str, float]
    reachable: dict[str, float]
    reachable_std: dict[str, float]
    draws: int
    noise_share: float = 1.0

    @property
    def supported(self) -> dict[str, bool]:
        """Operations that the data support.

        Their scores are three sigma above what noise makes of a kernel without the symmetry, which
        is the noise's share of chance, and within two of the reachable.
        """
        return {
            name: bool(
                score > self.noise_share * self.chance[name] + _CLEAR * self.chance_std[name]
                and score > self.reachable[name] - _COMPATIBLE * self.reachable_std[name]
            )
            for name, score in self.score.items()
        }

    def summary(self) -> str:
        """Write one line an operation: its score, those of noise, whether it is supported."""
        lines = []
        for name, supported in self.supported.items():
            reach = self.reachable[name]
            known = f", reachable {reach:.2f} ± {self.reachable_std[name]:.2f}"
            lines.append(
                f"{name}: {self.score[name]:.2f}, by chance {self.chance[name]:.2f} ± "
                f"{self.chance_std[name]:.2f}{known if np.isfinite(reach) else ''}"
                f"{': supported' if supported else ''}"
            )
        return "\n".join(lines)

    def table(self) -> xr.Dataset:
        """Lay scores and those of noise out over the dim ``operation``."""
        names = list(self.score)
        found = {
            part: ("operation", [getattr(self, part)[name] for name in names], {"units": ""} | said)
            for part, said in ((part, {"long_name": words}) for part, words in _WORDS.items())
        }
        return xr.Dataset(found, {"operation": names}, {"title": "symmetry scores"})

    def plot(self, axes: Any) -> Any:
        """Draw the scores as bars with both noise levels on matplotlib axes; return these."""
        names = list(self.score)
        at = np.arange(len(names))
        bars = axes.bar(at, [self.score[name] for name in names], color="#4477aa", label="kernel")
        for bar, supported in zip(bars, self.supported.values(), strict=True):
            bar.set_alpha(1.0 if supported else 0.45)
        for mean, std, colour, label in (
            (self.chance, self.chance_std, "#666666", "noise alone"),
            (self.reachable, self.reachable_std, "#cc6677", "symmetric kernel with noise"),
        ):
            axes.errorbar(
                at,
                [mean[name] for name in names],
                [2 * std[name] for name in names],
                fmt="_",
                color=colour,
                capsize=3,
                markersize=9,
                markeredgewidth=1.5,
                label=f"{label}, 2 sigma",
            )
        axes.set_xticks(at, names, rotation=45 if len(names) > 5 else 0)
        axes.axhline(0, color="0.7", linewidth=0.8)
        axes.set_ylabel("correlation with the copy")
        axes.legend(fontsize="small", frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
        return axes


def symmetry_scores(
    kernel: KernelResult | xr.DataArray,
    *,
    std: xr.DataArray | None = None,
    mirrors_deg: Sequence[float] = _MIRRORS_DEG,
    draws: xr.DataArray | None = None,
) -> SymmetryScores:
    """Score rotations and mirrors of a kernel, beside the scores that its noise makes.

    Look at these before anything is symmetrised: a low score may be all that the noise allows, a
    high one of a small or smooth kernel may be chance.

    Parameters
    ----------
    kernel : KernelResult or xarray.DataArray
        ``(..., y, x)`` with its centre at ``(h//2, w//2)``; planes are weighted by their energy.
    std : xarray.DataArray, optional
        Standard deviation of the kernel's pixels, taken as independent of one another without
        `draws`; a `KernelResult` has its own.
    mirrors_deg : sequence of float
        Directions of mirror lines, anticlockwise from the horizontal as seen.
    draws : xarray.DataArray, (draw, ..., y, x), optional
        Errors drawn from the kernel's posterior, in place of independent ones: a prior correlates
        them, and makes them as symmetric as the kernels that it expects. A `KernelResult` of
        ``bayes`` has its own.

    Returns
    -------
    SymmetryScores
        The same for every call: the noise is drawn from a fixed seed.

    Raises
    ------
    InspectionError
        If the kernel has several kinds or NaN, or std has another shape.
    """
    if isinstance(kernel, KernelResult):
        if std is None:
            std, draws = kernel.std, kernel.draws if draws is None else draws
        kernel = kernel.kernel
    if "kind" in kernel.dims:
        raise InspectionError("the kernel has several kinds; choose one: kernel.isel(kind=0)")
    image_dims(kernel)
    height, width = kernel.shape[-2:]
    planes = np.asarray(kernel.values, np.float64).reshape(-1, height, width)
    noise = np.ones_like(planes) if std is None else _matching(std, kernel).reshape(planes.shape)
    if not (np.isfinite(planes).all() and np.isfinite(noise).all()):
        raise InspectionError("the kernel or its standard deviation has NaN")
    count = int(np.clip(_MAX_DRAWN_PIXELS // planes.size, _MIN_DRAWS, _MAX_DRAWS))
    random = np.random.default_rng(0)
    if draws is None:
        drawn = random.standard_normal((count, *planes.shape)) * noise
    else:
        if draws.shape[1:] != kernel.shape:
            raise InspectionError(f"draws have the shape {draws.shape}, the kernel {kernel.shape}")
        errors = np.asarray(draws.values, np.float64).reshape(-1, *planes.shape)
        drawn = _mixed(errors, count, random)
    groups = {f"C{fold}": Symmetry(fold) for fold in _FOLDS}
    groups |= {f"m {angle:g}": Symmetry(1, True, float(angle)) for angle in mirrors_deg}
    made: dict[str, dict[str, float]] = {
        name: {} for name in ("score", "chance", "chance_std", "reachable", "reachable_std")
    }
    for name, group in groups.items():
        operation = group.operations()[1]
        made["score"][name] = float(operation_scores(planes[None], operation)[0])
        chance = operation_scores(drawn, operation)
        made["chance"][name], made["chance_std"][name] = float(chance.mean()), float(chance.std())
        reached = np.full(1, np.nan)
        if std is not None:
            symmetric = _symmetric_part(planes, noise, group)
            reached = operation_scores(symmetric + drawn, operation)
        made["reachable"][name], made["reachable_std"][name] = reached.mean(), reached.std()
    return SymmetryScores(
        **{key: {name: float(value) for name, value in one.items()} for key, one in made.items()},
        draws=len(drawn),
        noise_share=1.0 if std is None else _noise_share(planes, drawn),
    )


def _matching(std: xr.DataArray, kernel: xr.DataArray) -> NDArray[np.float64]:
    if std.shape != kernel.shape:
        raise InspectionError(f"std has the shape {std.shape}, the kernel {kernel.shape}")
    return np.asarray(std.values, np.float64)


def _mixed(
    draws: NDArray[np.float64], count: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Mix draws (draw, plane, h, w) to more of them with the same covariance.

    Planes that err alike do so in the mixtures, as each takes all planes of a draw alike.
    """
    weights = random.standard_normal((count, len(draws)))
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return np.tensordot(weights, draws, axes=1)


def _noise_share(planes: NDArray[np.float64], drawn: NDArray[np.float64]) -> float:
    """Divide the power that noise may have by that of a kernel, at most 1."""
    disc = inscribed_disc((planes.shape[1], planes.shape[2]))
    power = drawn[..., disc].var(axis=-1).sum(axis=-1)
    whole = float(planes[:, disc].var(axis=-1).sum())
    most = float(power.mean() + _CLEAR * power.std())
    return min(1.0, most / whole) if whole > 0 else 1.0


def _symmetric_part(
    planes: NDArray[np.float64], noise: NDArray[np.float64], group: Symmetry
) -> NDArray[np.float64]:
    """Symmetrise a kernel and give it the power that the kernel has without its noise."""
    shape = (planes.shape[1], planes.shape[2])
    disc = inscribed_disc(shape)
    flat = planes.reshape(len(planes), -1)
    symmetric = (_group_matrix(group, shape) @ flat.T).T.reshape(planes.shape)
    wanted = planes[:, disc].var(axis=1).sum() - (noise[:, disc] ** 2).mean(axis=1).sum()
    own = float(symmetric[:, disc].var(axis=1).sum())
    return np.asarray(np.sqrt(max(float(wanted), 0.0) / own) * symmetric if own > 0 else symmetric)
