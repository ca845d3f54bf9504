"""Conjugate gradients: each right-hand side by itself, from any start, to a tolerance."""

from __future__ import annotations

import torch

from qpi_kernels.linalg.conjugate_gradients import ConjugateGradients


def system(device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A positive matrix and three right-hand sides, the second of them zero."""
    generator = torch.Generator().manual_seed(2)
    root = torch.randn(20, 20, generator=generator, dtype=torch.float64)
    right = torch.randn(3, 20, generator=generator, dtype=torch.float64)
    right[1] = 0
    return (root @ root.T + torch.eye(20)).to(device), right.to(device)


def test_each_right_hand_side_is_solved(device: str) -> None:
    matrix, right = system(device)
    solver = ConjugateGradients(lambda vectors: vectors @ matrix, right)
    for _ in range(40):
        solver.step()
    torch.testing.assert_close(solver.solution @ matrix, right)


def test_a_start_at_the_solution_stays_there(device: str) -> None:
    matrix, right = system(device)
    exact = torch.linalg.solve(matrix, right.T).T
    solver = ConjugateGradients(
        lambda vectors: vectors @ matrix, right, start=exact, tolerance=1e-8
    )
    assert solver.converged
    solver.step()
    torch.testing.assert_close(solver.solution, exact, rtol=0, atol=0)


def test_a_solution_within_the_tolerance_is_kept(device: str) -> None:
    matrix, right = system(device)
    solver = ConjugateGradients(lambda vectors: vectors @ matrix, right, tolerance=1e-3)
    while not solver.converged:
        solver.step()
    assert solver.iterations < 20
    residual = (right - solver.solution @ matrix).norm(dim=1)
    assert (residual <= 1.01e-3 * right.norm(dim=1)).all()
    found = solver.solution.clone()
    for _ in range(5):
        solver.step()
    torch.testing.assert_close(solver.solution, found, rtol=0, atol=0)


def test_orthogonal_residuals_keep_rounding_out_of_early_iterates(device: str) -> None:
    """A few large eigenvalues: the plain recurrence forgets what it has solved."""
    generator = torch.Generator().manual_seed(3)
    values = torch.cat([torch.logspace(9, 3, 12), torch.rand(288, generator=generator)]).double()
    right = torch.randn(2, 300, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, 300, generator=generator, dtype=torch.float64)
    values, right, noise = values.to(device), right.to(device), noise.to(device)

    def iterate(given: torch.Tensor, orthogonal: bool) -> torch.Tensor:
        solver = ConjugateGradients(lambda one: one * values, given, orthogonal=orthogonal)
        for _ in range(25):
            solver.step()
        return solver.solution

    plain, kept = (
        float((iterate(right * (1 + 1e-14 * noise), way) - iterate(right, way)).norm())
        / float(iterate(right, way).norm())
        for way in (False, True)
    )
    assert plain > 1e-3
    assert kept < 1e-9
    matrix, several = system(device)
    solver = ConjugateGradients(lambda one: one @ matrix, several, orthogonal=True)
    for _ in range(25):
        solver.step()
    torch.testing.assert_close(solver.solution @ matrix, several)
