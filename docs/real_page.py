"""The numbers, the table and the picture of docs/real-maps.md.

Usage: ``python docs/real_page.py`` with the variable NAPARI_QPI_SAMPLES set to the folder of the
samples. It writes docs/results/real.json, docs/images/real-maps.png and the tables of the page, in
some five minutes.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

import qpi_kernels as qk
from qpi_kernels import Defects, KernelResult
from qpi_kernels.bench.real.benchmark import RealBench
from qpi_kernels.bench.real.parameters import RealBenchParameters
from qpi_kernels.inspect import Dispersion, fit_dispersion
from qpi_kernels.prepare import Prepared, run
from qpi_kernels.prepare.presets import presets
from qpi_kernels.progress import drive

DOCS = Path(__file__).parent
METHODS = ("average", "least_squares", "least_squares:symmetry=C6v", "bayes:prior=smooth", "bayes")
# Distances from the defect where its rings are fitted, in nm: outside the core, inside the window.
RINGS_NM = (0.8, 5.0)
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


def measure(case: Case) -> tuple[dict[str, Any], Prepared, KernelResult, Dispersion]:
    """Extract the kernel of a case, compare methods by prediction, and fit rings."""
    prepared = case.prepared()
    size = (case.window, case.window)
    result = qk.extract(prepared, prepared.defects, kernel_shape=size, background="auto")
    settings = RealBenchParameters(kernel_shape=size, methods=METHODS)
    report = drive(RealBench(case.file, prepared, prepared.defects, settings))
    rings = fit_dispersion(result, radii_nm=RINGS_NM)
    integrated = fit_dispersion(result, radii_nm=RINGS_NM, waves="integrated")
    numbers = {
        "file": case.file,
        "marks": case.marks,
        "trust": result.quality.trust,
        "expected_error": round(result.quality.expected_error, 3),
        "verdict": list(result.quality.verdict),
        "reasons": [one.code for one in result.quality.reasons],
        "prior": result.provenance["priors"][0]["prior"],
        "rings": wave_number(rings),
        "integrated": wave_number(integrated),
        "prediction": report.model_dump(mode="json"),
    }
    return numbers, prepared, result, rings


def wave_number(found: Dispersion) -> dict[str, Any]:
    """Write down what was fitted to the rings, and why it is not to be used, if so."""
    table = found.wave_numbers.isel(bias=0)
    return {
        "k_per_nm": round(float(table["k"]), 3),
        "error": round(float(table["k_std"]), 3),
        "chi2": round(float(table["chi2"]), 2),
        "reason": str(table["reason"].values),
    }


def picture(path: Path, found: list[tuple[Case, Prepared, KernelResult, Dispersion]]) -> None:
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
        seen = rings.profiles.isel(bias=0)
        row[3].errorbar(seen["r"], 1e3 * seen["mean"], 1e3 * seen["std"], lw=0.8, label="mean")
        row[3].plot(seen["r"], 1e3 * seen["fitted"], lw=1.0, label="waves")
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
            "none that could be fitted"
            if fit["reason"]
            else f"{fit['k_per_nm']:.2f} ± {fit['error']:.2f}"
            for fit in (one["rings"], one["integrated"])
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
