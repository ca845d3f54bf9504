"""`MapPlanning`: rehearsals of a map that is not measured yet."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.parameters import ExtractionError
from qpi_kernels.extraction.planning.expected_kernels import ExpectedKernels, ExpectedPrior
from qpi_kernels.extraction.planning.map_plan import MapPlan
from qpi_kernels.extraction.planning.rehearsal import Rehearsal, band_edges, rehearse
from qpi_kernels.extraction.registry import make_parameters
from qpi_kernels.progress import Event, GeneratorStepper, portion

__all__ = ["MapPlanning"]

# Integration times that are rehearsed, over the planned one, and maps at each.
_FACTORS = (0.25, 1.0, 4.0)
_REHEARSALS = 2


class MapPlanning(GeneratorStepper[MapPlan]):
    """Rehearse the measurement of a map, as a stepper; arguments and errors are those of `plan`.

    Parameters
    ----------
    expected : KernelResult, DataArray, array, str or sequence of str
        The expected kernel, which is `prior` there: here that is a field of the extraction.
    finest_nm : float, optional
        Pitch of `expected` where it has no coordinates; that of the map when left out.
    """

    def __init__(
        self,
        defects: Defects | ArrayLike,
        shape: tuple[int, int],
        pixel_nm: float,
        kernel_shape: tuple[int, int],
        *,
        noise: float,
        expected: ExpectedPrior = "library",
        signal: float | None = None,
        biases: int = 1,
        time_per_pixel_s: float = 1.0,
        measured: ArrayLike | xr.DataArray | None = None,
        rehearsals: int = _REHEARSALS,
        seed: int = 0,
        finest_nm: float | None = None,
        **fields: Any,
    ) -> None:
        _check_positive(
            noise=noise, pixel_nm=pixel_nm, time_per_pixel_s=time_per_pixel_s, biases=biases,
            rehearsals=rehearsals, signal=1.0 if signal is None else signal,
        )  # fmt: skip
        rows, columns = shape
        self._shape = (int(rows), int(columns))
        self._parameters = make_parameters({**fields, "kernel_shape": tuple(kernel_shape)})
        if self._parameters.finds_defects:
            raise ExtractionError(
                f"{self._parameters.method} finds its defects; plan with bayes or least_squares"
            )
        self._parameters.check_single("a plan")
        self._parameters.check_window(self._shape)
        self._window = self._parameters.kernel_shape
        table = defects if isinstance(defects, Defects) else Defects(defects)
        self._defects = _reaching(table, self._shape, self._window)
        self._expected = ExpectedKernels.of(
            expected, self._window, pixel_nm, self._defects.kinds,
            signal=signal, seed=seed, finest_nm=finest_nm,
        )  # fmt: skip
        planes = len(self._expected.kernels[0])
        if planes > 1 and biases not in (1, planes):
            raise ExtractionError(
                f"the expected kernel has {planes} biases and the map {biases}; leave out biases="
            )
        self._biases = max(int(biases), planes)
        self._measured = _mask_of(measured, self._shape)
        self._pixel_nm, self._noise = float(pixel_nm), float(noise)
        self._time, self._rehearsals, self._seed = float(time_per_pixel_s), int(rehearsals), seed

    def _run(self) -> Generator[Event, None, MapPlan]:
        """Rehearse shorter, planned and longer integration with the same noise patterns."""
        expected = self._expected
        # Several kernels are rehearsed once each, a single one several times.
        count = max(self._rehearsals, len(expected.kernels))
        found: list[list[Rehearsal]] = []
        total = count * len(_FACTORS)
        for factor in _FACTORS:
            found.append([])
            for number in range(count):
                kernels = expected.kernels[number % len(expected.kernels)]
                work = rehearse(
                    kernels,
                    self._defects,
                    self._shape,
                    self._measured,
                    self._noise / factor**0.5,
                    self._parameters,
                    self._seed + number,
                )
                done = len(_FACTORS[: len(found) - 1]) * count + number
                found[-1].append((yield from portion(work, done / total, (done + 1) / total)))
        return self._assemble(found)

    def _assemble(self, found: Sequence[Sequence[Rehearsal]]) -> MapPlan:
        """Average rehearsals of each integration time."""
        expected = self._expected
        beyond = float(np.mean(expected.beyond))
        squares = [[float(one.band_error.sum()) + beyond for one in some] for some in found]
        # Of one kernel the noise varies, which adds in squares; kernels vary by factors.
        several = len(expected.kernels) > 1
        errors = [
            float(np.exp(0.5 * np.mean(np.log(some)))) if several else float(np.mean(some)) ** 0.5
            for some in squares
        ]
        planned = found[_FACTORS.index(1.0)]
        here = squares[_FACTORS.index(1.0)]
        error = errors[_FACTORS.index(1.0)]
        parts = np.mean([one.band_error / one.band_error.sum() for one in planned], axis=0)
        signal = np.mean([one.band_signal for one in planned], axis=0)
        trust = [one.trust == "good" for one in planned]
        return MapPlan(
            shape=self._shape,
            pixel_nm=self._pixel_nm,
            kernel_shape=self._window,
            defect_count=len(self._defects),
            pixels=int(np.prod(self._shape) if self._measured is None else self._measured.sum()),
            biases=self._biases,
            noise=self._noise,
            signal=float(
                np.sqrt(np.mean([np.square(one[:, 0]).mean() for one in expected.kernels]))
            ),
            time_per_pixel_s=self._time,
            error=error,
            spread=(min(here) ** 0.5, max(here) ** 0.5),
            claimed=float(np.mean([one.claimed for one in planned])),
            band_edges=band_edges(self._pixel_nm),
            band_error=np.sqrt(parts) * error,
            band_signal=np.sqrt(signal),
            times_s=self._time * np.array(_FACTORS),
            errors=np.minimum.accumulate(np.array(errors)),
            unresolved=beyond**0.5,
            good=float(np.mean(trust)),
            method=self._parameters.method,
            prior=expected.description,
        )


def _check_positive(**values: float) -> None:
    """Refuse numbers that are not above zero.

    Raises
    ------
    ExtractionError
        For the first of them.
    """
    for name, value in values.items():
        if not (value > 0 and np.isfinite(value)):
            raise ExtractionError(f"{name} must be above zero, not {value}")


def _reaching(defects: Defects, shape: tuple[int, int], window: tuple[int, int]) -> Defects:
    """Keep defects whose windows reach into the map.

    Raises
    ------
    ExtractionError
        If none does.
    """
    reach = np.array(window) // 2
    near = (defects.positions > -reach) & (defects.positions < np.array(shape) - 1 + reach)
    kept = defects[near.all(axis=1)]
    if not len(kept):
        raise ExtractionError(
            f"no defect reaches into the map; positions are (row, col) in pixels of the planned "
            f"map of {shape[0]} x {shape[1]}"
        )
    return kept


def _mask_of(
    measured: ArrayLike | xr.DataArray | None, shape: tuple[int, int]
) -> NDArray[np.bool_] | None:
    """Check which pixels are to be measured.

    Raises
    ------
    ExtractionError
        If the array has another shape than the map, or nothing is to be measured.
    """
    if measured is None:
        return None
    mask = np.asarray(measured).astype(bool)
    if mask.shape != shape:
        raise ExtractionError(f"measured has shape {mask.shape}, the map {shape}; they must agree")
    if not mask.any():
        raise ExtractionError("no pixel is to be measured")
    return mask
