"""The simulated kernel against closed forms, and the sample scans."""

import numpy as np
import pytest
from scipy.special import hankel1

from qpi_kernels import Defects, extract, simulate
from qpi_kernels.simulate import samples
from qpi_kernels.simulate.bands import HBAR2_OVER_2M
from qpi_kernels.symmetry import symmetry_scores

COPPER = simulate.ParabolicBand(mass=0.41, onset=-0.437)


def test_a_parabolic_band_gives_the_hankel_function():
    kernel = simulate.single_defect(
        COPPER, bias=0.05, pixel_nm=0.1, shape=(161, 161), impurity=5.0, broadening=0.02
    )
    radius = np.hypot(kernel.y, kernel.x).values
    ring = (radius > 0.5) & (radius < 8)
    mass = COPPER.mass / (2 * HBAR2_OVER_2M)
    green = -0.5j * mass * hankel1(0, COPPER.wave_number(0.05, 0.02) * radius[ring])
    # The T-matrix depends on the momentum cutoff; the shape of the waves must not.
    design = np.stack([(green**2).real, (green**2).imag], axis=1)
    (real, imaginary), *_ = np.linalg.lstsq(design, kernel.values[ring])
    assert np.corrcoef(design @ [real, imaginary], kernel.values[ring])[0, 1] > 0.9999
    t_matrix = -np.pi * complex(imaginary, real)
    assert abs(t_matrix) < 1 / (mass * 0.5)  # the unitary limit of |T|


def test_a_weak_impurity_scatters_in_proportion():
    options = dict(bias=0.05, pixel_nm=0.2, shape=(33, 33), broadening=0.02)
    weak, weaker = (
        simulate.single_defect(COPPER, impurity=strength, **options) for strength in (2e-4, 1e-4)
    )
    np.testing.assert_allclose(weak, 2 * weaker, rtol=2e-3, atol=1e-3 * float(abs(weak).max()))


@pytest.mark.parametrize("shape", [(32, 32), (33, 41)])
def test_the_defect_sits_at_index_half(shape):
    kernel = simulate.single_defect(
        COPPER, bias=0.0, pixel_nm=0.2, shape=shape, impurity=5.0, broadening=0.02
    )
    assert float(kernel.y[shape[0] // 2]) == float(kernel.x[shape[1] // 2]) == 0.0
    assert np.unravel_index(abs(kernel.values).argmax(), shape) == (shape[0] // 2, shape[1] // 2)


def test_the_lattice_shapes_the_waves():
    kernel = simulate.single_defect(
        simulate.TriangularBand(0.1, 0.4),
        bias=-0.1,
        pixel_nm=0.1,
        shape=(65, 65),
        impurity=0.3,
        broadening=0.008,
        tip_nm=0.08,
    )
    scores = symmetry_scores(kernel.values)
    assert scores["C6"] > 0.98
    assert scores["C4"] < 0.8


def test_a_sequence_of_biases_gives_a_stack():
    stack = simulate.single_defect(
        COPPER, bias=[-0.1, 0.1], pixel_nm=0.2, shape=(17, 17), impurity=5.0, broadening=0.02
    )
    single = simulate.single_defect(
        COPPER, bias=0.1, pixel_nm=0.2, shape=(17, 17), impurity=5.0, broadening=0.02
    )
    assert stack.dims == ("bias", "y", "x")
    assert single.dims == ("y", "x")
    np.testing.assert_array_equal(stack[1], single)


def test_waves_that_reach_too_far_are_refused():
    with pytest.raises(ValueError, match="raise the broadening"):
        simulate.single_defect(
            COPPER, bias=0.0, pixel_nm=0.1, shape=(9, 9), impurity=5.0, broadening=1e-5
        )


def test_scattered_defects_keep_their_distance():
    defects = simulate.scatter_defects(20, (64, 64), seed=0, min_distance_px=8)
    distance = np.hypot(*(defects.positions[:, None] - defects.positions[None]).T)
    assert distance[~np.eye(20, dtype=bool)].min() >= 8
    with pytest.raises(ValueError, match="do not fit"):
        simulate.scatter_defects(100, (32, 32), seed=0, min_distance_px=10)


@pytest.mark.parametrize("make", [samples.triangular_map, samples.ag111_map, samples.bias_grid])
def test_samples_give_their_kernel_back(make):
    scan = make()
    truth = scan.kernel_true.values
    defects = Defects(scan.defect_position.values, scan.defect_kind.values.astype(str))
    background = "rows" if make is samples.ag111_map else "plane"
    found = extract(scan.didv, defects, kernel_shape=truth.shape[-2:], background=background)
    centred = [kernel - kernel.mean() for kernel in (truth, found.kernel.values)]
    assert np.corrcoef(centred[0].ravel(), centred[1].ravel())[0, 1] > 0.97
    assert scan.didv.dtype == np.float32
    assert make().identical(scan)
