"""Independent random numbers from one seed."""

import numpy as np
import pytest

from qpi_kernels.simulate.maps.streams import stream


@pytest.mark.parametrize("seed", [0, [3, 14], 2**70])
def test_a_stream_is_fixed_by_seed_and_name(seed):
    first = stream(seed, "noise").standard_normal(2000)
    np.testing.assert_array_equal(first, stream(seed, "noise").standard_normal(2000))
    for other in (stream(seed, "mains"), stream([7, 14], "noise"), np.random.default_rng(seed)):
        assert abs(np.corrcoef(first, other.standard_normal(2000))[0, 1]) < 0.1
