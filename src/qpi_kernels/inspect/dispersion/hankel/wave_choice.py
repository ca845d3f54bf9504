"""Choice between waves that scatter back and waves that do not, by chi-squared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import xarray as xr

from qpi_kernels.inspect.dispersion.counted_work import CountedWork
from qpi_kernels.inspect.dispersion.hankel.method import WaveNumbers, hankel_wave_numbers
from qpi_kernels.inspect.dispersion.models import Waves

__all__ = ["WaveChoice", "choose_waves"]

# Of shapes that do not hold each other, with as many parameters: a likelihood ratio of 150.
_MIN_DIFFERENCE = 10.0
_SHAPES = {"scalar": "H0^2", "helical": "H0^2 + H1^2", "integrated": "H0^2/r"}
_NAMES = {
    "scalar": "Waves that scatter back",
    "helical": "Waves that do not scatter back",
    "integrated": "Waves integrated over energies",
}


class WaveChoice(NamedTuple):
    """Which kind of waves fits best, and the sentence that says by how much."""

    kind: Waves
    note: str


def choose_waves(
    kinds: Sequence[Waves],
    kernel: xr.DataArray,
    std: xr.DataArray | None,
    radii_nm: tuple[float, float] | None,
    work: CountedWork,
) -> WaveChoice:
    """Choose the kind of waves that fits best on the same rings, with the same errors.

    Waves of the wrong kind leave out many rings for those of a core, and their misfit passes for
    errors that a ring's pixels share. So all are fitted to the rings of any, with the errors of
    pixels taken for independent; chi-squared of the better widens them where it is above 1.

    Parameters
    ----------
    kinds : sequence of str
        At least two.
    kernel, std, radii_nm, work
        As for `hankel_wave_numbers`.
    """

    def fit(kind: Waves, radii: tuple[float, float] | None) -> WaveNumbers:
        """Fit all biases with independent errors and no background."""
        return hankel_wave_numbers(
            kernel, std, waves=kind, radii_nm=radii, alike=False, background_nm=0.0, work=work
        )

    trials = [fit(kind, radii_nm) for kind in kinds]
    radii = [one.profiles["r"].values for one in trials]
    common = min(float(one[0]) for one in radii), float(radii[0][-1])
    sums, ratios = [], []
    for kind, trial in zip(kinds, trials, strict=True):
        same = trial if float(trial.profiles["r"][0]) == common[0] else fit(kind, common)
        line = same.profiles
        sums.append(float((((line["mean"] - line["fitted"]) / line["std"]) ** 2).sum()))
        ratios.append(float(same.table["chi2"].mean()))
    order = sorted(range(len(kinds)), key=sums.__getitem__)
    best, other = order[:2]
    excess = max(ratios[best], 1.0)
    kind, second = kinds[best], _SHAPES[kinds[other]]
    told = f"chi-squared {sums[best] / excess:.0f} against {sums[other] / excess:.0f} of {second}"
    if sums[other] - sums[best] < _MIN_DIFFERENCE * excess:
        shape = _SHAPES[kind]
        return WaveChoice(kind, f"The waves are undecided, {shape} were taken: {told}.")
    return WaveChoice(kind, f"{_NAMES[kind]} ({_SHAPES[kind]}) fit best: {told}.")
