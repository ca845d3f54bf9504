"""`Way`: one way to do one task with one program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "MissingPeer", "Task", "Way"]

Array = NDArray[np.float64]
Task = Literal["drift", "rows", "step", "tone"]


class MissingPeer(ImportError):  # noqa: N818
    """A program to compare with that is not here; the message says how to get it."""


@dataclass(frozen=True)
class Way:
    """One way to do one task, as a careful user of a program would."""

    tool: str
    name: str
    """The call, with its parameters."""
    task: Task
    apply: Callable[[Array], Array]
    """Make of a raw map the prepared one; of drift, make the displacement u (2, y, x) in px with
    which the program resamples: its result at r shows the raw map at r + u."""
    whole: Callable[[Array], object] | None = None
    """All that is timed, where it is more than ``apply``."""
