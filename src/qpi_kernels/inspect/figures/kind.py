"""`FigureKind`, `FigurePanel` and the registry of figures.

A kind is one file in a room of ``figures/kinds/`` that defines ``KIND``; it is found there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any

import xarray as xr

from qpi_kernels.inspect.axes import InspectionError
from qpi_kernels.kernel_files import UNDETERMINED
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "FigureError",
    "FigureKind",
    "FigurePanel",
    "known_kinds",
    "make_panel",
    "register",
    "unregister",
]

_PALE, _WARNING = 0.55, "#a3161c"

_registered: dict[str, FigureKind] = {}


class FigureError(InspectionError):
    """A figure can not be drawn as asked; the message says what to change."""


@dataclass(frozen=True)
class FigurePanel:
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
    mark : str
        Bias, or a warning, written above the drawing at the right.
    faded : bool
        Drawn pale, as of an undetermined kernel.
    """

    title: str
    caption: str
    data: xr.Dataset
    draw: Callable[[Axes, xr.Dataset], object]
    aspect: float = 0.75
    mark: str = ""
    faded: bool = False

    def plot(self, axes: Axes) -> Axes:
        """Draw the numbers on matplotlib axes and return them."""
        self.draw(axes, self.data)
        if self.faded:
            _fade(axes)
        if self.mark:
            axes.set_title(self.mark, loc="right", color=_WARNING if self.faded else "black")
        return axes

    def undetermined(self) -> FigurePanel:
        """Return the panel as that of an undetermined kernel: pale, and said in all its words."""
        caption = self.caption
        if UNDETERMINED not in caption:
            caption += f" The kernel is {UNDETERMINED}."
        title = self.title if UNDETERMINED in self.title else f"{self.title} ({UNDETERMINED})"
        mark = ", ".join(part for part in (self.mark, UNDETERMINED) if part)
        return replace(self, title=title, caption=caption, mark=mark, faded=True)


def _fade(axes: Axes) -> None:
    """Lay white that shines through over a drawing."""
    from matplotlib.patches import Rectangle

    axes.add_artist(
        Rectangle(
            (0, 0), 1, 1, transform=axes.transAxes, facecolor="white", edgecolor="none",
            alpha=_PALE, zorder=10,
        )
    )  # fmt: skip


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
        ``panel(result, **options) -> FigurePanel``; raises `FigureError` where it can not be
        made of this result.
    of_kernel : bool
        Shows nothing but the kernel of a result: pale where that is undetermined.
    """

    name: str
    summary: str
    panel: Callable[..., FigurePanel]
    of_kernel: bool = False


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


def make_panel(name: str, result: Any, **options: Any) -> FigurePanel:
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
    panel = kinds[name].panel(result, **options)
    if kinds[name].of_kernel and isinstance(result, KernelResult):
        kind = options.get("kind_of_defect")
        if kind is None and "kind" in result.kernel.dims:
            kind = str(result.kernel["kind"].values[0])
        if result.quality.undetermined(kind):
            return panel.undetermined()
    return panel
