"""The pictures of docs/prepare.md: each preset before and after."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

import qpi_kernels as qk
from qpi_kernels import prepare

# Preset, file among the samples, channel, and the plane of a cube; no real file shows atoms.
SHOWN = (
    ("topograph with steps", "createc_step_defects_100nm.dat", "topography_forward", None),
    ("atomic topograph with its grid", None, None, None),
    ("dI/dV map", "rhk_topo_ABC_graphite.sm4", "didv_forward", None),
    ("dI/dV grid", "nanonis_grid_bias.3ds", "didv", 100),
    ("constant-height current", "nanonis_gen5_Au_mica.sxm", "current_forward", None),
)


def picture(path: Path) -> None:
    """Draw a row for each preset: raw, prepared, and in red what does not count."""
    samples = Path(os.environ["NAPARI_QPI_SAMPLES"])
    figure = Figure(figsize=(6.4, 15.6), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(SHOWN), 2)
    for (before, after), (preset, file, channel, plane) in zip(axes, SHOWN, strict=True):
        if file is None:
            raw, channels = drifted_lattice()
        else:
            scan = qk.open_scan(samples / file)
            raw = scan[channel]
            channels = prepare.channels_beside(scan, raw)
        made = prepare.run(raw, prepare.presets()[preset], channels=channels)
        values = (raw, made.image) if plane is None else (raw[plane], made.image[plane])
        everything = np.isfinite(values[0].values)
        draw(before, values[0].values, everything, f"{preset}: {file or 'simulated'}")
        steps = ", ".join(step.name().replace("_", " ") for step in prepare.presets()[preset])
        draw(after, values[1].values, made.mask, steps)
    figure.savefig(path)


def draw(axes: Axes, values: NDArray[np.floating], mask: NDArray[np.bool_], title: str) -> None:
    """Draw an image with its mask in red; the grey scale is that of 98 % of what counts."""
    low, high = np.nanpercentile(values[mask], [1, 99])
    axes.imshow(values, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    red = np.zeros((*mask.shape, 4))
    red[~mask] = (0.84, 0.37, 0.0, 0.6)
    axes.imshow(red, interpolation="nearest")
    axes.set_title(title, fontsize=6.5, loc="left")
    axes.set_axis_off()


def drifted_lattice() -> tuple[xr.DataArray, dict[str, xr.DataArray]]:
    """Simulate a square lattice of 0.35 nm whose rows drift by 0.15 nm, with a dI/dV map."""
    size, pitch, lattice = 192, 0.05, 0.35
    down, right = (axis * pitch for axis in np.indices((size, size)))
    along = right - 0.15 * np.sin(2 * np.pi * down / (size * pitch))
    atoms = np.cos(2 * np.pi * along / lattice) + np.cos(2 * np.pi * down / lattice)
    noise = np.random.default_rng(0).normal(size=(2, size, size))
    coords = {name: (name, np.arange(size) * pitch, {"units": "nm"}) for name in ("y", "x")}
    height, didv = (
        xr.DataArray(values, dims=("y", "x"), coords=coords)
        for values in (0.02 * (atoms + 0.5 * noise[0]), atoms + noise[1])
    )
    return didv, {"topography": height}
