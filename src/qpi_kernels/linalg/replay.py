"""`Replay`: a fixed sequence of tensor operations, on CUDA as one graph."""

from __future__ import annotations

import gc
from collections.abc import Callable
from threading import Lock

import torch

__all__ = ["Replay"]

# Calls that run as they are: libraries make their plans and work space in them.
_WARM_UP = 1
# Waiting for a device while it records for another thread is an error.
_RECORDING = Lock()


class Replay:
    """Repeat a sequence of operations on tensors that stay in place, with one launch on CUDA.

    A solver's iteration is some forty small kernels, which take longer to launch than to run. On
    CUDA the second call records them as a graph and replays it, as later calls do; elsewhere each
    call runs the sequence.

    Parameters
    ----------
    device : torch.device
        Where the tensors live.
    """

    def __init__(self, device: torch.device) -> None:
        self._calls = 0
        self._on_cuda = device.type == "cuda"
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, body: Callable[[], None]) -> None:
        """Run the sequence once.

        Parameters
        ----------
        body : callable
            The same each time, without arguments and result. It reads and writes the same tensors,
            and takes no decision that depends on their values.
        """
        if self._on_cuda and self._calls == _WARM_UP:
            self._graph = _record(body)
        self._calls += 1
        if self._graph is None:
            body()
        else:
            self._graph.replay()


def _record(body: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """Record the sequence, which does not run meanwhile."""
    with _RECORDING:
        return _recorded(body)


def _recorded(body: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """Record the sequence while no other thread records."""
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    # A graph of an earlier solver that is freed meanwhile would spoil the recording.
    collecting = gc.isenabled()
    gc.disable()
    try:
        # Other threads may use the device at the same time.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            body()
    finally:
        if collecting:
            gc.enable()
    return graph
