"""The library of simulated kernels: made, kept, read, refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from qpi_kernels.models import ModelFormatError
from qpi_kernels.models.kernel_prior import KernelPrior, bundled_prior
from qpi_kernels.simulate.kernel_sampler import KernelSampler
from qpi_kernels.train.prior_fit import PriorFit

FAMILIES = ["free_electrons", "warped_four_fold"]


@pytest.fixture(scope="module")
def prior() -> KernelPrior:
    fit = PriorFit(KernelSampler(FAMILIES, shape=(32, 32), seed=3), count=128, components=60)
    while not fit.done:
        fit.step()
    return fit.result


def test_components_hold_the_kernels_they_are_made_of(prior: KernelPrior) -> None:
    library = KernelSampler(FAMILIES, shape=(32, 32), seed=3)
    flat = prior.basis.reshape(len(prior.basis), -1)
    for true in library.values(library.variants(0, 4)):
        found = (flat @ true.ravel()) @ flat
        assert np.corrcoef(found, true.ravel())[0, 1] > 0.98
    assert np.square(prior.spread).sum() == pytest.approx(1.0, abs=0.03)
    np.testing.assert_allclose(flat @ flat.T, np.eye(len(flat)), atol=1e-5)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    fit = PriorFit(KernelSampler(FAMILIES, shape=(32, 32), seed=3), count=256, components=150)
    while not fit.done:
        fit.step()
    prior = fit.result
    again = KernelPrior.load(prior.save(tmp_path / "library.safetensors"))
    np.testing.assert_array_equal(again.spread, prior.spread)
    np.testing.assert_allclose(again.basis[:128], prior.basis[:128], atol=1e-3)
    np.testing.assert_allclose(again.basis[128:], prior.basis[128:], atol=5e-3)
    assert again.description["families"] == FAMILIES


def test_the_bundled_one_knows_kernels_it_was_not_made_of() -> None:
    prior = bundled_prior()
    basis = prior.basis.reshape(len(prior.basis), -1)
    unseen = KernelSampler(seed=4)
    lost = []
    for number in range(16):
        true = unseen.kernel(number).values.ravel()
        left = true - (basis @ true) @ basis
        lost.append(np.linalg.norm(left) / np.linalg.norm(true))
    assert np.median(lost) < 0.02


def test_other_files_are_refused(prior: KernelPrior, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"basis": prior.basis}, path)
    with pytest.raises(ModelFormatError, match="no library"):
        KernelPrior.load(path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ModelFormatError, match="no usable library"):
        KernelPrior.load(path)
    damaged = replace(prior, spread=prior.spread[:-1]).save(tmp_path / "damaged.safetensors")
    with pytest.raises(ModelFormatError, match="do not fit together"):
        KernelPrior.load(damaged)


def test_another_window_keeps_the_centre_and_the_size(prior: KernelPrior) -> None:
    whole, scale = prior.components_on((32, 32))
    cropped, scale = prior.components_on((20, 25))
    assert scale == 1.0
    np.testing.assert_array_equal(cropped[:, 10, 12], whole[:, 16, 16])
    stretched, scale = prior.components_on((64, 64))
    assert scale == 2.0
    np.testing.assert_allclose(2 * stretched[:3, 32, 32], whole[:3, 16, 16], atol=0.02)
    size = np.linalg.norm(stretched[:3], axis=(1, 2))
    np.testing.assert_allclose(size, np.linalg.norm(whole[:3], axis=(1, 2)), rtol=0.05)
