"""Judging whether pixels sample a kernel well enough to shift it between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qpi_kernels.extraction.problem import Problem
from qpi_kernels.quality import Reason

__all__ = ["sampling_reasons", "short_wave_share"]

# Waves of more periods per pixel, along an axis, are nearly beyond what pixels sample.
_SHORT_WAVES = 0.4
# Share of the variance in such waves that is told, and how much larger the relative error is that
# shifting by fractions of a pixel then makes (spots of 0.4 to 0.8 pixels: 2.1 to 3.1).
_MAX_SHARE, _ERROR_PER_SHARE = 0.03, 2.2


def short_wave_share(kernel: NDArray[np.floating], std: NDArray[np.floating]) -> float:
    """Measure the share of a kernel's variance in waves of less than two and a half pixels.

    Parameters
    ----------
    kernel, std : array, (h, w)
        The kernel and its standard deviation, whose own share is taken off.

    Returns
    -------
    float
        0 where the kernel does not rise above its standard deviation.
    """
    rows, columns = (np.hanning(side + 2)[1:-1] for side in kernel.shape)
    # The window cuts waves off, which is no sharpness.
    taper = np.sqrt(np.outer(rows, columns))
    power = np.abs(np.fft.fft2(taper * kernel)) ** 2
    momenta = (np.abs(np.fft.fftfreq(side)) for side in kernel.shape)
    short = np.maximum.outer(*momenta) > _SHORT_WAVES
    noise = float(np.square(taper * std).sum()) * power.size
    signal = float(power.sum()) - noise
    if not signal > noise:
        return 0.0
    return max(0.0, (float(power[short].sum()) - noise * float(short.mean())) / signal)


def sampling_reasons(
    problem: Problem, kernel: NDArray[np.floating], std: NDArray[np.floating]
) -> list[Reason]:
    """Tell that kernels are too sharp to be shifted by fractions of a pixel.

    Neighbouring pixels do not say what lies between them where waves are shorter than two pixels,
    and those come with waves that are hardly longer. Where the error of shifting a kernel is less
    than what noise makes of it, or all defects are on whole pixels, it does not matter.

    Parameters
    ----------
    kernel, std : array, (bias, kind, h, w)
        Kernels and standard deviations.
    """
    positions = problem.defects.positions
    if np.array_equal(positions, np.rint(positions)):
        return []
    worst, place = 0.0, ""
    for index, kind in enumerate(problem.model.kinds):
        shares = [
            short_wave_share(*one) for one in zip(kernel[:, index], std[:, index], strict=True)
        ]
        share = float(np.median(shares))
        size = float(np.square(kernel[:, index]).mean()) ** 0.5
        error = float(np.square(std[:, index]).mean()) ** 0.5 / max(size, 1e-300)
        if share > max(worst, _MAX_SHARE) and _ERROR_PER_SHARE * share > error:
            worst, place = share, kind if len(problem.model.kinds) > 1 else ""
    if not worst:
        return []
    return [
        Reason(
            code="undersampled",
            number=worst,
            threshold=_MAX_SHARE,
            place=place,
            trust="uncertain",
        )
    ]
