"""Proposal of a map from a topograph: where to scan, with which pixels, for how long."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.extract import start_extraction
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.planning.expected_kernels import ExpectedPrior, is_families
from qpi_kernels.extraction.planning.map_plan import MapPlan
from qpi_kernels.extraction.planning.map_planning import MapPlanning
from qpi_kernels.extraction.planning.parameters import MapProposalParameters
from qpi_kernels.extraction.planning.pixel_choice import propose_pixels
from qpi_kernels.extraction.planning.rectangle import ScanRectangle, choose_rectangle
from qpi_kernels.extraction.registry import make_parameters
from qpi_kernels.prepare.prepared import Prepared, label_image
from qpi_kernels.progress import Event, GeneratorStepper, follow, portion
from qpi_kernels.result import KernelResult

__all__ = ["MapProposal", "MapProposalSearch"]

# Pixel pitches that are compared, over the topograph's; and the smallest window, in pixels.
_PITCHES, _MIN_WINDOW = (1.0, 1.5, 2.0), 9
_UNITS_OF_LENGTH = ("nm",)
_DEFAULTS = MapProposalParameters()


@dataclass(frozen=True, eq=False)
class MapProposal:
    """Plans of one map with pixels of several pitches.

    Parameters
    ----------
    rectangle : ScanRectangle
        Where to scan, in pixels of the topograph.
    plans : tuple of MapPlan
        For each pitch, finest first.
    wanted_error : float
        Error that is wanted, of the kernel's rms.
    measured : array of bool, (rows, columns), optional
        Pixels of the topograph to be measured, if not all of the rectangle: a chosen share, or
        those that count.
    pilot : KernelResult, optional
        The topograph's own kernel, if it is what is expected.
    """

    rectangle: ScanRectangle
    plans: tuple[MapPlan, ...]
    wanted_error: float
    measured: NDArray[np.bool_] | None = None
    pilot: KernelResult | None = None

    @property
    def best(self) -> MapPlan:
        """The plan that is the first to reach the wanted error, or else comes nearest to it."""
        reached = [one for one in self.plans if math.isfinite(one.hours_for(self.wanted_error))]
        if reached:
            return min(reached, key=lambda one: one.hours_for(self.wanted_error))
        return min(self.plans, key=lambda one: one.error)

    def pixels(self, one: MapPlan, topograph: xr.DataArray) -> xr.DataArray:
        """Mark the pixels that a plan measures, on the plan's own pixels.

        Parameters
        ----------
        one : MapPlan
            One of `plans`.
        topograph : xarray.DataArray, (y, x)
            What was planned from.

        Returns
        -------
        xarray.DataArray of bool, (y, x)
            Of the plan's shape, with coordinates in the topograph's frame, or in its pixels where
            it has none.
        """
        place, pitch = self.rectangle, one.pixel_nm / self.plans[0].pixel_nm
        chosen = np.ones(one.shape, bool)
        if self.measured is not None:
            # Pixels are only chosen on the topograph's own pitch.
            chosen = self.measured[_slices(place)]
        coords = {}
        for axis, first, count in zip("yx", (place.row, place.col), one.shape, strict=True):
            at = first + (np.arange(count) + 0.5) * pitch - 0.5
            units = "px"
            if axis in topograph.coords:
                values = topograph[axis]
                at = np.interp(at, np.arange(values.size), values)
                units = values.attrs.get("units", "nm")
            coords[axis] = (axis, at, {"units": units})
        return xr.DataArray(chosen, dims=("y", "x"), coords=coords)

    def time_per_pixel_s(self, one: MapPlan) -> float:
        """Compute the integration time of a pixel and bias for the wanted error, in s."""
        return one.hours_for(self.wanted_error) * 3600 / (one.pixels * one.biases)


class MapProposalSearch(GeneratorStepper[MapProposal]):
    """Plan a map from a topograph, or a quick map, with marked defects, as a stepper.

    Unless told otherwise, the topograph's own kernel is what the map is expected to show, and its
    noise that of the map.

    Parameters
    ----------
    topograph : array, DataArray or Prepared, (y, x)
        With coordinates in nm, unless ``parameters.pixel_nm`` is given.
    defects : Defects or array, (N, 2)
        Positions (row, col), in its pixels.
    kernel_shape : tuple of int
        (h, w) of the kernel window, in its pixels.
    parameters : MapProposalParameters
        What is wanted, and what is known before.
    expected : KernelResult, DataArray or array, optional
        The kernel that the map is expected to show, in place of ``parameters.prior``.
    seed : int
        As in `qpi_kernels.extraction.plan`.
    **fields
        Parameters of the extraction.

    Raises
    ------
    ExtractionError
        If the input does not fit together; the message says what to change.
    ResultFormatError
        If ``parameters.prior`` is a file without a result.
    """

    def __init__(
        self,
        topograph: ArrayLike | xr.DataArray | Prepared,
        defects: Defects | ArrayLike,
        kernel_shape: tuple[int, int],
        parameters: MapProposalParameters = _DEFAULTS,
        *,
        expected: ExpectedPrior | None = None,
        seed: int = 0,
        **fields: Any,
    ) -> None:
        image = topograph.image if isinstance(topograph, Prepared) else label_image(topograph)
        if image.ndim != 2:
            raise ExtractionError("plan from one plane: a topograph, or a map at one bias")
        make_parameters({**fields, "kernel_shape": tuple(kernel_shape)}).check_single("a plan")
        self._topograph = topograph
        self._image = image
        self._table = defects if isinstance(defects, Defects) else Defects(defects)
        self._window = (int(kernel_shape[0]), int(kernel_shape[1]))
        self._wanted = parameters
        self._pixel_nm = parameters.pixel_nm or _pitch(image)
        self._expected = _named(parameters.prior) if expected is None else expected
        self._seed, self._fields = seed, fields

    def _run(self) -> Generator[Event, None, MapProposal]:
        """Extract the topograph's kernel, choose where to scan, and rehearse pitches."""
        pilot, start = None, 0.0
        if self._expected is None or self._wanted.noise is None:
            work = start_extraction(
                self._topograph, self._table, **self._fields, kernel_shape=self._window
            )
            start = 0.15
            pilot = yield from portion(follow(work), 0.0, start)
        wanted = self._wanted
        expected = pilot if self._expected is None else self._expected
        noise = wanted.noise
        if noise is None and pilot is not None:
            noise = float(pilot.quality.noise_sigma[0])
        assert expected is not None
        assert noise is not None
        allowed = self._allowed()
        shape = (allowed.shape[0], allowed.shape[1])
        size = shape if wanted.whole else None
        rectangle = choose_rectangle(self._table, shape, self._window, size=size, allowed=allowed)
        clean = allowed[_slices(rectangle)]
        measured = None if clean.all() else clean
        if wanted.share < 1:
            count = max(1, round(wanted.share * int(clean.sum())))
            measured = propose_pixels(
                rectangle.within(self._table),
                (rectangle.rows, rectangle.columns),
                self._window,
                count,
                noise=noise,
                signal=wanted.signal or _size_of(pilot),
                allowed=clean,
                seed=self._seed,
            )
        signal = wanted.signal
        if signal is None and is_families(expected):
            # Only simulated kernels have no amplitude of their own.
            signal = _size_of(pilot)
        # Pixels that were chosen are of one pitch.
        pitches = _PITCHES if measured is None else _PITCHES[:1]
        plans = []
        for number, pitch in enumerate(pitches):
            one = self._planning(rectangle, pitch, noise, expected, signal, measured)
            if one is None:
                break
            stop = start + (1 - start) * (number + 1) / len(pitches)
            plans.append((yield from portion(follow(one), start, stop)))
            start = stop
        return MapProposal(
            rectangle,
            tuple(plans),
            wanted.wanted_error,
            _on_frame(measured, rectangle, shape),
            pilot if self._expected is None else None,
        )

    def _planning(
        self,
        rectangle: ScanRectangle,
        pitch: float,
        noise: float,
        expected: ExpectedPrior,
        signal: float | None,
        measured: NDArray[np.bool_] | None,
    ) -> MapPlanning | None:
        """Set up the plan of a pitch over the topograph's; None if it leaves too few pixels."""
        shape = [int(side / pitch) for side in (rectangle.rows, rectangle.columns)]
        window = [round(side / pitch) for side in self._window]
        if pitch > 1 and min(window) < _MIN_WINDOW:
            return None
        window = [min(one, side) for one, side in zip(window, shape, strict=True)]
        within = rectangle.within(self._table)
        # Pixels are counted from the centre of the first.
        within = within.moved((within.positions + 0.5) / pitch - 0.5)
        # The extraction's model of noise is for the topograph; that of the plan's maps is white.
        fields = {name: value for name, value in self._fields.items() if name != "noise"}
        return MapPlanning(
            within,
            (shape[0], shape[1]),
            self._pixel_nm * pitch,
            (window[0], window[1]),
            noise=noise,
            expected=expected,
            signal=signal,
            biases=self._wanted.biases,
            time_per_pixel_s=self._wanted.time_per_pixel_s,
            measured=measured,
            seed=self._seed,
            finest_nm=self._pixel_nm,
            **fields,
        )

    def _allowed(self) -> NDArray[np.bool_]:
        """Find the pixels of the topograph that count."""
        if isinstance(self._topograph, Prepared):
            return np.asarray(self._topograph.mask)
        # What was not measured may well be measured the next time.
        return np.ones(self._image.shape, bool)


