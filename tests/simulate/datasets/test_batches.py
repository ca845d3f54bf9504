"""Training batches: made on the spot, the same for every way of asking."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch
from torch.utils.data import DataLoader

from qpi_kernels import simulate

LIBRARY = simulate.KernelSampler(
    ["free_electrons", "elliptic", "square_lattice"], shape=(32, 32), seed=1
)
SMALL = simulate.BatchParameters(
    kernel_shape=(24, 24), image_shape=(40, 36), variants=2, observations=1
)


def batches(**options: int) -> simulate.SimulatedBatches:
    return simulate.SimulatedBatches(LIBRARY, SMALL, **{"batch_size": 4, "steps": 6, **options})


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]) or (
            torch.equal(value.isnan(), second[name].isnan())
            and torch.equal(value.nan_to_num(), second[name].nan_to_num())
        ), name


def test_shapes_and_units() -> None:
    batch = batches()[0]
    assert batch["kernel"].shape == (4, 1, 24, 24)
    assert batch["observation"].shape == batch["activation"].shape == (4, 1, 40, 36)
    assert batch["fold"].shape == (4,)
    assert float(batch["kernel"].abs().amax()) == 1.0
    assert all(batch[name].dtype == torch.float32 for name in ("kernel", "observation"))


def test_any_number_of_workers_gives_the_same_sequence() -> None:
    made = batches()
    alone, together = (
        list(DataLoader(made, batch_size=None, num_workers=workers)) for workers in (0, 2)
    )
    assert len(alone) == len(together) == 6
    for first, second in zip(alone, together, strict=True):
        assert_same(first, second)


def test_training_resumes_at_any_step() -> None:
    made = batches()
    resumed = next(iter(DataLoader(made, batch_size=None, sampler=range(4, 6))))
    assert_same(resumed, made[4])


def test_processes_share_a_global_batch() -> None:
    whole = batches()[3]
    shares = [batches(rank=rank, processes=2)[3] for rank in range(2)]
    joined = {name: torch.cat([share[name] for share in shares]) for name in whole}
    assert_same(joined, whole)


def test_the_batch_size_does_not_change_the_samples() -> None:
    small = [batches(batch_size=2)[step] for step in range(2)]
    joined = {name: torch.cat([batch[name] for batch in small]) for name in small[0]}
    assert_same(joined, batches()[0])


def test_an_observation_is_its_kernel_convolved_with_its_activation() -> None:
    quiet = SMALL.model_copy(
        update={
            "artefacts": simulate.Artefacts(),
            "placement": simulate.Placement(count=3, margin_px=-2.0),
        }
    )
    library = simulate.KernelSampler(LIBRARY.families, shape=(24, 24), seed=1)
    batch = simulate.SimulatedBatches(library, quiet, batch_size=4, steps=1)[0]
    for observation, activation, kernel in zip(
        batch["observation"], batch["activation"], batch["kernel"], strict=True
    ):
        full = scipy.signal.fftconvolve(activation[0].numpy(), kernel[0].numpy())
        expected = full[12 : 12 + 40, 12 : 12 + 36]
        np.testing.assert_allclose(observation[0], expected, atol=0.05)
        assert np.corrcoef(observation[0].ravel(), expected.ravel())[0, 1] > 0.999


def test_a_kernel_is_observed_several_times() -> None:
    twice = SMALL.model_copy(update={"observations": 2})
    batch = simulate.SimulatedBatches(LIBRARY, twice, batch_size=4, steps=1)[0]
    assert torch.equal(batch["kernel"][0], batch["kernel"][1])
    assert not torch.equal(batch["kernel"][1], batch["kernel"][2])
    assert not torch.equal(batch["activation"][0], batch["activation"][1])
    assert torch.equal(batch["kernel"][::2], batches()[0]["kernel"][:2])


def test_kernels_alone_need_no_image() -> None:
    alone = simulate.BatchParameters(kernel_shape=(24, 24), image_shape=None, variants=2)
    batch = simulate.SimulatedBatches(LIBRARY, alone, batch_size=4, steps=1)[0]
    assert batch.keys() == {"kernel", "fold"}
    assert torch.equal(batch["kernel"], batches()[0]["kernel"])


def test_what_can_not_be_divided_is_refused() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        batches(batch_size=6, processes=2)
    with pytest.raises(ValueError, match="window"):
        simulate.SimulatedBatches(LIBRARY, simulate.BatchParameters(kernel_shape=(64, 64)))
    with pytest.raises(IndexError, match="batches 0 to 5"):
        batches()[6]
