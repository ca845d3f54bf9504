"""The numbers, the table and the picture of docs/real-maps.md.

Usage: ``python docs/real_page.py`` with the variable NAPARI_QPI_SAMPLES set to the folder of the
samples. It writes docs/results/real.json, docs/images/real-maps.png and the tables of the page, in
some five minutes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize
import scipy.special
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

import qpi_kernels as qk
from qpi_kernels import Defects, KernelResult
from qpi_kernels.bench.real.benchmark import RealBench
from qpi_kernels.bench.real.parameters import RealBenchParameters
from qpi_kernels.prepare import Prepared, run
from qpi_kernels.prepare.presets import presets
from qpi_kernels.progress import drive

Array = NDArray[np.float64]

DOCS = Path(__file__).parent
METHODS = ("average", "least_squares", "least_squares:symmetry=C6v", "bayes:prior=smooth", "bayes")
# Distances from the defect where its rings are fitted, in nm: outside the core, inside the window.
RINGS_NM = (0.8, 5.0)
# A wave number that is known less well than to this share is none.
_MAX_K_ERROR = 0.2
_START, _END = "<!-- numbers: made by real_page.py -->", "<!-- end of numbers -->"


@dataclass(frozen=True)
class Case:
    """A real map with marks.

    Parameters
    ----------
    name : str
        In the table.
    file, marks : str
        The sample, and the file of marks beside this page.
    window : int
        Kernel window in pixels.
    bands : tuple of (float, float)
        Rows that do not count, from and to.
    discs : tuple of (float, float, float)
        Discs that do not count: row, column and radius in pixels.
    left : int
        Columns at the left edge that do not count.
    """

    name: str
    file: str
    marks: str
    window: int
    bands: tuple[tuple[int, int], ...] = ()
    discs: tuple[tuple[float, float, float], ...] = ()
    left: int = 0

    def prepared(self) -> Prepared:
        """Read the raw file and run the preset for topographs."""
        image = qk.open_scan(Path(os.environ["NAPARI_QPI_SAMPLES"]) / self.file)[
            "topography_forward"
        ]
        mask = counted(image.shape, self.bands, self.discs, self.left)
        defects = Defects.from_csv(DOCS / "real" / self.marks)
        return run(image, presets()["topograph with steps"], mask=mask, defects=defects)


RINGS = "createc_friedel_rings_60nm.dat"
TIP_STREAKS = ((0, 112), (140, 145), (415, 512))
ISLANDS = ((158, 90, 75), (195, 36, 10), (112, 252, 65), (415, 190, 80))
CASES = (
    Case("two dark defects in rings", RINGS, "friedel-dark.csv", 97, TIP_STREAKS, ISLANDS, 6),
    Case("all eight scatterers, one kind", RINGS, "friedel-eight.csv", 64),
    Case(
        "eleven dark defects on two terraces",
        "createc_step_defects_100nm.dat",
        "step-dark.csv",
        21,
        discs=((19.5, 38, 16), (105, 3, 14), (230, 66, 18)),
    ),
)


def counted(
    shape: tuple[int, ...],
    bands: tuple[tuple[int, int], ...],
    discs: tuple[tuple[float, float, float], ...],
    left: int,
) -> NDArray[np.bool_]:
    """Draw a mask by hand: True where a pixel counts."""
    mask = np.ones(shape, bool)
    mask[:, :left] = False
    for start, stop in bands:
        mask[start:stop] = False
    rows, columns = np.indices(shape)
    for row, column, radius in discs:
        mask &= np.hypot(rows - row, columns - column) > radius
    return mask


@dataclass(frozen=True)
class Rings:
    """Waves around a defect: wave number and decay in rad/nm, and chi-squared per free ring."""

    k: float
    k_error: float
    kappa: float
    chi2: float
    radius: Array = field(repr=False)
    mean: Array = field(repr=False)
    error: Array = field(repr=False)
    fitted: Array = field(repr=False)


def fit_rings(kernel: xr.DataArray, std: xr.DataArray, fall: int = 0) -> Rings:
    r"""Fit the kernel's angular mean by outgoing waves, scattered back once.

    .. math:: \mathrm{Re}\{C [H_0^{(1)}((k + i\kappa) r)]^2\} / r^n + b

    with complex C. The error of a ring's mean is the mean standard deviation of its pixels, as if
    their errors were alike; errors of different rings are taken for independent.

    Parameters
    ----------
    kernel, std : DataArray, (y, x)
        With coordinates in nm.
    fall : int
        n: 0 at one energy, 1 for an end of an integral over energies.
    """
    step = float(abs(kernel.x[1] - kernel.x[0]))
    radius = np.hypot(kernel.y.values[:, None], kernel.x.values[None, :])
    ring = np.rint(radius / step).astype(int)
    near = np.unique(ring[(radius > RINGS_NM[0]) & (radius < RINGS_NM[1])])
    r, mean, error = (
        np.array([values[ring == one].mean() for one in near])
        for values in (radius, kernel.values, std.values)
    )

    def shapes(waves: Array) -> Array:
        hankel = scipy.special.hankel1(0, (waves[0] + 1j * waves[1]) * r) ** 2
        return np.stack([hankel.real / r**fall, -hankel.imag / r**fall, np.ones_like(r)]) / error

    def residual(waves: Array) -> Array:
        matrix = shapes(waves).T
        amplitudes, *_ = np.linalg.lstsq(matrix, mean / error, rcond=None)
        return matrix @ amplitudes - mean / error

    starts = [np.array([k, 0.05]) for k in np.linspace(0.6, 6.0, 55)]
    start = min(starts, key=lambda one: float(np.square(residual(one)).sum()))
    found = scipy.optimize.least_squares(residual, start, bounds=([0.2, 0.0], [8.0, 2.0]))
    covariance = np.linalg.pinv(found.jac.T @ found.jac)
    fitted = mean + residual(found.x) * error
    chi2 = 2 * found.cost / max(len(r) - 5, 1)
    k_error = float(covariance[0, 0] ** 0.5)
    return Rings(found.x[0], k_error, found.x[1], float(chi2), r, mean, error, fitted)


def measure(case: Case) -> tuple[dict[str, Any], Prepared, KernelResult, Rings]:
    """Extract the kernel of a case, compare methods by prediction, and fit rings."""
    prepared = case.prepared()
    size = (case.window, case.window)
    result = qk.extract(prepared, prepared.defects, kernel_shape=size, background="auto")
    settings = RealBenchParameters(kernel_shape=size, methods=METHODS)
    report = drive(RealBench(case.file, prepared, prepared.defects, settings))
    kernel, std = result.kernel.squeeze(), result.std.squeeze()
    rings, integrated = fit_rings(kernel, std), fit_rings(kernel, std, fall=1)
    numbers = {
        "file": case.file,
        "marks": case.marks,
        "trust": result.quality.trust,
        "expected_error": round(result.quality.expected_error, 3),
        "verdict": list(result.quality.verdict),
        "reasons": [one.code for one in result.quality.reasons],
        "prior": result.provenance["priors"][0]["prior"],
        "k_per_nm": [round(rings.k, 3), round(rings.k_error, 3)],
        "chi2": round(rings.chi2, 2),
        "k_integrated": [round(integrated.k, 3), round(integrated.k_error, 3)],
        "prediction": report.model_dump(mode="json"),
    }
    return numbers, prepared, result, rings


def picture(path: Path, found: list[tuple[Case, Prepared, KernelResult, Rings]]) -> None:
    """Draw a row for each case: prepared map with marks, kernel, std, and its rings."""
    figure = Figure(figsize=(10.0, 2.6 * len(found)), dpi=100, layout="constrained")
    axes = figure.subplots(len(found), 4)
    for row, (case, prepared, result, rings) in zip(axes, found, strict=True):
        shown = np.where(prepared.mask, prepared.image.values, np.nan)
        middle = np.nanmedian(shown)
        spread = 3 * np.nanmedian(np.abs(shown - middle))
        row[0].imshow(shown, cmap="gray", vmin=middle - spread, vmax=middle + spread)
        places = prepared.defects.positions
        row[0].plot(places[:, 1], places[:, 0], "+", color="tab:red")
        row[0].set_title(case.name, fontsize=8)
        for panel, values, title in (
            (row[1], result.kernel.squeeze().values, "kernel"),
            (row[2], result.std.squeeze().values, "standard deviation"),
        ):
            top = float(np.quantile(np.abs(result.kernel.values), 0.995))
            panel.imshow(values, cmap="RdBu_r", vmin=-top, vmax=top)
            panel.set_title(title, fontsize=8)
        for panel in row[:3]:
            panel.set_xticks([])
            panel.set_yticks([])
        row[3].errorbar(rings.radius, 1e3 * rings.mean, 1e3 * rings.error, lw=0.8, label="mean")
        row[3].plot(rings.radius, 1e3 * rings.fitted, lw=1.0, label="waves")
        row[3].set_xlabel("distance (nm)", fontsize=8)
        row[3].set_ylabel("pm", fontsize=8)
        row[3].legend(fontsize=7)
    FigureCanvasAgg(figure).print_png(str(path))


def tables(numbers: dict[str, Any]) -> str:
    """Write the numbers of all cases as Markdown."""
    lines = [
        "| map | trust | expected error | k of its rings, rad/nm | if they fall by 1/r faster |",
        "|---|---|---|---|---|",
    ]
    for name, one in numbers.items():
        rings = " | ".join(
            f"{k:.2f} ± {error:.2f}" if error < _MAX_K_ERROR * k else "none that could be fitted"
            for k, error in (one["k_per_nm"], one["k_integrated"])
        )
        lines.append(f"| {name} | {one['trust']} | {one['expected_error']:.0%} | {rings} |")
    lines += ["", "| R² of left-out blocks | " + " | ".join(numbers) + " |"]
    lines += ["|---" * (1 + len(numbers)) + "|"]
    for number, method in enumerate(METHODS):
        cells = []
        for one in numbers.values():
            score = one["prediction"]["rows"][number]["score"]
            cells.append(f"{score['r_squared']:.2f} ± {score['r_squared_error']:.2f}")
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    software = next(iter(numbers.values()))["prediction"]["software"]
    return "\n".join([*lines, "", f"Measured with {software}.", ""])


def with_tables(page: str, numbers: dict[str, Any]) -> str:
    """Replace the tables of a page, between its two marks."""
    before, _, rest = page.partition(_START)
    return before + _START + "\n\n" + tables(numbers) + "\n" + _END + rest.partition(_END)[2]


def main() -> None:
    """Measure all cases, and write their numbers, the tables and the picture."""
    numbers, found = {}, []
    for case in CASES:
        numbers[case.name], *parts = measure(case)
        found.append((case, *parts))
    (DOCS / "results" / "real.json").write_text(json.dumps(numbers, indent=1) + "\n")
    page = DOCS / "real-maps.md"
    page.write_text(with_tables(page.read_text(), numbers))
    picture(DOCS / "images" / "real-maps.png", found)


if __name__ == "__main__":
    main()
