"""Make the pictures of docs/simulator.md with the simulator as it is.

Usage: ``python docs/make_gallery.py [families] [artefacts] [multiple] [energy]`` in an environment
with napari-qpi; all four when none is named.
The numbers that the page quotes are printed. Images are laid out pixel by pixel: nothing in them
is resampled but for the kernels, which are drawn twice as large.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import AsinhNorm, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from qpi_kernels import Defects
from qpi_kernels.simulate import (
    FAMILIES,
    KernelSampler,
    ParabolicBand,
    SetPoint,
    multiple_defects,
    observe,
    scatter_defects,
    single_defect,
)
from qpi_kernels.simulate.maps.artefacts import Artefacts

IMAGES = Path(__file__).parent / "images"
SEED = 0
FOLDS = {
    0: "isotropic",
    2: "two-fold",
    3: "three-fold",
    4: "four-fold",
    6: "six-fold",
    1: "asymmetric",
}
WINDOW = 128
MAP = 256
ENERGY_SIDE = 192
WAVES_PX = (16, 32)
LEAST_WAVES = 0.005
SILVER = ParabolicBand.silver()

# Together fewer than the 256 colours of a small PNG.
SIGNED = colormaps["RdBu_r"].resampled(75)
MAGNITUDE = colormaps["magma"].resampled(60)
GREY = colormaps["gray"].resampled(115)

Image = NDArray[np.float64]


class Sheet:
    """A figure laid out in pixels from its top left."""

    def __init__(self, width: int, height: int) -> None:
        self.size = width, height
        self.figure = Figure(figsize=(width / 100, height / 100), dpi=100)

    def axes(self, left: int, top: int, width: int, height: int, title: str = "") -> Axes:
        """Add axes with a title above."""
        across, down = self.size
        box = left / across, 1 - (top + height) / down, width / across, height / down
        axes = self.figure.add_axes(box)
        axes.set_title(title, size=9, pad=3)
        axes.tick_params(labelsize=8)
        return axes

    def text(self, left: int, top: int, text: str, **style: Any) -> None:
        """Write text with its top left at a place."""
        across, down = self.size
        self.figure.text(left / across, 1 - top / down, text, va="top", **style)

    def save(self, name: str) -> None:
        """Write a PNG of 256 colours, a third the size of one with all."""
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()
        full = PIL.Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        path = IMAGES / f"gallery-{name}.png"
        method = PIL.Image.Quantize.MAXCOVERAGE
        full.quantize(256, method, dither=PIL.Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def families() -> None:
    """Draw kernel, Fourier transform and map of every family of bands."""
    for fold, title in FOLDS.items():
        members = [
            name for name, family in FAMILIES.items() if family.fold == fold and family.band_limited
        ]
        sheet = Sheet(940, 350 * len(members))
        for row, name in enumerate(members):
            family_row(sheet, 350 * row, name)
        sheet.save(title)


def crystals() -> None:
    """Draw kernels of every family of crystals."""
    members = [name for name, family in FAMILIES.items() if not family.band_limited]
    sheet = Sheet(940, 150 * len(members))
    for row, name in enumerate(members):
        library = KernelSampler([name], seed=SEED)
        sheet.text(10, 150 * row + 60, name, weight="bold", family="monospace", size=9)
        for column, index in enumerate(range(5)):
            kernel = library.kernel(index).values
            axes = sheet.axes(210 + 145 * column, 150 * row + 10, 130, 130)
            axes.imshow(kernel, cmap=SIGNED, norm=signed_scale(kernel), interpolation="none")
            axes.axis("off")
    sheet.save("crystals")


def family_row(sheet: Sheet, top: int, name: str) -> None:
    """Draw the three panels of one family."""
    library = KernelSampler([name], shape=(2 * MAP - 1, 2 * MAP - 1), seed=SEED)
    index = first_with_waves(library)
    large = library.kernel(index)
    first = MAP - 1 - WINDOW // 2
    kernel = large.isel(y=slice(first, first + WINDOW), x=slice(first, first + WINDOW))
    sheet.text(10, top + 10, name, weight="bold", family="monospace", size=11)
    fold = FOLDS[FAMILIES[name].fold]
    sheet.text(230, top + 11, f"{FAMILIES[name].describe}; {fold}; kernel number {index}", size=10)
    top += 56
    show_kernel(sheet.axes(60, top, WINDOW * 2, WINDOW * 2, "kernel"), kernel)
    show_fourier(sheet.axes(375, top, WINDOW * 2, WINDOW * 2, "its Fourier transform"), kernel)
    drawn = scatter_defects(30, (MAP, MAP), seed=SEED, min_distance_px=12, margin_px=24)
    defects = on_lattice(drawn, library.recipe(index).band.lattice, library.pixel_nm)
    scan = observe(large, defects, (MAP, MAP), noise=0.1, seed=SEED)
    axes = sheet.axes(665, top, MAP, MAP, "map of 30 defects, noise 0.1")
    show_map(axes, scan.values, library.pixel_nm, bar_nm=40)


def first_with_waves(library: KernelSampler) -> int:
    """Find the first kernel whose waves further out are not negligible beside its core."""
    small = KernelSampler(library.families, shape=(65, 65), seed=library.seed)
    radius = np.hypot(*(np.indices(small.shape) - 32))
    ring = (radius > WAVES_PX[0]) & (radius <= WAVES_PX[1])
    index = 0
    while True:
        values = small.kernel(index).values
        if np.sqrt(np.mean(values[ring] ** 2)) > LEAST_WAVES * np.abs(values).max():
            return index
        index += 1


def on_lattice(defects: Defects, lattice_nm: Image | None, pixel_nm: float) -> Defects:
    """Move defects to the nearest sites of one lattice, as in a crystal, if there is one."""
    if lattice_nm is None:
        return defects
    vectors = lattice_nm[:, ::-1] / pixel_nm
    return defects.moved(np.rint(defects.positions @ np.linalg.inv(vectors)) @ vectors)


def signed_scale(values: Image) -> AsinhNorm:
    """Make a colour scale about zero: linear for the waves, logarithmic for the cores."""
    size = np.abs(values[np.isfinite(values)])
    return AsinhNorm(np.percentile(size, 90), vmin=-size.max(), vmax=size.max())


def show_kernel(axes: Axes, kernel: xr.DataArray) -> None:
    """Draw a kernel over x and y."""
    x, y = kernel["x"].values, kernel["y"].values
    half = (x[1] - x[0]) / 2
    axes.imshow(
        kernel.values,
        cmap=SIGNED,
        norm=signed_scale(kernel.values),
        extent=(x[0] - half, x[-1] + half, y[-1] + half, y[0] - half),
        interpolation="lanczos",
        interpolation_stage="data",
    )
    axes.set_xlabel("x (nm)", labelpad=1)
    axes.set_ylabel("y (nm)", labelpad=-2)


def show_fourier(axes: Axes, kernel: xr.DataArray) -> None:
    """Draw the magnitude of a kernel's Fourier transform."""
    magnitude, q = fourier(kernel)
    half = (q[1] - q[0]) / 2
    axes.imshow(
        magnitude,
        cmap=MAGNITUDE,
        norm=PowerNorm(0.4, vmin=0, vmax=magnitude.max()),
        extent=(q[0] - half, q[-1] + half, q[-1] + half, q[0] - half),
        interpolation="none",
    )
    axes.set_xlabel("$q_x$ (1/nm)", labelpad=1)
    axes.set_ylabel("$q_y$ (1/nm)", labelpad=-2)


