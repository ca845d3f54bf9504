"""`ExtractionForm`: the choices of an extraction; each method shows only the rows it uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_qpi.tasks.trained_models import known_models
from napari_qpi.widgets.common.device_choices import device_choices
from napari_qpi.widgets.common.parameter_form import ParameterForm
from qpi_kernels.extraction import ExtractionParameters

__all__ = ["ExtractionForm"]

_MAIN_FIELDS = ("kernel_shape", "method", "prior", "model", "symmetry", "background")
_ADVANCED_FIELDS = (
    "refine",
    "kinds",
    "library",
    "ridge",
    "device",
    "dtype",
    "tolerance",
    "max_iterations",
    "samples",
    "seed",
)
_METHODS = [
    (name.replace("_", " "), name)
    for name in ("bayes", "least_squares", "average", "two_step", "one_step", "blind")
]
_PRIORS = [
    ("simulated kernels (library)", "library"),
    ("what a network can make (learned)", "learned"),
    ("waves that fade (smooth)", "smooth"),
    ("nothing (none)", "none"),
]
_SYMMETRIES = [
    ("none", None),
    *((name, name) for name in ("C2", "C3", "C4", "C6", "Cs", "C2v", "C3v", "C4v", "C6v")),
]
_REFINEMENTS = [
    ("no", None),
    ("positions", "positions"),
    ("positions and strengths", "positions+strengths"),
]
_NETWORKS = ("two_step", "one_step")
_SOLVERS = ("bayes", "least_squares", "blind")
_DEFAULTS = {name: field.default for name, field in ExtractionParameters.model_fields.items()}
# Rows that are not here serve every method.
_USED_BY = {
    "prior": ("bayes", "blind"),
    "library": ("bayes", "blind"),
    "model": _NETWORKS,
    "samples": _NETWORKS,
    "refine": ("bayes", "least_squares"),
    "kinds": ("blind",),
    "ridge": ("least_squares",),
    "tolerance": _SOLVERS,
    "max_iterations": _SOLVERS,
}


class ExtractionForm(QObject):
    """The parameters of an extraction in two forms, the second for what few people change.

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
        self.main = ParameterForm(
            ExtractionParameters,
            _MAIN_FIELDS,
            choices={
                "method": _METHODS,
                "prior": _PRIORS,
                "symmetry": _SYMMETRIES,
                "model": _models("two_step"),
            },
        )
        self.advanced = ParameterForm(
            ExtractionParameters,
            _ADVANCED_FIELDS,
            choices={"device": device_choices(), "refine": _REFINEMENTS},
            files={"library": "Libraries of kernels (*.safetensors)"},
        )
        for name in ("method", "prior"):
            self.main.editor(name).changed.connect(self._show_used)
        self.main.changed.connect(self.changed)
        self._show_used()

    @property
    def method(self) -> str:
        """The chosen method."""
        return str(self.main.editor("method").value())

    @property
    def _prior(self) -> str:
        return str(self.main.editor("prior").value())

    def parameters(self) -> ExtractionParameters:
        """What is entered; rows that the method does not use count as untouched.

        Raises
        ------
        pydantic.ValidationError
            If an entry is out of range.
        """
        return self._parameters(self.method)

    def parameters_of_each(self, methods: Iterable[str]) -> list[ExtractionParameters]:
        """What is entered for several methods that are to be compared on the same defects.

        Positions are not refined, and networks other than the chosen ones are the bundled ones.

        Raises
        ------
        pydantic.ValidationError
            If an entry is out of range.
        """
        untouched: dict[str, Any] = {"refine": None, "model": _DEFAULTS["model"]}
        return [
            self._parameters(method, {"refine": None} if method == self.method else untouched)
            for method in methods
        ]

    def _parameters(
        self, method: str, changes: Mapping[str, Any] | None = None
    ) -> ExtractionParameters:
        values = self.main.values() | self.advanced.values() | {"method": method}
        for name in _USED_BY:
            # What is hidden now may have been entered for another method.
            if not all(_uses(one, self._prior, name) for one in (method, self.method)):
                values[name] = _DEFAULTS[name]
        return ExtractionParameters.model_validate(values | dict(changes or {}))

    def offer_models(self) -> None:
        """Offer the models of the chosen method, and let go of one of another method."""
        if not _uses(self.method, self._prior, "model"):
            return
        method = self.method if self.method in _NETWORKS else "two_step"
        editor = self.main.editor("model")
        chosen = editor.value()
        if chosen in map(str, known_models()) and chosen not in map(str, known_models(method)):
            editor.set_value("bundled")
        self.main.set_choices("model", _models(method))

    def offer_devices(self) -> None:
        """Offer the devices again: torch knows them once it is loaded."""
        self.advanced.set_choices("device", device_choices())

    def _show_used(self) -> None:
        for name in _USED_BY:
            form = self.main if name in _MAIN_FIELDS else self.advanced
            form.show_row(name, _uses(self.method, self._prior, name))
        self.offer_models()


def _uses(method: str, prior: str, name: str) -> bool:
    """Whether a method, with that prior where it has one, looks at a row."""
    learned = name == "model" and prior == "learned" and method in _USED_BY["prior"]
    return learned or method in _USED_BY[name]


def _models(method: str) -> list[tuple[str, str]]:
    """The bundled model of a method and those that were trained here, the newest first."""
    trained = [(f"{path.parent.name}/{path.name}", str(path)) for path in known_models(method)]
    return [("bundled", "bundled"), *trained]
