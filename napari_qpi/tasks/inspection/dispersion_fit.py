"""`DispersionFit`: what a fit of a dispersion depends on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import xarray as xr

from qpi_kernels import inspect
from qpi_kernels.inspect.dispersion_choices import (
    ROUND_MODELS,
    SYNTHESISED_MODELS,
    parameters_of,
)
from qpi_kernels.progress import (
    CancelToken,
    Event,
    GeneratorStepper,
    Stepper,
    in_thread_with_events,
)

if TYPE_CHECKING:
    from qpi_kernels.inspect.dispersion.result import Dispersion

__all__ = [
    "FITTING",
    "MODELS",
    "SYNTHESISED",
    "DispersionFit",
    "NamedValuesError",
    "band_table",
    "clipboard_table",
    "fit_in_words",
    "named_values",
    "scattering_vectors",
    "values_help",
]

SYNTHESISED = tuple(name for name in SYNTHESISED_MODELS if name not in ROUND_MODELS)
"""Models whose contours are not round, which only kernels that are simulated can fit."""

FITTING = "Fitting the dispersion"
"""The work, and its thread."""

MODELS = (*ROUND_MODELS, *SYNTHESISED)


_EXAMPLES = {
    "onset": "onset = -0.4",
    "alpha": "alpha = 0.03",
    "dirac_point": "dirac_point = 0.2",
    "angle_deg": "angle_deg = 10",
}


class NamedValuesError(ValueError):
    """The text of parameters with values can not be read; the message says how to write it."""


@dataclass(frozen=True, eq=False)
class DispersionFit:
    """A kernel over bias, and how to fit its dispersion.

    Parameters
    ----------
    kernel, std : xarray.DataArray, (bias, y, x)
        Kernel and its standard deviation, None where it is not known.
    name : str
        What the kernel shows.
    model, method : str
        As `qpi_kernels.inspect.fit_dispersion` takes them.
    bias_range : tuple of float or None
        Lowest and highest bias; all without.
    radii_nm : tuple of float or None
        Nearest and farthest distance from the defect; the library's choice without.
    initial, fixed : dict of str to float
        Start values, and parameters that are held.
    temperature_K, modulation_V : float
        Temperature and rms lock-in modulation, whose width is taken off the damping of
        waves in real space; not where both are 0.
    setpoint_V : float or None
        Bias of a set-point at constant current, whose waves are fitted, too.
    """

    kernel: xr.DataArray
    std: xr.DataArray | None
    name: str
    model: str = "parabola"
    method: str = "hankel"
    bias_range: tuple[float, float] | None = None
    radii_nm: tuple[float, float] | None = None
    initial: dict[str, float] = field(default_factory=dict)
    fixed: dict[str, float] = field(default_factory=dict)
    temperature_K: float = 0.0  # noqa: N815 - the unit's own letter
    modulation_V: float = 0.0  # noqa: N815
    setpoint_V: float | None = None  # noqa: N815

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `fit_dispersion` that are not its defaults."""
        chosen: dict[str, Any] = {"model": self.model, "method": self.method}
        for name in ("bias_range", "radii_nm"):
            if getattr(self, name) is not None:
                chosen[name] = getattr(self, name)
        for name in ("initial", "fixed"):
            if getattr(self, name):
                chosen[name] = getattr(self, name)
        return chosen

    @property
    def resolution(self) -> dict[str, float] | None:
        """Arguments of the instrument's resolution, None where it is not taken off."""
        if self.method != "hankel" or not (self.temperature_K or self.modulation_V):
            return None
        return {"temperature_K": self.temperature_K, "modulation_V": self.modulation_V}

    def start(self, cancel: CancelToken) -> Stepper[Dispersion]:
        """Give the stepper, which the token stops in mid-fit; called in the worker."""
        return _Fitting(self, cancel)

    def run(
        self,
        on_event: Callable[[Event], object] | None = None,
        cancel: CancelToken | None = None,
    ) -> Dispersion:
        """Fit; the arguments are those of `fit_dispersion`.

        Raises
        ------
        DispersionError
            If kernel, model and parameters do not fit together.
        Cancelled
            If the token was cancelled.
        """
        options = self.options
        if self.resolution is not None:
            from qpi_kernels.simulate import EnergyResolution

            options["resolution"] = EnergyResolution(**self.resolution)
        if self.setpoint_V is not None:
            from qpi_kernels.simulate import SetPoint

            options["setpoint"] = SetPoint(self.setpoint_V)
        return inspect.fit_dispersion(
            self.kernel, std=self.std, on_event=on_event, cancel=cancel, **options
        )

    def code(self) -> str:
        """Write the lines that fit ``dispersion``."""
        arguments = ["kernel"]
        if self.std is not None:
            arguments.append("std=std")
        arguments += [f"{name}={value!r}" for name, value in self.options.items()]
        if self.resolution is not None:
            given = ", ".join(f"{name}={value!r}" for name, value in self.resolution.items())
            arguments.append(f"resolution=qk.simulate.EnergyResolution({given})")
        if self.setpoint_V is not None:
            arguments.append(f"setpoint=qk.simulate.SetPoint({self.setpoint_V!r})")
        return (
            f"dispersion = qk.inspect.fit_dispersion({', '.join(arguments)})\n"
            "print(dispersion.summary())"
        )


