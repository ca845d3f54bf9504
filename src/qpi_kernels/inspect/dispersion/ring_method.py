"""Wave numbers from the maximum of a Fourier ring: quick, familiar, and biased."""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.signal
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.dispersion.hankel_method import WaveNumbers

__all__ = ["ring_wave_numbers"]

Array = NDArray[np.float64]

# The first rings hold the background, the last ones nothing but noise.
_FIRST_RING, _FLOOR_FROM = 2, 0.9
_MIN_ABOVE_FLOOR = 3.0


def ring_wave_numbers(image: xr.DataArray) -> WaveNumbers:
    r"""Find the maximum of the angular mean of \|FT\| at every bias, and take half of it for k.

    The maximum is not at 2k: phase, damping and window displace it, which biases m* by up to 36 %.
    It serves for comparison with published work.

    Parameters
    ----------
    image : DataArray, (bias, y, x)
        A kernel or a map, in nm. A Hann window is applied.

    Returns
    -------
    WaveNumbers
        The error of k is that of a place within a step dq, and of noise as high as the floor. There
        is no damping.
    """
    q, profile, scatter, step = _profile(image)
    floor = np.median(profile[:, q >= _FLOOR_FROM * q[-1]], axis=1)
    k, error, reasons = [], [], []
    for line, low in zip(profile, floor, strict=True):
        top = _FIRST_RING + int(line[_FIRST_RING:-1].argmax())
        before, at, after = line[top - 1 : top + 2]
        curvature = 2 * at - before - after
        moved = 0.5 * (after - before) / curvature if curvature > 0 else 0.0
        k.append((q[top] + float(np.clip(moved, -0.5, 0.5)) * step) / 2)
        error.append(step / 2 * float(np.sqrt(1 / 12 + (low / at) ** 2)))
        reasons.append(
            "" if at > _MIN_ABOVE_FLOOR * low and top > _FIRST_RING else "no ring above the floor"
        )
    bias, unknown = image["bias"], np.full(len(k), np.nan)
    table = xr.Dataset(coords={"bias": bias})
    for name, values, title in (
        ("k", np.array(k), "wave number"),
        ("k_std", np.array(error), "error of wave number"),
        ("damping", unknown, "damping Im k"),
        ("damping_std", unknown, "error of damping Im k"),
    ):
        table[name] = ("bias", values, {"units": "rad/nm", "long_name": title})
    table["used"] = ("bias", np.array([not one for one in reasons]))
    table["reason"] = ("bias", np.array(reasons, object))
    labels = {"units": image.attrs.get("units", ""), "long_name": "angular mean of |FT|"}
    profiles = xr.Dataset(
        {"mean": (("bias", "q"), profile, labels), "std": (("bias", "q"), scatter, labels)},
        coords={"bias": bias, "q": ("q", q, {"units": "rad/nm", "long_name": "q"})},
    )
    return WaveNumbers(table, profiles)


def _profile(image: xr.DataArray) -> tuple[Array, Array, Array, float]:
    """Average the power over rings: q, its root, the error of that, and the step of q."""
    values = np.asarray(image.values, float)
    sides = values.shape[-2:]
    window = np.multiply.outer(*(scipy.signal.windows.hann(n, sym=False) for n in sides))
    mean = (values * window).sum(axis=(-2, -1), keepdims=True) / window.sum()
    power = np.abs(2 * scipy.fft.fft2((values - mean) * window) / window.sum()) ** 2
    along_y, along_x = (
        2 * np.pi * scipy.fft.fftfreq(n, float(abs(image[axis][1] - image[axis][0])))
        for n, axis in zip(sides, ("y", "x"), strict=True)
    )
    q = np.hypot(along_y[:, None], along_x)
    step = float(max(along_y[1], along_x[1]))
    ring = np.rint(q / step).astype(np.int64)
    inside = ring <= int(min(np.abs(along_y).max(), np.abs(along_x).max()) / step)
    # Offsets of rows lie along q_x = 0.
    inside &= (np.abs(along_x) > 1.5 * along_x[1])[None, :] | (ring < _FIRST_RING)
    count = np.bincount(ring[inside])
    squares = np.stack([np.bincount(ring[inside], weights=one[inside]) for one in power]) / count
    centres = np.bincount(ring[inside], weights=q[inside]) / count
    profile = np.sqrt(squares)
    # Power is distributed exponentially, and q and -q are copies.
    return centres, profile, profile / np.sqrt(2 * count), step
