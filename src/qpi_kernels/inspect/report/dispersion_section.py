"""The section of a report about the dispersion of a stack."""

from __future__ import annotations

import math

import xarray as xr

from qpi_kernels.inspect.axes import InspectionError, printed_unit
from qpi_kernels.inspect.dispersion.fit import fit_dispersion
from qpi_kernels.inspect.dispersion.result import Dispersion
from qpi_kernels.inspect.dispersion.tables import parameter_table, wave_table
from qpi_kernels.inspect.figures.kind import make_panel
from qpi_kernels.inspect.report.contents import Section, Table
from qpi_kernels.result import KernelResult

__all__ = ["dispersion_section", "dispersion_table", "proposed_dispersion"]

_COLUMNS = (
    ("k", "rad/nm"),
    ("damping", "rad/nm"),
    ("coherence_length", "nm"),
    ("self_energy", "eV"),
    ("lifetime", "fs"),
    ("phase_shift", "rad"),
)


def dispersion_section(
    result: KernelResult, dispersion: Dispersion | None, kind: str | None
) -> Section:
    """Show E(q), wave numbers with their band, parameters and lifetimes of one kind of defect.

    A parabola is fitted where no dispersion is given; why there is none is said instead of a
    figure.
    """
    title = "Dispersion" if kind is None else f"Dispersion of {kind}"
    try:
        fitted = fit_dispersion(result, kind=kind) if dispersion is None else dispersion
    except (InspectionError, ValueError) as error:
        why = f"No dispersion was fitted: {error}."
        return Section(title, (why,), (make_panel("energy_q", result, kind_of_defect=kind),))
    panels = [
        make_panel("energy_q", result, dispersion=fitted, kind_of_defect=kind),
        make_panel("dispersion", fitted),
    ]
    how = (
        "Each bias is fitted in real space, by the waves of a point scatterer in a band with a "
        "round contour; the parabola is a proposal."
        if (fitted.method, fitted.model) == ("hankel", "parabola")
        else f"Fitted: {fitted.model} by {fitted.method}."
    )
    goodness = (
        f"Reduced chi-squared of the band {fitted.reduced_chi2:.3g}, p = {fitted.p_value:.2g}."
        if math.isfinite(fitted.reduced_chi2)
        else "Too few biases show a ring for a band."
    )
    doubt: tuple[str, ...] = ()
    if result.quality.undetermined(kind):
        panels[1] = panels[1].undetermined()
        doubt = ("The kernel is undetermined: these numbers are those of a fit to noise.",)
    tables = [_parameter_table(fitted)] if fitted.parameters else []
    tables.append(dispersion_table(fitted))
    return Section(title, (*doubt, how, goodness, *fitted.notes), tuple(panels), tuple(tables))


def proposed_dispersion(result: KernelResult) -> Dispersion | None:
    """Fit the parabola, or wave number, that a report proposes for a result's first kind.

    Returns
    -------
    Dispersion or None
        None where the kernel is undetermined, has numbered planes, or can not be fitted.
    """
    kernel = result.kernel
    kind = str(kernel["kind"].values[0]) if "kind" in kernel.dims else None
    if "plane" in kernel.dims or result.quality.trust == "undetermined":
        return None
    try:
        return fit_dispersion(result, kind=kind)
    except (InspectionError, ValueError):
        return None


def _parameter_table(fitted: Dispersion) -> Table:
    """List the parameters of a band with their errors."""
    rows = tuple(
        (name, f"{value:.5g}", f"{error:.2g}", printed_unit(unit))
        for name, value, error, unit in parameter_table(fitted).to_dataframe().itertuples()
    )
    caption = "Parameters of the band with one standard deviation."
    return Table(caption, ("parameter", "value", "error", "unit"), rows)


def dispersion_table(fitted: Dispersion) -> Table:
    """List wave number, damping, lifetime and phase shift of each bias, with errors.

    See `wave_table`.
    """
    waves = wave_table(fitted)
    caption = "Waves of each bias with one standard deviation; the note says why one is left out."
    if "phase_shift" in waves:
        caption += f" {waves['phase_shift'].attrs['comment']}"
    known = [(name, unit) for name, unit in _COLUMNS if name in waves]
    heads = ("bias (V)", *(f"{name.replace('_', ' ')} ({unit})" for name, unit in known), "note")
    rows = []
    for index in range(waves.sizes["bias"]):
        one = waves.isel(bias=index)
        cells = [_cell(one, name) for name, _ in known]
        rows.append((f"{float(one['bias']):.4g}", *cells, str(one["reason"].values)))
    return Table(caption, heads, tuple(rows))


def _cell(waves: xr.Dataset, name: str) -> str:
    """Write a value and its error, or its lower limit; a dash where neither is known."""
    value, error, limit = (
        float(waves.get(f"{name}{part}", math.nan)) for part in ("", "_std", "_limit")
    )
    if math.isfinite(limit):
        return f"> {limit:.3g}"
    if not math.isfinite(value):
        return "-"
    return f"{value:.4g} ± {error:.2g}" if math.isfinite(error) else f"{value:.4g}"
