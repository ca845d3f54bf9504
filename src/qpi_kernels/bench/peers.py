"""`Way`: one way to do one task with one program, and the import of programs in Python."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "MissingPeer", "Way", "import_peer"]

Array = NDArray[np.float64]


class MissingPeer(ImportError):  # noqa: N818
    """A program to compare with that is not here; the message says how to get it."""


@dataclass(frozen=True)
class Way:
    """One way to do one task, as a careful user of a program would."""

    tool: str
    name: str
    """The call, with its parameters."""
    task: str
    apply: Callable[[Any], Array]
    """Do the task; what it takes and makes is told where the task's maps are made."""
    whole: Callable[[Array], object] | None = None
    """All that is timed, where it is more than ``apply``."""


def import_peer(name: str, install: str, distribution: str, *modules: str) -> tuple[Any, ...]:
    """Import a program to compare with, without its warnings.

    Parameters
    ----------
    name : str
        The program, in words.
    install : str
        Command that installs it.
    distribution : str
        Its distribution, which has the version.
    *modules : str
        Modules to import.

    Returns
    -------
    tuple
        Name with version, then the modules.

    Raises
    ------
    MissingPeer
        If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            # SPIEPy imports numpy.matlib, stmpy compares strings with "is".
            warnings.simplefilter("ignore")
            found = [import_module(module) for module in modules]
        return f"{name} {version(distribution)}", *found
    except (ImportError, PackageNotFoundError) as error:
        raise MissingPeer(f"{name}: {install} ({error})") from error
