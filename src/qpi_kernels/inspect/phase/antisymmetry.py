"""`antisymmetrised`: the part of a kernel's transform that changes sign with energy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.axes import InspectionError
from qpi_kernels.inspect.fourier_transform import Window, fourier, window_weights
from qpi_kernels.inspect.phase.kernel_errors import KernelErrors, kernel_errors
from qpi_kernels.result import KernelResult

__all__ = ["antisymmetrised"]

Array = NDArray[np.float64]
Pixels = NDArray[np.bool_]

_SHIFTS = 7


def antisymmetrised(
    kernel_stack: KernelResult | xr.DataArray,
    region: xr.DataArray | Pixels | tuple[float, float],
    *,
    std: xr.DataArray | None = None,
    position_std_nm: float | Mapping[str, float] | None = None,
    angle_deg: float | None = None,
    width_deg: float = 20.0,
    window: Window = "hann",
    draws: xr.DataArray | None = None,
) -> xr.Dataset:
    r"""Sum what of a kernel's transform is odd in energy over a region of scattering vectors.

    .. math:: S^-(E) = \int_{\rm region} \frac{d^2q}{(2\pi)^2}\,
              \mathrm{Re}[A(q, +E) - A(q, -E)]

    the test of Hirschfeld, Altenfeld, Eremin and Mazin (Phys. Rev. B 92, 184513 (2015)) for a
    superconducting gap that changes sign, which needs the transform of one isolated defect, as in
    arXiv 1703.04891: a kernel's is one (arXiv 1807.10752). At scattering vectors between two gaps
    of opposite sign and a weak non-magnetic defect, S^- keeps its sign between the two gap
    energies; with gaps of one sign it crosses zero at the geometric mean of the two. Strong
    scatterers with bound states need phase-referenced QPI at their energies (arXiv 1710.09088).

    Parameters
    ----------
    kernel_stack : KernelResult or DataArray
        ``(bias, y, x)``, or ``(kind, bias, y, x)``, biases of both signs.
    region : DataArray or array of bool, or (q_min, q_max)
        True where `fourier` of the kernel counts, ``(q_y, q_x)``; or an annulus in rad/nm.
    std : DataArray, optional
        Standard deviation of the kernel; a `KernelResult` has its own.
    position_std_nm : float or mapping of kind to float, optional
        As for `phase_referenced`.
    angle_deg, width_deg : float, optional
        Keep the sector of an annulus about this direction, anticlockwise as seen, and the opposite
        one, so wide; all directions when left out.
    window : {"hann", "none", "tukey", "hamming", "blackman"}
        As for `fourier`.
    draws : DataArray, optional
        As for `phase_referenced`.

    Returns
    -------
    xarray.Dataset
        Over ``energy`` = \|E\| in eV: ``value`` and ``std`` of S^-, ``even`` and ``even_std`` of
        the same with the sum of both energies, in the unit of the kernel: over all q it would be
        the kernel's value at the defect. ``bias_positive`` and ``bias_negative`` are the biases
        that were paired; zero bias, or the one next to it on an axis with an offset, is its own
        partner and left out. NaN errors without `std` and position error.

    Raises
    ------
    InspectionError
        If biases have no partner within half a step, or the region is empty or of another shape.

    Notes
    -----
    The sum is linear in the kernel's pixels; its error adds theirs as `phase_referenced` does, and
    those of +E and -E as independent. The position error is that of one shift
    for all energies. Gaps should be resolved: broadening fills the region between them.

    Errors of the bias axis and of the set-point are not in the error bars. Where zero bias is off
    by d, an even spectrum shows :math:`|S^-| \approx 2 d\, |\partial_E S|`: compare S^- with that
    of biases moved by the amplifier's offset. Normalisation at a set-point of one sign is not even
    in energy either.
    """
    given = kernel_errors(kernel_stack, std, position_std_nm, draws)
    if "bias" not in given.kernel.dims:
        raise InspectionError("the kernel has no bias dimension: S^- needs energies of both signs")
    positive, negative = _pairs(given.kernel["bias"].values.astype(float))
    signed = fourier(given.kernel, window=window, scale="complex")
    chosen = _region(region, signed, angle_deg, width_deg)
    sums, weight = _summed(given, signed, chosen)
    noise = _noise(given, chosen, window)
    bias_axis = given.kernel.dims.index("bias")
    above, below = (np.take(sums, index, axis=bias_axis) for index in (positive, negative))
    certain = given.std is None and not float(given.position_std.max()) > 0
    columns = {}
    for name, sign in (("value", -1), ("even", 1)):
        both = above + sign * below
        columns[name] = both[..., 0]
        spread = np.square(both - (both @ weight)[..., None]) @ weight
        if noise is not None:
            spread = spread + sum(
                np.take(noise, one, axis=bias_axis) for one in (positive, negative)
            )
        error = "std" if name == "value" else "even_std"
        columns[error] = np.full_like(spread, np.nan) if certain else np.sqrt(spread)
    biases = given.kernel["bias"].values.astype(float)
    dims = tuple("energy" if dim == "bias" else dim for dim in given.kernel.dims[:-2])
    titles = {
        "value": "antisymmetrised sum", "std": "error of the antisymmetrised sum",
        "even": "symmetrised sum", "even_std": "error of the symmetrised sum",
    }  # fmt: skip
    unit = given.kernel.attrs.get("units", "")
    energy = (biases[positive] - biases[negative]) / 2
    return xr.Dataset(
        {
            name: (dims, columns[name], {"units": unit, "long_name": title})
            for name, title in titles.items()
        },
        coords={
            **{name: given.kernel.coords[name] for name in dims if name in given.kernel.coords},
            "energy": ("energy", energy, {"units": "eV", "long_name": "energy"}),
            "bias_positive": ("energy", biases[positive], {"units": "V"}),
            "bias_negative": ("energy", biases[negative], {"units": "V"}),
        },
        attrs={"pixels": int(chosen.sum()), "window": window},
    )


def _pairs(biases: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair positive with negative biases, as far as both signs reach; indices, ascending in |E|."""
    half = float(np.median(np.diff(np.sort(biases)))) / 2 * (1 + 1e-6) if len(biases) > 1 else 0.0
    # Zero, which an offset of the axis or rounding makes a small bias, is its own partner.
    mirrored = np.abs(biases[:, None] + biases)
    own = np.isclose(mirrored.min(axis=1), np.diag(mirrored), atol=0) & (np.abs(biases) < half)
    above, below = (np.flatnonzero(one & ~own) for one in (biases > 0, biases < 0))
    if not len(above) or not len(below):
        raise InspectionError("the antisymmetrised sum needs biases of both signs")
    above = above[np.argsort(biases[above])]
    above = above[biases[above] <= -biases[below].min() + half]
    partners = below[np.abs(biases[above][:, None] + biases[below]).argmin(axis=1)]
    away = np.abs(biases[above] + biases[partners])
    if not len(above) or away.max() > half or len(set(partners.tolist())) < len(partners):
        worst = biases[above[away.argmax()]] if len(above) else biases.max()
        raise InspectionError(
            f"{worst:+.4g} V has no partner of its own at {-worst:+.4g} V within half a step "
            f"({half:.2g} V): interpolate the kernel over bias first"
        )
    return above, partners


