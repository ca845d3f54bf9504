"""Cost of least squares beside the FFTs it cannot do without, and of a cube beside a map."""

from __future__ import annotations

from qpi_kernels.bench.speed.problems import family_map, ring_stack
from qpi_kernels.bench.speed.report import SpeedRow
from qpi_kernels.bench.speed.timed_run import run_with_peak, run_within
from qpi_kernels.bench.speed.timing import alternate
from qpi_kernels.bench.speed.yardsticks import time_extraction

__all__ = ["extraction_rows"]

_LIMIT_S = 300.0


def extraction_rows(
    repeats: int = 7, *, size: tuple[int, int, int] = (256, 64, 30), biases: int = 100
) -> list[SpeedRow]:
    """Measure least squares on one map and on a cube.

    Parameters
    ----------
    repeats : int
        Timed repetitions of the single map and of its FFTs; the median counts.
    size : tuple of int
        Pixels of the map's and of the kernel's side, and number of defects.
    biases : int
        Of the cube.

    Returns
    -------
    list of SpeedRow
        Least squares with automatic ridge against the FFTs of one conjugate-gradient solution
        (two forward and two backward transforms per iteration), a cube against one map, and the
        cube's peak of additional memory against the cube's own size.
    """
    single = family_map(*size).least_squares()
    time = time_extraction(single, repeats=repeats)
    cube = ring_stack(*size, biases).least_squares()
    one = cube.alone()[0]
    _, memory = run_with_peak(lambda: cube.start("cpu"), _LIMIT_S, "cpu")
    peak, size_mib = memory["host_peak_mib"], cube.observation.nbytes / 2**20
    whole, part = alternate(
        lambda: run_within(lambda: cube.start("cpu"), _LIMIT_S, "cpu"),
        lambda: run_within(lambda: one.start("cpu"), _LIMIT_S, "cpu"),
        3,
    )
    return [
        SpeedRow(
            claim="least_squares with automatic ridge / FFTs of one solution",
            measured=time.seconds / time.transforms_s,
            limit=5.0,
            detail=f"{1e3 * time.seconds:.0f} ms / {1e3 * time.transforms_s:.0f} ms "
            f"({time.iterations} iterations)",
        ),
        SpeedRow(
            claim=f"cube of {biases} biases / one map",
            measured=whole / part,
            limit=0.4 * biases,
            detail=f"{whole:.2f} s / {1e3 * part:.0f} ms",
        ),
        SpeedRow(
            claim="peak additional memory of the cube / the cube",
            measured=peak / size_mib,
            limit=6.0,
            detail=f"{peak:.0f} MiB / {size_mib:.0f} MiB",
        ),
    ]
