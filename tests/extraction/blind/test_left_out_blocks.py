"""The number of kinds follows from the prediction of blocks that were left out."""

import numpy as np
import pytest

from qpi_kernels.extraction.blind.alternating_fit import AlternatingFit
from qpi_kernels.extraction.blind.convolution_model import ConvolutionModel
from qpi_kernels.extraction.blind.evidence.left_out_blocks import BlockErrors, predict_blocks
from qpi_kernels.extraction.blind.gibbs_sampler import Points
from qpi_kernels.progress import finish
from shared.blind_maps import observe, problem_of, rings
from shared.friedel_maps import scattered


def test_no_block_decides_alone():
    pixels = np.full(40, 64)
    good, bad = np.full(40, 1.0), np.full(40, 1.2)
    assert BlockErrors(good, pixels).significance_over(BlockErrors(bad, pixels)) > 5
    # One block that is predicted a thousand times better, and the rest a bit worse.
    bad[:] = 0.98
    bad[0] = 1000.0
    assert BlockErrors(good, pixels).significance_over(BlockErrors(bad, pixels)) < 2
    assert BlockErrors(good, pixels).significance_over(BlockErrors(good, pixels)) == 0


@pytest.mark.parametrize("two", [True, False])
def test_a_second_kind_predicts_blocks_only_if_it_is_there(two):
    kernels = np.stack([rings(), -rings(wave=1.3)])
    truth = np.tile([0, 1], 6) if two else np.zeros(12, int)
    defects = scattered(12, size=80, seed=5, kind=truth.astype(str))
    image = observe(kernels[: 1 + two], defects, size=80, noise=0.1)
    model = ConvolutionModel(problem_of(image))
    sites = np.rint(defects.positions) + 10
    given = truth if two else np.tile([0, 1], 6)
    one, both = (
        finish(AlternatingFit.of_points(model, Points(sites, np.ones(12), kinds), count, seed=0))
        for kinds, count in ((np.zeros(12, int), 1), (given, 2))
    )
    gain = finish(predict_blocks(both)).significance_over(finish(predict_blocks(one)))
    assert (gain > 2) == two
