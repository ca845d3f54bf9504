"""``dispersion``: wave numbers over energy with their band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import xarray as xr

from qpi_kernels.inspect.axes import printed_unit
from qpi_kernels.inspect.dispersion.result import Dispersion
from qpi_kernels.inspect.figures.kind import FigureKind, FigurePanel
from qpi_kernels.inspect.figures.planes import require_result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["KIND"]


def _panel(
    result: Any, *, model: str = "parabola", kind_of_defect: str | None = None
) -> FigurePanel:
    """Make the panel of a dispersion, fitted here with ``model`` if a result is given."""
    if isinstance(result, Dispersion):
        dispersion = result
    else:
        # lmfit is needed for the fit alone.
        from qpi_kernels.inspect.dispersion.fit import fit_dispersion

        known = require_result(result, "dispersion")
        dispersion = fit_dispersion(known, model=model, kind=kind_of_defect)
    data = dispersion.wave_numbers
    if dispersion.curve.size:
        data = data.assign(band=dispersion.curve.rename(bias="band_bias"))

    def draw(axes: Axes, data: xr.Dataset) -> None:
        """Draw wave numbers and band."""
        dispersion.plot(axes)

    units = {name: printed_unit(unit) for name, unit in dispersion.units.items()}
    found = ", ".join(
        f"{name} {value:.4g} ± {dispersion.errors[name]:.2g} {units[name]}".rstrip()
        for name, value in dispersion.parameters.items()
    )
    band = (
        f", and the fitted band ({dispersion.model}): {found}"
        if found
        else "; too few biases for a band"
    )
    caption = (
        f"Wave numbers of the kernel's waves at each bias ({dispersion.method}) with one standard "
        f"deviation{band}."
    )
    return FigurePanel("Dispersion", caption, data, draw)


KIND = FigureKind(
    "dispersion", "wave numbers over energy with the fitted band", _panel, of_kernel=True
)
