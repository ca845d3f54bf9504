"""The simulated kernel against closed forms, and what it refuses."""

import numpy as np
import pytest
import torch
from scipy.special import hankel1

from qpi_kernels import simulate
from qpi_kernels.simulate.bands import HBAR2_OVER_2M, SimulationError
from qpi_kernels.simulate.scattering import greens_function as green
from qpi_kernels.simulate.scattering.ldos import ldos_change
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


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        (dict(broadening=1e-5), SimulationError, "raise the broadening"),
        (dict(broadening=0.0), SimulationError, "broadening must be positive and finite, not 0"),
        (dict(broadening=-0.01), SimulationError, "broadening must be positive"),
        (dict(broadening=np.nan), SimulationError, "broadening must be positive"),
        (dict(pixel_nm=0.0), SimulationError, "pixel_nm must be positive"),
        (dict(pixel_nm=np.inf), SimulationError, "pixel_nm must be positive"),
        (dict(pixel_nm=2.0), SimulationError, "choose smaller pixels"),
        (dict(pixel_nm=1e9), SimulationError, "choose smaller pixels"),
        (dict(pixel_nm=1e-6), SimulationError, "raise the broadening or the pixel size"),
        (dict(tip_nm=-0.1), SimulationError, "tip_nm must be 0 or larger"),
        (dict(shape=(0, 9)), SimulationError, "at least one pixel"),
        (dict(shape=(9, 100_000)), SimulationError, "choose a smaller window"),
        (dict(bias=np.nan), SimulationError, "finite number"),
        (dict(bias=[0.0, np.inf]), SimulationError, "finite number"),
        (dict(bias=[]), SimulationError, "at least one"),
        (dict(bias=[[0.0], [0.1]]), SimulationError, "a number or a sequence"),
        (dict(device="nonsense"), ValueError, "'nonsense' is not available here"),
    ],
)
def test_what_can_not_be_simulated_is_refused_at_once(changes, error, reason):
    with pytest.raises(error, match=reason):
        simulate.single_defect(
            COPPER,
            **dict(bias=0.0, pixel_nm=0.2, shape=(9, 9), impurity=5.0, broadening=0.05) | changes,
        )


@pytest.mark.parametrize(
    ("band", "bias"),
    [
        (COPPER, -0.437),
        (COPPER, -0.6),
        (simulate.EllipticBand(0.4, 0.6, -0.4), -0.4),
        (simulate.SquareBand(0.1, 0.6), 0.0),
        (simulate.SquareBand(0.1, 0.6), 0.4),
        (simulate.SquareBand(0.1, 0.6), 3.0),
        (simulate.TriangularBand(0.1, 0.6), 0.2),
        (simulate.DiracBand(0.3, 0.2), 0.0),
        (simulate.CuprateSuperconductor(gap=0.1, lattice_nm=0.6), 0.0),
        (simulate.NematicPockets(hole_top=-0.1, electron_bottom=0.1), 0.0),
    ],
    ids=str,
)
def test_band_edges_gaps_and_van_hove_points_are_no_trouble(band, bias, monkeypatch):
    """Nor does a wave return through the edge of the box there."""
    options = dict(
        bias=bias, pixel_nm=0.2, shape=(25, 25), impurity=0.5, broadening=0.05, tip_nm=0.2
    )
    found = simulate.single_defect(band, **options).values
    assert np.isfinite(found).all()
    assert abs(found).max() > 0
    monkeypatch.setattr(
        "qpi_kernels.simulate.scattering.ldos.box_pixels", lambda *args: 2 * green.box_pixels(*args)
    )
    wider = simulate.single_defect(band, **options).values
    np.testing.assert_allclose(found, wider, atol=0.02 * abs(wider).max())


def test_one_pixel_is_the_middle():
    options = dict(bias=0.0, pixel_nm=0.2, impurity=5.0, broadening=0.05)
    one = simulate.single_defect(COPPER, shape=(1, 1), **options)
    many = simulate.single_defect(COPPER, shape=(5, 7), **options)
    assert one.shape == (1, 1)
    assert float(one[0, 0]) == pytest.approx(float(many[2, 3]), rel=0.01)


