"""`energy_movie`: the planes of a stack as a movie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from qpi_kernels.inspect.axes import image_of
from qpi_kernels.inspect.colours import colour_limits
from qpi_kernels.inspect.figures.images import draw_image
from qpi_kernels.inspect.figures.kind import FigureError
from qpi_kernels.inspect.figures.kinds.images.image import labelled
from qpi_kernels.inspect.figures.planes import bias_words, plane_axis
from qpi_kernels.inspect.figures.style import Width, journal_style, new_figure
from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.result import KernelResult

__all__ = ["MOVIE_FILES", "energy_movie"]

MOVIE_FILES = (".gif", ".mp4")
_DPI = 150
_MAX_RATE = 60.0


def energy_movie(
    stack: xr.DataArray | KernelResult,
    path: str | Path,
    *,
    frames_per_second: float = 5.0,
    each: bool = False,
    width: Width = "single",
) -> Path:
    """Save the planes of a stack as a movie, from the lowest bias up.

    Parameters
    ----------
    stack : xarray.DataArray or KernelResult
        ``(bias, y, x)`` or ``(bias, q_y, q_x)``: a map, kernel or Fourier transform; the kernel of
        a result.
    path : path-like
        Ends in ``.gif``, or in ``.mp4`` where ffmpeg is installed. An existing file is replaced.
    frames_per_second : float
        Above 0, at most 60.
    each : bool
        Colours from the limits of each frame, instead of those of the whole stack. Either way the
        limits are written in every frame, beside its bias.
    width : {"single", "double"} or float
        As for `figure`, at 150 dpi.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FigureError
        If the stack has no planes, the extension is unknown or there is no encoder for it.
    """
    from matplotlib import animation

    stack = image_of(stack)
    path = Path(path)
    extension = path.suffix.lower()
    if extension not in MOVIE_FILES:
        raise FigureError(f"{path.name}: movies are saved as {' or '.join(MOVIE_FILES)}")
    if extension == ".mp4" and not animation.FFMpegWriter.isAvailable():
        raise FigureError(f"{path.name}: there is no ffmpeg to encode it; save a .gif")
    if not 0 < frames_per_second <= _MAX_RATE:
        raise FigureError(f"frames_per_second must be above 0 and at most {_MAX_RATE:g}")
    biases = plane_axis(stack)
    if biases is None or stack.ndim != 3:
        raise FigureError(f"a movie needs a stack of planes, not dims {stack.dims}")
    signed = bool((stack.values < 0).any() and (stack.values > 0).any())
    whole = colour_limits(stack.values, signed=signed)
    planes = [stack.isel({stack.dims[0]: int(index)}) for index in np.argsort(biases)]
    with journal_style(), replacing(path) as partial:
        rows, columns = (stack[dim] for dim in stack.dims[-2:])
        shape = abs(float((rows[-1] - rows[0]) / (columns[-1] - columns[0])))
        drawn = new_figure(width, 0.75 * float(np.clip(shape, 0.3, 2.5)) + 0.14)
        writer = _writer(animation, extension, frames_per_second)
        first = labelled(planes[0]).assign_attrs(colour_limits=whole)
        axes = drawn.add_subplot()
        shown = draw_image(axes, first)
        axes.set_title(frame_title(planes[0], whole))
        # The layout of the first frame stays, so that nothing moves.
        drawn.draw_without_rendering()
        drawn.set_layout_engine("none")
        with writer.saving(drawn, str(partial), dpi=_DPI):
            for plane in planes:
                limits = colour_limits(plane.values, signed=signed) if each else whole
                shown.set_data(plane.values)
                shown.set_clim(*limits)
                axes.set_title(frame_title(plane, limits))
                writer.grab_frame()
    return path


def frame_title(plane: xr.DataArray, limits: tuple[float, float]) -> str:
    """Write bias and limits of the colours over a frame."""
    number = f"plane {int(plane['plane'])}" if "plane" in plane.coords else "plane"
    where = bias_words(plane).removeprefix(" at ") or number
    return f"{where}; colours {limits[0]:.3g} to {limits[1]:.3g}"


def _writer(animation: Any, extension: str, rate: float) -> Any:
    """Give the encoder; H.264 of most players wants even sizes and 4:2:0 colours."""
    if extension == ".gif":
        return animation.PillowWriter(fps=rate)
    even = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"]
    return animation.FFMpegWriter(fps=rate, extra_args=even)
