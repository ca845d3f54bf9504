"""`TrainingForm`: what to train and how, entered by the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QFormLayout, QVBoxLayout, QWidget

from napari_qpi.tasks.device_choices import device_choices
from napari_qpi.widgets.common.dock import collapsed, group
from napari_qpi.widgets.common.parameter_form import ParameterForm, explain
from napari_qpi.widgets.train.family_list import FamilyList
from qpi_kernels.train.parameters import StageName, TrainingParameters
from qpi_kernels.train.published import published

__all__ = ["STAGE_CHOICES", "TrainingForm"]

STAGE_CHOICES: list[tuple[str, tuple[StageName, ...]]] = [
    ("kernels, then alignment", ("kernels", "alignment")),
    ("one-step baseline", ("one-step",)),
    ("kernels only", ("kernels",)),
    ("alignment only", ("alignment",)),
]
"""Words and stages of what can be trained in one run."""

_MAIN_FIELDS = ("preset", "steps", "noise", "most_defects", "jitter_px", "device")
_ELSEWHERE = ("stage", "held_out")
_ADVANCED_FIELDS = tuple(
    name for name in TrainingParameters.model_fields if name not in (*_MAIN_FIELDS, *_ELSEWHERE)
)
_NEVER_FILLED = {"stage", "preset", "device", "held_out"}
# So that two slow cores show a kernel within minutes.
_QUICK: dict[str, Any] = {
    "steps": 600,
    "batch_size": 16,
    "learning_rate": 1.5e-3,
    "warmup": 50,
    "validate_every": 20,
    "validation_samples": 32,
    "checkpoint_every": 50,
}


class TrainingForm(QWidget):
    """Stages, families and the fields of `TrainingParameters`.

    Attributes
    ----------
    changed : Signal()
        A value was changed.
    stages_changed : Signal()
        Other stages were chosen.
    """

    changed = Signal()
    stages_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.stage_choice = QComboBox()
        self.stage_choice.addItems([words for words, _ in STAGE_CHOICES])
        self.stage_choice.setToolTip(
            "<qt>A model needs both: a network that knows kernels, then one that finds them in "
            "maps. The one-step baseline learns all at once.</qt>"
        )
        stage_row = QWidget()
        rows = QFormLayout(stage_row)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow("Train", self.stage_choice)
        self.main = ParameterForm(
            TrainingParameters, _MAIN_FIELDS, choices={"device": device_choices()}
        )
        self.advanced = ParameterForm(TrainingParameters, _ADVANCED_FIELDS)
        self.families = FamilyList()
        self.families_fold = collapsed("Families", self.families)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(group("Training", stage_row, self.main))
        column.addWidget(self.families_fold)
        column.addWidget(collapsed("Advanced", self.advanced))
        self._filled = self._shown()
        self._enter_usual()
        for part in (self.main, self.advanced, self.families):
            part.changed.connect(self.changed)
        self.main.editor("preset").changed.connect(self._enter_usual)
        self.stage_choice.currentIndexChanged.connect(self._on_stages)

    @property
    def stages(self) -> tuple[StageName, ...]:
        """The chosen stages in their order."""
        return STAGE_CHOICES[self.stage_choice.currentIndex()][1]

    def parameters(self, under_way: StageName | None = None) -> list[TrainingParameters]:
        """Parameters of each chosen stage: what the user has changed, else the stage's usual ones.

        Parameters
        ----------
        under_way : str, optional
            The stage whose values are entered; the first one when left out.

        Raises
        ------
        pydantic.ValidationError
            If an entry is out of range.
        """
        stage = under_way or self.stages[0]
        entered = self._entered(stage)
        usual = _usual(entered.preset, stage).model_dump()
        changed = {
            name: value for name, value in entered.model_dump().items() if value != usual[name]
        }
        return [_usual(entered.preset, each).model_copy(update=changed) for each in self.stages]

    def problem(self) -> str:
        """Describe what is wrong with the entries; return nothing if they are valid."""
        try:
            self._entered(self.stages[0])
        except ValidationError as error:
            return explain(error)
        return ""

    def enter(self, values: Mapping[str, Any]) -> None:
        """Show values of `TrainingParameters`, by name."""
        for name, value in values.items():
            if name == "held_out":
                self.families.set_value(value)
            else:
                form = self.main if name in _MAIN_FIELDS else self.advanced
                form.editor(name).set_value(value)

    def choose_stages(self, stages: tuple[StageName, ...]) -> None:
        """Choose stages without emitting a signal."""
        row = next(row for row, (_, offered) in enumerate(STAGE_CHOICES) if offered == stages)
        blocked = self.stage_choice.blockSignals(True)
        self.stage_choice.setCurrentIndex(row)
        self.stage_choice.blockSignals(blocked)

    def show_devices(self) -> None:
        """Offer the devices that are known by now."""
        self.main.set_choices("device", device_choices())

    def lock(self, *, run: bool, device: bool) -> None:
        """Let no one change what a run has fixed, or not even its device."""
        self.stage_choice.setEnabled(not device)
        for name in _MAIN_FIELDS:
            self.main.editor(name).setEnabled(not (device if name == "device" else run))
        self.advanced.setEnabled(not run)
        self.families.setEnabled(not run)

    def _entered(self, stage: StageName) -> TrainingParameters:
        return TrainingParameters.model_validate(
            self.main.values()
            | self.advanced.values()
            | {"held_out": self.families.value(), "stage": stage}
        )

    def _on_stages(self) -> None:
        if self.main.editor("preset").value() == "paper":
            self._enter_usual()  # its stages differ
        self.stages_changed.emit()

    def _enter_usual(self) -> None:
        """Fill in the values that are usual for the preset, but for those that were changed."""
        changed = {
            name: value for name, value in self._shown().items() if value != self._filled[name]
        }
        usual = _usual(self.main.editor("preset").value(), self.stages[0])
        self.enter(usual.model_dump(exclude=_NEVER_FILLED))
        self._filled = self._shown()
        self.enter(changed)

    def _shown(self) -> dict[str, Any]:
        """Return the entries of the rows that `_enter_usual` fills, as they are shown."""
        rows = self.main.values() | self.advanced.values()
        return {name: value for name, value in rows.items() if name not in _NEVER_FILLED}


def _usual(preset: str, stage: StageName) -> TrainingParameters:
    """Parameters of a stage as long as the user does not change them."""
    if preset == "paper":
        return published(stage)
    return TrainingParameters(stage=stage, **_QUICK)