@pytest.mark.parametrize(
    "bias", [0, 0.0, np.float32(0), np.array(0.0), [0.0], (0,), np.zeros(1), range(1)]
)
def test_a_bias_may_be_a_number_or_a_sequence(bias):
    found = simulate.single_defect(
        COPPER, bias=bias, pixel_nm=0.2, shape=(5, 5), impurity=5, broadening=0.05
    )
    assert found.dims == (("bias", "y", "x") if np.ndim(bias) else ("y", "x"))
    assert float(np.squeeze(found.bias)) == 0.0


def test_kernels_say_what_they_are():
    kernel = simulate.single_defect(
        COPPER, bias=0.1, pixel_nm=0.2, shape=(4, 6), impurity=5.0, broadening=0.05
    )
    np.testing.assert_allclose(kernel.y, [-0.4, -0.2, 0.0, 0.2])
    np.testing.assert_allclose(kernel.x, [-0.6, -0.4, -0.2, 0.0, 0.2, 0.4])
    assert kernel.attrs["units"] == "1/(eV nm^2)"
    assert kernel.y.attrs["units"] == "nm"
    assert "ParabolicBand" in kernel.attrs["band"]
    assert kernel.dtype == np.float64


@pytest.mark.parametrize(
    ("band", "impurity"),
    [
        (COPPER, simulate.PointImpurity(2.0)),
        (COPPER, simulate.PhaseShiftImpurity(0.5)),
        (simulate.RashbaBand.gold(), simulate.MagneticImpurity(1.0)),
        (simulate.CuprateSuperconductor(0.1, 0.8), simulate.PhaseShiftImpurity(0.5)),
        (COPPER, simulate.ClusterImpurity.trimer(0.4, 2.0, width_nm=0.1)),
        (
            simulate.CustomBand(lambda kx, ky: 0.1 * (kx**2 + ky**2) - 0.4),
            simulate.PointImpurity(2.0),
        ),
    ],
    ids=["point", "phase", "magnetic", "cuprate", "trimer", "custom"],
)
def test_single_precision_is_nearly_as_good(band, impurity):
    window = (np.arange(-12, 13), np.arange(-10, 11))
    single, double = (
        ldos_change(
            band,
            np.array([0.05]),
            pixel_nm=0.2,
            window=window,
            impurities=[impurity],
            broadening=0.1,
            tip_nm=0.2,
            device="cpu",
            dtype=dtype,
        )
        for dtype in (torch.float32, torch.float64)
    )
    assert single.dtype == torch.float32
    assert double.dtype == torch.float64
    assert float((single - double).abs().max()) < 1e-4 * float(double.abs().max())


def test_the_same_bits_alone_and_in_company():
    options = dict(pixel_nm=0.2, shape=(21, 21), impurity=5.0, device="cpu")
    biases = np.linspace(-0.1, 0.2, 7)
    for band, broadening in ((COPPER, 0.05), (simulate.SquareBand(0.1, 0.6), 0.03)):
        stack = simulate.single_defect(band, bias=biases, broadening=broadening, **options)
        for plane, bias in zip(stack, biases, strict=True):
            alone = simulate.single_defect(band, bias=bias, broadening=broadening, **options)
            np.testing.assert_array_equal(plane, alone)


@pytest.mark.parametrize("pixel_nm", [1.0, 1.2])
def test_ripples_finer_than_the_pixels_are_refused(pixel_nm):
    copper = simulate.ParabolicBand.copper()
    options = dict(bias=0.05, shape=(33, 33), impurity=5.0, broadening=0.02, pixel_nm=pixel_nm)
    with pytest.raises(simulate.SimulationError, match="finer than the pixels show"):
        simulate.single_defect(copper, **options)
    # A blunt tip sees none of them.
    simulate.single_defect(copper, **options, tip_nm=1.2)


def test_without_states_there_is_no_phase_to_shift():
    with pytest.raises(simulate.SimulationError, match=r"no state at -0\.2 V"):
        simulate.single_defect(
            simulate.ParabolicBand.silver(), bias=-0.2, pixel_nm=0.3, shape=(17, 17),
            impurity=simulate.PhaseShiftImpurity(1.0), broadening=0.006,
        )  # fmt: skip


def test_an_impurity_must_be_one():
    with pytest.raises(TypeError, match="a number in eV nm"):
        simulate.single_defect(
            simulate.ParabolicBand.silver(), bias=0.0, pixel_nm=0.3, shape=(9, 9), impurity="5",
            broadening=0.01,
        )  # fmt: skip
