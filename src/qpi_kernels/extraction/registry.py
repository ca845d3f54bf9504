"""The registry of estimators: which methods there are, and which parameters each takes.

Command line, forms, saved results and error messages know the methods from here only.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo

from qpi_kernels.extraction.parameters import EstimatorParameters, ExtractionError

if TYPE_CHECKING:
    from qpi_kernels.extraction.problem import Problem
    from qpi_kernels.progress import Stepper
    from qpi_kernels.result import KernelResult

__all__ = [
    "DEFAULT_METHOD",
    "Estimator",
    "combined_parameters",
    "estimator",
    "known_estimators",
    "make_parameters",
    "methods_with",
    "register",
    "schema_extra",
    "unregister",
]

DEFAULT_METHOD = "bayes"

# Each registers its estimators when it is imported; the order is that of forms and help.
_MODULES = (
    "qpi_kernels.extraction.bayes.method",
    "qpi_kernels.extraction.least_squares.method",
    "qpi_kernels.extraction.average.method",
    "qpi_kernels.extraction.network.method",
    "qpi_kernels.extraction.blind.method",
)

Parameters = TypeVar("Parameters", bound=EstimatorParameters)
Start = Callable[["Problem[Parameters]"], "Stepper[KernelResult]"]


@dataclass(frozen=True)
class Estimator:
    """An entry of the registry.

    Parameters
    ----------
    parameters : type of EstimatorParameters
        The class of its parameters.
    start : callable
        From a checked problem to the stepper that solves it.
    origin : str
        Module and name of the class.
    """

    parameters: type[EstimatorParameters]
    start: Start[Any]
    origin: str


_registered: dict[str, Estimator] = {}


def register(parameters: type[Parameters]) -> Callable[[Start[Parameters]], Start[Parameters]]:
    """Make an estimator known to `extract`, the command line and the forms; a decorator.

    Parameters
    ----------
    parameters : type of EstimatorParameters
        The estimator's own; their ``method`` has its name as the default.

    Returns
    -------
    callable
        Decorates the function that starts the estimator: from a `Problem` with such parameters to
        the stepper of a `KernelResult`. It imports torch when called, not earlier.

    Raises
    ------
    ValueError
        If there is no such default, or another estimator has that name.

    Examples
    --------
    >>> class ToyParameters(EstimatorParameters):
    ...     method: Literal["toy"] = "toy"
    >>> @register(ToyParameters)
    ... def start_toy(problem):
    ...     from qpi_kernels.extraction.average.estimator import DefectAverage
    ...     return DefectAverage(problem)
    >>> "toy" in known_estimators()
    True
    >>> unregister("toy")
    """
    name = parameters.model_fields["method"].default
    if not isinstance(name, str):
        raise ValueError(f"{parameters.__name__}: give its field method a name as the default")
    known = _registered.get(name)
    if known is not None and known.origin != _origin(parameters):
        raise ValueError(f"there is a method {name!r} already; give this one another name")

    def decorate(start: Start[Parameters]) -> Start[Parameters]:
        _registered[name] = Estimator(parameters, start, _origin(parameters))
        return start

    return decorate


def _origin(parameters: type[BaseModel]) -> str:
    """Tell where a class was defined; a notebook may define it again."""
    return f"{parameters.__module__}.{parameters.__qualname__}"


def unregister(name: str) -> None:
    """Forget an estimator that `register` added."""
    _registered.pop(name, None)


def known_estimators() -> dict[str, Estimator]:
    """List the estimators by the names of their methods, our own first."""
    for module in _MODULES:
        import_module(module)
    own = [name for name, one in _registered.items() if one.start.__module__ in _MODULES]
    own.sort(key=lambda name: _MODULES.index(_registered[name].start.__module__))
    return {name: _registered[name] for name in dict.fromkeys([*own, *_registered])}


def estimator(method: str) -> Estimator:
    """Look up the estimator of a method.

    Raises
    ------
    ExtractionError
        If there is no such method.
    """
    known = known_estimators()
    if method not in known:
        raise ExtractionError(
            f"there is no method {method!r}{_nearest(method, known)}; "
            f"choose one of {', '.join(known)}"
        )
    return known[method]


def methods_with(field: str) -> list[str]:
    """List the methods that take a field."""
    return [
        name for name, one in known_estimators().items() if field in one.parameters.model_fields
    ]


def make_parameters(
    fields: Mapping[str, Any], base: EstimatorParameters | None = None
) -> EstimatorParameters:
    """Make the parameters of the method that fields name.

    Parameters
    ----------
    fields : mapping of str to object
        ``method``, or that of ``base``, or else `DEFAULT_METHOD`; and only fields of that method.
    base : EstimatorParameters, optional
        What fields that are not given are taken from, as far as the method has them.

    Returns
    -------
    EstimatorParameters
        Of the method's own class.

    Raises
    ------
    ExtractionError
        If there is no such method, a field is none of the method's, or a value is out of range.
    """
    method = str(fields.get("method", DEFAULT_METHOD if base is None else base.method))
    wanted = estimator(method).parameters
    if base is not None and base.method == method:
        wanted = type(base)
    check_fields(fields, method)
    kept = {} if base is None else base.model_dump(exclude={"method"})
    values = {name: value for name, value in kept.items() if name in wanted.model_fields}
    try:
        return wanted.model_validate(values | dict(fields))
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'parameters'}: "
            + item["msg"].removeprefix("Value error, ")
            for item in error.errors()
        )
        raise ExtractionError(reasons) from error


def check_fields(fields: Iterable[str], method: str) -> None:
    """Refuse fields that a method does not take.

    Raises
    ------
    ExtractionError
        Names the methods that take the first such field, or the field that was probably meant.
    """
    own = estimator(method).parameters.model_fields
    for name in fields:
        if name in own:
            continue
        takers = methods_with(name)
        if takers:
            raise ExtractionError(
                f"{name} is a field of {' and '.join(takers)}, not of {method}; leave it out, or "
                f"choose method={' or '.join(map(repr, takers))}"
            )
        known = {
            field for one in known_estimators().values() for field in one.parameters.model_fields
        }
        raise ExtractionError(
            f"there is no field {name!r}{_nearest(name, known)}; {method} takes {', '.join(own)}"
        )


def _nearest(word: str, known: Iterable[str]) -> str:
    """Suggest the known word that was probably meant."""
    found = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def combined_parameters() -> type[BaseModel]:
    """Make a class with the fields of all methods, for forms and command lines.

    What is entered is validated with `make_parameters`, not with this class. Common fields are
    described once; others say which methods take them.

    Returns
    -------
    type of BaseModel
        Window and method first, then the methods' own fields, then the other common ones.
    """
    known = known_estimators()
    takers: dict[str, list[type[EstimatorParameters]]] = {}
    for one in known.values():
        for name in one.parameters.model_fields:
            takers.setdefault(name, []).append(one.parameters)
    common = EstimatorParameters.model_fields
    special = [name for name in takers if name not in common]
    special.sort(
        key=lambda name: (bool(schema_extra(takers[name][0], name, "advanced")), len(takers[name]))
    )
    fields: dict[str, Any] = {}
    for name in dict.fromkeys(["kernel_shape", "method", *special, *common]):
        first = takers[name][0].model_fields[name]
        fields[name] = (first.annotation, _described(first, name, takers[name]))
    words = "; ".join(f"{name} {one.parameters.summary}" for name, one in known.items())
    fields["method"] = (
        Literal[tuple(known)],
        FieldInfo(
            default=DEFAULT_METHOD,
            description=f"{words}.",
            json_schema_extra={"labels": {name: name.replace("_", " ") for name in known}},
        ),
    )
    config = ConfigDict(frozen=True, extra="forbid")
    made: type[BaseModel] = create_model("ExtractionParameters", __config__=config, **fields)
    return made


def schema_extra(parameters: type[BaseModel], field: str, key: str) -> Any:
    """Look up an entry of a field's ``json_schema_extra``; empty where there is none."""
    found = parameters.model_fields[field].json_schema_extra
    return found.get(key, "") if isinstance(found, dict) else ""


def _described(field: FieldInfo, name: str, takers: list[type[EstimatorParameters]]) -> FieldInfo:
    """Copy a field with the names of the methods that take it, where not all do."""
    copied = copy(field)
    if name not in EstimatorParameters.model_fields:
        texts: dict[str, list[str]] = {}
        for one in takers:
            words = one.model_fields[name].description or ""
            texts.setdefault(words, []).append(one.model_fields["method"].default)
        copied.description = " ".join(f"{', '.join(who)}: {what}" for what, who in texts.items())
    return copied
