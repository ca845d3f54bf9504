"""Data sets become batches by number; what is held out is never trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from qpi_kernels import simulate
from qpi_kernels.models.representation import KernelRepresentation
from qpi_kernels.progress import drive
from qpi_kernels.simulate.datasets.observations import paper_activation
from qpi_kernels.simulate.datasets.protocol import protocol_labels
from qpi_kernels.train.dataset_batches import DatasetBatches, DatasetSplit, folds_of_labels
from qpi_kernels.train.parameters import TrainingError
from qpi_kernels.train.symmetric_loss import symmetric_loss

KERNELS, SAMPLES = 5, 4


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Kernels whose first pixel tells their number, observations that tell theirs."""
    rng = np.random.default_rng(seed)
    kernels = rng.uniform(-1, 1, (KERNELS, 8, 8)).astype(np.float32)
    kernels[:, 0, 0] = np.arange(KERNELS) / 10
    kernels[:, 4, 4] = 2.0
    observations = np.broadcast_to(
        np.arange(KERNELS * SAMPLES, dtype=np.float32).reshape(KERNELS, SAMPLES, 1, 1),
        (KERNELS, SAMPLES, 8, 8),
    )
    return {
        "kernels": kernels,
        "observations": observations,
        "activations": observations > 3,
        "folds": np.array([0, 1, 2, 4, 6]),
    }


def batches(**changes: object) -> DatasetBatches:
    return DatasetBatches(**{**arrays(), "batch_size": 4, "steps": 10, "seed": 7, **changes})  # type: ignore[arg-type]


def numbers(made: DatasetBatches, steps: range) -> list[int]:
    """Numbers of the observations in batches."""
    return [
        round(value)
        for step in steps
        for value in (2 * made[step]["observation"][:, 0, 0, 0]).tolist()
    ]


def test_an_epoch_has_every_sample_once_and_the_next_another_order() -> None:
    first, second = numbers(batches(), range(5)), numbers(batches(), range(5, 10))
    assert sorted(first) == sorted(second) == list(range(KERNELS * SAMPLES))
    assert first != second


def test_a_batch_is_the_same_whoever_asks() -> None:
    once, again = batches()[7], batches()
    _ = again[2]
    assert all(torch.equal(value, again[7][name]) for name, value in once.items())  # type: ignore[literal-required, arg-type]
    assert numbers(batches(seed=8), range(5)) != numbers(batches(), range(5))


def test_processes_share_the_global_batch() -> None:
    shares = [batches(rank=rank, processes=2) for rank in (0, 1)]
    together = [
        number
        for step in range(3)
        for one in shares
        for number in numbers(one, range(step, step + 1))
    ]
    assert together == numbers(batches(), range(3))


def test_parts_of_a_sample_belong_together_in_units_of_the_kernel() -> None:
    batch = batches()[0]
    assert float(batch["kernel"].abs().amax()) == pytest.approx(1.0)
    observed = 2 * batch["observation"][:, 0, 0, 0]
    kernel = torch.round(20 * batch["kernel"][:, 0, 0, 0])
    assert torch.equal(kernel, observed.div(SAMPLES, rounding_mode="floor"))
    assert torch.equal(batch["activation"][:, 0, 0, 0], (observed > 3).float())
    assert batch["fold"].tolist() == [[0, 1, 2, 4, 6][int(number)] for number in kernel]


