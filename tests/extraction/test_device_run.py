"""Extraction on a device that is too small: smaller batches, then the CPU, and it is said."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

from qpi_kernels.bench.gpu.pretended_device import counted_traffic, limited_memory
from qpi_kernels.devices import full_precision, ran_out_of_memory
from qpi_kernels.extraction import extract
from qpi_kernels.progress import Event
from qpi_kernels.result import KernelResult


def extracted(device: str, method: str = "least_squares") -> tuple[KernelResult, list[str]]:
    gc.collect()  # what earlier tests left on the device counts, too
    rng = np.random.default_rng(0)
    stack, positions = rng.normal(size=(12, 40, 40)), rng.uniform(5, 35, (6, 2))
    events: list[Event] = []
    choice = {"method": method, "kernel_shape": (9, 9), "on_event": events.append}
    result = extract(stack, positions, device=device, **choice)
    return result, [event.message for event in events]


def test_a_small_device_gets_smaller_batches_then_the_cpu_takes_over(pretended: str) -> None:
    here, _ = extracted("cpu")
    with counted_traffic() as traffic:
        there, messages = extracted(pretended)
    assert "device_notes" not in there.provenance
    assert not any("memory" in message for message in messages)
    for share, used, count in ((2, pretended, 1), (20, "cpu", 2)):
        with limited_memory(traffic.peak_bytes // share):
            found, messages = extracted(pretended)
        assert found.provenance["device"] == used
        notes = found.provenance["device_notes"]
        assert len(notes) == count
        assert "smaller batches" in notes[0]
        assert count == 1 or "on the CPU" in notes[1]
        assert sum("ran out of memory" in message for message in messages) == count
        np.testing.assert_allclose(found.kernel, here.kernel, rtol=1e-8, atol=1e-10)


def test_no_memory_at_all(pretended: str) -> None:
    with limited_memory(0):
        result, _ = extracted(pretended, "average")
    assert result.provenance["device"] == "cpu"


def test_only_a_want_of_memory_of_a_device_counts() -> None:
    assert ran_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    assert ran_out_of_memory(RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"))
    assert not ran_out_of_memory(RuntimeError("a matrix is singular"))
    assert not ran_out_of_memory(MemoryError())


def test_full_precision_leaves_the_settings_as_they_were() -> None:
    before = torch.backends.cudnn.allow_tf32
    with full_precision():
        assert not (torch.cuda.is_available() and torch.backends.cudnn.allow_tf32)
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_with_little_memory_left() -> None:
    rng = np.random.default_rng(0)
    stack, positions = rng.normal(size=(40, 256, 256)), rng.uniform(5, 250, (6, 2))
    choice = {"method": "least_squares", "kernel_shape": (31, 31)}
    here = extract(stack, positions, device="cpu", **choice)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    room = torch.cuda.memory_reserved() + 100 * 2**20
    torch.cuda.set_per_process_memory_fraction(room / total)
    try:
        there = extract(stack, positions, device="cuda", **choice)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "smaller batches" in there.provenance["device_notes"][0]
    np.testing.assert_allclose(there.kernel, here.kernel, rtol=1e-4, atol=1e-4)
