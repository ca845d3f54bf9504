"""The sample scans give their kernels back."""

import numpy as np
import pytest

from qpi_kernels import Defects, extract
from qpi_kernels.simulate.scan import samples


@pytest.mark.parametrize("make", [samples.triangular_map, samples.ag111_map, samples.bias_grid])
def test_samples_give_their_kernel_back(make):
    scan = make()
    truth = scan.kernel_true.values
    defects = Defects(scan.defect_position.values, scan.defect_kind.values.astype(str))
    background = "rows" if make is samples.ag111_map else "plane"
    found = extract(
        scan.didv,
        defects,
        method="least_squares",
        kernel_shape=truth.shape[-2:],
        background=background,
    )
    centred = [kernel - kernel.mean() for kernel in (truth, found.kernel.values)]
    assert np.corrcoef(centred[0].ravel(), centred[1].ravel())[0, 1] > 0.97
    assert scan.didv.dtype == np.float32
    assert make().identical(scan)
