"""`ResultBuilder`: kernels plane by plane, labelled, measured and assessed as a `KernelResult`."""

from __future__ import annotations

import hashlib
import json
import platform
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.pixel_noise import estimate_pixel_noise
from qpi_kernels.extraction.predicted_share import predicted_share
from qpi_kernels.extraction.problem import Planes, Problem
from qpi_kernels.extraction.quality_report import Assessor, FitNumbers, assess_fit, error_by_kind
from qpi_kernels.io.array_records import hash_planes, pack_mask
from qpi_kernels.quality import Quality, lowest_trust
from qpi_kernels.result import KernelResult
from qpi_kernels.symmetry import Symmetry, symmetry_scores

__all__ = ["ResultBuilder"]

_MIN_REACH = 1e-6
# Fields of `Quality` with a value for each plane.
_NUMBERS = ("noise_sigma", "reduced_chi2", "r_squared", "predicted", "ridge", "determined")


class ResultBuilder:
    """Collect the kernels of all planes with `add`, then label and assess them.

    Parameters
    ----------
    problem : Problem
        The checked input.
    provenance : dict, optional
        What the estimator has to add, JSON-compatible.
    """

    def __init__(self, problem: Problem, *, provenance: dict[str, Any] | None = None) -> None:
        self._problem = problem
        self._additions = provenance or {}
        observation = problem.observation
        single = observation.dtype.kind == "f" and observation.dtype.itemsize <= 4
        self._dtype = np.dtype(np.float32 if single else np.float64)
        planes, kinds = problem.plane_count, len(problem.model.kinds)
        shape = (planes, kinds, *problem.parameters.kernel_shape)
        self._kernel = np.zeros(shape, self._dtype)
        self._std = np.zeros(shape, self._dtype)
        image = (planes, *problem.image_shape)
        self._draws: dict[int, NDArray[np.floating]] = {}
        self._background = np.zeros(image, self._dtype)
        self._reconstruction = np.zeros(image, self._dtype)
        self._residual = np.zeros(image, self._dtype)
        self._numbers: dict[str, list[float]] = {name: [] for name in _NUMBERS}
        self._chance: list[float] = []
        self._ridge_replaced: list[bool] = []
        self._condition = 1.0
        self._iterations = 0
        self._converged = True

    def add(
        self,
        start: int,
        planes: Planes,
        kernels: torch.Tensor,
        *,
        std: torch.Tensor,
        ridge: NDArray[np.float64],
        freedom: NDArray[np.float64],
        solution_size: int,
        condition: float = 1.0,
        iterations: int = 1,
        converged: bool = True,
        ridge_replaced: NDArray[np.bool_] | None = None,
        draws: torch.Tensor | None = None,
    ) -> None:
        """Take the kernels of some planes and work out what they explain.

        Parameters
        ----------
        start : int
            Index of the first plane.
        planes : Planes
            The planes the kernels were found from.
        kernels, std : tensor, (plane, kind, h, w)
            In the scaled units of ``planes``.
        ridge, freedom : array, (plane,)
            Ridge, and the effective number of kernel parameters fixed by the data.
        solution_size : int
            Number of free kernel parameters.
        condition, iterations, converged
            See `Quality`.
        ridge_replaced : array of bool, (plane,), optional
            See `FitNumbers`.
        draws : tensor, (plane, draw, kind, h, w), optional
            Errors of the kernels drawn from their posterior, in the same units.
        """
        problem = self._problem
        stop = start + len(kernels)
        prediction = problem.model.apply(kernels)
        difference = planes.values - prediction
        background = problem.background.fit(difference)
        without_background = problem.background.remove(planes.values)
        signal = _energy(without_background)
        # Masked pixels hold no data in `planes`; only the fit there is meaningful.
        target = _numpy(background * planes.scale + planes.centre)
        self._background[start:stop] = target
        self._reconstruction[start:stop] = target + _numpy(prediction * planes.scale)
        data = problem.observation.data
        observed = np.asarray(data if problem.observation.ndim == 2 else data[start:stop])
        np.subtract(
            observed.reshape(-1, *problem.image_shape),
            self._reconstruction[start:stop],
            out=self._residual[start:stop],
            casting="unsafe",
        )
        scale = planes.scale.unsqueeze(-1)
        self._kernel[start:stop] = _numpy(kernels * scale)
        self._std[start:stop] = _numpy(std * scale)
        if draws is not None:
            drawn = _numpy(draws * scale.unsqueeze(-1)).astype(self._dtype)
            self._draws |= dict(enumerate(drawn, start))

        counted = int(problem.mask.sum())
        free = np.maximum(counted - freedom - problem.background.parameters, 1.0)
        residual = (difference - background) * problem.background.weight
        misfit = _energy(residual)
        noise_share = self._noise_share(std, free / counted)
        noise = estimate_pixel_noise(residual, problem.mask_tensor, noise_share)
        noise /= problem.difference_share**0.5
        # The residual of a fit that follows nearly every pixel shows nothing.
        informative = (noise > 1e-9) & (free > 0.3 * counted)
        variance = np.where(informative, noise, 1.0) ** 2
        explained = 1.0 - misfit / np.where(signal > 0, signal, 1.0)
        share = predicted_share(
            without_background, residual, problem.mask_tensor, self._reach, freedom, solution_size
        )
        values = {
            "noise_sigma": noise * _numpy(planes.scale).ravel(),
            "reduced_chi2": np.where(informative, misfit / free / variance, np.nan),
            "r_squared": np.where(signal > 0, explained, np.nan),
            "predicted": share.share,
            "ridge": ridge,
            "determined": np.minimum(freedom / solution_size, 1.0),
        }
        for name in _NUMBERS:
            self._numbers[name] += np.asarray(values[name], np.float64).tolist()
        self._chance += share.chance.tolist()
        self._condition = max(self._condition, condition)
        self._iterations = max(self._iterations, iterations)
        self._converged &= converged
        replaced = np.zeros(len(kernels), bool) if ridge_replaced is None else ridge_replaced
        self._ridge_replaced += replaced.tolist()

    @cached_property
    def _reach(self) -> torch.Tensor:
        """True where a defect's window shows something, (rows, columns)."""
        model = self._problem.model
        flat = torch.ones(1, len(model.kinds), *self._problem.parameters.kernel_shape)
        flat = flat.to(self._problem.device, self._problem.dtype)
        return model.apply_variance(flat)[0] > _MIN_REACH

    def _noise_share(self, std: torch.Tensor, share: NDArray[np.float64]) -> torch.Tensor:
        """Estimate the share of the noise variance left in each pixel, (plane, rows, columns).

        One less the leverage. A lone defect's kernel follows every pixel around it, noise and all;
        pixels that many defects of the kernel share, or none reaches, keep their noise.
        """
        leverage = self._problem.model.apply_variance(std.square())
        weight = self._problem.background.weight.flatten()
        mean = leverage.flatten(1) @ (weight / weight.sum())
        fitted = torch.from_numpy(1.0 - share).to(leverage) / torch.where(mean > 0, mean, 1.0)
        return (1.0 - leverage * fitted.view(-1, 1, 1)).clamp(min=1e-3)

    def result(self, assess: Assessor = assess_fit) -> KernelResult:
        """Label everything and assess it.

        Parameters
        ----------
        assess : Assessor
            Gives the reasons for and against trusting the kernels.
        """
        problem = self._problem
        observation = problem.observation
        quality = self._quality(assess)
        image_coords = {
            name: coord
            for name, coord in observation.coords.items()
            if name in ("y", "x", "bias", problem.plane_dim)
        }

        def image(values: NDArray[np.floating], name: str) -> xr.DataArray:
            """Give values the coordinates of the observation."""
            return xr.DataArray(
                values.reshape(observation.shape),
                dims=observation.dims,
                coords=image_coords,
                name=name,
                attrs=_attributes(observation),
            )

        return KernelResult(
            kernel=self._label_kernel(self._kernel, "kernel"),
            std=self._label_kernel(self._std, "std"),
            background=image(self._background, "background"),
            reconstruction=image(self._reconstruction, "reconstruction"),
            residual=image(self._residual, "residual"),
            defects=problem.defects,
            quality=quality,
            provenance=self._provenance(),
            draws=self._labelled_draws(),
        )

    def _quality(self, assess: Assessor) -> Quality:
        """Collect the numbers, and the reasons that an assessor finds in them."""
        problem = self._problem
        kernel_pixels = len(problem.model.kinds) * int(np.prod(problem.parameters.kernel_shape))
        scores: dict[str, float] = {}
        for index, kind in enumerate(problem.model.kinds):
            prefix = f"{kind}: " if len(problem.model.kinds) > 1 else ""
            found = symmetry_scores(self._kernel[:, index], self._free_folds())
            scores |= {prefix + name: score for name, score in found.items()}
        numbers: dict[str, Any] = dict(self._numbers)
        fit = FitNumbers(
            kernel=self._kernel,
            std=self._std,
            determined=numbers["determined"],
            reduced_chi2=numbers["reduced_chi2"],
            r_squared=numbers["r_squared"],
            predicted=numbers["predicted"],
            chance=self._chance,
            ridge_replaced=self._ridge_replaced,
            converged=self._converged,
        )
        reasons = assess(problem, fit)
        return Quality(
            **numbers,
            fill=kernel_pixels / int(problem.mask.sum()),
            condition=self._condition,
            expected_error=max(error_by_kind(problem, fit).values()),
            defects=len(problem.defects),
            iterations=self._iterations,
            converged=self._converged,
            symmetry_scores=scores,
            trust=lowest_trust(reasons),
            reasons=reasons,
        )

    def _free_folds(self) -> tuple[int, ...]:
        """List the rotations worth scoring: those that were not imposed."""
        imposed = self._problem.parameters.symmetry
        order = Symmetry.parse(imposed).fold if imposed is not None else 1
        return tuple(fold for fold in (2, 3, 4, 6) if order % fold)

    def _label_kernel(self, values: NDArray[np.floating], name: str) -> xr.DataArray:
        """Give kernels their kinds, biases and distances from the centre."""
        problem = self._problem
        observation = problem.observation
        coords: dict[str, Any] = {"kind": list(problem.model.kinds)}
        for axis, size in zip(("y", "x"), values.shape[-2:], strict=True):
            pitch, units = _pitch(observation, axis)
            coords[axis] = (axis, (np.arange(size) - size // 2) * pitch, {"units": units})
        plane_dim = problem.plane_dim
        if plane_dim in observation.coords:
            plane = observation.coords[plane_dim]
            coords[plane_dim] = (plane_dim, np.atleast_1d(plane.values), dict(plane.attrs))
        array = xr.DataArray(
            values.transpose(1, 0, 2, 3),
            dims=("kind", plane_dim, "y", "x"),
            coords=coords,
            name=name,
            attrs=_attributes(observation),
        )
        return array.squeeze([dim for dim in ("kind", plane_dim) if array.sizes[dim] == 1])

    def _labelled_draws(self) -> xr.DataArray | None:
        """Give the drawn errors the kernel's dims after ``draw``; None where none were given."""
        if not self._draws:
            return None
        drawn = np.stack([self._draws[index] for index in range(len(self._kernel))], axis=1)
        return xr.concat([self._label_kernel(one, "draws") for one in drawn], dim="draw")

    def _provenance(self) -> dict[str, Any]:
        """Record parameters, versions and hashes of the input, JSON-compatible."""
        problem = self._problem
        observation = problem.observation
        return {
            "parameters": problem.parameters.model_dump(mode="json")
            | {"background": problem.background_kind},
            "device": str(problem.device),
            "dtype": str(problem.dtype).removeprefix("torch."),
            "versions": {name: _version(name) for name in ("napari-qpi", "torch", "numpy")}
            | {"python": platform.python_version()},
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "preparation": [dict(step) for step in problem.preparation],
            "source": str(observation.attrs.get("source", "")),
            "file": str(observation.attrs.get("file", "")),
            "channel": str(observation.name or ""),
            "observation_shape": list(observation.shape),
            "observation_sha256": hash_planes(observation),
            "finds_defects": problem.parameters.finds_defects,
            "defects_sha256": _hash_defects(problem.defects),
            "mask_sha256": hashlib.sha256(np.packbits(problem.mask).tobytes()).hexdigest(),
            "mask": None if problem.mask.all() else pack_mask(problem.mask),
            "counted_pixels": int(problem.mask.sum()),
            **self._additions,
        }


def _energy(images: torch.Tensor) -> NDArray[np.float64]:
    """Sum the squares of each image, (plane,)."""
    exact = images if images.device.type == "mps" else images.double()
    return np.asarray(_numpy(exact.square().sum(dim=(-2, -1))), np.float64)


def _numpy(tensor: torch.Tensor) -> NDArray[Any]:
    return tensor.cpu().numpy()


def _pitch(observation: xr.DataArray, axis: str) -> tuple[float, str]:
    """Return the pixel pitch along an axis and its unit; pixels without coordinates."""
    if axis not in observation.coords or observation.sizes[axis] < 2:
        return 1.0, "pixel"
    values = observation.coords[axis].values
    units = str(observation.coords[axis].attrs.get("units", "nm"))
    return float(abs(values[-1] - values[0]) / (len(values) - 1)), units


def _attributes(observation: xr.DataArray) -> dict[str, Any]:
    kept = ("units", "long_name", "quantity")
    return {name: observation.attrs[name] for name in kept if name in observation.attrs}


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _hash_defects(defects: Defects) -> str:
    """Hash all that extraction reads of the defects: positions, strengths and kinds."""
    digest = hashlib.sha256()
    for numbers in (defects.positions, defects.strength):
        digest.update(np.ascontiguousarray(numbers).tobytes())
    digest.update(json.dumps(defects.kind.tolist()).encode())
    return digest.hexdigest()
