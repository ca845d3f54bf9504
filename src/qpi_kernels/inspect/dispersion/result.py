"""`Dispersion`: wave numbers, band parameters and lifetimes of a kernel, with errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Dispersion"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Dispersion:
    r"""Result of `fit_dispersion`.

    Errors are those of noise. A length calibration off by 1 % makes k 1 %, a mass 2 % and a
    velocity 1 % wrong; an offset of the bias is one of the onset.

    Parameters
    ----------
    model, method : str
        Which band was fitted, and how its wave numbers were found.
    parameters, errors : dict of str to float
        By name: ``mass`` in electron masses, ``onset``, ``dirac_point`` in eV, ``velocity``
        (hbar v) and ``alpha`` in eV nm, or those of a function. The error is one standard
        deviation, 0 of a parameter held fixed. Empty where too few biases could be used.
    units : dict of str to str
        Of the parameters.
    covariance : array, (varied, varied)
        Of the fitted parameters, in their order.
    wave_numbers : xarray.Dataset
        Over ``bias``: ``k`` and ``damping`` (Im k) in rad/nm; ``coherence_length`` in nm;
        ``self_energy`` (\|Im Sigma\|) in eV and ``lifetime`` in fs; ``amplitude`` and ``phase`` of
        C, ``offset``, ``k_band`` of the fitted band; each with its standard deviation ``..._std``.
        ``lifetime_limit`` and ``coherence_length_limit``, lower limits at two standard deviations
        where damping is smaller than its error and there is nothing else to tell. ``velocity``,
        dE/dk of the band in eV nm, negative for holes.
        ``residual``, k less that of the band; ``phase_per_k`` in nm, how the phase goes with k;
        ``chi2`` per free ring; ``used`` and, where it is False, ``reason``. A ring's maximum
        (``method="ring"``) gives no damping.
    profiles : xarray.Dataset
        What was fitted: over ``bias`` and ``r`` (nm) or ``q`` (rad/nm) ``mean``, ``std`` and
        ``fitted``.
    chi2, reduced_chi2, p_value : float
        Goodness of the band: sum of squared residuals of k over their errors, the same per degree
        of freedom, and the probability of a larger one. Above 1, the reduced one has widened the
        errors of the parameters.
    curve : xarray.DataArray
        The fitted band, ``k`` over ``bias``, for drawing; empty without parameters.
    notes : tuple of str
        What should be known of this fit, in sentences.
    kind : str, optional
        Which kind of defect was fitted.
    contours : xarray.Dataset, optional
        Of ``method="synthesis"``: ``k`` and ``k_std`` in rad/nm over ``bias`` and ``angle``, the
        direction in degrees anticlockwise as seen. NaN where a direction has no state.
    synthesised : xarray.DataArray, optional
        Of ``method="synthesis"``: the kernel of the fitted band, ``(bias, y, x)``.
    """

    model: str
    method: str
    parameters: dict[str, float]
    errors: dict[str, float]
    units: Mapping[str, str]
    covariance: Array
    wave_numbers: xr.Dataset
    profiles: xr.Dataset
    chi2: float
    reduced_chi2: float
    p_value: float
    curve: xr.DataArray
    notes: tuple[str, ...] = ()
    kind: str | None = None
    contours: xr.Dataset | None = None
    synthesised: xr.DataArray | None = None

    def summary(self) -> str:
        """Write parameters with errors, goodness, biases left out and notes as text."""
        table = self.wave_numbers
        used = int(table["used"].sum())
        lines = [f"{self.model}, {self.method}: {used} of {table.sizes['bias']} biases"]
        for name, value in self.parameters.items():
            error = self.errors[name]
            shown = f"{value:.6g} (fixed)" if error == 0 else _with_error(value, error)
            lines.append(f"{name} = {shown} {self.units[name]}".rstrip())
        if np.isfinite(self.reduced_chi2):
            lines.append(f"reduced chi2 = {self.reduced_chi2:.2f} (p = {self.p_value:.2g})")
        for bias, reason in zip(table["bias"].values, table["reason"].values, strict=True):
            if reason:
                lines.append(f"left out {bias:+.4g} V: {reason}")
        if self.parameters:
            lines.append(
                "Errors do not count the calibration of lengths (m* goes with their square)"
            )
            lines.append("nor that of the bias (its zero is the onset's).")
        return "\n".join([*lines, *self.notes])

    def plot(self, axes: Axes) -> Axes:
        """Draw biases over wave numbers with errors, and the fitted band.

        Parameters
        ----------
        axes : matplotlib.axes.Axes
            What to draw on.

        Returns
        -------
        matplotlib.axes.Axes
            The same.
        """
        table = self.wave_numbers
        used, rest = (table.isel(bias=one) for one in (table["used"].values, ~table["used"].values))
        if used.sizes["bias"]:
            axes.errorbar(
                used["k"], used["bias"], xerr=used["k_std"], fmt="o", ms=4, label="fitted"
            )
        if self.curve.size:
            axes.plot(self.curve, self.curve["bias"], label=self.model)
        limits = axes.get_xlim()
        if rest.sizes["bias"]:
            # Their errors, and some of themselves, are beyond all measure.
            axes.plot(rest["k"], rest["bias"], "x", alpha=0.4, label="left out")
            if used.sizes["bias"]:
                axes.set_xlim(limits)
        axes.set_xlabel("wave number k (rad/nm)")
        axes.set_ylabel("bias (V)")
        axes.legend()
        return axes


def _with_error(value: float, error: float) -> str:
    """Write a value and its error with the error's two leading digits."""
    if not np.isfinite(error):
        return f"{value:.6g} (no error)"
    digits = max(1 - int(np.floor(np.log10(error))), 0)
    return f"{value:.{digits}f} ± {error:.{digits}f}"
