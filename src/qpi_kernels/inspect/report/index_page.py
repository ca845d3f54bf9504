"""The index page of a folder of reports: thumbnails and a table that can be sorted."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np

from qpi_kernels.inspect.dispersion.result import Dispersion
from qpi_kernels.inspect.figures.kind import make_panel
from qpi_kernels.inspect.figures.planes import plane_axis
from qpi_kernels.inspect.report.html_page import image_data, page
from qpi_kernels.io.atomic_write import replacing
from qpi_kernels.quality import Trust, describe_quality
from qpi_kernels.result import KernelResult

__all__ = ["IndexEntry", "index_entry", "write_index"]

_THUMBNAIL_MM, _THUMBNAIL_DPI = 40.0, 110.0
_ORDER = {"undetermined": 0, "uncertain": 1, "good": 2}
_HEADS = (
    "kernel",
    "name",
    "trust",
    "bias (V)",
    "defects",
    "misfit (χ²)",
    "signal to noise",
    "expected error (%)",
    "k (rad/nm)",
    "m* (mₑ)",
)


@dataclass(frozen=True)
class IndexEntry:
    """A row of the index.

    Parameters
    ----------
    name : str
        Name of the result.
    report : Path
        Its report.
    thumbnail : str
        ``data:`` address of a picture of the kernel.
    trust, headline : str
        Of the result, in words.
    bias : tuple of float
        Lowest and highest bias in V, equal for a single plane; empty if not known.
    defects : int
        Number of defects used.
    misfit, signal_to_noise, expected_error : float
        Median over planes of the reduced chi-squared, of the kernels' share in the observation's
        rms over the pixel noise, and the expected error of the kernel; NaN if not known.
    wave_number, mass : float
        k in rad/nm of a single plane, m* in electron masses of a stack; NaN if not fitted.
    """

    name: str
    report: Path
    thumbnail: str
    trust: Trust
    headline: str
    bias: tuple[float, ...]
    defects: int
    misfit: float
    signal_to_noise: float
    expected_error: float
    wave_number: float
    mass: float


def index_entry(
    result: KernelResult, path: Path, report: Path, dispersion: Dispersion | None
) -> IndexEntry:
    """Collect the numbers of a result for the index.

    Parameters
    ----------
    result : KernelResult
        What was reported.
    path, report : Path
        Where it is saved, and its report.
    dispersion : Dispersion or None
        Its fit, as of `proposed_dispersion`.
    """
    biases = plane_axis(result.residual)
    if biases is None and "bias" in result.kernel.coords:
        biases = np.atleast_1d(result.kernel["bias"].values.astype(float))
    wave_number, mass = _fitted(result, dispersion)
    return IndexEntry(
        name=path.stem,
        report=report,
        thumbnail=_thumbnail(result),
        trust=result.quality.trust,
        headline=describe_quality(result.quality).headline,
        bias=() if biases is None else (float(biases.min()), float(biases.max())),
        defects=len(result.defects),
        misfit=_median(result.quality.reduced_chi2),
        signal_to_noise=_signal_to_noise(result),
        expected_error=result.quality.expected_error,
        wave_number=wave_number,
        mass=mass,
    )


def write_index(path: Path, entries: list[IndexEntry]) -> Path:
    """Write the index page; links are relative, so that the folder may move.

    Parameters
    ----------
    path : Path
        The page; its folder must exist.
    entries : list of IndexEntry
        Its rows.
    """
    heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in _HEADS)
    rows = "\n".join(_row(entry, path.parent) for entry in entries)
    counted = {trust: sum(one.trust == trust for one in entries) for trust in _ORDER}
    summary = ", ".join(f"{counted[trust]} {trust}" for trust in reversed(_ORDER))
    body = (
        f"<header><h1>Kernels of {escape(path.parent.resolve().name)}</h1>\n"
        f"<p>{len(entries)} results: {escape(summary)}.</p></header>\n"
        '<main><div class="wide" tabindex="0" role="region" aria-label="Results">'
        '<table class="sortable index"><caption>Click a head to sort by it, again to turn the '
        "order round. Signal to noise: rms of the kernels in the map over pixel noise, median over "
        "biases. k is that of a single plane, m* that of a stack; - if there is none.</caption>\n"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></main>"
    )
    with replacing(path) as partial:
        partial.write_text(page("Kernels", body), encoding="utf-8")
    return path


def _row(entry: IndexEntry, folder: Path) -> str:
    """Write a row; ``data-key`` is what a column sorts by."""
    link = quote(Path(os.path.relpath(entry.report.resolve(), folder.resolve())).as_posix())
    name = escape(entry.name)
    picture = f'<img src="{entry.thumbnail}" alt="Kernel of {name}">'
    low_high = " to ".join(dict.fromkeys(f"{one:.4g}" for one in entry.bias)) or "-"
    cells = [
        (picture, name),
        (f'<a href="{link}">{name}</a>', name),
        (escape(entry.trust), str(_ORDER[entry.trust])),
        (low_high, f"{entry.bias[0]:.9g}" if entry.bias else ""),
        (str(entry.defects), str(entry.defects)),
        *((_number(one), _key(one)) for one in (entry.misfit, entry.signal_to_noise)),
        (_number(100 * entry.expected_error), _key(entry.expected_error)),
        *((_number(one), _key(one)) for one in (entry.wave_number, entry.mass)),
    ]
    written = []
    for column, (cell, key) in enumerate(cells):
        style = f' class="{entry.trust}" title="{escape(entry.headline)}"' if column == 2 else ""
        written.append(f'<td{style} data-key="{escape(key)}">{cell}</td>')
    return f"<tr>{''.join(written)}</tr>"


def _thumbnail(result: KernelResult) -> str:
    """Draw the kernel small, without axes."""
    panel = make_panel("kernel", result)
    return image_data(panel, _THUMBNAIL_MM, kind="png", dpi=_THUMBNAIL_DPI, bare=True)


def _fitted(result: KernelResult, dispersion: Dispersion | None) -> tuple[float, float]:
    """Return wave number (single plane) or mass (stack); NaN where there is none."""
    if dispersion is None:
        return math.nan, math.nan
    if "bias" in result.kernel.dims:
        return math.nan, dispersion.parameters.get("mass", math.nan)
    waves = dispersion.wave_numbers
    return (float(waves["k"][0]) if bool(waves["used"][0]) else math.nan), math.nan


def _signal_to_noise(result: KernelResult) -> float:
    """Return the rms of the kernels in the map over the pixel noise, median over planes."""
    signal = (result.reconstruction - result.background).values.astype(float)
    rms = np.atleast_1d(np.sqrt(np.nanmean(np.square(signal), axis=(-2, -1))))
    noise = np.asarray(result.quality.noise_sigma, float)
    if noise.shape != rms.shape:
        return math.nan
    return _median(rms / np.where(noise > 0, noise, np.nan))


def _median(values: object) -> float:
    """Return the median of what is known; NaN if nothing is."""
    numbers = np.asarray(values, float)
    known = numbers[np.isfinite(numbers)]
    return float(np.median(known)) if known.size else math.nan


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "-"


def _key(value: float) -> str:
    return f"{value:.9g}" if math.isfinite(value) else ""