def fourier(kernel: xr.DataArray) -> tuple[Image, Image]:
    """Compute the magnitude with zero momentum in the middle, and its axis in rad/nm.

    A cosine taper over the outer half of the window's radius hides the window's edges.
    """
    size = kernel.sizes["x"]
    radius = np.hypot(*(np.indices((size, size)) - size // 2)) / (size / 2)
    taper = np.cos(np.pi / 2 * np.clip(2 * radius - 1, 0, 1)) ** 2
    spectrum = np.fft.fft2(kernel.values * taper)
    pixel_nm = float(kernel["x"][1] - kernel["x"][0])
    q = np.fft.fftshift(2 * np.pi * np.fft.fftfreq(size, pixel_nm))
    return np.abs(np.fft.fftshift(spectrum, axes=(-2, -1))), q


def show_map(
    axes: Axes, values: Image, pixel_nm: float, *, bar_nm: float, norm: Normalize | None = None
) -> None:
    """Draw a map in grey with a scale bar; missing pixels are blue."""
    axes.set_facecolor("tab:blue")
    axes.imshow(values, cmap=GREY, norm=norm or signed_scale(values), interpolation="none")
    axes.set_xticks([])
    axes.set_yticks([])
    bottom, length = len(values), bar_nm / pixel_nm
    axes.add_patch(Rectangle((4, bottom - 24), length + 12, 20, color="black", alpha=0.6, lw=0))
    axes.add_patch(Rectangle((10, bottom - 9), length, 2, color="white", lw=0))
    middle = 10 + length / 2
    axes.text(middle, bottom - 10, f"{bar_nm:g} nm", color="white", size=8, ha="center")


def artefacts() -> None:
    """Draw maps with one artefact at a time."""
    pixel_nm, side = 0.4, 192
    kernel = single_defect(
        SILVER,
        bias=0.1,
        pixel_nm=pixel_nm,
        shape=(2 * side - 1, 2 * side - 1),
        impurity=-1.0,
        broadening=0.01,
        tip_nm=0.4,
    )
    defects = scatter_defects(12, (side, side), seed=SEED, min_distance_px=20)
    choices: tuple[dict[str, Any], ...] = (
        {},
        {"noise": 1},
        {"flicker": 1},
        {"row_offsets": 1},
        {"mains": 1},
        {"glitches": 0.005},
        {"streaks": 8},
        {"tip_changes": 1},
        {"steps": 1},
        {"drift_x_nm_per_min": -1, "drift_y_nm_per_min": 1},
        {"missing_rows": 0.3},
        {"lost_rows": 0.05},
    )
    clean = observe(kernel, defects, (side, side)).values
    limit = 6 * clean.std()
    norm = AsinhNorm(clean.std() / 2, vmin=-limit, vmax=limit)
    sheet = Sheet(4 * (side + 12) + 12, 3 * (side + 26) + 8)
    for number, fields in enumerate(choices):
        left, top = 12 + number % 4 * (side + 12), 22 + number // 4 * (side + 26)
        title = ", ".join(f"{name}={value}" for name, value in fields.items()) or "no artefacts"
        if "drift" in title:
            title = "drift_x, _y_nm_per_min = -1, 1"
        axes = sheet.axes(left, top, side, side, title)
        scan = observe(kernel, defects, (side, side), artefacts=Artefacts(**fields), seed=SEED)
        show_map(axes, scan.values, pixel_nm, bar_nm=20, norm=norm)
        if "drift" in title:
            rows, columns = defects.positions.T
            axes.plot(columns, rows, "o", color="tab:orange", fillstyle="none", markersize=10)
    sheet.save("artefacts")


def multiple() -> None:
    """Draw superposed kernels against all multiple scattering."""
    pixel_nm, side = 0.3, MAP
    physics: dict[str, Any] = {
        "bias": 0.05,
        "pixel_nm": pixel_nm,
        "impurity": -1.0,
        "broadening": 0.01,
        "tip_nm": 0.2,
    }
    kernel = single_defect(SILVER, shape=(2 * side - 1, 2 * side - 1), **physics)
    sheet = Sheet(4 * 12 + 3 * side, 8 + 3 * (side + 26))
    for row, (count, distance) in enumerate(((6, 30), (25, 12), (100, 6))):
        drawn = scatter_defects(count, (side, side), seed=SEED, min_distance_px=distance)
        # On whole pixels superposing is exact: what is left is multiple scattering alone.
        defects = Defects(np.rint(drawn.positions))
        summed = observe(kernel, defects, (side, side)).values
        full = multiple_defects(SILVER, defects, shape=(side, side), **physics).values
        error = np.std(full - summed) / np.std(full)
        density = 100 * count / (side * pixel_nm) ** 2
        print(f"{density:.2f} defects per 100 nm^2: superposing errs by {error:.1%} of the map")
        norm = signed_scale(full)
        panels = (
            (f"{count} superposed kernels", summed),
            ("all multiple scattering", full),
            (f"difference: {100 * error:.0f} % of the map", full - summed),
        )
        for column, (title, values) in enumerate(panels):
            left, top = 12 + column * (side + 12), 22 + row * (side + 26)
            axes = sheet.axes(left, top, side, side, title)
            show_map(axes, values, pixel_nm, bar_nm=20, norm=norm)
    sheet.save("multiple-scattering")


def energy() -> None:
    """Draw the dispersion of the rings with bias, without and with a set-point."""
    bias = np.linspace(-0.1, 0.2, 61)
    bias[np.abs(bias) < 1e-9] = 1e-3
    plain, fixed = silver_stack(bias), silver_stack(bias, SetPoint(0.1))
    following = xr.concat([silver_stack([v], SetPoint(float(v))) for v in bias], "bias")

    sheet = Sheet(1010, 330)
    profile = plain.values[:, ENERGY_SIDE // 2, ENERGY_SIDE // 2 :]
    radius = plain["x"].values[ENERGY_SIDE // 2 :]
    # A point's waves fall off as 1/r: times r they can be seen far out.
    waves = profile * radius
    axes = sheet.axes(60, 26, 230, 250, "kernel times r")
    limit = np.percentile(np.abs(waves), 98)
    axes.pcolormesh(radius, 1e3 * bias, waves, cmap=SIGNED, vmin=-limit, vmax=limit)
    axes.set_xlabel("r (nm)")
    axes.set_ylabel("bias (mV)")
    titles = ("constant height", "set-point 100 mV", "set-point at each bias")
    for column, (title, kernel) in enumerate(zip(titles, (plain, fixed, following), strict=True)):
        magnitude, q = fourier(kernel)
        lines = magnitude[:, ENERGY_SIDE // 2, ENERGY_SIDE // 2 :]
        axes = sheet.axes(330 + 225 * column, 26, 205, 250, title)
        norm = PowerNorm(0.4, vmin=0, vmax=lines.max())
        axes.pcolormesh(q[ENERGY_SIDE // 2 :], 1e3 * bias, lines, cmap=MAGNITUDE, norm=norm)
        ring = [2 * SILVER.wave_number(float(v)).real for v in bias]
        axes.plot(ring, 1e3 * bias, "w:", lw=0.8)
        axes.set_xlim(0, 4)
        axes.set_yticklabels([])
        axes.set_xlabel("q (1/nm)")
    sheet.save("energy")


def silver_stack(bias: ArrayLike, setpoint: SetPoint | None = None) -> xr.DataArray:
    """Simulate kernels of an Ag(111) surface state."""
    return single_defect(
        SILVER,
        bias=np.asarray(bias),
        pixel_nm=0.4,
        shape=(ENERGY_SIDE, ENERGY_SIDE),
        impurity=-1.0,
        broadening=0.006,
        tip_nm=0.3,
        setpoint=setpoint,
    )


PAGES: dict[str, Callable[[], None]] = {
    "families": families,
    "crystals": crystals,
    "artefacts": artefacts,
    "multiple": multiple,
    "energy": energy,
}


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    for page in sys.argv[1:] or PAGES:
        PAGES[page]()
