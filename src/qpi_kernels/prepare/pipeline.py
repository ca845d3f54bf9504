"""Run a list of steps on an image, or repeat a recorded history."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

import xarray as xr
from numpy.typing import ArrayLike

from qpi_kernels.defects import Defects
from qpi_kernels.prepare.prepared import PreparationError, Prepared
from qpi_kernels.prepare.recipe import step_of
from qpi_kernels.prepare.step import Step
from qpi_kernels.progress import CancelToken, Event, GeneratorStepper, drive

__all__ = ["Preparation", "replay", "run"]


class Preparation(GeneratorStepper[Prepared]):
    """Apply steps one after another, as a stepper.

    Parameters
    ----------
    scan : Prepared
        Where to begin.
    steps : sequence of Step
        In their order.
    """

    def __init__(self, scan: Prepared, steps: Sequence[Step]) -> None:
        self._scan = scan
        self._steps = tuple(steps)

    def _run(self) -> Generator[Event, None, Prepared]:
        """Yield an event before each step, and return the prepared image."""
        scan = self._scan
        for number, step in enumerate(self._steps):
            yield Event(f"Preparing: {step.name().replace('_', ' ')}", number, len(self._steps))
            scan = step.apply(scan)
        return scan


def run(
    image: ArrayLike | xr.DataArray | Prepared,
    steps: Sequence[Step],
    *,
    mask: ArrayLike | None = None,
    defects: Defects | ArrayLike | None = None,
    channels: Mapping[str, ArrayLike | xr.DataArray] | None = None,
    on_event: Callable[[Event], object] | None = None,
    cancel: CancelToken | None = None,
) -> Prepared:
    """Prepare an image.

    Parameters
    ----------
    image : array, xarray.DataArray or Prepared
        ``(y, x)`` or ``(bias, y, x)``, numpy or dask. A `Prepared` goes on where it stands.
    steps : sequence of Step
        In their order.
    mask : array of bool, (y, x), optional
        True where a pixel counts.
    defects : Defects or array, (N, 2), optional
        Positions (row, col) in pixels; geometric steps move them.
    channels : mapping of str to array, optional
        Other channels of the same pixels, which some steps ask for: ``topography``, ``current``
        or ``retrace``.
    on_event : callable, optional
        Called with an `Event` before each step.
    cancel : CancelToken, optional
        Stops between two steps.

    Returns
    -------
    Prepared
        Image, mask, defects, report and history.

    Raises
    ------
    PreparationError
        If the input or a step does not fit; the message says what to change.
    Cancelled
        If ``cancel`` was used.

    Examples
    --------
    >>> import numpy as np
    >>> from qpi_kernels import prepare
    >>> crop = prepare.Crop(rows=(10, 42), columns=(0, 64))
    >>> prepared = prepare.run(np.zeros((64, 64)), [crop], defects=[(20, 30)])
    >>> prepared.image.shape, prepared.defects.positions.tolist()
    ((32, 64), [[10.0, 30.0]])
    """
    if isinstance(image, Prepared):
        if mask is not None or defects is not None or channels:
            raise PreparationError(
                "a Prepared has its own mask, defects and channels; leave them out"
            )
        scan = image
    else:
        scan = Prepared.start(image, mask, defects, channels)
    return drive(Preparation(scan, steps), on_event, cancel)


def replay(
    image: ArrayLike | xr.DataArray,
    history: Iterable[Mapping[str, Any]],
    *,
    mask: ArrayLike | None = None,
    defects: Defects | ArrayLike | None = None,
    channels: Mapping[str, ArrayLike | xr.DataArray] | None = None,
) -> Prepared:
    """Repeat a recorded preparation on the raw image, bit for bit.

    Parameters
    ----------
    image, mask, defects, channels
        As for `run`.
    history : iterable of mapping
        As in `Prepared.history`.

    Raises
    ------
    PreparationError
        If a step is not known here, or its parameters are not its own.
    """
    steps = [step_of(entry) for entry in history]
    return run(image, steps, mask=mask, defects=defects, channels=channels)
