"""The models that come with the package: there, whole, small, and better than no network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import qpi_kernels as qk
from qpi_kernels.defects import Defects
from qpi_kernels.forward import ForwardModel
from qpi_kernels.metrics import affine_invariant_nrmse
from qpi_kernels.models.folder import Method
from qpi_kernels.models.loading import model_folder
from qpi_kernels.simulate.kernel_sampler import KernelSampler

_MAX_BYTES = 8_000_000


@pytest.mark.parametrize("method", ["two_step", "one_step"])
def test_it_loads_and_is_small(method: Method) -> None:
    model = qk.load_model(method=method)
    assert model.method == method
    files = [path for path in model_folder(method=method).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < _MAX_BYTES


@pytest.mark.parametrize("method", ["two_step", "one_step"])
def test_its_card_tells_how_it_was_made_and_no_path_of_the_machine(method: Method) -> None:
    folder = model_folder(method=method)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "napari-qpi train --preset compact --stage" in card
    assert "commit" in card
    assert "BSD-3" in card
    for path in folder.rglob("*.json"):
        assert "_name_or_path" not in path.read_text(encoding="utf-8")


def test_two_step_finds_kernels_that_least_squares_can_not() -> None:
    errors: dict[str, list[float]] = {"two_step": [], "least_squares": [], "one_step": []}
    library = KernelSampler(seed=31_415)
    generator = np.random.default_rng(2)
    for number in range(6):
        kernel = library.kernel(number).values
        truth = kernel / np.abs(kernel).max()
        defects = Defects(generator.uniform(0, 63, (20, 2)))
        clean = ForwardModel(defects, (64, 64), (64, 64)).apply(
            torch.from_numpy(truth).double()[None]
        )
        noise = clean.std().item() / 10**0.5
        observation = clean.numpy() + noise * generator.normal(size=(64, 64))
        for method, found in errors.items():
            result = qk.extract(observation, defects, method=method)
            found.append(float(affine_invariant_nrmse(truth, result.kernel.values)))
    median = {method: float(np.median(found)) for method, found in errors.items()}
    assert median["two_step"] < 0.3
    assert median["two_step"] < 0.6 * median["least_squares"]
    assert median["two_step"] < 0.82 * median["one_step"]
