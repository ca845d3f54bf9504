"""`QualitySummary`: what an extraction's numbers mean, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import isnan

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

from qpi_kernels.result import KernelResult, Quality

__all__ = ["QualitySummary", "number_range", "percent_range", "quality_rows"]

_BULLET = "•"


class QualitySummary(QLabel):
    """Shows how far the last kernel can be trusted."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setVisible(False)

    def show_result(self, result: KernelResult) -> None:
        """Describe a result."""
        quality = result.quality
        badge, colour = _badge(quality)
        verdict = "".join(f"<p>{_BULLET} {escape(line)}</p>" for line in quality.verdict)
        units = str(result.residual.attrs.get("units", ""))
        rows = "".join(
            f"<tr><td>{escape(name)}&nbsp;&nbsp;</td><td><b>{escape(value)}</b></td>"
            f"<td>&nbsp;&nbsp;{escape(meaning)}</td></tr>"
            for name, value, meaning in quality_rows(quality, units)
        )
        self.setText(
            f'<span style="background-color:{colour};color:white"><b>&nbsp;{badge}&nbsp;</b></span>'
            f'{verdict}<table style="margin-top:6px">{rows}</table>'
        )
        self.setVisible(True)


def quality_rows(quality: Quality, units: str) -> list[tuple[str, str, str]]:
    """The numbers of the card.

    Parameters
    ----------
    quality : Quality
        From a `KernelResult`.
    units : str
        Units of the observation, may be empty.

    Returns
    -------
    list of (str, str, str)
        Name, value and meaning. Numbers with one entry per bias become a range.
    """
    rows = [
        ("Noise", f"{number_range(quality.noise_sigma)} {units}".strip(), "per pixel"),
        ("Residual χ²", number_range(quality.reduced_chi2), "1: only noise is left"),
        ("Explained", percent_range(quality.r_squared), "of the variance"),
        ("Window", f"{quality.fill:.1%}", "unknowns per pixel"),
        ("Fixed by data", percent_range(quality.determined), "the prior or ridge fixes the rest"),
        ("Condition", f"{quality.condition:.3g}", "1: no noise amplified"),
        (
            "Solver",
            "converged" if quality.converged else "not converged",
            f"{quality.iterations} iterations",
        ),
    ]
    for kind, scores in _scores_by_kind(quality).items():
        rows.append((f"Symmetry {kind}".strip(), scores, "1: perfect"))
    return rows


def _badge(quality: Quality) -> tuple[str, str]:
    """Words and colour; green only when the verdict holds nothing but its summary."""
    if not quality.well_posed:
        if quality.verdict and quality.verdict[0].startswith("Uncertain"):
            # The defects determine a kernel; what else the map holds is in doubt.
            return "Uncertain", "#b9770e"
        return "Not well posed", "#c0392b"
    if len(quality.verdict) > 1:
        return "Well posed, with remarks", "#b9770e"
    return "Well posed", "#2e9e5b"


def _scores_by_kind(quality: Quality) -> dict[str, str]:
    """Join scores; with several kinds their names are ``"kind: C2"``."""
    scores: dict[str, list[str]] = {}
    for name, score in quality.symmetry_scores.items():
        kind, _, fold = name.rpartition(": ")
        scores.setdefault(kind, []).append(f"{fold}\N{NO-BREAK SPACE}{score:.2f}")
    return {kind: " ".join(parts) for kind, parts in scores.items()}


def number_range(values: Sequence[float], style: str = ".3g") -> str:
    """Lowest and highest of some numbers; one number where they read alike."""
    values = [value for value in values if not isnan(value)]
    if not values:
        return "not known"
    low, high = (format(limit, style) for limit in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def percent_range(values: Sequence[float]) -> str:
    """Lowest and highest of some shares, in percent."""
    return number_range(values, ".1%")