def _region(
    region: xr.DataArray | Pixels | tuple[float, float],
    signed: xr.DataArray,
    angle_deg: float | None,
    width_deg: float,
) -> Pixels:
    """Mark the scattering vectors to sum, (q_y, q_x)."""
    q_y, q_x = (signed[axis].values for axis in ("q_y", "q_x"))
    if isinstance(region, tuple):
        low, high = sorted(region)
        distance = np.hypot(q_y[:, None], q_x)
        chosen = (distance >= low) & (distance <= high)
        if angle_deg is not None:
            # q_y counts down the screen; q and -q belong together.
            angle = np.rad2deg(np.arctan2(-q_y[:, None], q_x)) - angle_deg
            chosen &= np.abs((angle + 90) % 180 - 90) <= width_deg / 2
    else:
        chosen = np.asarray(region.values if isinstance(region, xr.DataArray) else region)
        if chosen.shape != signed.shape[-2:] or chosen.dtype != np.bool_:
            raise InspectionError(
                f"the region must be boolean with the shape {signed.shape[-2:]} of the kernel's "
                f"transform, not {chosen.dtype} with {chosen.shape}"
            )
    if not chosen.any():
        steps = f"{signed.attrs['dq_y']:.3g} and {signed.attrs['dq_x']:.3g}"
        raise InspectionError(
            f"no scattering vector lies in the region: they are {steps} rad/nm apart and reach "
            f"{abs(q_x).max():.3g} rad/nm"
        )
    return np.asarray(chosen)


def _summed(given: KernelErrors, signed: xr.DataArray, chosen: Pixels) -> tuple[Array, Array]:
    """Sum Re A over the region for shifted origins.

    Returns
    -------
    sums : array, (..., bias, shift)
        The first is not shifted.
    weight : array, (shift,)
        Probability of each shift.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(_SHIFTS)
    shift_y, shift_x = (axis.ravel() for axis in np.meshgrid(nodes, nodes))
    probability = np.multiply.outer(weights, weights).ravel()
    rows, columns = np.nonzero(chosen)
    q_y, q_x = signed["q_y"].values[rows], signed["q_x"].values[columns]
    phase = np.outer(np.append(0.0, shift_y), q_y) + np.outer(np.append(0.0, shift_x), q_x)
    values = signed.values[..., rows, columns]
    leading = signed.isel(q_y=0, q_x=0, drop=True)
    spread = given.position_std.broadcast_like(leading).transpose(*leading.dims).values
    area = signed.attrs["dq_y"] * signed.attrs["dq_x"] / (2 * np.pi) ** 2
    turned = [
        (np.exp(-1j * float(width) * phase) @ one).real * area
        for one, width in zip(values.reshape(-1, len(rows)), spread.ravel(), strict=True)
    ]
    sums = np.stack(turned).reshape(*values.shape[:-1], -1)
    return sums, np.append(0.0, probability / probability.sum())


def _noise(given: KernelErrors, chosen: Pixels, window: Window) -> Array | None:
    """Propagate the variance of pixels to the sum, (..., bias)."""
    if given.std is None:
        return None
    # The sum is a scalar product of the kernel with the region's waves.
    waves = scipy.fft.fftshift(scipy.fft.ifft2(scipy.fft.ifftshift(chosen)).real)
    weight = window_weights(window, chosen.shape)
    share = weight * (waves - (weight * waves).sum() / weight.sum())
    weights = given.std.values.astype(float) * share
    independent = np.asarray(np.square(weights).sum(axis=(-2, -1)))
    if given.correlation is None:
        return independent
    # These waves are even about the defect.
    even = 1 + np.maximum(given.correlation.even, 0.0)
    return np.asarray(even * np.maximum(given.correlation.variance(weights), independent))
