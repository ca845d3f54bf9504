"""The same numbers by stmpy, its conventions translated, or the reason for the difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from qpi_kernels import inspect
from qpi_kernels.bench.inspect.own import image_of
from qpi_kernels.bench.inspect.problems import cut_map, lattice_map, ring_map, symmetric_map
from qpi_kernels.bench.inspect.stmpy_peer import Stmpy
from qpi_kernels.bench.peers import Array
from qpi_kernels.symmetry import Symmetry, symmetrisation_matrix

__all__ = ["Agreement", "agreements"]

_ROUNDING = 1e-9


class Agreement(BaseModel):
    """One function here and there on the same image."""

    here: str
    there: str
    difference: float | None = Field(
        description="largest, over the largest value; None where the other program failed"
    )
    reason: str = Field(description="how its convention was translated, or why the numbers differ")

    @property
    def shown(self) -> str:
        """The difference in words: nothing but rounding, percent, or that it failed."""
        if self.difference is None:
            return "failed"
        return "rounding" if self.difference < _ROUNDING else f"{100 * self.difference:.2g} %"


@dataclass(frozen=True)
class _Pair:
    here: str
    there: str
    reason: str
    numbers: Callable[[Stmpy], tuple[Any, Any]]


def agreements(stmpy: Stmpy, size: int = 96) -> Iterator[Agreement]:
    """Compare every function that both have on a map of ``size`` or ``size - 1`` px."""
    for pair in _pairs(size):
        try:
            mine, theirs = (np.asarray(one) for one in pair.numbers(stmpy))
            largest = float(np.abs(mine - theirs).max() / np.abs(mine).max())
        except Exception:  # a program that stops has failed, and the others go on
            largest = float("nan")
        yield Agreement(
            here=pair.here,
            there=pair.there,
            difference=largest if np.isfinite(largest) else None,
            reason=pair.reason,
        )


def _pairs(size: int) -> list[_Pair]:
    """List the functions, the odd size first where the parity matters."""
    shape, odd = (size, size), (size - 1, size - 1)
    raw = ring_map(shape, 0).raw
    line = cut_map(shape, 0)
    lattice = lattice_map(shape, False, 0).raw

    def transform(stmpy: Stmpy) -> tuple[Any, Any]:
        mine = inspect.fourier(image_of(raw), window="none", scale="complex")
        return mine, stmpy.fft(raw, output="complex", zeroDC=True)

    def amplitude(stmpy: Stmpy) -> tuple[Any, Any]:
        mine = inspect.fourier(image_of(raw + 20.0), window="hann")
        theirs = stmpy.fft(raw + 20.0, window="hanning", units="amplitude", zeroDC=True)
        return mine, 2 * theirs

    def axis(stmpy: Stmpy) -> tuple[Any, Any]:
        mine = inspect.fourier(image_of(raw))["q_x"]
        return mine, 2 * np.pi * stmpy.fftfreq(size, float(size))

    def cut(width: float) -> Callable[[Stmpy], tuple[Any, Any]]:
        """Cut along the same points."""

        def numbers(stmpy: Stmpy) -> tuple[Any, Any]:
            """Give this cut as many points as the other."""
            ends = line.start[::-1], line.stop[::-1]
            _, theirs = stmpy.linecut(line.raw, *ends, width=width)
            length = float(np.hypot(*np.subtract(line.stop, line.start)))
            step = length / (len(theirs) - 1)
            image = image_of(line.raw)
            ends_here = line.start, line.stop
            mine = inspect.line_cut(
                image, *ends_here, width=width, step=step, interpolation="linear"
            )
            return mine, theirs

        return numbers

    def correlation(stmpy: Stmpy) -> tuple[Any, Any]:
        mine = inspect.autocorrelation(image_of(raw)).values
        start = size - 1 - size // 2
        window = slice(start, start + size)
        return mine[window, window] * _pairs_share(size), stmpy.xcorr(raw, raw)

    def symmetric(shape: tuple[int, int]) -> Callable[[Stmpy], tuple[Any, Any]]:
        """Average a symmetric image with some noise over C4v."""

        def numbers(stmpy: Stmpy) -> tuple[Any, Any]:
            image = symmetric_map(shape, 0).raw + 0.1 * ring_map(shape, 0).raw
            matrix = symmetrisation_matrix(Symmetry.parse("C4v"), shape)
            mine = np.asarray(matrix @ image.ravel()).reshape(shape)
            return mine, stmpy.symmetrize(image, 4)

        return numbers

    def bragg(stmpy: Stmpy) -> tuple[Any, Any]:
        mine = np.asarray(inspect.bragg_peaks(image_of(lattice)))
        peaks = stmpy.findBraggs(lattice)[:, ::-1]
        theirs = 2 * np.pi * (peaks - size // 2) / size
        nearest = np.linalg.norm(mine[:, None] - theirs, axis=-1).argmin(axis=1)
        return mine, theirs[nearest]

    return [
        _Pair(
            'fourier(window="none", scale="complex")',
            'fft(output="complex", zeroDC=True)',
            "same; times dx dy, and the phase refers to y = x = 0, here the first pixel",
            transform,
        ),
        _Pair(
            "fourier()",
            'fft(window="hanning", units="amplitude", zeroDC=True), doubled',
            "its window is symmetric, not periodic (gain 1 - 1/n), and the mean that it subtracts "
            "is not weighted: a background of 20 leaks around q = 0",
            amplitude,
        ),
        _Pair("q_x of fourier()", "fftfreq(px, nm)", "same, times 2 pi: it counts 1/λ", axis),
        _Pair('line_cut(interpolation="linear")', "linecut(width=0)", "same points", cut(0.0)),
        _Pair(
            'line_cut(width=3.9, interpolation="linear")',
            "linecut(width=3.9)",
            "same points; of a whole width its rounding decides between one point more or less",
            cut(3.9),
        ),
        _Pair(
            "autocorrelation(), times the pairs' share",
            "xcorr",
            "same; it does not divide by the number of pairs, so that a wave fades",
            correlation,
        ),
        _Pair(
            f'symmetrisation_matrix("C4v", {odd})',
            "symmetrize(n=4)",
            "same where n is odd",
            symmetric(odd),
        ),
        _Pair(
            f'symmetrisation_matrix("C4v", {shape})',
            "symmetrize(n=4)",
            "it turns about (n-1)/2, half a pixel beside q = 0",
            symmetric(shape),
        ),
        _Pair("bragg_peaks()", "findBraggs", "it finds whole pixels", bragg),
    ]


def _pairs_share(size: int) -> Array:
    """Return the share of pixels that overlap, (size, size), zero shift at ``size // 2``."""
    along = 1 - np.abs(np.arange(size) - size // 2) / size
    return np.asarray(np.multiply.outer(along, along))
