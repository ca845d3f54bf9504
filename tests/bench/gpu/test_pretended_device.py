"""The pretended device: strict as a GPU, with the CPU's numbers, and counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qpi_kernels.bench.gpu.pretended_device import (
    DeviceMixError,
    counted_traffic,
    limited_memory,
)
from qpi_kernels.extraction import extract

METHODS = ("least_squares", "average", "bayes", "one_step")


def test_numbers_are_those_of_the_host(pretended: str) -> None:
    image = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    spectrum = torch.fft.rfft2(image.to(pretended))
    power = (spectrum * spectrum.conj()).real
    power[0].mul_(2)
    power += 1
    expected = torch.fft.rfft2(image).abs().square()
    expected[0] *= 2
    torch.testing.assert_close(power.cpu(), expected + 1)
    assert power.device == torch.device(pretended)


def test_arrays_of_two_devices_do_not_meet(pretended: str) -> None:
    there = torch.ones(3, device=pretended)
    with pytest.raises(DeviceMixError, match=r"\(3,\) of cpu"):
        there + torch.ones(3)
    with pytest.raises(RuntimeError, match="numpy"):
        there.numpy()
    assert (there * torch.tensor(2.0)).tolist() == [2, 2, 2]
    assert there[torch.tensor([0, 2])].device == torch.device(pretended)


def test_waiting_and_copying_are_counted(pretended: str) -> None:
    with counted_traffic() as traffic:
        values = torch.arange(4.0).to(pretended)
        total = values.square().sum()
        assert total > 3
        assert float(total) == 14.0
        values[1:].cpu()
    assert dict(+traffic.launches) == {"pow": 1, "sum": 1, "gt": 1}
    assert traffic.synchronisations == 3
    assert (traffic.copies_to_device, traffic.copies_to_host) == (1, 1)


def test_memory_is_counted_by_storage_and_may_run_out(pretended: str) -> None:
    with counted_traffic() as traffic:
        first = torch.zeros(1000, dtype=torch.float64, device=pretended)
        first[10:].view(9, -1)
        before = traffic.peak_bytes
        assert before == 8000
        del first
        torch.zeros(1000, dtype=torch.float64, device=pretended)
        assert traffic.peak_bytes == before
    with limited_memory(before), pytest.raises(torch.cuda.OutOfMemoryError):
        torch.zeros(10**6, device=pretended)


@pytest.mark.parametrize("method", METHODS)
def test_no_method_mixes_devices(pretended: str, method: str) -> None:
    """Refusals of a GPU; and the same kernel, whose draws may not depend on the device."""
    rng = np.random.default_rng(0)
    image, positions = rng.normal(size=(30, 32)), rng.uniform(3, 27, (5, 2))
    mask = rng.random(image.shape) > 0.1
    choice = {"kernel_shape": (9, 8), "method": method, "mask": mask, "background": "rows"}
    if method == "one_step":
        choice["samples"] = 2
    there = extract(image, positions, device=str(pretended), **choice)
    here = extract(image, positions, device="cpu", **choice)
    assert there.provenance["device"] == str(pretended)
    # Single precision in other batches; `bayes` fits its prior to what was drawn with it.
    for name, share in (("kernel", 1e-4), ("std", 1e-3)):
        ours, theirs = (np.asarray(getattr(one, name).values) for one in (there, here))
        assert np.abs(ours - theirs).max() < share * np.sqrt(np.square(theirs).mean())