def test_kernels_alone_have_no_observations() -> None:
    made = batches(observations=None, activations=None)
    assert made.samples == KERNELS
    assert made[0].keys() == {"kernel", "fold"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"observations": None}, "go together"),
        ({"activations": np.zeros((5, 4, 8, 7))}, r"must be \(5, S"),
        ({"folds": [1, 2]}, "must be"),
        ({"processes": 3}, "does not divide"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        batches(**changes)


def test_a_fifth_is_held_out_by_the_seed() -> None:
    split = DatasetSplit.draw(100, 500, seed=1)
    assert [len(part) for part in (split.kernels, split.held_out_kernels)] == [80, 20]
    assert [len(part) for part in (split.observations, split.held_out_observations)] == [250, 62]
    assert not set(split.kernels) & set(split.held_out_kernels)
    assert not set(split.observations) & set(split.held_out_observations)
    assert split == DatasetSplit.draw(100, 500, seed=1) != DatasetSplit.draw(100, 500, seed=2)
    with pytest.raises(TrainingError, match="two kernels"):
        DatasetSplit.draw(1, 500)


def test_labels_of_data_sets_are_not_ours() -> None:
    assert folds_of_labels([1, 0, 2, 3, 4, 6]).tolist() == [0, 1, 2, 3, 4, 6]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    folder = tmp_path_factory.mktemp("protocol")
    parameters = simulate.ProtocolParameters(kernels=3, observations=4, layout="netcdf")
    drive(simulate.PaperProtocol(folder, parameters))
    return simulate.read_qpi_dataset(folder)


def test_a_data_set_is_read_with_the_published_activation(dataset: xr.Dataset) -> None:
    made = DatasetBatches.of_dataset(dataset, (0, 2), (1, 3), batch_size=4, steps=1)
    peak = float(np.abs(made.kernels[1]).max())
    np.testing.assert_allclose(made.observations[1, 0], dataset.observation_noisy[2, 1])  # type: ignore[index]
    np.testing.assert_array_equal(made.activations[1, 1], paper_activation(dataset, 2, 3))  # type: ignore[index]
    batch = made[0]
    at = made.folds.tolist().index(folds_of_labels(dataset.fold[2].values[None])[0])
    assert at in (0, 1)
    assert any(
        np.allclose(peak * image[0].numpy(), dataset.observation_noisy[2, 1], atol=1e-5)
        for image in batch["observation"]
    )
    clean = DatasetBatches.of_dataset(dataset, (0,), (0,), batch_size=1, steps=1, noisy=False)
    np.testing.assert_allclose(clean.observations[0, 0], dataset.observation[0, 0])  # type: ignore[index]


def test_kernels_of_data_sets_are_moved_onto_a_pixel(dataset: xr.Dataset) -> None:
    made = DatasetBatches.of_dataset(dataset, (0, 1, 2), None, batch_size=3, steps=1)
    labels = protocol_labels(
        simulate.ProtocolParameters(kernels=3, observations=4, layout="netcdf")
    )
    pixel_nm = float(dataset.x[1] - dataset.x[0])
    inside = slice(4, -4)
    for number, label, found in zip(labels, labels.values(), made.kernels, strict=True):
        library = simulate.KernelSampler([label.family], shape=(64, 64), pixel_nm=pixel_nm, seed=0)
        (true,) = library.values([library.recipe(number)])
        scale = np.vdot(true, found) / np.vdot(true, true)
        away = np.abs(found / scale - true)[inside, inside].max() / np.abs(true).max()
        before = np.abs(dataset.kernel_true[number - 1].values / scale - true)[inside, inside]
        assert away < 0.02 < 0.1 < before.max() / np.abs(true).max()


def test_kernels_of_data_sets_have_the_symmetry_that_their_labels_tell(
    dataset: xr.Dataset,
) -> None:
    made = DatasetBatches.of_dataset(dataset, (0, 1, 2), None, batch_size=3, steps=1)
    batch = made[0]
    shown = KernelRepresentation(kind="min_max").encode(batch["kernel"])
    for kernel, fold in zip(shown, batch["fold"], strict=True):
        assert float(symmetric_loss(kernel[None], kernel[None], fold[None])) < 1e-4


def test_a_kernel_that_is_on_a_pixel_stays_as_it_is(dataset: xr.Dataset) -> None:
    odd = dataset.isel(x=slice(0, 63), y=slice(0, 63)).assign_attrs(kernel_centre_px=(31.0, 31.0))
    made = DatasetBatches.of_dataset(odd, (0, 1), None, batch_size=2, steps=1)
    np.testing.assert_array_equal(made.kernels, odd.kernel_true[:2].astype(np.float32))


def test_labels_of_kernels_decide_the_split(dataset: xr.Dataset, tmp_path: Path) -> None:
    labelled = dataset.assign(split=("kernel", ["test", "train", "train"]))
    split = DatasetSplit.of_dataset(labelled, seed=5)
    assert (split.kernels, split.held_out_kernels) == ((1, 2), (0,))
    without = dataset.drop_vars("split", errors="ignore")
    assert DatasetSplit.of_dataset(without, seed=5) == DatasetSplit.draw(3, 4, seed=5)
