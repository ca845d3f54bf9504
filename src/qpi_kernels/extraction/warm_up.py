"""`warm_up`: what the first extraction of a process would wait for, done beforehand."""

from __future__ import annotations

import threading
from contextlib import suppress
from importlib import import_module

import numpy as np

from qpi_kernels.extraction.extract import extract
from qpi_kernels.extraction.registry import DEFAULT_METHOD
from qpi_kernels.progress import CancelToken

__all__ = ["start_warm_up", "warm_up"]

# Imported one after the other, so that a cancel need not wait for all; each a second or less.
_LIBRARIES = ("torch", "scipy.ndimage", "scipy.linalg", "dask.array")
_IMAGE, _KERNEL = 16, 8

_ready = threading.Event()


def warm_up(
    method: str = DEFAULT_METHOD, *, device: str = "auto", cancel: CancelToken | None = None
) -> None:
    """Extract a kernel from a tiny map of noise, so that the next extraction begins at once.

    That imports the libraries, reads the simulated kernels, and on a GPU creates its context and
    its handles of FFTs and linear algebra. Results are the same with it and without.

    Parameters
    ----------
    method, device : str
        As in `qpi_kernels.extract`.
    cancel : CancelToken, optional
        Stops it from another thread, after the library that is being imported.

    Raises
    ------
    ExtractionError
        If there is no such method or device.
    Cancelled
        If ``cancel`` was used.
    """
    cancel = cancel or CancelToken()
    for name in _LIBRARIES:
        cancel.check()
        import_module(name)
    noise = np.random.default_rng(0).normal(size=(_IMAGE, _IMAGE))
    extract(
        noise,
        [(_IMAGE // 2, _IMAGE // 2)],
        method=method,
        kernel_shape=(_KERNEL, _KERNEL),
        device=device,
        cancel=cancel,
    )


def start_warm_up() -> CancelToken:
    """Start `warm_up` in a thread, unless this process has done it; errors are not told.

    Returns
    -------
    CancelToken
        Stops it, for when nothing is to be extracted after all.
    """
    cancel = CancelToken()
    if not _ready.is_set():
        # No daemon: an interpreter that ends while a library is being loaded would crash.
        threading.Thread(target=_warm_up_silently, args=(cancel,), name="warm-up").start()
    return cancel


def _warm_up_silently(cancel: CancelToken) -> None:
    """Warm up; what fails here fails again, with its message, in the extraction itself."""
    with suppress(Exception):
        warm_up(cancel=cancel)
        _ready.set()
