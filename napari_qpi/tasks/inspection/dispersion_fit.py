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
    "fit_in_words",
    "named_values",
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


def named_values(text: str, model: str, method: str) -> dict[str, float]:
    """Read parameters with their values from a text such as ``alpha = 0.03, onset = -0.4``.

    Parameters
    ----------
    text : str
        What was typed.
    model, method : str
        Of the fit: the message's example is one of its parameters.

    Raises
    ------
    NamedValuesError
        If the text is no list of names with numbers.
    """
    _, example = values_help(model, method)
    values = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, number = (word.strip() for word in part.partition("="))
        try:
            values[name] = float(number)
        except ValueError as error:
            raise NamedValuesError(
                f"{part!r} is no parameter with its value; write for example: {example}"
            ) from error
        if not equals or not name.isidentifier():
            raise NamedValuesError(f"{part!r} has no name; write for example: {example}")
    return values


def values_help(model: str, method: str) -> tuple[str, str]:
    """Name the parameters of a model with their units in a sentence, and write an example."""
    units = parameters_of(model, method)
    known = ", ".join(f"{name} ({unit})" if unit else name for name, unit in units.items())
    last = list(units)[-1] if units else "onset"
    return (f"The parameters of {model}: {known}." if known else ""), _EXAMPLES.get(last, "")


def fit_in_words(dispersion: Dispersion) -> str:
    """Write the parameters with their errors, the goodness, and what should be known of the fit."""
    first, *lines = dispersion.summary().splitlines()
    numbers = [line for line in lines if " = " in line and line not in dispersion.notes]
    if dispersion.reduced_chi2 > 1:
        numbers.append("the errors are widened by the root of chi2")
    return "\n".join([first, "; ".join(numbers), *dispersion.notes])
