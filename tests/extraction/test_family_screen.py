"""Families of simulated kernels: told apart by a map's evidence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qpi_kernels.defects import Defects
from qpi_kernels.extraction.family_screen import FamilyScreen, likely_families
from qpi_kernels.extraction.parameters import ExtractionParameters
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.extraction.window_normal import quick_normal
from qpi_kernels.forward import ForwardModel
from qpi_kernels.models.library_prior import bundled_library
from qpi_kernels.simulate.library import KernelLibrary


@pytest.mark.parametrize("family", ["free_electrons", "warped_four_fold", "square_lattice"])
def test_the_true_family_is_among_the_likely(family: str) -> None:
    kernel = np.asarray(KernelLibrary([family], seed=5).kernel(1).values, float)
    positions = Defects(np.random.default_rng(0).uniform(0, 127, (12, 2)))
    clean = ForwardModel(positions, (128, 128), (64, 64)).apply(torch.from_numpy(kernel)[None])
    noise = torch.randn(128, 128, generator=torch.Generator().manual_seed(0)).double()
    parameters = ExtractionParameters(method="bayes", kernel_shape=(64, 64))
    observation = (clean + clean.std() / 3 * noise).numpy()
    problem = Problem.check(observation, positions, None, parameters)
    screen = FamilyScreen(problem, bundled_library(), quick_normal(problem))
    for _ in screen.prepare():
        pass
    costs = screen.costs(problem.background.remove(problem.planes(0, 1).values)[0])
    assert family in sorted(costs, key=costs.__getitem__)[:4]
    assert costs[family] < costs["asymmetric_cluster"]


def test_planes_share_a_family_unless_they_strongly_differ() -> None:
    alike = [{"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}]
    assert likely_families(alike) == (["a", "a", "a"], 1.0)
    unlike = [{"a": 0.0, "b": 100.0}, {"a": 100.0, "b": 0.0}]
    assert likely_families(unlike)[0] == ["a", "b"]
