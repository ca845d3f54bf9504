"""Blind extraction of whole samples and of dense, noisy maps; minutes."""

import pytest

from qpi_kernels import Defects, extract
from qpi_kernels.bench.blind.problems import BLIND_CASES, blind_problem, shift_corrected
from qpi_kernels.simulate.scan import samples
from shared.blind_maps import distances


@pytest.mark.slow
@pytest.mark.parametrize("window", [32, 64])
def test_long_waves_of_few_defects_are_few_defects(window):
    scan = samples.ag111_map()
    true = Defects(scan["defect_position"].values)
    kernel = scan["kernel_true"].values
    first = len(kernel) // 2 - window // 2
    cut = kernel[first : first + window, first : first + window]
    result = extract(scan["didv"].values, method="blind", kernel_shape=(window, window))
    assert result.kernel.dims == ("y", "x")
    assert 0.8 * len(true) <= len(result.defects) <= 1.2 * len(true)
    assert distances(result.defects, true).max() < 1
    assert shift_corrected(cut, result.kernel.values)[0] > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_dense_noisy_map_has_no_second_kind(seed):
    problem = blind_problem(BLIND_CASES["published"], seed=seed)
    result = extract(problem.observation, method="blind", kernel_shape=problem.kernel.shape)
    assert result.kernel.dims == ("y", "x")
    assert (result.defects.probability >= 0.5).all()
