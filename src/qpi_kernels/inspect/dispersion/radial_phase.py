"""`radial_phase`: the scattering phase shift at every bias, from the phase of standing waves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.dispersion.errors import DispersionError
from qpi_kernels.inspect.dispersion.fit import fit_dispersion
from qpi_kernels.inspect.dispersion.result import Dispersion
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RadialPhase", "radial_phase"]

_MIN_PROBABILITY = 1e-4


@dataclass(frozen=True, eq=False)
class RadialPhase:
    """Result of `radial_phase`.

    Parameters
    ----------
    phase, std : xarray.DataArray
        Phase shift delta over ``bias`` in rad, above -pi/2 and up to pi/2, and its standard
        deviation; NaN where there is no ring.
    wave_numbers : xarray.Dataset
        The fits, as of `Dispersion`.
    on_band : bool
        True if the phases are those at the band's wave numbers.
    notes : tuple of str
        What should be known, in sentences.
    """

    phase: xr.DataArray
    std: xr.DataArray
    wave_numbers: xr.Dataset
    on_band: bool
    notes: tuple[str, ...] = ()

    def plot(self, axes: Axes) -> Axes:
        """Draw the phase shift over bias with errors, and return the axes.

        It is known up to multiples of pi, and drawn continuous over bias.
        """
        known = self.phase.notnull().values
        phase, std = self.phase[known], self.std[known]
        axes.errorbar(phase["bias"], np.unwrap(phase, period=np.pi), yerr=std, fmt="o", ms=4)
        axes.set_xlabel("bias (V)")
        axes.set_ylabel("phase shift (rad)")
        return axes


def radial_phase(
    kernel: KernelResult | xr.DataArray | Dispersion,
    *,
    std: xr.DataArray | None = None,
    on_band: bool = True,
    **options: Any,
) -> RadialPhase:
    r"""Measure the s-wave phase shift of a defect, to which the modulus of a transform is blind.

    The waves of an elastic scatterer (Crommie, Lutz and Eigler, Nature 363, 524, 1993) are

    .. math:: \frac{\delta\rho(r)}{\rho_0}
              = \tfrac12 \mathrm{Re}\{(e^{2i\delta} - 1) [H_0^{(1)}(kr)]^2\}
              \sim \frac{2}{\pi k r} [\cos^2(kr - \pi/4 + \delta) - \cos^2(kr - \pi/4)]

    so that the fitted C, see `fit_dispersion`, has the phase :math:`\delta \pm \pi/2`, the sign
    being that of delta. Positive phases attract; of a point potential
    :math:`T \propto -\sin\delta\, e^{i\delta}`. Where energies fall with k, as of holes and below a
    Dirac point, waves go out as :math:`H_0^{(2)}`, and delta has the opposite sign.

    Parameters
    ----------
    kernel, std, **options
        As for `fit_dispersion`, ``on_event`` and ``cancel`` too, or its result by
        ``method="hankel"``. The kernel is a change of the density of states (dI/dV): with the
        opposite sign delta would be the same, for only ``tan(delta)`` shows.

    on_band : bool
        Take the phase at the wave number of the fitted band rather than at that of the bias alone,
        whose error is most of the phase's. The band must be right: a reduced chi-squared above 1
        widens the errors, and where its probability is below 1e-4, the phase is that of the bias,
        and the notes say so.

    Returns
    -------
    RadialPhase
        A scatterer that absorbs has another modulus and phase of C: delta is then its phase only if
        the absorption is weak. Without a band energies are taken to rise with k. Phases of a Rashba
        band are not to be trusted, as its waves mix two wave numbers.

    Raises
    ------
    DispersionError
        As of `fit_dispersion`, or if its method gives no phase with an error.
    """
    if not isinstance(kernel, Dispersion):
        kernel = fit_dispersion(kernel, std=std, **options)
    table = kernel.wave_numbers
    if "phase_std" not in table:
        raise DispersionError(
            f"method={kernel.method!r} finds no phase with an error: use method='hankel'"
        )
    phase, variance = table["phase"].values, table["phase_std"].values ** 2
    notes, direction = [], np.ones(len(phase))
    if kernel.parameters:
        direction = np.where(table["velocity"].values < 0, -1.0, 1.0)
        if on_band and kernel.p_value < _MIN_PROBABILITY:
            on_band = False
            notes.append(
                f"The band does not fit (p = {kernel.p_value:.1g}): phases are those at the wave "
                "number of each bias."
            )
    else:
        on_band = False
        notes.append(
            "Without a band energies are taken to rise with k: of holes the sign is wrong."
        )
    if on_band:
        # The joint errors of k and phase are Gaussian: this is the phase if k is that of the band.
        slope = table["phase_per_k"].values
        phase = phase - slope * table["residual"].values
        beside = max(np.nan_to_num(kernel.reduced_chi2, nan=1.0) - 1.0, 0.0)
        change = table["k_band_std"].values ** 2 + (beside - 1.0) * table["k_std"].values ** 2
        variance = np.maximum(variance + slope**2 * change, 0.0)
    # The remainder of pi lies from 0 to pi, the phase shift from -pi/2 to pi/2.
    phase = direction * (np.pi / 2 - np.mod(np.pi - phase, np.pi))

    def labelled(values: NDArray[np.float64], title: str) -> xr.DataArray:
        """Label values of the biases that have a ring."""
        shown = np.where(table["used"].values, values, np.nan)
        attributes = {"units": "rad", "long_name": title}
        return xr.DataArray(shown, dims="bias", coords={"bias": table["bias"]}, attrs=attributes)

    error = labelled(np.sqrt(variance), "error of phase shift")
    return RadialPhase(labelled(phase, "phase shift"), error, table, on_band, tuple(notes))
