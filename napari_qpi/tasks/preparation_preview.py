"""`PreparationPreview`: one plane before and after some steps, with its Fourier transforms."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from qpi_kernels.inspect import fourier
from qpi_kernels.prepare import PreparationError, Prepared, Step
from qpi_kernels.progress import Event, GeneratorStepper

__all__ = ["PreparationPreview", "PreviewedPlane", "StepDone", "lazily"]


@dataclass(frozen=True, eq=False)
class StepDone:
    """A step and what stood after it, kept so that later steps can be tried out quickly."""

    step: Step
    made: Prepared


@dataclass(frozen=True, eq=False)
class PreviewedPlane:
    """One plane before and after some steps.

    Parameters
    ----------
    scan : Prepared
        Where the steps began; lazy for a cube.
    done : tuple of StepDone
        The steps that worked, in their order.
    problem : str
        Why the next step did not work; empty if all did.
    raw, plane : xarray.DataArray
        The plane before and after.
    raw_fft, plane_fft : xarray.DataArray
        Their Fourier magnitudes.
    index : int
        Which plane of a cube it is.
    """

    scan: Prepared
    done: tuple[StepDone, ...]
    problem: str
    raw: xr.DataArray
    plane: xr.DataArray
    raw_fft: xr.DataArray
    plane_fft: xr.DataArray
    index: int = 0

    @property
    def made(self) -> Prepared:
        """The image after the last step that worked."""
        return self.done[-1].made if self.done else self.scan


class PreparationPreview(GeneratorStepper[PreviewedPlane]):
    """Prepare one plane; its numbers are those that the whole cube would get.

    Cubes are prepared lazily: steps take their parameters from all planes, and only the plane on
    show is computed.

    Parameters
    ----------
    scan, steps
        As for `qpi_kernels.prepare.Preparation`.
    index : int
        Which plane of a cube.
    before : PreviewedPlane, optional
        An earlier preview; what it did of the same steps is not done again.
    """

    def __init__(
        self,
        scan: Prepared,
        steps: Sequence[Step],
        index: int = 0,
        before: PreviewedPlane | None = None,
    ) -> None:
        self._scan, self._steps, self._index = scan, tuple(steps), index
        self._before = before

    def _run(self) -> Generator[Event, None, PreviewedPlane]:
        """Go on after the last step that is known already."""
        done = self._known()
        scan, problem = done[-1].made if done else self._scan, ""
        for number, step in enumerate(self._steps[len(done) :], len(done)):
            yield Event(f"Preview: {step.name().replace('_', ' ')}", number, len(self._steps) + 1)
            try:
                scan = step.apply(scan)
            except PreparationError as error:
                problem = str(error)
                break
            done.append(StepDone(step, scan))
        yield Event("Preview", len(self._steps), len(self._steps) + 1)
        before = self._before
        if before is not None and before.scan is self._scan and before.index == self._index:
            raw, raw_fft = before.raw, before.raw_fft
        else:
            raw = self._plane(self._scan.image)
            raw_fft = _spectrum(raw, self._scan)
        plane = self._plane(scan.image)
        plane_fft = _spectrum(plane, scan)
        return PreviewedPlane(
            self._scan, tuple(done), problem, raw, plane, raw_fft, plane_fft, self._index
        )

    def _known(self) -> list[StepDone]:
        """Take over the first steps of the earlier preview as far as they are the same."""
        known: list[StepDone] = []
        if self._before is None or self._before.scan is not self._scan:
            return known
        for step, old in zip(self._steps, self._before.done, strict=False):
            if old.step != step:
                break
            known.append(old)
        return known

    def _plane(self, image: xr.DataArray) -> xr.DataArray:
        """Compute the plane on show; a step may have left fewer of them."""
        if image.ndim == 2:
            return image.compute()
        return image[min(self._index, image.shape[0] - 1)].compute()


def lazily(scan: Prepared) -> Prepared:
    """Cut a cube in memory into lazy planes, so that a preview computes only the one on show."""
    image = scan.image
    if image.ndim == 2 or hasattr(image.data, "dask"):
        return scan
    return replace(scan, image=image.chunk({str(image.dims[0]): 1, "y": -1, "x": -1}))


def _spectrum(plane: xr.DataArray, scan: Prepared) -> xr.DataArray:
    """Transform the pixels that count."""
    counted = plane.where(scan.mask) if np.isfinite(plane.values).any() else plane.fillna(0.0)
    return fourier(counted)
