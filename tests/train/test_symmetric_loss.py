"""The symmetric loss: zero for kernels with the symmetry they claim, large for others."""

from __future__ import annotations

import pytest
import torch

from qpi_kernels import simulate
from qpi_kernels.simulate.families import FAMILIES
from qpi_kernels.train.symmetric_loss import ROTATIONS_DEG, rotated, symmetric_loss


def kernel_of(family: str) -> torch.Tensor:
    library = simulate.KernelSampler([family], shape=(64, 64), seed=2)
    kernel = torch.from_numpy(library.values([library.recipe(0)])[0])[None, None]
    return kernel / kernel.abs().max()


def test_a_quarter_turn_moves_pixels_onto_pixels() -> None:
    image = torch.zeros(1, 1, 16, 16)
    image[0, 0, 8, 11] = 1.0
    turned = rotated(image, 90.0)
    assert turned[0, 0].argmax() in (5 * 16 + 8, 11 * 16 + 8)
    assert torch.allclose(rotated(turned, -90.0), image, atol=1e-5)


@pytest.mark.parametrize("family", ["free_electrons", "elliptic", "trimer", "square_lattice"])
def test_the_right_symmetry_costs_little(family: str) -> None:
    kernel = kernel_of(family)
    right = symmetric_loss(kernel, kernel, torch.tensor([FAMILIES[family].fold]))
    assert float(right) < 0.05 * float(kernel.square().mean())


def test_the_wrong_symmetry_costs_more() -> None:
    kernel = kernel_of("elliptic")
    wrong, right = (float(symmetric_loss(kernel, kernel, torch.tensor([n]))) for n in (4, 2))
    assert wrong > 20 * right


def test_a_kernel_without_symmetry_has_no_loss() -> None:
    kernel = kernel_of("asymmetric_cluster")
    assert float(symmetric_loss(0 * kernel, kernel, torch.tensor([1]))) == 0.0


def test_the_loss_is_a_mean_over_the_batch() -> None:
    kernels = torch.cat([kernel_of("elliptic"), kernel_of("trimer")])
    folds = torch.tensor([2, 3])
    both = symmetric_loss(0 * kernels, kernels, folds)
    alone = [
        symmetric_loss(0 * kernels[i : i + 1], kernels[i : i + 1], folds[i : i + 1]) for i in (0, 1)
    ]
    assert float(both) == pytest.approx(float(sum(alone)) / 2, rel=1e-5)


def test_each_kernel_is_turned_by_the_angles_of_its_fold() -> None:
    generator = torch.Generator().manual_seed(3)
    made, true = torch.randn(2, 7, 1, 32, 32, generator=generator)
    folds = torch.tensor([0, 1, 2, 3, 4, 6, 5])
    losses = []
    for picture, kernel, fold in zip(made, true, folds.tolist(), strict=True):
        turns = [rotated(picture[None], angle) for angle in ROTATIONS_DEG.get(fold, ())]
        wrong = [(turn - kernel)[..., 6:26, 6:26].square().mean() for turn in turns]
        losses.append(sum(wrong) / max(len(wrong), 1))
    found = symmetric_loss(made, true, folds)
    assert float(found) == pytest.approx(float(sum(losses)) / 7, rel=1e-5)


def test_half_precision_is_turned_as_finely() -> None:
    kernel = kernel_of("trimer").to(torch.bfloat16)
    turned = rotated(kernel, 120.0)
    assert torch.equal(turned, rotated(kernel.float(), 120.0))
