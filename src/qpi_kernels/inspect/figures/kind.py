"""`FigureKind`, `Panel` and the registry of figures.

A kind is one file in a room of ``figures/kinds/`` that defines ``KIND``; it is found there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any

import xarray as xr

from qpi_kernels.inspect.axes import InspectionError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FigureError", "FigureKind", "Panel", "known_kinds", "register", "unregister"]

_registered: dict[str, FigureKind] = {}


class FigureError(InspectionError):
    """A figure can not be drawn as asked; the message says what to change."""


@dataclass(frozen=True)
class Panel:
    """The numbers of a figure, what they are in words, and how they are drawn.

    Parameters
    ----------
    title : str
        A few words.
    caption : str
        What is shown, with units, in full sentences.
    data : xarray.Dataset
        All that is drawn; each variable has ``units`` and ``long_name``.
    draw : callable
        ``draw(axes, data)`` draws nothing but these numbers.
    aspect : float
        Height over width of the drawing.
    """

    title: str
    caption: str
    data: xr.Dataset
    draw: Callable[[Axes, xr.Dataset], object]
    aspect: float = 0.75

    def plot(self, axes: Axes) -> Axes:
        """Draw the numbers on matplotlib axes and return them."""
        self.draw(axes, self.data)
        return axes


@dataclass(frozen=True)
class FigureKind:
    """A kind of figure.

    Parameters
    ----------
    name : str
        As `figure` takes it.
    summary : str
        What it shows, one line for ``--help``.
    panel : callable
        ``panel(result, **options) -> Panel``; raises `FigureError` where it can not be made of this
        result.
    """

    name: str
    summary: str
    panel: Callable[..., Panel]


def known_kinds() -> dict[str, FigureKind]:
    """List the kinds of figures by name: those of ``figures/kinds/``, then registered ones."""
    return {**_kinds_of_the_room(), **_registered}


def register(kind: FigureKind) -> FigureKind:
    """Add a kind of figure for this process.

    Raises
    ------
    ValueError
        If another kind has its name.
    """
    if known_kinds().get(kind.name, kind) != kind:
        raise ValueError(f"there is a figure {kind.name!r} already; give this one another name")
    _registered[kind.name] = kind
    return kind


def unregister(name: str) -> None:
    """Forget a kind that `register` added."""
    _registered.pop(name, None)


@cache
def _kinds_of_the_room() -> dict[str, FigureKind]:
    """Import every file of the rooms in ``figures/kinds/`` and collect its ``KIND``."""
    room = import_module("qpi_kernels.inspect.figures.kinds")
    modules = walk_packages(room.__path__, f"{room.__name__}.")
    files = [module.name for module in modules if not module.ispkg]
    kinds: list[FigureKind] = [import_module(file).KIND for file in files]
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: kind.name)}


def make_panel(name: str, result: Any, **options: Any) -> Panel:
    """Compute the numbers of a figure.

    Raises
    ------
    FigureError
        If there is no such kind, it does not take an option, or can not be made of this result.
    """
    from inspect import signature

    kinds = known_kinds()
    if name not in kinds:
        raise FigureError(f"no figure {name!r}; there are {', '.join(sorted(kinds))}")
    takes = list(signature(kinds[name].panel).parameters)[1:]
    unknown = [option for option in options if option not in takes]
    if unknown:
        known = f"it takes {', '.join(takes)}" if takes else "it takes none"
        raise FigureError(f"the figure {name!r} has no option {unknown[0]!r}; {known}")
    return kinds[name].panel(result, **options)
