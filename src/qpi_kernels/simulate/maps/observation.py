"""Maps of many defects: superposed kernels with the noise and artefacts of a scan."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import scipy.fft
import torch
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.forward import ForwardModel
from qpi_kernels.simulate.maps.artefacts import Artefacts, apply_artefacts
from qpi_kernels.simulate.maps.streams import Seed

__all__ = ["ObservationError", "observe", "superpose"]

Real = TypeVar("Real", np.float32, np.float64)


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


def superpose(
    kernel: NDArray[Real],
    defects: Defects,
    shape: tuple[int, int],
    *,
    kinds: Sequence[str] | None = None,
) -> NDArray[Real]:
    """Superpose kernels at every defect, quickly: for one small map of a training set.

    What `ForwardModel.apply` predicts, with the sub-pixel shifts made by Fourier phases instead
    of a windowed sinc: about 3 times faster for a model used once. The two agree to 0.1 % of
    the map's standard deviation if the kernel is smooth and fades before its edges, and to 1 % if
    it has a cusp.

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
    if kinds is not None:
        _check_kinds(defects, kinds)
    elif len(stack) > 1:
        raise ObservationError("name the kernels: kinds=[...] in the order of the first axis")
    window = stack.shape[-2:]
    extent = [n + k - 1 for n, k in zip(shape, window, strict=True)]
    size = [scipy.fft.next_fast_len(n, real=True) for n in extent]
    spectrum = np.zeros((size[0], size[1] // 2 + 1), np.result_type(kernel.dtype, np.complex64))
    for index, one in enumerate(stack):
        members = defects if kinds is None else defects.of_kind(kinds[index])
        members = _reaching(members, shape, window)
        if len(members):
            corner = members.positions - np.array(window) // 2
            down = _phases(corner[:, 0], scipy.fft.fftfreq(size[0]), kernel.dtype)
            across = _phases(corner[:, 1], scipy.fft.rfftfreq(size[1]), kernel.dtype)
            down *= members.strength.astype(kernel.dtype)
            # In torch: numpy's BLAS threads would spin beside those of the training step.
            shifts = torch.from_numpy(down) @ torch.from_numpy(across).T
            spectrum += scipy.fft.rfft2(one, s=size) * shifts.numpy()
    image: NDArray[Real] = scipy.fft.irfft2(spectrum, s=size)[: shape[0], : shape[1]]
    return image


def _superposed(
    kernel: xr.DataArray, defects: Defects, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """The clean map, dims as the kernel's without ``kind``."""
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
    """Pixel pitch in nm, without the rounding of a difference of coordinates.

    Maps of one pitch must have the same coordinates to the last bit: xarray subtracts only where
    they agree.
    """
    return float(f"{float(kernel[axis][1] - kernel[axis][0]):.12g}")


def _check_kinds(defects: Defects, kinds: Sequence[str]) -> None:
    missing = [kind for kind in defects.kinds if kind not in kinds]
    if missing:
        raise ObservationError(
            f"there are defects of kind {', '.join(missing)}, but kernels only for "
            f"{', '.join(kinds)}: add the kernels or rename the kinds"
        )


def _reaching(defects: Defects, shape: tuple[int, int], window: tuple[int, ...]) -> Defects:
    """Those defects whose kernel reaches into the map; others would wrap around into it."""
    ends = np.array(window) - 1 - np.array(window) // 2
    low, high = -ends - 0.5, np.array(shape) - 0.5 + np.array(window) // 2
    return defects[((defects.positions > low) & (defects.positions < high)).all(axis=1)]


def _phases(
    shift: NDArray[np.float64], frequency: NDArray[np.float64], dtype: np.dtype[Real]
) -> NDArray[np.complexfloating]:
    """``exp(-2 pi i frequency shift)``, (frequency, shift); cosine and sine in the precision."""
    turns = np.multiply.outer(frequency, shift)
    angle = (-2 * np.pi * (turns - np.rint(turns))).astype(dtype)
    phases = np.empty(angle.shape, np.result_type(dtype, np.complex64))
    np.cos(angle, out=phases.real)
    np.sin(angle, out=phases.imag)
    return phases
