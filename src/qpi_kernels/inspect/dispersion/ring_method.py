"""Wave numbers from the maximum of a Fourier ring: quick, familiar, and biased."""

from __future__ import annotations

import numpy as np
import xarray as xr

from qpi_kernels.inspect.dispersion.hankel.method import WaveNumbers
from qpi_kernels.inspect.fourier_transform import fourier
from qpi_kernels.inspect.profiles import radial_profile, white_floor

__all__ = ["ring_wave_numbers"]

# The first rings hold the background.
_FIRST_RING = 1
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
    transform = fourier(image)
    rings = radial_profile(transform, skip_axis=True).dropna("q")
    q, profile = rings["q"].values, rings["mean"].values
    step = float(np.diff(q).mean())
    floor = np.sqrt(white_floor(transform, skip_axis=True).values)
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
    return WaveNumbers(table, rings[["mean", "std"]])
