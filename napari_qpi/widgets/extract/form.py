"""`ExtractionForm`: the choices of an extraction; each method shows only the rows it uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_qpi.tasks.device_choices import device_choices
from napari_qpi.tasks.trained_models import known_models
from napari_qpi.widgets.common.parameter_form import ParameterForm
from napari_qpi.widgets.common.value_editors import Choices
from qpi_kernels.extraction import EstimatorParameters
from qpi_kernels.extraction.registry import (
    combined_parameters,
    estimator,
    make_parameters,
    schema_extra,
)

__all__ = ["ExtractionForm"]


class ExtractionForm(QObject):
    """The parameters of an extraction in two forms, the second for what is rarely changed.

    Attributes
    ----------
    main, advanced : ParameterForm
        The rows.
    changed : Signal()
        A value of `main` was changed.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        fields = combined_parameters()
        self._rows: dict[str, ParameterForm[BaseModel]] = {}
        self.main = self._form(fields, advanced=False)
        self.advanced = self._form(fields, advanced=True)
        for name in {"method", *_conditions(fields)}:
            self._rows[name].editor(name).changed.connect(self._show_used)
        self.main.changed.connect(self.changed)
        self._show_used()

    def _form(self, fields: type[BaseModel], *, advanced: bool) -> ParameterForm[BaseModel]:
        """Make the rows of one of the two forms."""
        names = [
            name
            for name in fields.model_fields
            if bool(schema_extra(fields, name, "advanced")) is advanced
        ]
        choices = {name: _choices(fields, name) for name in names}
        files = {name: schema_extra(fields, name, "files") for name in names}
        form = ParameterForm(
            fields,
            names,
            choices={name: offered for name, offered in choices.items() if offered},
            files={name: words for name, words in files.items() if words},
        )
        self._rows |= dict.fromkeys(names, form)
        return form

    @property
    def method(self) -> str:
        """The chosen method."""
        return str(self.main.editor("method").value())

    @property
    def finds_defects(self) -> bool:
        """Marked defects are not needed by the chosen method."""
        return estimator(self.method).parameters.finds_defects

    def parameters(self) -> EstimatorParameters:
        """Validate what is entered; rows that the method does not use count as untouched.

        Raises
        ------
        ExtractionError
            If an entry is out of range.
        """
        return self._parameters(self.method)

    def parameters_of_each(self, methods: Iterable[str]) -> list[EstimatorParameters]:
        """Validate what is entered for several methods that are compared on the same defects.

        Positions are not refined, networks other than the chosen ones are the bundled ones, and
        all methods have the window that is entered: it is neither chosen nor validated.

        Raises
        ------
        ExtractionError
            If an entry is out of range.
        """
        alike = {"refine", "choose_window", "validation_folds"}
        return [
            self._parameters(method, alike if method == self.method else alike | {"model"})
            for method in methods
        ]

    def _parameters(self, method: str, untouched: Iterable[str] = ()) -> EstimatorParameters:
        """Validate the rows that both the chosen and the given method show."""
        values = self._values()
        used = {
            name: value
            for name, value in values.items()
            # What is hidden now may have been entered for another method.
            if name not in untouched
            and all(_uses(one, values, name) for one in (method, self.method))
        }
        return make_parameters(used | {"method": method})

    def _values(self) -> dict[str, Any]:
        """Collect the entries of all rows."""
        return self.main.values() | self.advanced.values()

    def offer_models(self) -> None:
        """Offer the models of the chosen method, and drop one of another method."""
        values = self._values()
        for name, form in self._rows.items():
            if not _uses(self.method, values, name):
                continue
            serves = schema_extra(estimator(self.method).parameters, name, "models")
            if not serves:
                continue
            serves = self.method if serves == "method" else serves
            chosen = values[name]
            if chosen in map(str, known_models()) and chosen not in map(str, known_models(serves)):
                form.editor(name).set_value("bundled")
            form.set_choices(name, _models(serves))

    def offer_devices(self) -> None:
        """Offer the devices again: torch knows them once it is loaded."""
        self.advanced.set_choices("device", device_choices())

    def _show_used(self) -> None:
        """Show the rows of the chosen method."""
        values = self._values()
        for name, form in self._rows.items():
            form.show_row(name, _uses(self.method, values, name))
        self.offer_models()


def _uses(method: str, values: Mapping[str, Any], name: str) -> bool:
    """Tell whether a method looks at a field, given the others."""
    parameters = estimator(method).parameters
    if name not in parameters.model_fields:
        return False
    conditions = schema_extra(parameters, name, "used_if") or {}
    return all(
        values[other] in wanted if other in parameters.model_fields else True
        for other, wanted in conditions.items()
    )


def _conditions(fields: type[BaseModel]) -> set[str]:
    """Find the fields on whose values it depends which others are used."""
    found = (schema_extra(fields, name, "used_if") for name in fields.model_fields)
    return {other for conditions in found if conditions for other in conditions}


def _choices(fields: type[BaseModel], name: str) -> Choices:
    """List what a row offers beside the values of its type, from the field's extra entries."""
    if name == "device":
        return device_choices()
    if serves := schema_extra(fields, name, "models"):
        return _models(serves)
    labels = schema_extra(fields, name, "labels") or {}
    suggested = schema_extra(fields, name, "suggestions") or list(labels)
    words = ["none" if value is None else str(value) for value in suggested]
    return [(labels.get(word, word), value) for word, value in zip(words, suggested, strict=True)]


def _models(method: str) -> list[tuple[str, str]]:
    """List the bundled model of a method and those that were trained here, the newest first."""
    trained = [(f"{path.parent.name}/{path.name}", str(path)) for path in known_models(method)]
    return [("bundled", "bundled"), *trained]
