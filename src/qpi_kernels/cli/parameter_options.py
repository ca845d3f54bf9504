"""Command-line options made from a parameters class: help, unit, range and default in one place."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

__all__ = ["with_parameters"]

_OTHER_NAMES = {"kernel_shape": "--kernel-size", "image_shape": "--image-size"}
_LIMITS = {Ge: ("ge", "at least"), Gt: ("gt", "above"), Le: ("le", "at most"), Lt: ("lt", "below")}


def with_parameters(**models: type[BaseModel]) -> Callable[[Callable[..., None]], Any]:
    """Give a command one option for each field of the parameters classes it takes.

    Parameters
    ----------
    **models : type of pydantic.BaseModel
        The command's arguments, each with its class. A field that several classes have is one
        option, described as the first has it, and goes to all of them.

    Returns
    -------
    callable
        A decorator. The command is called with validated instances; a value that a class refuses
        ends in a usage error that names the option.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [p for name, p in signature.parameters.items() if name not in models]
        options: dict[str, inspect.Parameter] = {}
        for model in models.values():
            for name, field in model.model_fields.items():
                options.setdefault(name, _option(name, field, panel=_title(model)))
        made = list(options.values())

        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            filled = {
                argument: _validated(model, {n: arguments[n] for n in model.model_fields})
                for argument, model in models.items()
            }
            command(**{n: value for n, value in arguments.items() if n not in options}, **filled)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*own, *made]]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
        return run

    return decorate


def _title(model: type[BaseModel]) -> str:
    return model.__name__.removesuffix("Parameters")


def _option_name(field: str) -> str:
    return _OTHER_NAMES.get(field, "--" + field.replace("_", "-"))


def _option(name: str, field: FieldInfo, panel: str) -> inspect.Parameter:
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
    names: list[str] = []
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


def _validated(model: type[BaseModel], given: dict[str, Any]) -> BaseModel:
    values = {name: value for name, value in given.items() if value is not None}
    for name, value in values.items():
        default = model.model_fields[name].default
        if default == ():
            values[name] = tuple(part.strip() for part in value.split(",") if part.strip())
        elif isinstance(default, tuple):
            parts = [part.strip() for part in value.lower().replace(",", "x").split("x")]
            values[name] = tuple(parts * 2 if len(parts) == 1 else parts)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        reason = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            raise typer.BadParameter(reason) from error
        name = str(problem["loc"][0])
        raise typer.BadParameter(
            f"{reason}, not {given[name]!r}", param_hint=_option_name(name)
        ) from error
