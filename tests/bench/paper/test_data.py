"""The benchmark's data: the published protocol, split so that no test is trained on."""

from __future__ import annotations

import numpy as np
import pytest

from qpi_kernels.bench.paper.data import PaperData, paper_labels
from qpi_kernels.bench.paper.parameters import PaperParameters
from qpi_kernels.bench.paper.photographs import photograph_crops
from qpi_kernels.metrics import correlation
from qpi_kernels.simulate.datasets.protocol import PaperProtocol
from qpi_kernels.simulate.datasets.protocol_parameters import ProtocolParameters

FEW = PaperParameters(quick=True, kernels=20, observations=3, tests=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PaperData:
    folder = tmp_path_factory.mktemp("data") / "not made"
    made = PaperData(folder, FEW)
    events = list(made.make())
    assert [event.step for event in events] == list(range(1, 46))
    assert not folder.exists()
    return made


def keys(kernels: np.ndarray) -> set[bytes]:
    return {kernel.tobytes() for kernel in kernels.reshape(-1, 64, 64)}


def test_a_fifth_of_the_hundred_kernels_is_held_out() -> None:
    labels = [one for one in paper_labels(PaperParameters()).values() if one.fold]
    assert len(labels) == 100
    assert sum(one.split == "test" for one in labels) == 20
    assert {one.fold for one in labels if one.split == "test"} == {1, 2, 3, 4, 6}


def test_no_test_is_trained_on(data: PaperData) -> None:
    training = data.training()
    for name in ("ID", "OOD"):
        assert not keys(training.observations) & keys(data.tests(name).observations)
    assert not keys(training.kernels) & keys(data.tests("OOD").kernels)
    assert keys(training.kernels) == keys(data.tests("ID").kernels)
    assert training.observations.shape == (16, 3, 64, 64)
    assert data.tests("OOD").activations.shape == (4, 2, 64, 64)


def test_held_out_families_are_nowhere_in_training(data: PaperData) -> None:
    known = data.training(families_held_out=True)
    unknown = set(data.tests("families").families)
    assert unknown
    assert not unknown & set(known.families)
    assert unknown & set(data.training().families)


def test_kernels_without_symmetry_are_trained_on_only_when_asked(data: PaperData) -> None:
    assert 1 not in data.training().folds
    more = data.training(low_symmetry=True)
    assert (more.folds == 1).sum() == 20
    tests = data.tests("OOD 1-fold")
    assert len(tests) == 5
    assert not keys(tests.kernels) & keys(more.kernels)
    assert (data.tests("OOD 2-fold").folds == 2).all()


def test_data_are_those_of_the_protocol(data: PaperData, tmp_path) -> None:
    protocol = PaperProtocol(tmp_path, ProtocolParameters(kernels=20, observations=5))
    number = next(n for n, one in data.labels.items() if one.split == "train")
    made = protocol.simulate(number)
    (place,) = np.flatnonzero(
        [(one == made.clean[0]).all() for one in data.training().observations[:, 0]]
    )
    noisy = data.training(noisy=True)
    np.testing.assert_array_equal(noisy.observations[place], made.noisy[:3])
    marks = noisy.activations[place, 0].sum()
    assert 0 < marks <= (~np.isnan(made.positions_A[0, :, 0])).sum()


def test_kernels_sit_on_a_pixel_and_keep_their_symmetry(data: PaperData) -> None:
    kernels, folds = data.training().kernels, data.training().folds
    assert np.abs(kernels).max(axis=(1, 2)) == pytest.approx(1)
    even = kernels[np.isin(folds, (0, 2, 4))][:, 1:, 1:]
    assert (correlation(even, even[:, ::-1, ::-1]) > 0.99).all()


def test_crops_of_photographs() -> None:
    crops = photograph_crops(20, seed=1)
    assert crops.shape == (20, 64, 64)
    assert np.abs(crops).max(axis=(1, 2)) == pytest.approx(1)
    assert crops.mean(axis=(1, 2)) == pytest.approx(0, abs=1e-5)
    np.testing.assert_array_equal(crops, photograph_crops(20, seed=1))
    assert (crops != photograph_crops(20, seed=2)).any()
