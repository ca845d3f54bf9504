"""Editors of one value each, the rows of a `ParameterForm`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import floor, log10
from typing import Any

from qtpy.QtCore import QLocale, QSignalBlocker, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QToolButton,
    QWidget,
)

__all__ = [
    "AutomaticEditor",
    "ChoiceEditor",
    "Choices",
    "Editor",
    "FileEditor",
    "IntegerEditor",
    "ListEditor",
    "NumberEditor",
    "PairEditor",
    "RangeEditor",
    "TextEditor",
    "TickEditor",
]

Choices = Sequence[tuple[str, Any]]
# Of fields without a maximum of their own.
_MAX_INTEGER = 999_999
_DECIMALS = 9


class Editor(QWidget):
    """Edits one value; `changed` tells of changes by the user."""

    changed = Signal()

    def value(self) -> Any:
        """Return the entry, to be validated by the model."""
        raise NotImplementedError

    def set_value(self, value: Any) -> None:
        """Show a value."""
        raise NotImplementedError

    def _row(self, *widgets: QWidget) -> None:
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in widgets:
            layout.addWidget(widget)


class ChoiceEditor(Editor):
    """One of a few values; with ``free`` also any other text."""

    def __init__(self, choices: Choices, free: bool = False) -> None:
        super().__init__()
        self._free = free
        self._combo = QComboBox()
        self._combo.setEditable(free)
        self.set_choices(choices)
        self._row(self._combo)
        self._combo.currentTextChanged.connect(self.changed)

    def set_choices(self, choices: Choices) -> None:
        """Offer other values and keep the current one if it is among them, or free text."""
        kept = self.value() if self._combo.count() else None
        blocked = self._combo.blockSignals(True)
        self._combo.clear()
        for text, value in choices:
            self._combo.addItem(text, value)
        row = self._combo.findData(kept)
        self._combo.setCurrentIndex(max(row, 0))
        if self._free and row < 0 and kept:
            self._combo.setEditText(str(kept))
        self._combo.blockSignals(blocked)

    def value(self) -> Any:
        """Return the chosen value, or the text that was typed."""
        text = self._combo.currentText()
        row = self._combo.findText(text)
        return text.strip() if row < 0 else self._combo.itemData(row)

    def set_value(self, value: Any) -> None:
        """Choose a value."""
        row = next((i for i in range(self._combo.count()) if self._combo.itemData(i) == value), -1)
        if row < 0 and not self._free:
            raise ValueError(f"{value!r} is not offered")
        if row < 0:
            self._combo.setEditText(str(value))
        else:
            self._combo.setCurrentIndex(row)


class IntegerEditor(Editor):
    """One whole number."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        super().__init__()
        self._spin = _spin_box(schema)
        self._row(self._spin)
        self._spin.valueChanged.connect(self.changed)

    def value(self) -> int:
        """Return the number."""
        return int(self._spin.value())

    def set_value(self, value: Any) -> None:
        """Show a number."""
        self._spin.setValue(int(value))


