"""Pictures of the benchmark of the published method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.bench.paper.latents import LatentCodes, plane
from qpi_kernels.bench.paper.report import PaperReport
from qpi_kernels.bench.plotting import make_figure, save_figures

__all__ = ["PaperPictures", "write_plots"]

_SHOWN_OBSERVATIONS = 3
_SOFTNESS = 0.05


@dataclass(frozen=True, eq=False)
class PaperPictures:
    """Kernels and latent codes that the pictures show beside the report."""

    true: NDArray[np.float32]
    """Some kernels that are held out."""
    found: dict[str, NDArray[np.float32]]
    """Kernels that models find in one observation of each, by label."""
    codes: LatentCodes
    """Of the two-step model."""


def write_plots(report: PaperReport, pictures: PaperPictures, folder: str | Path) -> list[Path]:
    """Draw all pictures.

    Parameters
    ----------
    report, pictures
        From `qpi_kernels.bench.paper.benchmark.PaperBench`.
    folder : path-like
        Made if missing; files of the same names are replaced.

    Returns
    -------
    list of Path
        ``rmse.png``: mean OOD errors with their intervals beside the published ones;
        ``kernels.png``: kernels and what is found of them; ``latent.png``: the latent space.
    """
    figures = {
        "rmse.png": _errors(report),
        "kernels.png": _kernels(pictures),
        "latent.png": _latent(pictures.codes),
    }
    return save_figures(figures, folder)


def _errors(report: PaperReport) -> Any:
    """Draw the errors of all rows beside the published ones."""
    rows = [row for row in report.rows if row.scores]
    figure = make_figure(9.0, 1.2 + 0.26 * len(rows))
    axes = figure.subplots()
    places = np.arange(len(rows))[::-1]
    scores = [row.scores["rmse"] for row in rows]
    means = np.array([score.mean for score in scores])
    ends = np.array([[score.low, score.high] for score in scores]).T
    axes.errorbar(
        means, places, xerr=np.abs(ends - means), fmt="o", color="C0", capsize=3, label="ours"
    )
    known = [(row.published_rmse, place) for row, place in zip(rows, places, strict=True)]
    published = [(value, place) for value, place in known if value is not None]
    if published:
        axes.plot(*zip(*published, strict=True), "D", color="C3", mfc="none", label="published")
    labels = [
        f"{row.table}  {row.label}, {row.tests}{' noisy' if row.noisy else ''}" for row in rows
    ]
    axes.set_yticks(places, labels, fontsize=8)
    axes.set_xlabel("RMSE x 2 of min-max kernels; mean, 95 % interval over kernels")
    axes.set_xlim(left=0)
    axes.legend()
    if report.quick:
        axes.set_title("quick run: says nothing about the methods")
    return figure


def _kernels(pictures: PaperPictures) -> Any:
    """Draw true and predicted kernels."""
    columns = {"true": pictures.true, **pictures.found}
    figure = make_figure(1.7 * len(columns), 1.7 * len(pictures.true) + 0.3)
    grid = figure.subplots(len(pictures.true), len(columns), squeeze=False)
    for column, (label, images) in enumerate(columns.items()):
        grid[0][column].set_title(label, fontsize=8)
        for row, image in enumerate(images):
            # The weak waves far from the defect, beside the strong core.
            level = image - np.median(image)
            shown = np.arcsinh(level / (_SOFTNESS * max(float(np.abs(level).max()), 1e-12)))
            limit = max(float(np.abs(shown).max()), 1e-12)
            axes = grid[row][column]
            axes.imshow(shown, cmap="RdBu_r", vmin=-limit, vmax=limit)
            axes.set_xticks([])
            axes.set_yticks([])
    return figure


def _latent(codes: LatentCodes) -> Any:
    """Draw the principal components of the latent space."""
    kernels, observations, way = plane(
        LatentCodes(codes.kernels, codes.observations[:, :_SHOWN_OBSERVATIONS], codes.families)
    )
    figure = make_figure(8.0, 6.0)
    axes = figure.subplots()
    for number, family in enumerate(np.unique(codes.families)):
        members = codes.families == family
        colour = f"C{number % 10}"
        marker = "os^D"[number // 10]
        axes.scatter(*observations[members].reshape(-1, 2).T, s=8, c=colour, alpha=0.4)
        axes.scatter(
            *kernels[members].T, s=50, c=colour, marker=marker, edgecolors="k", label=str(family)
        )
    axes.set_title(f"Latent means ({way}): kernels (outlined), observations (dots)")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
