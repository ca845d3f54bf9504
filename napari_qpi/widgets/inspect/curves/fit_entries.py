"""`FitEntries`: model, method, range and knowledge that a fit of a dispersion takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_qpi.tasks.inspection.dispersion_fit import (
    MODELS,
    SYNTHESISED,
    DispersionFit,
    named_values,
    values_help,
)
from napari_qpi.widgets.common.dock import collapsed
from napari_qpi.widgets.inspect.curves.number_box import number_box
from qpi_kernels.inspect.dispersion_choices import METHODS

if TYPE_CHECKING:
    from qpi_kernels.inspect.dispersion.result import Dispersion

__all__ = ["FitEntries"]

_FIRST_NM = 0.8


class FitEntries(QWidget):
    """Entries for a `DispersionFit`; those that a method has no use for are disabled."""

    def __init__(self) -> None:
        super().__init__()
        self._range_of: xr.DataArray | None = None
        self._method_before: str | None = None
        self.model_choice, self.method_choice = QComboBox(), QComboBox()
        self.model_choice.addItems(MODELS)
        self.method_choice.addItems(METHODS)
        self.model_choice.setToolTip("<qt>Dispersion that is fitted to k(E).</qt>")
        self.method_choice.setToolTip(
            "<qt>hankel fits the waves of the kernel's angular mean in real space. synthesis "
            "compares the kernel with simulated ones, for contours that are not round; it takes "
            "some ten seconds. ring reads half the q of the maximum of |FT|, which the scattering "
            "phase displaces: for comparison.</qt>"
        )
        self.held_entry, self.start_entry = QLineEdit(), QLineEdit()
        bias: dict[str, Any] = {"unit": " V", "step": 0.01, "decimals": 3}
        self.from_box = number_box(0.0, -1e3, 1e3, "Lowest bias.", prefix="from ", **bias)
        self.to_box = number_box(0.0, -1e3, 1e3, "Highest bias.", prefix="to ", **bias)
        self.temperature_box = number_box(
            0.0, 0.0, 400.0, "Temperature, whose width is taken off the damping; 0 takes off "
            "nothing.", " K", prefix="T = ", step=1.0, decimals=1,
        )  # fmt: skip
        self.modulation_box = number_box(
            0.0, 0.0, 100.0, "Lock-in modulation (rms), taken off likewise.", " mV",
            prefix="lock-in ", step=0.5, decimals=1,
        )  # fmt: skip
        self.setpoint_check = QCheckBox("Set-point")
        self.setpoint_check.setToolTip(
            "<qt>For maps taken at constant current that were not normalised: the waves of all "
            "energies up to the set-point are fitted, too. It is the bias at which the tip was "
            "stabilised, the same for all maps.</qt>"
        )
        self.setpoint_box = number_box(0.0, -10.0, 10.0, "Bias of the set-point.", **bias)
        self.radii_check = QCheckBox("Radii")
        self.radii_check.setToolTip(
            "<qt>Fit at these distances from the defect. Else from 0.8 nm, or where its core ends "
            "that shows beside the waves, to the window's edge: after a fit the entries show which "
            "these were.</qt>"
        )
        radius: dict[str, Any] = {"unit": " nm", "step": 0.1, "decimals": 2}
        self.near_box = number_box(_FIRST_NM, 0.0, 1e3, "Nearest distance.", **radius)
        self.far_box = number_box(1e3, 0.0, 1e4, "Farthest distance.", **radius)
        self._lay_out()
        self.model_choice.currentTextChanged.connect(self._on_model)
        self.method_choice.currentTextChanged.connect(self._show_use)
        for check in (self.setpoint_check, self.radii_check):
            check.toggled.connect(self._show_use)
        self._show_use()

    def _lay_out(self) -> None:
        """Put the entries in rows; what is rarely needed is folded away."""
        first, second, third = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        first.addWidget(self.model_choice)
        first.addWidget(self.method_choice)
        first.addWidget(self.held_entry, 1)
        ranges = (self.from_box, self.to_box, self.temperature_box, self.modulation_box)
        for box in ranges:
            second.addWidget(box)
        third.addWidget(self.setpoint_check)
        third.addWidget(self.setpoint_box, 1)
        third.addWidget(self.radii_check)
        third.addWidget(self.near_box, 1)
        third.addWidget(self.far_box, 1)
        for box in (*ranges, self.setpoint_box, self.near_box, self.far_box):
            # There is no room for four pairs of arrows.
            box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        folded = QWidget()
        grid = QGridLayout(folded)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.start_entry, 0, 0)
        grid.addLayout(third, 1, 0)
        self.fold = collapsed("Start values, set-point, radii", folded)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(first)
        column.addLayout(second)
        column.addWidget(self.fold)

    def fit_of(self, kernel: xr.DataArray, std: xr.DataArray | None, name: str) -> DispersionFit:
        """Return the fit of a kernel as it was entered.

        Parameters
        ----------
        kernel, std : xarray.DataArray, (bias, y, x)
            Kernel and its standard deviation, None where it is not known.
        name : str
            What the kernel shows.

        Raises
        ------
        NamedValuesError
            If the parameters to start at or to hold can not be read.
        """
        model, method = self.model_choice.currentText(), self.method_choice.currentText()
        waves = method == "hankel"
        entered = self.radii_check.isEnabled() and self.radii_check.isChecked()
        setpoint = waves and self.setpoint_check.isChecked()
        return DispersionFit(
            kernel=kernel,
            std=std,
            name=name,
            model=model,
            method=method,
            bias_range=self._bias_range(kernel),
            radii_nm=(self.near_box.value(), self.far_box.value()) if entered else None,
            initial=named_values(self.start_entry.text(), model, method),
            fixed=named_values(self.held_entry.text(), model, method),
            temperature_K=self.temperature_box.value(),
            modulation_V=1e-3 * self.modulation_box.value(),
            setpoint_V=self.setpoint_box.value() if setpoint else None,
        )

    def show_kernel(self, kernel: xr.DataArray) -> None:
        """Offer all biases and radii of a kernel that was not offered before."""
        if kernel is self._range_of:
            return
        self._range_of = kernel
        biases = np.asarray(kernel["bias"].values, float)
        for box, value in ((self.from_box, biases.min()), (self.to_box, biases.max())):
            box.setRange(float(biases.min()), float(biases.max()))
            box.setValue(float(value))
        if not self.setpoint_check.isChecked():
            self.setpoint_box.setValue(float(biases[np.abs(biases).argmax()]))
        if not self.radii_check.isChecked():
            sides = [np.asarray(kernel[axis].values, float) for axis in ("y", "x")]
            self.near_box.setValue(_FIRST_NM)
            self.far_box.setValue(float(min(np.abs(side[[0, -1]]).min() for side in sides)))

    def show_fitted(self, dispersion: Dispersion) -> None:
        """Show at which distances was fitted, where none were entered."""
        if self.radii_check.isChecked() or "r" not in dispersion.profiles.coords:
            return
        radii = np.asarray(dispersion.profiles["r"].values, float)
        self.near_box.setValue(float(radii.min()))
        self.far_box.setValue(float(radii.max()))

    def _on_model(self, model: str) -> None:
        """Choose the method of a band whose contours are not round, and go back with the model."""
        if model in SYNTHESISED:
            self._method_before = self._method_before or self.method_choice.currentText()
            self.method_choice.setCurrentText("synthesis")
        elif self._method_before is not None:
            self.method_choice.setCurrentText(self._method_before)
            self._method_before = None
        self._show_use()

    def _show_use(self) -> None:
        """Offer what the method takes: only waves in real space know of the instrument."""
        model, method = self.model_choice.currentText(), self.method_choice.currentText()
        waves = method == "hankel"
        for widget in (self.temperature_box, self.modulation_box, self.setpoint_check):
            widget.setEnabled(waves)
        self.setpoint_box.setEnabled(waves and self.setpoint_check.isChecked())
        self.radii_check.setEnabled(method != "ring")
        for box in (self.near_box, self.far_box):
            box.setEnabled(method != "ring" and self.radii_check.isChecked())
        known, example = values_help(model, method)
        self.held_entry.setPlaceholderText(f"known, e.g. {example}")
        self.held_entry.setToolTip(
            f"<qt>Parameters that are known and held. {known} Of a Rashba band hold alpha or "
            "onset: the waves tell only the energy of its minimum.</qt>"
        )
        self.start_entry.setPlaceholderText(f"start values, e.g. {example}; found when left out")
        self.start_entry.setToolTip(f"<qt>Values to start the fit at. {known}</qt>")

    def _bias_range(self, kernel: xr.DataArray) -> tuple[float, float] | None:
        """Return the range that was entered, None for all biases."""
        biases = np.asarray(kernel["bias"].values, float)
        low, high = self.from_box.value(), self.to_box.value()
        half = 0.5 * 10.0 ** -self.from_box.decimals()
        if low <= biases.min() + half and high >= biases.max() - half:
            return None
        return low, high
