"""Command-line options made from a parameters class: help, unit, range and default in one place."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from qpi_kernels.parameters import OneOf

__all__ = ["ParameterGroup", "with_parameters"]

_OTHER_NAMES = {
    "kernel_shape": "--kernel-size",
    "image_shape": "--image-size",
    "wanted_error": "--error",
    "time_per_pixel_s": "--time",
}
_LIMITS = {Ge: ("ge", "at least"), Gt: ("gt", "above"), Le: ("le", "at most"), Lt: ("lt", "below")}


@dataclass(frozen=True)
class ParameterGroup:
    """Options of a command that are validated together.

    Parameters
    ----------
    model : callable
        Returns the class whose fields become options; asked anew for each run, so that what was
        registered meanwhile is there.
    make : callable
        Validates the values that were given.
    """

    model: Callable[[], type[BaseModel]]
    make: Callable[[dict[str, Any]], BaseModel]

    @classmethod
    def of(cls, source: type[BaseModel] | ParameterGroup) -> ParameterGroup:
        """Wrap a class, which validates its own fields."""
        if isinstance(source, ParameterGroup):
            return source
        return cls(lambda: source, source.model_validate)


def with_parameters(
    **groups: type[BaseModel] | ParameterGroup,
) -> Callable[[Callable[..., None]], Any]:
    """Give a command one option for each field of the parameters classes it takes.

    Parameters
    ----------
    **groups : type of pydantic.BaseModel, or ParameterGroup
        The command's arguments, each with its class. A field that several classes have is one
        option, described as the first has it, and goes to all of them.

    Returns
    -------
    callable
        A decorator. The command is called with validated instances; a value that a class refuses
        ends in a usage error that names the option.
    """
    wrapped = {argument: ParameterGroup.of(source) for argument, source in groups.items()}
    return lambda command: _CommandWithOptions(command, wrapped)


class _CommandWithOptions:
    """A command whose signature, from which typer makes the options, follows its parameters."""

    def __init__(self, command: Callable[..., None], groups: dict[str, ParameterGroup]) -> None:
        names = ("__module__", "__name__", "__qualname__", "__doc__")
        functools.update_wrapper(self, command, assigned=names)
        self._command = command
        self._groups = groups

    @property
    def __signature__(self) -> inspect.Signature:
        """The command's own arguments, then one for each field."""
        signature = inspect.signature(self._command, eval_str=True)
        own = [p for name, p in signature.parameters.items() if name not in self._groups]
        parameters = [*own, *self._options().values()]
        keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        return signature.replace(parameters=keywords)

    @property
    def __annotations__(self) -> dict[str, Any]:  # type: ignore[override]
        parameters = self.__signature__.parameters.values()
        return {p.name: p.annotation for p in parameters} | {"return": None}

    def __call__(self, **arguments: Any) -> None:
        """Validate the options, and run the command."""
        options = self._options()
        filled = {}
        for argument, group in self._groups.items():
            fields = group.model().model_fields
            given = {name: arguments[name] for name in fields if arguments[name] is not None}
            filled[argument] = _validated(group, given)
        own = {name: value for name, value in arguments.items() if name not in options}
        self._command(**own, **filled)

    def _options(self) -> dict[str, inspect.Parameter]:
        """Make one option for each field, as the first class that has it describes it."""
        options: dict[str, inspect.Parameter] = {}
        for group in self._groups.values():
            model = group.model()
            for name, field in model.model_fields.items():
                options.setdefault(name, _option(name, field, panel=_title(model)))
        return options


def _title(model: type[BaseModel]) -> str:
    """Name the panel of a class in the help."""
    return model.__name__.removesuffix("Parameters")


def _option_name(field: str) -> str:
    """Spell a field as an option."""
    return _OTHER_NAMES.get(field, "--" + field.replace("_", "-"))


def _option(name: str, field: FieldInfo, panel: str) -> inspect.Parameter:
    """Describe a field as an argument that typer makes an option of."""
    is_switch = field.annotation is bool
    option = typer.Option(
        _option_name(name),
        help=f"{field.description} ({', '.join(_facts(field))})",
        metavar=None if is_switch else _metavar(field),
        show_default=False,
        rich_help_panel=panel,
    )
    kind: Any = bool | None if is_switch else str | None
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


def _facts(field: FieldInfo) -> list[str]:
    """List unit, range and default of a field."""
    extra = field.json_schema_extra
    facts = [f"in {extra['unit']}"] if isinstance(extra, dict) and "unit" in extra else []
    for limit in field.metadata:
        if type(limit) in _LIMITS:
            attribute, words = _LIMITS[type(limit)]
            facts.append(f"{words} {getattr(limit, attribute)}")
    default = field.default
    if default is None:
        shown = "left out"
    elif default == ():
        shown = "none"
    elif isinstance(default, tuple):
        shown = "x".join(str(part) for part in default)
    elif isinstance(default, bool):
        shown = "yes" if default else "no"
    else:
        shown = str(default)
    return [*facts, f"default {shown}"]


def _metavar(field: FieldInfo) -> str:
    """List what may be given for a field: words, or a sort of number."""
    names = [name for mark in field.metadata if isinstance(mark, OneOf) for name in mark.names]
    if names:
        return "|".join(names)
    for part in get_args(field.annotation) or (field.annotation,):
        if get_origin(part) is Annotated:
            part = get_args(part)[0]
        if get_origin(part) is Literal:
            names += [str(value) for value in get_args(part)]
        elif isinstance(part, str):
            names.append(part)
        elif part in (int, float):
            names.append("INTEGER" if part is int else "NUMBER")
        elif part is str:
            names.append("TEXT")
    if field.default == ():
        return "NAME,NAME,..."
    if isinstance(field.default, tuple):
        return "SIZE|HEIGHTxWIDTH"
    return "|".join(dict.fromkeys(names)) or "TEXT"


def _validated(group: ParameterGroup, given: dict[str, str]) -> BaseModel:
    """Make the parameters; what is wrong with them becomes a usage error."""
    fields = group.model().model_fields
    values = {name: _split(value, fields[name].default) for name, value in given.items()}
    try:
        return group.make(values)
    except ValueError as error:
        refused = error if isinstance(error, ValidationError) else error.__cause__
        if not isinstance(refused, ValidationError):
            raise typer.BadParameter(str(error)) from error
        problem = refused.errors()[0]
        reason = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            raise typer.BadParameter(reason) from error
        name = str(problem["loc"][0])
        raise typer.BadParameter(
            f"{reason}, not {given[name]!r}", param_hint=_option_name(name)
        ) from error


def _split(value: Any, default: Any) -> Any:
    """Split a word into the parts of a tuple, where the field is one."""
    if default == ():
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(default, tuple):
        parts = [part.strip() for part in value.lower().replace(",", "x").split("x")]
        return tuple(parts * 2 if len(parts) == 1 else parts)
    return value