class _Fitting(GeneratorStepper["Dispersion"]):
    """Fit in a thread of its own: lmfit calls the residual, so that no generator holds the fit."""

    def __init__(self, fit: DispersionFit, cancel: CancelToken) -> None:
        self._fit, self._cancel = fit, cancel

    def _run(self) -> Generator[Event, None, Dispersion]:
        call = partial(self._fit.run, cancel=self._cancel)
        return (yield from in_thread_with_events(call, FITTING))


def named_values(text: str) -> dict[str, float]:
    """Read parameters with their values from a text such as ``alpha = 0.03, onset = -0.4``.

    Raises
    ------
    NamedValuesError
        If the text is no list of names with numbers.
    """
    values = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = (word.strip() for word in part.partition("="))
        try:
            values[name] = float(number)
        except ValueError as error:
            raise NamedValuesError(
                f"{part!r} is no parameter with its value; write for example: alpha = 0.03"
            ) from error
        if not equals or not name.isidentifier():
            raise NamedValuesError(f"{part!r} has no name; write for example: alpha = 0.03")
    return values


def values_help(model: str, method: str) -> tuple[str, str]:
    """Name the parameters of a model with their units in a sentence, and write an example."""
    units = parameters_of(model, method)
    known = ", ".join(f"{name} ({unit})" if unit else name for name, unit in units.items())
    last = list(units)[-1] if units else "onset"
    return (f"The parameters of {model}: {known}." if known else ""), _EXAMPLES.get(last, "")


def band_table(dispersion: Dispersion) -> xr.Dataset:
    """Tabulate the fitted parameters: ``value`` and ``error`` over ``parameter``, with units."""
    names = list(dispersion.parameters)
    return xr.Dataset(
        {
            "value": ("parameter", [dispersion.parameters[name] for name in names]),
            "error": ("parameter", [dispersion.errors[name] for name in names]),
            "unit": ("parameter", [dispersion.units[name] for name in names]),
        },
        coords={"parameter": names},
        attrs={
            "model": dispersion.model,
            "method": dispersion.method,
            "reduced_chi2": dispersion.reduced_chi2,
            "p_value": dispersion.p_value,
        },
    )


def fit_in_words(dispersion: Dispersion) -> str:
    """Write the parameters with their errors, the goodness, and what should be known of the fit."""
    first, *lines = dispersion.summary().splitlines()
    numbers = [line for line in lines if " = " in line and line not in dispersion.notes]
    if dispersion.reduced_chi2 > 1:
        numbers.append("the errors are widened by the root of chi2")
    return "\n".join([first, "; ".join(numbers), *dispersion.notes])


def scattering_vectors(dispersion: Dispersion) -> xr.Dataset:
    """Turn wave numbers into the q = 2k of backscattering: ``q``, ``q_std`` and the band's.

    Returns
    -------
    xarray.Dataset
        In rad/nm: ``q`` and ``q_std`` over the ``bias`` of the wave numbers used, ``q_band`` over
        the ``curve_bias`` of the fitted curve.
    """
    table = dispersion.wave_numbers
    used = table.isel(bias=table["used"].values)
    attrs = {"units": "rad/nm", "long_name": "scattering vector 2k"}
    band = dispersion.curve.rename(bias="curve_bias")
    return xr.Dataset(
        {
            "q": (2 * used["k"]).assign_attrs(attrs),
            "q_std": (2 * used["k_std"]).assign_attrs(attrs),
            "q_band": (2 * band).assign_attrs(attrs),
        }
    )


def clipboard_table(dispersion: Dispersion) -> str:
    """Write parameters and wave numbers as text with tabulators, for a spreadsheet."""
    table = dispersion.wave_numbers
    # Contours go over angles, too.
    table = table[[name for name in table if table[name].dims == ("bias",)]]
    units = {name: str(table[name].attrs.get("units", "")) for name in table}
    titles = {name: f"{name} ({unit})" if unit else str(name) for name, unit in units.items()}
    numbers = table.to_dataframe()[list(table)].rename(columns=titles)
    parameters = band_table(dispersion).to_dataframe()
    return "\n".join(part.to_csv(sep="\t") for part in (parameters, numbers))
