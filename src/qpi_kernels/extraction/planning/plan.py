"""`plan`: the kernel's error of a map that is not measured yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from qpi_kernels.defects import Defects
from qpi_kernels.progress import CancelToken, Event, drive

if TYPE_CHECKING:
    import xarray as xr

    from qpi_kernels.extraction.planning.expected_kernels import ExpectedPrior
    from qpi_kernels.extraction.planning.map_plan import MapPlan

__all__ = ["plan"]


def plan(
    defects: Defects | ArrayLike,
    shape: tuple[int, int],
    pixel_nm: float,
    kernel_shape: tuple[int, int],
    *,
    noise: float,
    prior: ExpectedPrior = "library",
    signal: float | None = None,
    biases: int = 1,
    time_per_pixel_s: float = 1.0,
    measured: ArrayLike | xr.DataArray | None = None,
    rehearsals: int = 2,
    seed: int = 0,
    on_event: Callable[[Event], object] | None = None,
    cancel: CancelToken | None = None,
    **fields: Any,
) -> MapPlan:
    r"""Predict the error of the kernel that a map will give, before it is measured.

    What a map tells depends on where the defects are, on the noise and on what is expected of the
    kernel. The measurement is rehearsed: maps with these defects and this noise are simulated from
    kernels as expected, and their kernels extracted by the method that will be used. The noise of
    a pixel falls as one over the root of the integration time.

    Parameters
    ----------
    defects : Defects or array, (N, 2)
        Positions (row, col), in pixels of the planned map, possibly outside of it.
    shape : tuple of int
        (rows, columns) of the map.
    pixel_nm : float
        Pixel pitch, in nm.
    kernel_shape : tuple of int
        (h, w) of the kernel window, in pixels.
    noise : float
        Standard deviation of the noise of a pixel, in the map's units, at `time_per_pixel_s`.
    prior : KernelResult, DataArray, array, str or sequence of str
        What is known of the kernel. A result or an array, such as that of a quick map or of the
        topograph, is the best guess: the plan is as good as the kernel is alike. Else the names of
        families of simulated kernels (`qpi_kernels.simulate.families.FAMILIES`), or ``library``,
        which is some of all: a wide guess. Arrays without coordinates have the map's pixels.
    signal : float, optional
        Root mean square of the kernel over the window, in the map's units; that of `prior` when
        left out. Simulated kernels need it.
    biases : int
        Planes that are measured at each pixel, with `time_per_pixel_s` each. A prior of several
        biases is rehearsed as a stack, and then sets the number.
    time_per_pixel_s : float
        Integration time of a pixel and bias, in s.
    measured : array of bool, (rows, columns), optional
        True where the map is to be measured, see `propose_pixels`; everywhere when left out.
    rehearsals : int
        Maps that are simulated at each of three integration times.
    seed : int
        Of noise and simulated kernels.
    on_event, cancel
        As in `qpi_kernels.extract`.
    **fields
        Parameters of the extraction, such as ``method`` or ``symmetry``; `bayes` when left out.

    Returns
    -------
    MapPlan
        The error as a whole, in bands of scattering vectors, and against time.

    Raises
    ------
    ExtractionError
        If parameters do not fit together; the message says what to change.

    Notes
    -----
    Noise is white, positions are exact, and waves end at the window. What breaks that (drift, a
    tip change, unmarked defects, a second kind) is not foreseen.

    Examples
    --------
    >>> import numpy as np
    >>> from qpi_kernels.extraction import plan
    >>> spot = np.exp(-np.square(np.indices((9, 9)) - 4).sum(axis=0) / 4.0)
    >>> found = plan([(20, 12), (9, 25)], (32, 32), 0.1, (9, 9), noise=0.01, prior=spot)
    >>> found.error < 0.1
    True
    """
    # Here, because it imports torch, and the name is public.
    from qpi_kernels.extraction.planning.map_planning import MapPlanning
    from qpi_kernels.threads import OneThreadStepper

    def start() -> MapPlanning:
        """Check the arguments."""
        return MapPlanning(
            defects,
            shape,
            pixel_nm,
            kernel_shape,
            noise=noise,
            expected=prior,
            signal=signal,
            biases=biases,
            time_per_pixel_s=time_per_pixel_s,
            measured=measured,
            rehearsals=rehearsals,
            seed=seed,
            **fields,
        )

    return drive(OneThreadStepper(start), on_event, cancel)