def _pitch(image: xr.DataArray) -> float:
    """Read the pitch of an image, in nm.

    Raises
    ------
    ExtractionError
        If it has none.
    """
    if "x" in image.coords and image.sizes["x"] > 1:
        x = image["x"]
        if x.attrs.get("units", "nm") in _UNITS_OF_LENGTH:
            return abs(float(x[1] - x[0]))
    raise ExtractionError(
        "the topograph has no coordinates in nm: give its pixel pitch, by coordinates in Python, "
        "by the scale and units of its layer in napari"
    )


def _named(prior: str | None) -> ExpectedPrior | None:
    """Read the kernel of a result's file, or take the name of a family."""
    return KernelResult.load(prior) if prior is not None and prior.endswith(".nc") else prior


def _slices(rectangle: ScanRectangle) -> tuple[slice, slice]:
    """Return the rows and columns of a rectangle."""
    return (
        slice(rectangle.row, rectangle.row + rectangle.rows),
        slice(rectangle.col, rectangle.col + rectangle.columns),
    )


def _on_frame(
    measured: NDArray[np.bool_] | None, rectangle: ScanRectangle, shape: Sequence[int]
) -> NDArray[np.bool_] | None:
    """Place the pixels of a rectangle in the topograph."""
    if measured is None:
        return None
    whole = np.zeros(tuple(shape), bool)
    whole[_slices(rectangle)] = measured
    return whole


def _size_of(pilot: KernelResult | None) -> float | None:
    """Return the rms of a kernel."""
    return None if pilot is None else float(np.sqrt(np.square(pilot.kernel.values).mean()))
