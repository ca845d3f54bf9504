"""The picture of docs/limits.md; its tables are made by limits_tables.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import AsinhNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qpi_kernels.bench.robustness.maps import RobustnessMap
from qpi_kernels.bench.robustness.scores import (
    ROBUSTNESS_CASES,
    RobustnessCase,
    first_kind,
)
from qpi_kernels.metrics import affine_invariant_nrmse

Image = NDArray[np.float64]

SEED = 0
SHOWN = (
    ("step edge", "its waves, nothing masked", "masked as far as its waves are seen, 8 nm"),
    ("multiple scattering", "200 strong defects", "20 strong defects"),
    ("unlabelled kinds", "10 + 10 unlike, one label", "10 + 10 unlike, two labels"),
    ("bent positions", "marks off by 1 px", "the same, refined"),
)
REMEDIES = ("8 nm masked", "20 defects", "two labels", "refined")


def picture(path: Path) -> None:
    """Draw a row for each limit: map, truth, kernel, residual, and the kernel with a remedy."""
    figure = Figure(figsize=(9.4, 8.0), dpi=100)
    panels = figure.subplots(
        len(SHOWN),
        5,
        gridspec_kw={"left": 0.03, "right": 0.99, "top": 0.97, "bottom": 0.01, "wspace": 0.06},
    )
    for row, (group, wrong, right), remedy in zip(panels, SHOWN, REMEDIES, strict=True):
        draw_row(row, group, case(group, wrong), case(group, right), remedy)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    full = PIL.Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    full.quantize(256, dither=PIL.Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def case(group: str, name: str) -> RobustnessCase:
    """Find a case by its name."""
    return next(one for one in ROBUSTNESS_CASES[group] if one.name == name)


def draw_row(
    row: Image, group: str, wrong: RobustnessCase, right: RobustnessCase, remedy: str
) -> None:
    """Draw the five panels of a case."""
    bad, good = (one.build(SEED) for one in (wrong, right))
    found, mended = wrong.run(bad, "bayes"), right.run(good, "bayes")
    scale = AsinhNorm(bad.observation.std() / 2, *centred(bad.observation))
    show(row[0], bad.observation, "gray", scale, "map")
    row[0].set_ylabel(group, size=9)
    rows, cols = bad.marked.positions.T
    row[0].plot(cols, rows, "o", color="tab:orange", fillstyle="none", markersize=3, mew=0.6)
    row[0].set_xlim(-0.5, bad.observation.shape[1] - 0.5)
    row[0].set_ylim(bad.observation.shape[0] - 0.5, -0.5)
    # One colour scale for truth and answers, linear for the waves.
    colours = AsinhNorm(np.percentile(np.abs(bad.kernel), 80), *centred(bad.kernel))
    show(row[1], bad.kernel, "RdBu_r", colours, "one defect, truth")
    show(row[2], first_kind(found.kernel), "RdBu_r", colours, f"bayes, {error(bad, found.kernel)}")
    show(row[3], found.residual.values, "gray", scale, "its residual")
    title = f"{remedy}, {error(good, mended.kernel)}"
    show(row[4], first_kind(mended.kernel), "RdBu_r", colours, title)


def error(found: RobustnessMap, kernel: xr.DataArray) -> str:
    """Write the error as a share, in words."""
    share = affine_invariant_nrmse(found.kernel, first_kind(kernel))
    return f"error {float(share):.2f}"


def centred(values: Image) -> tuple[float, float]:
    """Return the limits of a scale about zero."""
    most = float(np.abs(values).max())
    return -most, most


def show(axes: Axes, values: Image, colours: str, norm: AsinhNorm, title: str) -> None:
    """Draw an image without ticks."""
    axes.imshow(values, cmap=colours, norm=norm, interpolation="none")
    axes.set_title(title, size=8, pad=3)
    axes.set_xticks([])
    axes.set_yticks([])
