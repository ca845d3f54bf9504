"""The library of simulated kernels: made, kept, read, refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from qpi_kernels.models import ModelFormatError
from qpi_kernels.models.library_prior import LibraryPrior
from qpi_kernels.simulate.library import KernelLibrary
from qpi_kernels.train.library_fit import LibraryFit

FAMILIES = ["free_electrons", "warped_four_fold"]


@pytest.fixture(scope="module")
def prior() -> LibraryPrior:
    fit = LibraryFit(KernelLibrary(FAMILIES, shape=(32, 32), seed=3), count=128, components=60)
    while not fit.done:
        fit.step()
    return fit.result


def test_kernels_come_back(prior: LibraryPrior) -> None:
    library = KernelLibrary(FAMILIES, shape=(32, 32), seed=3)
    for number, true in enumerate(library.values(library.variants(0, 4))):
        coordinates = prior.kernels(np.array([number]))[0]
        found = np.tensordot(coordinates, prior.basis, 1)
        assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.99
        assert np.linalg.norm(found) == pytest.approx(1.0, abs=0.05)


def test_the_nearest_is_itself_whatever_its_sign_and_size(prior: LibraryPrior) -> None:
    kernel = np.tensordot(prior.kernels(np.array([17]))[0], prior.basis, 1)
    near = prior.nearest(-40 * kernel, 3)
    assert 17 in near
    assert len(near) == 3


def test_it_is_read_as_it_was_written(prior: LibraryPrior, tmp_path: Path) -> None:
    again = LibraryPrior.load(prior.save(tmp_path / "library.safetensors"))
    np.testing.assert_array_equal(again.coordinates, prior.coordinates)
    np.testing.assert_allclose(again.basis, prior.basis, atol=1e-3)
    assert again.description["families"] == FAMILIES


def test_other_files_are_refused(prior: LibraryPrior, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"basis": prior.basis}, path)
    with pytest.raises(ModelFormatError, match="no library"):
        LibraryPrior.load(path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ModelFormatError, match="no usable library"):
        LibraryPrior.load(path)
    damaged = replace(prior, step=prior.step[:-1]).save(tmp_path / "damaged.safetensors")
    with pytest.raises(ModelFormatError, match="do not fit together"):
        LibraryPrior.load(damaged)


def test_another_window_keeps_the_centre(prior: LibraryPrior) -> None:
    cropped, scale = prior.basis_on((20, 25))
    assert scale == 1.0
    np.testing.assert_array_equal(cropped[:, 10, 12], prior.basis[:, 16, 16])
    stretched, scale = prior.basis_on((64, 48))
    assert scale == 2.0
    np.testing.assert_allclose(stretched[:3, 32, 24], prior.basis[:3, 16, 16], atol=0.02)
