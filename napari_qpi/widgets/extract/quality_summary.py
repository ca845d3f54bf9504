"""`QualitySummary`: how far a kernel can be trusted, why, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import isnan

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QToolButton, QVBoxLayout, QWidget

from qpi_kernels.quality import Quality, Trust, describe_quality
from qpi_kernels.result import KernelResult

__all__ = ["QualitySummary", "number_range", "percent_range", "quality_rows"]

_BULLET = "•"
_BADGES: dict[Trust, tuple[str, str]] = {
    "good": ("Good", "#2e9e5b"),
    "uncertain": ("Uncertain", "#b9770e"),
    "undetermined": ("Undetermined", "#c0392b"),
}
"""Title and colour."""


class QualitySummary(QWidget):
    """Show how far the last kernel can be trusted; hidden until there is one.

    Attributes
    ----------
    summary, details : QLabel
        Headline and at most three reasons; explanations and numbers, shown by `more_button`.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.summary, self.details = _text_label(), _text_label()
        self.more_button = QToolButton()
        self.more_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more_button.setCheckable(True)
        self.more_button.setToolTip("Explanations, advice and the numbers")
        self.more_button.toggled.connect(self._show_details)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.summary, self.more_button, self.details):
            column.addWidget(widget)
        self.clear()

    def show_result(self, result: KernelResult) -> None:
        """Describe a result."""
        quality = result.quality
        text = describe_quality(quality)
        badge, colour = _BADGES[quality.trust]
        reasons = "".join(f"<p>{_BULLET} {escape(line)}</p>" for line in text.reasons)
        self.summary.setText(
            f'<span style="background-color:{colour};color:white"><b>&nbsp;{badge}&nbsp;</b></span>'
            f"&nbsp; {escape(str(result.provenance.get('layer_name', '')))}"
            f"<p>{escape(text.headline[:1].upper() + text.headline[1:])}</p>{reasons}"
        )
        units = str(result.residual.attrs.get("units", ""))
        rows = "".join(
            f"<tr><td>{escape(name)}&nbsp;&nbsp;</td><td><b>{escape(value)}</b></td>"
            f"<td>&nbsp;&nbsp;{escape(meaning)}</td></tr>"
            for name, value, meaning in quality_rows(quality, units)
        )
        details = "".join(f"<p>{_BULLET} {escape(line)}</p>" for line in text.details)
        self.details.setText(f'{details}<table style="margin-top:6px">{rows}</table>')
        self.setVisible(True)

    def clear(self) -> None:
        """Forget the last result and hide."""
        self.summary.clear()
        self.details.clear()
        self.more_button.setChecked(False)
        self._show_details(False)
        self.setVisible(False)

    def _show_details(self, shown: bool) -> None:
        """Unfold or fold the details."""
        self.more_button.setText("Less" if shown else "More")
        arrow = Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow
        self.more_button.setArrowType(arrow)
        self.details.setVisible(shown)


def _text_label() -> QLabel:
    """Make a label whose rich text wraps and can be copied."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def quality_rows(quality: Quality, units: str) -> list[tuple[str, str, str]]:
    """Give the numbers of the card.

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
        ("Residual χ²", number_range(quality.reduced_chi2), "1: white noise"),
        ("Explained", percent_range(quality.r_squared), "of the variance"),
        ("Predicted", percent_range(quality.predicted), "around the defects, less chance"),
        ("Window", f"{quality.fill:.1%}", "unknowns per pixel"),
        ("Fixed by data", percent_range(quality.determined), "the prior or ridge fixes the rest"),
        *_model_rows(quality),
        ("Condition", f"{quality.condition:.3g}", "1: no noise amplified"),
        (
            "Solver",
            "converged" if quality.converged else "not converged",
            f"{quality.iterations} iterations",
        ),
    ]
    score = quality.prediction
    if score is not None:
        shown = f"{score.r_squared:.4f} ± {score.r_squared_error:.4f}"
        rows.insert(4, ("Left-out R²", shown, f"{score.within_2_sigma:.1%} within 2 sigma"))
    for kind, scores in _scores_by_kind(quality).items():
        rows.append((f"Symmetry {kind}".strip(), scores, "1: perfect"))
    return rows


def _model_rows(quality: Quality) -> list[tuple[str, str, str]]:
    """Name the change of the model that explains most, over what chance explains at most."""
    if quality.checks is None or not quality.checks.explained:
        return []
    usual = quality.checks.usual
    ratios = {name: chi2 / usual[name] for name, chi2 in quality.checks.explained.items()}
    clearest = max(ratios, key=ratios.__getitem__)
    return [("Model test", f"{ratios[clearest]:.2g}", f"{clearest.replace('_', ' ')}; 1: chance")]


def _scores_by_kind(quality: Quality) -> dict[str, str]:
    """Join scores; with several kinds their names are ``"kind: C2"``."""
    scores: dict[str, list[str]] = {}
    for name, score in quality.symmetry_scores.items():
        kind, _, fold = name.rpartition(": ")
        scores.setdefault(kind, []).append(f"{fold}\N{NO-BREAK SPACE}{score:.2f}")
    return {kind: " ".join(parts) for kind, parts in scores.items()}


def number_range(values: Sequence[float], style: str = ".3g") -> str:
    """Format the range of some numbers; one number where both ends read alike."""
    values = [value for value in values if not isnan(value)]
    if not values:
        return "not known"
    low, high = (format(limit, style) for limit in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def percent_range(values: Sequence[float]) -> str:
    """Format the range of some shares, in percent."""
    return number_range(values, ".1%")
