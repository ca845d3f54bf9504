"""The registry of preparation steps: each file below ``prepare/steps/`` defines ``STEP``."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import walk_packages

from qpi_kernels.prepare.step import Step

__all__ = ["known_steps", "register", "unregister"]

_registered: dict[str, type[Step]] = {}


def known_steps() -> dict[str, type[Step]]:
    """List the classes of the steps by name."""
    return {**_steps_of_the_room(), **_registered}


def register(step: type[Step]) -> type[Step]:
    """Add a step for this process; usable as a decorator.

    Raises
    ------
    ValueError
        If another step has its name.
    """
    known = known_steps().get(step.name())
    # A cell of a notebook that runs again defines its class again.
    if known is not None and _place(known) != _place(step):
        raise ValueError(f"there is a step {step.name()!r} already; give this one another name")
    _registered[step.name()] = step
    return step


def unregister(name: str) -> None:
    """Forget a step that `register` added."""
    _registered.pop(name, None)


def _place(step: type[Step]) -> tuple[str, str]:
    """Name where a class is defined."""
    return step.__module__, step.__qualname__


@cache
def _steps_of_the_room() -> dict[str, type[Step]]:
    """Import every file below ``prepare/steps/`` and collect its ``STEP``."""
    room = import_module("qpi_kernels.prepare.steps")
    modules = walk_packages(room.__path__, f"{room.__name__}.")
    names = sorted(module.name for module in modules if not module.ispkg)
    steps = (import_module(name).STEP for name in names)
    return {step.name(): step for step in steps}
