"""`ParameterForm`: a form whose rows are the fields of a pydantic model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_qpi.widgets.common.value_editors import (
    AutomaticEditor,
    ChoiceEditor,
    Choices,
    Editor,
    FileEditor,
    IntegerEditor,
    ListEditor,
    NumberEditor,
    PairEditor,
    RangeEditor,
    TextEditor,
    TickEditor,
)

__all__ = ["ParameterForm", "explain"]

Model = TypeVar("Model", bound=BaseModel)


class ParameterForm(QWidget, Generic[Model]):
    """Rows for the fields of a parameters class: label, unit, range, default and help are its own.

    Parameters
    ----------
    model : type of BaseModel
        The parameters class.
    fields : iterable of str
        Which fields, in the order of the rows.
    choices : mapping of str to sequence of (str, object), optional
        Suggestions for fields whose type does not list the values; the text and the value.
    files : mapping of str to str, optional
        Fields that are files, and which ones are offered, as in ``"Libraries (*.safetensors)"``.
    spin_boxes : bool
        Show numbers in spin boxes, for a form whose values are tried out; else as text.

    Attributes
    ----------
    changed : Signal()
        A value was changed.
    """

    changed = Signal()

    def __init__(
        self,
        model: type[Model],
        fields: Iterable[str],
        choices: Mapping[str, Choices] | None = None,
        *,
        files: Mapping[str, str] | None = None,
        spin_boxes: bool = False,
    ) -> None:
        super().__init__()
        schemas, files = model.model_json_schema().get("properties", {}), files or {}
        self._editors: dict[str, Editor] = {}
        self._labels: dict[str, QLabel] = {}
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name in fields:
            editor = (
                FileEditor(files[name])
                if name in files
                else _editor(schemas[name], (choices or {}).get(name), spin_boxes)
            )
            default = model.model_fields[name].get_default(call_default_factory=True)
            if default is not None and default is not PydanticUndefined:
                editor.set_value(default)
            label = QLabel(_label(name, schemas[name]))
            for widget in (label, editor):
                widget.setToolTip(_help(schemas[name]))
            layout.addRow(label, editor)
            editor.changed.connect(self.changed)
            self._editors[name] = editor
            self._labels[name] = label

    def values(self) -> dict[str, Any]:
        """Return the entries, not yet validated."""
        return {name: editor.value() for name, editor in self._editors.items()}

    def editor(self, name: str) -> Editor:
        """Return the editor of one field."""
        return self._editors[name]

    def show_row(self, name: str, shown: bool) -> None:
        """Show or hide one row with its label; its value stays."""
        for widget in (self._labels[name], self._editors[name]):
            widget.setVisible(shown)

    def set_choices(self, name: str, choices: Choices) -> None:
        """Offer other values for a field that was given choices."""
        editor = self._editors[name]
        assert isinstance(editor, ChoiceEditor)
        editor.set_choices(choices)

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show values in the rows of the same names."""
        for name, value in values.items():
            self._editors[name].set_value(value)


def explain(error: ValidationError) -> str:
    """Describe in words what is wrong with the entries."""
    return "; ".join(
        "".join(f"{part}: ".replace("_", " ") for part in item["loc"][:1])
        + item["msg"].removeprefix("Value error, ")
        for item in error.errors()
    )


def _label(name: str, schema: Mapping[str, Any]) -> str:
    unit = schema.get("unit")
    words = name.removesuffix(f"_{unit}").replace("_", " ")
    return f"{words[0].upper()}{words[1:]}" + (f" ({unit})" if unit else "")


def _help(schema: Mapping[str, Any]) -> str:
    """Compose a field's tooltip from its description and range."""
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    parts = [schema.get("description", "")]
    if low is not None and high is not None:
        parts.append(f"Range {low:g} to {high:g}.")
    # A tag makes Qt wrap the text; plain tooltips run off the screen.
    return f"<qt>{' '.join(parts)}</qt>"


def _editor(schema: Mapping[str, Any], choices: Choices | None, spin_boxes: bool) -> Editor:
    """Make the editor that fits a field's JSON schema."""
    if choices is not None:
        return ChoiceEditor(choices, free="enum" not in schema)
    if "enum" in schema:
        return ChoiceEditor([(str(value).replace("_", " "), value) for value in schema["enum"]])
    options = schema.get("anyOf", [schema])
    types = [option.get("type") for option in options]
    if "array" in types:
        return _list_editor(schema, nullable="null" in types)
    word = next((option["const"] for option in options if "const" in option), None)
    if word is not None:
        return AutomaticEditor(word, TextEditor(nullable=False))
    if types == ["integer"]:
        return IntegerEditor(schema)
    if types == ["number"] and spin_boxes:
        return NumberEditor(schema)
    if types == ["boolean"]:
        return TickEditor()
    return TextEditor(nullable="null" in types)


def _list_editor(schema: Mapping[str, Any], nullable: bool) -> Editor:
    """Make the editor of a size, of a range, or of another list of numbers."""
    parts = schema.get("prefixItems", [])
    if [part.get("type") for part in parts] != ["integer", "integer"]:
        return ListEditor(nullable)
    # Lists of sizes are called shapes in every parameters class.
    return (PairEditor if schema["title"].endswith("Shape") else RangeEditor)(parts)
