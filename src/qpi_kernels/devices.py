"""Devices of a computation: names for display, turned into torch devices."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import torch

__all__ = [
    "AUTO_DEVICE",
    "DeviceError",
    "choose_device",
    "full_precision",
    "ran_out_of_memory",
]

AUTO_DEVICE = "NAPARI_QPI_DEVICE"
"""Environment variable with the name of the device that ``auto`` stands for."""

# Besides torch's own allocator those of cuFFT, cuBLAS and cuSOLVER may run out, and Apple's.
_OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED")


class DeviceError(ValueError):
    """There is no such device here; the message names one that always works."""


def choose_device(name: str) -> torch.device:
    """Turn a device name into a device that exists here.

    Parameters
    ----------
    name : str
        ``auto`` (that of `AUTO_DEVICE` if it is set, else CUDA, Apple's MPS or the CPU) or a torch
        device name.

    Raises
    ------
    DeviceError
        If there is no such device.
    """
    if name == "auto":
        name = os.environ.get(AUTO_DEVICE, "").strip() or name
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        if ran_out_of_memory(error):
            return device
        raise DeviceError(f"the device {name!r} is not available here; use cpu or auto") from error
    return device


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 products and convolutions with all their digits in this block.

    Without it CUDA convolves in TF32, with three digits. The setting belongs to the process, so
    a training beside it may lose its TF32 for a moment.
    """
    if not torch.cuda.is_available():
        yield
        return
    _use_old_settings_once()
    cudnn: Any = torch.backends.cudnn
    matmul = torch.backends.cuda.matmul
    full: str | bool
    settings, name, full = [matmul, cudnn], "allow_tf32", False
    try:
        before = [getattr(one, name) for one in settings]
    except RuntimeError:  # someone uses the settings of newer releases, which exclude these
        settings, name, full = [matmul, cudnn.conv, cudnn.rnn], "fp32_precision", "ieee"
        before = [getattr(one, name) for one in settings]
    for one in settings:
        setattr(one, name, full)
    try:
        yield
    finally:
        for one, value in zip(settings, before, strict=True):
            setattr(one, name, value)


@cache
def _use_old_settings_once() -> None:
    """Use the settings of TF32 that every release has; some releases warn of them, once."""
    with warnings.catch_warnings(), suppress(RuntimeError):
        warnings.simplefilter("ignore")
        torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32


def ran_out_of_memory(error: BaseException) -> bool:
    """Tell that a device other than the CPU had no memory left."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)
