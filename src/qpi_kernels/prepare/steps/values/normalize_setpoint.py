"""`NormalizeSetpoint`: dI/dV freed of the set-point's own contrast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from qpi_kernels.prepare.prepared import PreparationError, Prepared
from qpi_kernels.prepare.reference_plane import counted_plane
from qpi_kernels.prepare.step import Step

__all__ = ["STEP", "NormalizeSetpoint"]

# 2 kappa = 2 sqrt(2 m phi) / hbar, in 1/nm for phi in eV.
_DECAY_PER_ROOT_EV = 10.246
# Below this spread the feedback held the current at every bias (workbench: 3 %).
_MIN_CURRENT_SPREAD = 0.03
_PAIR_TOLERANCE = 0.25
_FLOOR_SHARE = 0.01


class NormalizeSetpoint(Step):
    """Remove what the feedback's set-point adds to a dI/dV map.

    Stabilised at (V_s, I_s) a map shows ``g = I_s rho(V) / integral of rho from 0 to V_s``. Three
    ways lead out, and each means nothing in some case:

    ``current``
        ``g / (I / V)`` with the channel ``current``, after the bias offset is taken off. Needs one
        stabilisation for all biases; refused where the feedback held the current at each bias,
        because then I is constant and nothing changes.
    ``height``
        ``g exp(2 kappa z)`` with the channel ``topography``, levelled, within one terrace; z of
        steps and adsorbates is no density of states. Means nothing at constant height.
    ``ratio``
        ``g(+V) / g(-V)``, exact for any set-point, but it mixes filled and empty states. Needs a
        cube with both signs.

    Notes
    -----
    R. M. Feenstra, J. A. Stroscio and A. P. Fein, Surf. Sci. 181, 295 (1987) for ``current``;
    arXiv 1606.07402 on set-point effects in quasiparticle interference.
    """

    channels: ClassVar[tuple[str, ...]] = ("current", "topography")

    way: Literal["current", "height", "ratio"] = Field(
        default="current", description="Divide by I/V, by the tip's height, or by g(-V)."
    )
    bias_offset: float | Literal["auto"] = Field(
        default="auto",
        description="Bias at which no current flows; auto finds it in the mean current.",
        json_schema_extra={"unit": "V"},
    )
    work_function: float = Field(
        default=4.5,
        gt=0.1,
        le=10.0,
        description="Mean work function of tip and sample, for the height.",
        json_schema_extra={"unit": "eV"},
    )

    def change(self, scan: Prepared) -> tuple[Prepared, Mapping[str, Any]]:
        """Divide every plane by what the set-point made of it."""
        ways = {"current": self._by_current, "height": self._by_height, "ratio": self._by_ratio}
        image, found = ways[self.way](scan)
        attrs = {**scan.image.attrs, "units": "" if self.way == "ratio" else "arb. units"}
        if self.way == "height":
            attrs["units"] = scan.image.attrs.get("units", "")
        if self.way == "ratio":
            kept = np.isin(scan.image["bias"].values, image["bias"].values)
            scan = replace(scan, channels=_at_planes(scan.channels, kept))
        return replace(scan, image=image.assign_attrs(attrs).rename(scan.image.name)), found

    def _by_current(self, scan: Prepared) -> tuple[xr.DataArray, dict[str, Any]]:
        """Divide by I/V, kept away from zero by 1 % of its largest mean."""
        current = _channel(scan, "current")
        known, wanted = (array.coords.get("bias") for array in (current, scan.image))
        fits = known is None or (wanted is not None and known.variable.equals(wanted.variable))
        if wanted is None or not fits or current.sizes != scan.image.sizes:
            raise PreparationError(
                "normalize set-point: dI/dV and current must have the same biases in V"
            )
        counted = current.where(scan.mask)
        mean = counted.mean(("y", "x"), skipna=True)
        spread = float((counted.std(("y", "x"), skipna=True) / np.abs(mean)).median())
        if spread < _MIN_CURRENT_SPREAD:
            raise PreparationError(
                f"normalize set-point: the current varies by {100 * spread:.1f} % at each bias, so "
                "the feedback held it and I/V carries nothing; use way='ratio' or 'height'"
            )
        bias = scan.image["bias"].astype(np.float64)
        offset = self._offset(np.atleast_1d(bias.values), np.atleast_1d(mean.values))
        voltage = bias - offset
        least = float(np.abs(voltage).max()) * 1e-9
        conductance = current.astype(np.float64) / voltage.where(np.abs(voltage) > least)
        floor = _FLOOR_SHARE * float(np.abs(conductance.mean(("y", "x"))).max())
        divided = scan.image / np.sqrt(conductance**2 + floor**2)
        return divided.transpose(*scan.image.dims).astype(scan.image.dtype), {
            "bias_offset_V": offset,
            "current_spread_share": spread,
        }

    def _offset(self, bias: NDArray[np.float64], mean: NDArray[np.float64]) -> float:
        """Return the bias in V at which the mean current crosses zero."""
        if self.bias_offset != "auto":
            return self.bias_offset
        order = np.argsort(bias)
        axis, curve = bias[order], mean[order]
        crossings = np.flatnonzero(np.diff(np.signbit(curve)))
        if not crossings.size:
            return 0.0
        at = crossings[np.abs(axis[crossings]).argmin()]
        rise = curve[at + 1] - curve[at]
        return float(axis[at] - curve[at] * (axis[at + 1] - axis[at]) / rise)

    def _by_height(self, scan: Prepared) -> tuple[xr.DataArray, dict[str, Any]]:
        """Multiply by exp(2 kappa z), z from its median."""
        _channel(scan, "topography")
        height = counted_plane(scan, "topography")
        height -= np.nanmedian(height)
        spread = float(np.nanstd(height))
        if spread == 0:
            raise PreparationError("normalize set-point: the topography is flat (constant height)")
        decay = _DECAY_PER_ROOT_EV * np.sqrt(self.work_function)
        factor = xr.DataArray(np.exp(decay * height), dims=("y", "x"))
        scaled = (scan.image * factor).transpose(*scan.image.dims).astype(scan.image.dtype)
        return scaled, {"decay_per_nm": float(decay), "height_rms_nm": spread}

    def _by_ratio(self, scan: Prepared) -> tuple[xr.DataArray, dict[str, Any]]:
        """Divide planes of positive bias by those of the same negative bias."""
        image = scan.image
        if image.ndim != 3 or "bias" not in image.coords:
            raise PreparationError("normalize set-point: a ratio needs a stack with biases in V")
        biases = np.asarray(image["bias"].values, float)
        positive = np.flatnonzero(biases > 0)
        step = float(np.median(np.abs(np.diff(biases)))) if len(biases) > 1 else 0.0
        partner = np.abs(biases[None, :] + biases[positive, None]).argmin(axis=1)
        paired = np.abs(biases[partner] + biases[positive]) <= _PAIR_TOLERANCE * step
        if not paired.any():
            raise PreparationError("normalize set-point: no bias has a partner of the other sign")
        above, below = positive[paired], partner[paired]
        under = image.isel(bias=below).assign_coords(bias=biases[above])
        ratio = image.isel(bias=above) / under
        # Without density of states at -V there is no ratio.
        ratio = ratio.where(np.isfinite(ratio))
        return ratio.astype(image.dtype), {"pairs": int(paired.sum())}


def _channel(scan: Prepared, name: str) -> xr.DataArray:
    """Return a channel of the scan."""
    if name not in scan.channels:
        raise PreparationError(
            f"normalize set-point: this way needs the channel {name!r} of the same scan; give it "
            "with channels="
        )
    return scan.channels[name]


def _at_planes(
    channels: Mapping[str, xr.DataArray], kept: NDArray[np.bool_]
) -> dict[str, xr.DataArray]:
    """Keep the planes of channels that the image keeps; drop stacks of other planes."""
    return {
        name: channel if channel.ndim == 2 else channel[kept]
        for name, channel in channels.items()
        if channel.ndim == 2 or len(channel) == len(kept)
    }


STEP = NormalizeSetpoint
