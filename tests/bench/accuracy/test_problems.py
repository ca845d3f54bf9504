"""Maps of the accuracy benchmark, the kernels in them, and the ridge that knows the truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qpi_kernels.bench.accuracy.kernels import (
    TEST_SEED,
    OwnKernels,
    OwnKernelsError,
    SimulatedKernels,
    held_out_families,
)
from qpi_kernels.bench.accuracy.oracle_ridge import tuned_ridge
from qpi_kernels.bench.accuracy.parameters import AccuracyParameters, Cell
from qpi_kernels.bench.accuracy.problems import accuracy_problem
from qpi_kernels.extraction.extract import extract
from qpi_kernels.extraction.least_squares.method import LeastSquaresParameters
from qpi_kernels.extraction.problem import Problem
from qpi_kernels.forward import ForwardModel
from qpi_kernels.metrics import affine_invariant_nrmse
from qpi_kernels.models.kernel_prior import bundled_prior

SOURCE = SimulatedKernels()


def cell(**changes) -> Cell:
    chosen = dict(kind="known", image_px=48, kernel_px=16, defects=10, snr=10.0, annotation="exact")
    return Cell(**{**chosen, **changes})


def test_the_grid_is_that_of_the_claims() -> None:
    parameters = AccuracyParameters()
    cells = parameters.cells(parameters.kinds)
    assert len(cells) == len(set(cells)) == 2 * 3 * 3 * 3 * 4
    assert {(one.image_px, one.kernel_px) for one in cells} == {(64, 64), (128, 32), (256, 64)}
    assert len(parameters.numbers) == 20
    part = AccuracyParameters(snr=(1, 1), annotation=("exact",), families="held-out")
    assert len(part.cells(part.kinds)) == 9
    assert AccuracyParameters(quick=True, seed=5).numbers == range(5, 7)


@pytest.mark.parametrize("geometry", ["64", "64x64", "32/64", "64/8", "a/b"])
def test_a_geometry_must_make_sense(geometry) -> None:
    with pytest.raises(ValueError, match=r"geometry is|kernels have at least"):
        AccuracyParameters(geometry=(geometry,))


def test_noise_is_as_strong_as_asked() -> None:
    truth = SOURCE.kernel(3, 16)[0]
    for snr in (1.0, 100.0):
        problem = accuracy_problem(cell(snr=snr), 3, SOURCE)
        np.testing.assert_array_equal(problem.kernel, truth)
        assert np.abs(truth).max() == pytest.approx(1)
        model = ForwardModel(problem.marked, (48, 48), truth.shape)
        clean = model.apply(torch.from_numpy(truth)[None]).numpy()
        left = problem.observation - clean
        assert left.std() == pytest.approx(problem.noise, rel=0.05)
        assert clean.var() / problem.noise**2 == pytest.approx(snr)


def test_cells_are_compared_on_like_problems() -> None:
    few, many = (accuracy_problem(cell(defects=n), 3, SOURCE).marked.positions for n in (4, 10))
    np.testing.assert_array_equal(few, many[:4])
    wide = accuracy_problem(cell(image_px=96), 3, SOURCE).marked.positions
    np.testing.assert_allclose((wide + 0.5) / 96, (many + 0.5) / 48)
    other = accuracy_problem(cell(), 4, SOURCE)
    assert (other.marked.positions != many).all()


def test_mistakes_in_the_marks() -> None:
    exact = accuracy_problem(cell(defects=400), 1, SOURCE)
    for annotation, size in (("jitter-0.5px", 0.5), ("jitter-1px", 1.0)):
        wrong = accuracy_problem(cell(defects=400, annotation=annotation), 1, SOURCE)
        moved = wrong.marked.positions - exact.marked.positions
        assert moved.std() == pytest.approx(size, rel=0.1)
        np.testing.assert_array_equal(wrong.observation, exact.observation)
    missed = accuracy_problem(cell(defects=400, annotation="missed-20%"), 1, SOURCE)
    assert len(missed.marked) == 320
    assert set(map(tuple, missed.marked.positions)) < set(map(tuple, exact.marked.positions))
    np.testing.assert_array_equal(missed.observation, exact.observation)


def test_the_limit_is_where_least_squares_ends_up() -> None:
    """With many defects that fill a large map, and hardly any pull towards zero."""
    errors, limits = [], []
    for number in range(4):
        problem = accuracy_problem(cell(image_px=128, defects=60, snr=30.0), number, SOURCE)
        plain = {"method": "least_squares", "ridge": 0.0, "kernel_shape": (16, 16)}
        found = extract(problem.observation, problem.marked, **plain)
        errors.append(affine_invariant_nrmse(problem.kernel, found.kernel.values))
        limits.append(problem.limit)
    assert np.median(errors) / np.median(limits) == pytest.approx(1.1, abs=0.15)
    assert accuracy_problem(cell(image_px=16), 0, SOURCE).limit is None


@pytest.mark.parametrize("snr", [1.0, 100.0])
def test_no_ridge_is_better_than_the_tuned_one(snr) -> None:
    problem = accuracy_problem(cell(snr=snr, image_px=32, defects=5), 2, SOURCE)
    parameters = LeastSquaresParameters(kernel_shape=(16, 16))
    checked = Problem.check(problem.observation, problem.marked, None, parameters)
    kernel, ridge = tuned_ridge(checked, problem.kernel)
    found = affine_invariant_nrmse(problem.kernel, kernel)

    columns = checked.model.apply(torch.eye(256).double().view(256, 1, 16, 16))
    matrix = checked.background.remove(columns).flatten(1).numpy().T
    values = checked.background.remove(torch.from_numpy(problem.observation)).flatten().numpy()
    strengths = 5 * np.logspace(-4, 3, 141)
    direct = [
        np.linalg.solve(matrix.T @ matrix + strength * np.eye(256), matrix.T @ values)
        for strength in strengths
    ]
    errors = affine_invariant_nrmse(problem.kernel, np.stack(direct).reshape(-1, 16, 16))
    assert found == pytest.approx(errors.min(), rel=5e-3)
    same = np.linalg.solve(matrix.T @ matrix + ridge * np.eye(256), matrix.T @ values)
    np.testing.assert_allclose(kernel.ravel(), same, atol=0.02 * np.abs(same).max())


def test_no_prior_has_seen_the_test_kernels() -> None:
    assert bundled_prior().description["seed"] != TEST_SEED
    held_out = held_out_families()
    assert sorted(held_out) == ["cuprate", "dichalcogenide", "graphene_site", "nematic_pockets"]
    source = SimulatedKernels(held_out)
    assert {source.kernel(number, 16)[1] for number in range(12)} <= set(held_out)


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_own_kernels_are_centred_in_their_window(tmp_path) -> None:
    kernels = np.zeros((2, 21, 24))
    kernels[:, 10, 12] = (-5, 3)
    kernels[:, 12, 11] = 1
    own = OwnKernels(save(tmp_path / "mine.npz", anything=kernels))
    assert len(own) == 2
    for side in (16, 17, 32, 42):
        found, name = own.kernel(2, side)
        assert name == "own kernel 0"
        assert found.shape == (side, side)
        assert found[side // 2, side // 2] == -1
        assert found[side // 2 + 2, side // 2 - 1] == pytest.approx(0.2)
        assert np.count_nonzero(found) == 2
    with pytest.raises(OwnKernelsError, match="too small for a window of 64"):
        own.kernel(0, 64)
    np.save(tmp_path / "mine.npy", kernels)
    assert OwnKernels(tmp_path / "mine.npy").digest == own.digest


def test_files_that_hold_no_kernels_are_refused(tmp_path) -> None:
    stack = np.ones((2, 20, 20))
    with pytest.raises(OwnKernelsError, match="one array"):
        OwnKernels(save(tmp_path / "two.npz", a=stack, b=stack))
    with pytest.raises(OwnKernelsError, match=r"not a float64 \(20, 20\)"):
        OwnKernels(save(tmp_path / "flat.npz", a=stack[0]))
    with pytest.raises(OwnKernelsError, match="complex128"):
        OwnKernels(save(tmp_path / "complex.npz", a=stack * 1j))
    with pytest.raises(OwnKernelsError, match="not finite"):
        OwnKernels(save(tmp_path / "nan.npz", a=stack * np.nan))
    with pytest.raises(OwnKernelsError, match="is constant"):
        OwnKernels(save(tmp_path / "ones.npz", a=stack)).kernel(0, 16)
    (tmp_path / "text.npz").write_text("kernels")
    with pytest.raises(OwnKernelsError, match="no readable NumPy file"):
        OwnKernels(tmp_path / "text.npz")
