"""A short entry for a number with its unit."""

from __future__ import annotations

from qtpy.QtWidgets import QDoubleSpinBox

__all__ = ["number_box"]

_MIN_WIDTH = 60


def number_box(
    value: float,
    low: float,
    high: float,
    meaning: str,
    unit: str = "",
    *,
    prefix: str = "",
    step: float = 0.1,
    decimals: int = 2,
) -> QDoubleSpinBox:
    """Make an entry for a number.

    Parameters
    ----------
    value, low, high : float
        Beginning and range.
    meaning : str
        What it is, for the tooltip.
    unit : str
        Follows the number.
    prefix : str
        Goes before the number.
    step : float
        Of the arrows.
    decimals : int
        Shown.
    """
    box = QDoubleSpinBox()
    box.setDecimals(decimals)
    box.setRange(low, high)
    box.setSingleStep(step)
    box.setValue(value)
    box.setPrefix(prefix)
    box.setSuffix(unit)
    box.setToolTip(f"<qt>{meaning}</qt>")
    # A number that is being typed is not yet meant.
    box.setKeyboardTracking(False)
    box.setMinimumWidth(_MIN_WIDTH)
    return box
