"""`StackTransforms`: the Fourier transforms of whole stacks, made once and in the background."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from psygnal import Signal

from napari_qpi.tasks.job import Job
from qpi_kernels import inspect
from qpi_kernels.progress import Event, GeneratorStepper

__all__ = ["FourierStack", "StackTransforms"]


class FourierStack(GeneratorStepper[xr.DataArray]):
    """Transform a stack plane by plane, so that it can be stopped.

    Parameters
    ----------
    stack : xarray.DataArray
        ``(bias, y, x)``; lazy planes are read one at a time.
    mask : array of bool, (y, x), or None
        True where a pixel counts.
    **options
        As for `qpi_kernels.inspect.fourier`.
    """

    def __init__(
        self, stack: xr.DataArray, mask: NDArray[np.bool_] | None = None, **options: Any
    ) -> None:
        self._stack, self._mask, self._options = stack, mask, options

    def _run(self) -> Generator[Event, None, xr.DataArray]:
        """Transform one plane after the other."""
        planes, count = [], len(self._stack)
        for number in range(count):
            yield Event("Fourier transforms", number, count)
            plane = self._stack[number].compute()
            planes.append(inspect.fourier(plane, mask=self._mask, **self._options))
        # One copy of the attributes: those of the first plane hold for all.
        return xr.concat(planes, dim=self._stack.dims[0], combine_attrs="override")


@dataclass(frozen=True, eq=False)
class _Wanted:
    """A stack and how to transform it; compared by the identity of the arrays."""

    stack: xr.DataArray
    mask: NDArray[np.bool_] | None
    options: dict[str, Any]

    def same_as(self, other: _Wanted | None) -> bool:
        """Compare with another wish."""
        return (
            other is not None
            and self.stack is other.stack
            and self.mask is other.mask
            and self.options == other.options
        )


class StackTransforms:
    """Transform stacks in a worker thread, and keep the latest of each role.

    Attributes
    ----------
    ready : Signal()
        A transform that was asked for is there.
    failed : Signal(str)
        Why there is none.
    """

    ready: ClassVar[Signal] = Signal()
    failed: ClassVar[Signal] = Signal(str)

    def __init__(self) -> None:
        self._made: dict[str, tuple[_Wanted, xr.DataArray]] = {}
        self._wanted: dict[str, _Wanted] = {}
        self._under_way: tuple[str, _Wanted] | None = None
        self._job = Job()
        self._job.succeeded.connect(self._on_made)
        self._job.failed.connect(self._on_failed)

    def get(
        self,
        role: str,
        stack: xr.DataArray,
        mask: NDArray[np.bool_] | None = None,
        **options: Any,
    ) -> xr.DataArray | None:
        """Return the transform of a stack, or begin with it and return None.

        Parameters
        ----------
        role : str
            Of each role the latest transform is kept.
        stack, mask, **options
            As for `FourierStack`; the same objects give the same transform again.
        """
        wanted = _Wanted(stack, mask, options)
        made, transform = self._made.get(role, (None, None))
        if wanted.same_as(made):
            return transform
        self._wanted[role] = wanted
        self._start_next()
        return None

    def forget(self, roles: Iterable[str]) -> None:
        """Drop the transforms of stacks that are looked at no more."""
        for role in roles:
            self._made.pop(role, None)
            self._wanted.pop(role, None)

    def cancel(self) -> None:
        """Give up what was asked for."""
        self._wanted.clear()
        self._job.cancel()

    def _start_next(self) -> None:
        if self._job.state.busy or not self._wanted:
            return
        role, wanted = next(iter(self._wanted.items()))
        self._under_way = role, wanted
        self._job.start(partial(FourierStack, wanted.stack, wanted.mask, **wanted.options))

    def _on_made(self, transform: Any) -> None:
        """Keep a transform, and go on with what was asked for meanwhile."""
        if self._under_way is None:
            return
        role, wanted = self._under_way
        self._made[role] = wanted, transform
        if wanted.same_as(self._wanted.get(role)):
            del self._wanted[role]
        self.ready.emit()
        self._start_next()

    def _on_failed(self, error: Exception) -> None:
        self._wanted.clear()
        self.failed.emit(str(error))