class PairEditor(Editor):
    """Two whole numbers, rows and columns, equal while "square" is ticked."""

    def __init__(self, schemas: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self._spins = [_spin_box(schema) for schema in schemas]
        for spin, word in zip(self._spins, ("Height", "Width"), strict=True):
            spin.setToolTip(word)
        self._square = QCheckBox("square")
        self._square.setToolTip("Keep height and width equal.")
        self._square.setChecked(True)
        self._row(self._spins[0], QLabel("×"), self._spins[1], self._square)  # noqa: RUF001
        self._wanted = self.value()
        for spin in self._spins:
            spin.valueChanged.connect(self._on_spin)
        self._square.toggled.connect(lambda: self._on_spin(self._spins[0].value()))

    @property
    def square(self) -> bool:
        """True if both numbers are kept equal."""
        return bool(self._square.isChecked())

    def value(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self._spins[0].value(), self._spins[1].value()

    @property
    def wanted(self) -> tuple[int, int]:
        """(rows, columns) as they were entered, before any limit."""
        return self._wanted

    def set_value(self, value: Any) -> None:
        """Show two numbers; different ones untick "square"."""
        before = self.value()
        blocked = self.blockSignals(True)
        if value[0] != value[1]:
            self._square.setChecked(False)
        self._wanted = int(value[0]), int(value[1])
        self._show(value)
        self.blockSignals(blocked)
        if self.value() != before:
            self.changed.emit()

    def set_maximum(self, rows: int, columns: int) -> None:
        """Limit the two numbers; what was entered comes back with a larger limit."""
        before, limits = self.value(), []
        for spin, limit in zip(self._spins, (rows, columns), strict=True):
            with QSignalBlocker(spin):
                spin.setMaximum(max(limit, spin.minimum()))
            limits.append(spin.maximum())
        shown = [min(number, limit) for number, limit in zip(self._wanted, limits, strict=True)]
        self._show([min(shown)] * 2 if self.square else shown)
        if self.value() != before:
            self.changed.emit()

    def _show(self, value: Sequence[int]) -> None:
        """Show two numbers without a signal."""
        for spin, number in zip(self._spins, value, strict=True):
            with QSignalBlocker(spin):
                spin.setValue(int(number))

    def _on_spin(self, value: int) -> None:
        """Make both numbers equal while "square" is ticked, and report the change."""
        if self.square:
            value = min(value, *(spin.maximum() for spin in self._spins))
            if any(spin.value() != value for spin in self._spins):
                # Each change comes back here; the last finds both equal.
                for spin in self._spins:
                    spin.setValue(value)
                return
        self._wanted = self.value()
        self.changed.emit()


class RangeEditor(Editor):
    """Two whole numbers, a first and a last."""

    def __init__(self, schemas: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self._spins = [_spin_box(schema) for schema in schemas]
        self._row(self._spins[0], QLabel("to"), self._spins[1])
        for spin in self._spins:
            spin.valueChanged.connect(self.changed)

    def value(self) -> tuple[int, int]:
        """Return the two numbers."""
        return self._spins[0].value(), self._spins[1].value()

    def set_value(self, value: Any) -> None:
        """Show two numbers."""
        blocked = self.blockSignals(True)
        before = self.value()
        for spin, number in zip(self._spins, value, strict=True):
            spin.setValue(int(number))
        self.blockSignals(blocked)
        if self.value() != before:
            self.changed.emit()


class TextEditor(Editor):
    """Text, or a number in any notation; nothing entered stands for None where that is allowed."""

    def __init__(self, nullable: bool) -> None:
        super().__init__()
        self._nullable = nullable
        self._line = QLineEdit()
        self._row(self._line)
        self._line.editingFinished.connect(self.changed)

    def value(self) -> str | None:
        """Return the text."""
        text = self._line.text().strip()
        return None if self._nullable and not text else text

    def set_value(self, value: Any) -> None:
        """Show a value."""
        number = isinstance(value, float | int)
        self._line.setText("" if value is None else f"{value:.15g}" if number else str(value))


class ListEditor(TextEditor):
    """Numbers, or lists of numbers, as they are written in Python."""

    def value(self) -> Any:
        """Return the lists; a text that holds none is left to the model to refuse."""
        text = super().value()
        try:
            return None if text is None else json.loads(text.replace("(", "[").replace(")", "]"))
        except ValueError:
            return text

    def set_value(self, value: Any) -> None:
        """Show lists, with six digits of each number."""
        shown = None if value is None else json.dumps(_rounded(value))
        super().set_value(shown)


class FileEditor(Editor):
    """The path of a file, typed or chosen, or a word that stands for one.

    Parameters
    ----------
    kinds : str
        Which files are offered, as in ``"Libraries (*.safetensors)"``.
    """

    def __init__(self, kinds: str) -> None:
        super().__init__()
        self._kinds = kinds
        self._text = TextEditor(nullable=False)
        self._text.changed.connect(self.changed)
        button = QToolButton()
        button.setText("…")
        button.setToolTip("Choose a file.")
        button.clicked.connect(self._choose)
        self._row(self._text, button)

    def value(self) -> Any:
        """Return the path or the word."""
        return self._text.value()

    def set_value(self, value: Any) -> None:
        """Show a path or a word."""
        self._text.set_value(value)

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a file", "", self._kinds)
        if path:
            self.set_value(path)
            self.changed.emit()


class AutomaticEditor(Editor):
    """A number, or a word such as "auto" that leaves the choice to the library."""

    def __init__(self, word: str, number: Editor) -> None:
        super().__init__()
        self._word = word
        self._number = number
        self._tick = QCheckBox(word)
        self._tick.toggled.connect(self._on_toggled)
        self._row(self._tick, number)
        number.changed.connect(self.changed)

    def value(self) -> Any:
        """Return the word or the number."""
        return self._word if self._tick.isChecked() else self._number.value()

    def set_value(self, value: Any) -> None:
        """Show the word or a number."""
        self._tick.setChecked(value == self._word)
        self._number.setEnabled(value != self._word)
        if value != self._word:
            self._number.set_value(value)

    def _on_toggled(self, automatic: bool) -> None:
        self._number.setEnabled(not automatic)
        self.changed.emit()


class TickEditor(Editor):
    """Yes or no."""

    def __init__(self) -> None:
        super().__init__()
        self._tick = QCheckBox()
        self._row(self._tick)
        self._tick.toggled.connect(self.changed)

    def value(self) -> bool:
        """Return whether it is ticked."""
        return bool(self._tick.isChecked())

    def set_value(self, value: Any) -> None:
        """Tick or untick."""
        self._tick.setChecked(bool(value))


class NumberEditor(Editor):
    """One number in a spin box, for values that are tried out one after the other.

    The arrows step by about a tenth of the value that was last shown by `set_value`.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        super().__init__()
        least = 10.0**-_DECIMALS
        low = schema.get("minimum", schema.get("exclusiveMinimum", -1e6) + least)
        high = schema.get("maximum", schema.get("exclusiveMaximum", 1e6) - least)
        self._spin = _PlainSpinBox()
        self._spin.setLocale(QLocale.c())
        self._spin.setDecimals(_DECIMALS)
        self._spin.setRange(low, high)
        self._spin.setKeyboardTracking(False)
        self._spin.setMinimumWidth(64)
        self._row(self._spin)
        self._spin.valueChanged.connect(self.changed)

    def value(self) -> float:
        """Return the number."""
        return float(self._spin.value())

    def set_value(self, value: Any) -> None:
        """Show a number."""
        if value:
            self.set_step(abs(float(value)) / 10)
        self._spin.setValue(float(value))

    def set_step(self, step: float) -> None:
        """Let the arrows step by about so much: by one digit, 1, 2 or 5."""
        power = 10.0 ** floor(log10(step))
        digit = next((digit for digit in (5, 2, 1) if step >= 0.999 * digit * power), 1)
        self._spin.setSingleStep(digit * power)


class _PlainSpinBox(QDoubleSpinBox):
    """Shows no trailing zeros."""

    def textFromValue(self, value: float) -> str:  # noqa: N802 - Qt's name
        """Write a number as short as it can be."""
        return f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")


def _rounded(value: Any) -> Any:
    """Write numbers with six digits."""
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _spin_box(schema: Mapping[str, Any]) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(schema.get("minimum", 0), schema.get("maximum", _MAX_INTEGER))
    spin.setMinimumWidth(64)
    return spin
