"""Where a computation runs: device names for display, turned into torch devices."""

from __future__ import annotations

import torch

__all__ = ["DeviceError", "choose_device"]


class DeviceError(ValueError):
    """There is no such device here; the message names one that always works."""


def choose_device(name: str) -> torch.device:
    """Turn a device name into a device that exists here.

    Parameters
    ----------
    name : str
        ``auto`` (CUDA, else Apple's MPS, else CPU) or a torch device name.

    Raises
    ------
    DeviceError
        If there is no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DeviceError(f"the device {name!r} is not available here; use cpu or auto") from error
    return device
