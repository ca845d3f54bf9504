"""`LossQueue`: losses on their way from the device, read without waiting for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import torch

__all__ = ["LossQueue"]

# Steps that may be queued on a GPU before the program waits for it.
_AHEAD = 8


class LossQueue:
    """Read the losses of steps as they are done.

    On a GPU steps are queued faster than they are computed, and reading a number would wait for
    its step. So numbers are copied when they are ready, and what is read belongs to a step up to
    eight steps ago. On a CPU they are read at once.
    """

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._waiting: deque[tuple[torch.Tensor, torch.cuda.Event]] = deque()
        self._latest: list[float] = []

    def put(self, losses: Mapping[str, torch.Tensor]) -> None:
        """Take the losses of a step: scalars on the device that computed them."""
        self._names = tuple(losses)
        values = torch.stack([value.detach().float() for value in losses.values()])
        if values.device.type != "cuda":
            self._latest = values.tolist()
            return
        copied = torch.empty(values.shape, pin_memory=True)
        copied.copy_(values, non_blocking=True)
        ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
        ready.record()
        self._waiting.append((copied, ready))

    def read(self, *, wait: bool = False) -> dict[str, float]:
        """Return the losses of the last step that is done.

        Parameters
        ----------
        wait : bool
            Wait for the last step that was put.

        Returns
        -------
        dict
            A value that is no number stays: no later step replaces it.
        """
        while self._waiting and (
            wait or len(self._waiting) > _AHEAD or not self._latest or self._waiting[0][1].query()  # type: ignore[no-untyped-call]
        ):
            copied, ready = self._waiting.popleft()
            ready.synchronize()
            if all(map(_finite, self._latest)):
                self._latest = copied.tolist()
        return dict(zip(self._names, self._latest, strict=bool(self._latest)))


def _finite(value: float) -> bool:
    return value - value == 0.0
