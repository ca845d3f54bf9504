"""Maps on which the sum of kernels is wrong, in one known way each.

All show the surface state of Ag(111). Their kernels reach over the whole map, far beyond the
window, as those of real defects do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.special
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.defects import Defects
from qpi_kernels.simulate.bands import HBAR2_OVER_2M, ParabolicBand
from qpi_kernels.simulate.maps.observation import observe
from qpi_kernels.simulate.maps.placement import scatter_defects
from qpi_kernels.simulate.scattering.kernels import multiple_defects, single_defect

__all__ = [
    "ALIKE",
    "SIDE_PX",
    "STRONG",
    "UNLIKE",
    "WEAK",
    "RobustnessMap",
    "coupled_map",
    "displaced_map",
    "mixed_map",
    "plain_map",
    "step_map",
    "step_waves",
]

Image = NDArray[np.float64]

SILVER = ParabolicBand.silver()
BIAS_V, BROADENING_EV, PIXEL_NM, TIP_NM = 0.05, 0.02, 0.3, 0.2
_CONDITIONS: dict[str, Any] = {
    "bias": BIAS_V,
    "pixel_nm": PIXEL_NM,
    "broadening": BROADENING_EV,
    "tip_nm": TIP_NM,
}
SIDE_PX, WINDOW_PX, DEFECTS, SNR = 128, 48, 20, 10.0

STRONG, WEAK = -1.0, -0.05
"""Point potentials in eV nm^2 that scatter nearly all of an s-wave, and little of it."""

UNLIKE, ALIKE = -0.2, 0.25
"""Potentials whose kernels look unlike and rather like that of `STRONG`."""


@dataclass(frozen=True, eq=False)
class RobustnessMap:
    """A map and the truth about it."""

    observation: Image
    """(rows, columns), the map with white noise, in states/(eV nm^2)."""
    kernel: Image
    """(h, w), map of one defect alone; of the first kind, if there are several."""
    marked: Defects
    """Defects given to extraction."""
    counted: NDArray[np.bool_]
    """(rows, columns), False where a pixel is masked."""
    left_out: float
    """Root mean square of what is there beside the sum of kernels at the marks, over the standard
    deviation of that sum; noise, and what is masked, do not count."""


def plain_map(seed: int, *, snr: float = SNR) -> RobustnessMap:
    """Simulate a map with nothing wrong, to compare the others with.

    Parameters
    ----------
    seed : int
        Of defects and noise.
    snr : float
        Variance of the defects' pattern over that of the noise, here and below.
    """
    defects = _scattered(DEFECTS, seed)
    return _noisy(_summed(defects, STRONG), defects, _window(STRONG), seed, snr)


def step_map(
    seed: int,
    *,
    snr: float = SNR,
    jump: float = 0.0,
    masked_nm: float = 0.0,
    one_terrace: bool = False,
) -> RobustnessMap:
    """Simulate a step edge that sends waves of its own into both terraces.

    What the step does to the defects' own waves is not simulated.

    Parameters
    ----------
    seed, snr
        As above; the seed is also that of the step.
    jump : float
        How much higher one terrace is than the other, in standard deviations of the defects'
        pattern: a topograph has a jump, a map of dI/dV nearly none.
    masked_nm : float
        Pixels no farther than this from the step do not count.
    one_terrace : bool
        Only the larger terrace counts, and only its defects are marked.
    """
    random = np.random.default_rng([seed, 1])
    angle = random.uniform(0, np.pi)
    normal = np.array([np.cos(angle), np.sin(angle)])
    off = random.uniform(0, SIDE_PX / 8)
    middle = (SIDE_PX - 1) / 2

    def beyond(positions: Image) -> Image:
        return np.asarray(PIXEL_NM * ((positions - middle) @ normal - off))

    distance = beyond(np.moveaxis(np.indices((SIDE_PX, SIDE_PX)), 0, -1).astype(np.float64))
    counted = np.abs(distance) >= masked_nm
    defects = _scattered(DEFECTS, seed)
    pattern = _summed(defects, STRONG)
    wrong = step_waves(np.abs(distance)) + jump * pattern.std() * (distance > 0)
    if one_terrace:
        counted &= distance < 0
        defects = defects[beyond(defects.positions) < 0]
    return _noisy(pattern, defects, _window(STRONG), seed, snr, wrong=wrong, mask=counted)


def coupled_map(
    seed: int, *, snr: float = SNR, count: int = DEFECTS, impurity: float = STRONG
) -> RobustnessMap:
    """Simulate all multiple scattering between the defects (`multiple_defects`).

    Parameters
    ----------
    seed, snr
        As above.
    count : int
        Number of defects.
    impurity : float
        Potential of each in eV nm^2.
    """
    drawn = _scattered(count, seed)
    # On whole pixels superposing is exact: what is left out is multiple scattering alone.
    defects = Defects(np.rint(drawn.positions))
    whole = multiple_defects(
        SILVER, defects, shape=(SIDE_PX, SIDE_PX), impurity=impurity, **_CONDITIONS
    ).values
    pattern = _summed(defects, impurity)
    return _noisy(pattern, defects, _window(impurity), seed, snr, wrong=whole - pattern)


def mixed_map(
    seed: int, *, snr: float = SNR, second: float, others: int, labelled: bool = False
) -> RobustnessMap:
    """Simulate two kinds of defects, the first of them of the potential `STRONG`.

    Parameters
    ----------
    seed, snr
        As above.
    second : float
        Potential of the second kind in eV nm^2.
    others : int
        How many of the defects are of the second kind.
    labelled : bool
        Whether the marks tell the kinds apart.
    """
    drawn = _scattered(DEFECTS, seed)
    first = np.arange(DEFECTS) < DEFECTS - others
    pattern = _summed(drawn[first], STRONG) + _summed(drawn[~first], second)
    if labelled:
        marked = Defects(drawn.positions, np.where(first, "first", "second"))
        return _noisy(pattern, marked, _window(STRONG), seed, snr)
    made = _noisy(pattern, drawn, _window(STRONG), seed, snr)
    unlike = pattern - _summed(drawn, STRONG)
    return replace(made, left_out=float(np.sqrt(np.mean(unlike**2)) / pattern.std()))


def displaced_map(seed: int, *, snr: float = SNR, rms_px: float) -> RobustnessMap:
    """Simulate marks of another scan, which creep bent against this one.

    Creep dies away exponentially along the slow axis. A displacement that is the same everywhere
    would only move the kernel, and counts as none.

    Parameters
    ----------
    seed, snr
        As above; the seed is also that of the creep's direction.
    rms_px : float
        Root mean square of the displacement over the defects.
    """
    defects = _scattered(DEFECTS, seed)
    angle = np.random.default_rng([seed, 2]).uniform(0, 2 * np.pi)
    size = np.exp(-4 * defects.positions[:, 0] / SIDE_PX)
    size -= size.mean()
    size *= rms_px / np.sqrt(np.mean(size**2))
    marked = defects.moved(defects.positions + np.outer(size, [np.sin(angle), np.cos(angle)]))
    pattern = _summed(marked, STRONG)
    wrong = _summed(defects, STRONG) - pattern
    return _noisy(pattern, marked, _window(STRONG), seed, snr, wrong=wrong)


def step_waves(distance_nm: Image) -> Image:
    r"""Compute standing waves of free electrons before a straight hard wall.

    .. math:: \delta\rho(x) = -\frac{m}{2\pi\hbar^2} \mathrm{Re}\, H_0^{(1)}(2 k x)

    per spin, from the image of the source behind the wall; for real k this is the Bessel function
    :math:`J_0(2kx)` of L. C. Davis et al., PRB 43, 3821 (1991), and Y. Hasegawa and P. Avouris,
    PRL 71, 1071 (1993).

    Parameters
    ----------
    distance_nm : array, (rows, columns)
        Distance from the wall, not negative.

    Returns
    -------
    array, (rows, columns)
        In states/(eV nm^2).
    """
    wave_number = SILVER.wave_number(BIAS_V, BROADENING_EV)
    # The real part is regular, but for the broadening; a pixel's tenth stands for zero.
    phase = 2 * wave_number * np.maximum(distance_nm, PIXEL_NM / 10)
    density = SILVER.mass / (4 * np.pi * HBAR2_OVER_2M)
    resolved = np.exp(-((wave_number * TIP_NM) ** 2))
    return np.asarray(-density * (resolved * scipy.special.hankel1(0, phase)).real)


def _scattered(count: int, seed: int) -> Defects:
    """Scatter defects over the map."""
    return scatter_defects(count, (SIDE_PX, SIDE_PX), [seed, 0], min_distance_px=3)


def _single(impurity: float, side: int) -> xr.DataArray:
    """Simulate the kernel of a point potential."""
    return single_defect(SILVER, shape=(side, side), impurity=impurity, **_CONDITIONS)


def _window(impurity: float) -> Image:
    """Simulate the kernel on the window that is extracted."""
    return np.asarray(_single(impurity, WINDOW_PX).values)


def _summed(defects: Defects, impurity: float) -> Image:
    """Sum kernels that reach over the whole map."""
    kernel = _single(impurity, 2 * SIDE_PX - 1)
    return np.asarray(observe(kernel, defects, (SIDE_PX, SIDE_PX)).values)


def _noisy(
    pattern: Image,
    marked: Defects,
    kernel: Image,
    seed: int,
    snr: float,
    *,
    wrong: Image | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> RobustnessMap:
    """Add a disturbance, and noise by the pattern's size: all maps of a seed have it alike."""
    counted = np.ones(pattern.shape, bool) if mask is None else mask
    extra = np.zeros_like(pattern) if wrong is None else wrong
    noise = np.random.default_rng([seed, 3]).standard_normal(pattern.shape)
    observation = pattern + extra + pattern.std() / np.sqrt(snr) * noise
    left_out = float(np.sqrt(np.mean(extra[counted] ** 2)) / pattern.std())
    return RobustnessMap(observation, kernel, marked, counted, left_out)
