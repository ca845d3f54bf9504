"""Drawing of images: pixel edges, colours, marks and masks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.inspect.axes import pixel_edges, printed_unit
from qpi_kernels.inspect.colours import colour_limits
from qpi_kernels.inspect.figures.style import DIVERGING, SEQUENTIAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = [
    "axis_label",
    "draw_colour_bar",
    "draw_image",
    "draw_marks",
    "draw_mask",
    "image_aspect",
    "limits_in_words",
    "with_limits",
]

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_NOT_COUNTED = "0.6"
_AXIS_NAMES = {"q_x": "$q_x$", "q_y": "$q_y$", "q": "$q$", "r": "distance $r$"}


def with_limits(image: xr.DataArray, *, signed: bool) -> xr.DataArray:
    """Note the limits of the colours in an image's ``attrs``; see `colour_limits`."""
    return image.assign_attrs(colour_limits=colour_limits(image.values, signed=signed))


def limits_in_words(image: xr.DataArray) -> str:
    """Write the limits of an image's colours as a sentence."""
    low, high = image.attrs["colour_limits"]
    # So many digits that their difference shows.
    digits = 3 + max(0, math.floor(math.log10(max(abs(low), abs(high)) / (high - low))))
    return f"Colours run from {low:.{digits}g} to {high:.{digits}g} {unit_of(image)}".rstrip() + "."


def unit_of(array: xr.DataArray) -> str:
    """Return the unit of an array as it is printed, or nothing."""
    return printed_unit(str(array.attrs.get("units", "")))


def axis_label(array: xr.DataArray, name: str = "") -> str:
    """Write the label of an axis: a name, and the unit in brackets."""
    text = name or _AXIS_NAMES.get(str(array.name)) or str(array.attrs.get("long_name", array.name))
    units = unit_of(array)
    return f"{text} ({units})" if units else text


def image_aspect(image: xr.DataArray) -> float:
    """Return height over width of a figure of an image, its colour bar and mark included."""
    left, right, bottom, top = _edges(image)
    return 0.8 * float(np.clip((bottom - top) / (right - left), 0.3, 2.5)) + 0.07


def _edges(image: xr.DataArray) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top edge of the pixels; rows grow downwards."""
    vertical, horizontal = image.dims
    top, bottom = pixel_edges(image[vertical])
    left, right = pixel_edges(image[horizontal])
    return left, right, bottom, top


def draw_image(axes: Axes, image: xr.DataArray) -> AxesImage:
    """Draw an image with axes in its units, row 0 at the top, and a colour bar.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    image : xarray.DataArray
        ``(y, x)`` or ``(q_y, q_x)`` with the ``colour_limits`` of `with_limits` in its ``attrs``;
        the map of colours is diverging where zero lies in their middle. NaN is grey.
    """
    import matplotlib

    low, high = image.attrs["colour_limits"]
    colours = matplotlib.colormaps[DIVERGING if low == -high else SEQUENTIAL]
    drawn = axes.imshow(
        image.values,
        extent=_edges(image),
        origin="upper",
        # The pixels as they are, also in a vector file.
        interpolation="none",
        cmap=colours.with_extremes(bad=_NOT_COUNTED),
        vmin=low,
        vmax=high,
    )
    vertical, horizontal = image.dims
    axes.set_xlabel(axis_label(image[horizontal]))
    axes.set_ylabel(axis_label(image[vertical]))
    draw_colour_bar(axes, drawn, image)
    return drawn


def draw_colour_bar(axes: Axes, drawn: Any, image: xr.DataArray) -> None:
    """Draw the colour bar of an image with its unit; arrows where values lie beyond the colours."""
    low, high = image.attrs["colour_limits"]
    known = image.values[np.isfinite(image.values)]
    below, above = bool((known < low).any()), bool((known > high).any())
    beyond = {(True, True): "both", (True, False): "min", (False, True): "max"}
    extend = beyond.get((below, above), "neither")
    bar = axes.figure.colorbar(drawn, ax=axes, extend=extend, fraction=0.05, pad=0.02)
    bar.set_label(axis_label(image))
    bar.formatter.set_powerlimits((-2, 3))  # type: ignore[attr-defined]
    bar.formatter.set_useMathText(True)  # type: ignore[attr-defined]


def draw_mask(axes: Axes, mask: xr.DataArray) -> None:
    """Shade the pixels of a ``(y, x)`` mask that do not count (False)."""
    hidden = np.where(mask.values, np.nan, 1.0)
    axes.imshow(
        hidden,
        extent=_edges(mask),
        origin="upper",
        interpolation="none",
        cmap="gray",
        vmin=0.0,
        vmax=1.0,
        alpha=0.65,
    )


def draw_marks(axes: Axes, places: NDArray[np.float64], kinds: NDArray[Any]) -> None:
    """Draw a mark at each defect, a shape for each kind.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to draw.
    places : array, (N, 2)
        (y, x) in units of the axes.
    kinds : array of str, (N,)
        Kind of each.
    """
    names = list(dict.fromkeys(str(kind) for kind in kinds))
    size = float(np.clip(60.0 / math.sqrt(max(len(places), 1)), 2.5, 7.0))
    for index, name in enumerate(names):
        chosen = places[kinds == name]
        for colour, width in (("black", 1.6), ("white", 0.7)):
            axes.plot(
                chosen[:, 1],
                chosen[:, 0],
                _MARKERS[index % len(_MARKERS)],
                markerfacecolor="none",
                markeredgecolor=colour,
                markeredgewidth=width,
                markersize=size,
                label=name if colour == "white" else None,
            )
    if len(names) > 1:
        axes.legend(facecolor="0.3", labelcolor="white", frameon=True, loc="upper right")
