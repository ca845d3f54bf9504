"""Maps of many defects: superposed kernels with the noise and artefacts of a scan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels import forward
from qpi_kernels.defects import Defects
from qpi_kernels.forward import ForwardModel, Real
from qpi_kernels.simulate.maps.artefacts import Artefacts, apply_artefacts
from qpi_kernels.simulate.maps.streams import Seed
from qpi_kernels.threads import one_thread

__all__ = ["ObservationError", "observe", "superpose"]


class ObservationError(ValueError):
    """A map can not be simulated as asked; the message says what to change."""


def observe(
    kernel: xr.DataArray,
    defects: Defects,
    shape: tuple[int, int],
    *,
    noise: float = 0.0,
    row_offsets: float = 0.0,
    artefacts: Artefacts | None = None,
    seed: Seed = 0,
) -> xr.DataArray:
    """Superpose kernels at every defect and scan the result.

    Parameters
    ----------
    kernel : xarray.DataArray
        ``(y, x)`` or ``(bias, y, x)``; ``y``, ``x`` in nm from the centre. A further dim ``kind``,
        with names as its coordinate, holds one kernel for each kind of defect; without it all
        defects have the same kernel.
    defects : Defects
        In pixels of the map; with drift, where they are at the time of the frame's middle
        (`drifted` tells where they appear).
    shape : tuple of int
        Size of the map (rows, columns).
    noise, row_offsets : float
        Short for `artefacts` with these two fields.
    artefacts : Artefacts, optional
        Noise and artefacts of the scan; none when left out.
    seed : int or sequence of int
        Seed of noise and artefacts.

    Returns
    -------
    xarray.DataArray
        The map, dims as the kernel's without ``kind``, ``y`` and ``x`` in nm from the first
        pixel. Missing rows are NaN. The attribute ``simulation`` holds artefacts and seed as JSON.

    Raises
    ------
    ObservationError
        If the kernel's dims do not fit, or it lacks a kind of the defects.
    """
    if artefacts is None:
        artefacts = Artefacts(noise=noise, row_offsets=row_offsets)
    elif noise or row_offsets:
        raise ObservationError("give noise and row_offsets as fields of the artefacts")
    pixel_nm = float(kernel["x"][1] - kernel["x"][0])
    margin = artefacts.drift(shape, pixel_nm=pixel_nm).margin_px
    wide = shape[0] + 2 * margin, shape[1] + 2 * margin
    clean = _superposed(kernel, defects.moved(defects.positions + margin), wide)
    seen = apply_artefacts(clean, artefacts, pixel_nm=pixel_nm, seed=seed, margin_px=margin)
    dims = tuple(dim for dim in kernel.dims if dim != "kind")
    coords: dict[str, Any] = {
        axis: (axis, np.arange(size) * _pitch(kernel, axis), {"units": "nm"})
        for axis, size in zip(("y", "x"), shape, strict=True)
    }
    if "bias" in kernel.coords:
        coords["bias"] = kernel.coords["bias"]
    simulation = {
        "artefacts": artefacts.model_dump(mode="json"),
        "seed": np.asarray(seed).tolist(),
    }
    return xr.DataArray(
        seen,
        dims=dims,
        coords=coords,
        name="didv",
        attrs={
            "units": kernel.attrs.get("units", ""),
            "long_name": "dI/dV",
            "quantity": "didv",
            "simulation": json.dumps(simulation),
        },
    )


@one_thread()
def superpose(
    kernel: NDArray[Real],
    defects: Defects,
    shape: tuple[int, int],
    *,
    kinds: Sequence[str] | None = None,
) -> NDArray[Real]:
    """Superpose kernels at every defect by `qpi_kernels.forward.superpose`, checked.

    Parameters
    ----------
    kernel : array, (h, w) or (kind, h, w)
        float32 or float64; the defect sits at index ``(h//2, w//2)``.
    defects : Defects
        In pixels of the map.
    shape : tuple of int
        Size of the map (rows, columns).
    kinds : sequence of str, optional
        Names of the kernels along the first axis; needed if there is one.

    Returns
    -------
    array, (rows, columns)
        The map, in the kernel's precision.

    Raises
    ------
    ObservationError
        If the kernel lacks a kind of the defects.
    """
    stack = kernel[None] if kernel.ndim == 2 else kernel
    if kinds is None:
        if len(stack) > 1:
            raise ObservationError("name the kernels: kinds=[...] in the order of the first axis")
        return forward.superpose(stack, [defects], shape)
    _check_kinds(defects, kinds)
    return forward.superpose(stack, [defects.of_kind(kind) for kind in kinds], shape)


@one_thread()
def _superposed(
    kernel: xr.DataArray, defects: Defects, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Superpose the kernels by the forward model; dims as the kernel's without ``kind``."""
    if kernel.dims[-2:] != ("y", "x"):
        raise ObservationError(f"the kernel's last dims must be y and x, not {kernel.dims}")
    leading = [dim for dim in kernel.dims[:-2] if dim != "kind"]
    if "kind" in kernel.dims:
        if "kind" not in kernel.coords:
            raise ObservationError("name the kernels: kernel.assign_coords(kind=[...])")
        _check_kinds(defects, [str(name) for name in kernel["kind"].values])
        kernel = kernel.sel(kind=list(defects.kinds)).transpose(*leading, "kind", "y", "x")
    else:
        kernel = kernel.expand_dims("kind", axis=-3)
    if not len(defects):
        return np.zeros((*kernel.shape[:-3], *shape))
    model = ForwardModel(defects, shape, (kernel.sizes["y"], kernel.sizes["x"]))
    clean: NDArray[np.float64] = model.apply(
        torch.from_numpy(np.ascontiguousarray(kernel.values, dtype=np.float64))
    ).numpy()
    return clean


def _pitch(kernel: xr.DataArray, axis: str) -> float:
    """Read the pixel pitch in nm, without the rounding of a difference of coordinates.

    Maps of one pitch must have the same coordinates to the last bit: xarray subtracts only where
    they agree.
    """
    return float(f"{float(kernel[axis][1] - kernel[axis][0]):.12g}")


def _check_kinds(defects: Defects, kinds: Sequence[str]) -> None:
    """Refuse defects of kinds that have no kernel."""
    missing = [kind for kind in defects.kinds if kind not in kinds]
    if missing:
        raise ObservationError(
            f"there are defects of kind {', '.join(missing)}, but kernels only for "
            f"{', '.join(kinds)}: add the kernels or rename the kinds"
        )
