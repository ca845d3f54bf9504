"""Kernels of one device beside those of another: every method, and the ways through the code."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from qpi_kernels.bench.gpu.report import GpuRow
from qpi_kernels.bench.speed.problems import Task, blind_map, coloured_map, family_map, ring_stack
from qpi_kernels.bench.speed.timed_run import run_within
from qpi_kernels.result import KernelResult

__all__ = ["EQUALITY_AIMS", "equality_row", "equality_tasks"]

EQUALITY_AIMS = {"kernel_max": 1e-4, "std_max": 1e-3}
"""Largest differences that are meant, over the root mean square of kernel and std."""


def equality_tasks(quick: bool, *, learned: bool) -> Iterator[tuple[str, Callable[[], Task]]]:
    """Name what is compared, with the functions that make the maps.

    Parameters
    ----------
    quick : bool
        Tiny maps.
    learned : bool
        Also the prior ``learned``, whose forward derivatives a pretended device has not.
    """
    side, window, count = (48, 15, 8) if quick else (128, 32, 15)

    def plain() -> Task:
        return family_map(side, window, count)

    def hard() -> Task:
        mask = np.random.default_rng(3).random((side, side)) > 0.2
        choice = {"mask": mask, "symmetry": "C2", "background": "rows+quadratic"}
        return family_map(side, window, 2 * count, kinds=2).asked(**choice)

    for method in ("least_squares", "average", "bayes", "two_step", "one_step"):
        yield method, lambda method=method: plain().asked(method=method)  # type: ignore[misc]
    yield "least_squares, two kinds, mask, C2, rows", lambda: hard().asked(method="least_squares")
    yield "bayes, two kinds, mask, C2, rows", hard
    yield "bayes, turned C6v", lambda: plain().asked(symmetry="C6v@10")
    yield "bayes, coloured noise", lambda: coloured_map(side, window, count)
    yield "bayes, smooth waves", lambda: plain().asked(prior="smooth")
    yield "bayes, moved defects", lambda: plain().asked(refine="positions")
    for noise in ("own", "shared"):
        yield (
            f"bayes, stack of 3 biases, {noise} noise",
            lambda noise=noise: ring_stack(side, window, count, 3, noise),  # type: ignore[misc]
        )
    yield "blind", lambda: blind_map(48 if quick else 96, 11 if quick else 21, 5 if quick else 8)
    if learned:
        yield "bayes, learned", lambda: plain().asked(prior="learned")


def equality_row(
    name: str, make: Callable[[], Task], device: str, beside: str, limit: float
) -> GpuRow:
    """Extract on both devices and compare kernels and standard deviations."""
    row = GpuRow(group="equality", name=name, aims=EQUALITY_AIMS)
    task = make()
    here = run_within(lambda: task.start(beside), limit, beside)
    row.numbers["beside_s"] = here.seconds
    there = run_within(lambda: task.start(device), limit, device)
    row.numbers["device_s"] = there.seconds
    row.numbers |= _differences(there.result, here.result)
    row.notes += [str(note) for note in there.result.provenance.get("device_notes", [])]
    row.notes += _priors(there.result, here.result)
    return row


def _differences(found: KernelResult, expected: KernelResult) -> dict[str, float]:
    """Compare two results: largest and rms difference over the rms of what is expected."""
    numbers = {}
    for name in ("kernel", "std"):
        ours, theirs = (np.asarray(getattr(one, name).values, float) for one in (found, expected))
        if ours.shape != theirs.shape:
            raise ValueError(f"the {name} has the shape {ours.shape}, not {theirs.shape}")
        size = np.sqrt(np.square(theirs).mean())
        away = np.abs(ours - theirs) / max(float(size), 1e-300)
        numbers[f"{name}_max"] = float(away.max())
        numbers[f"{name}_rms"] = float(np.sqrt(np.square(away).mean()))
    return numbers


def _priors(found: KernelResult, expected: KernelResult) -> list[str]:
    """Say where the two chose unlike priors."""
    pairs = zip(
        found.provenance.get("priors", []), expected.provenance.get("priors", []), strict=True
    )
    return [
        f"prior {ours['prior']!r}, beside {theirs['prior']!r}"
        for ours, theirs in pairs
        if ours["prior"] != theirs["prior"]
    ]
