"""The simulated kernel against closed forms, and the sample scans."""

import numpy as np
import pytest
import torch
from scipy.special import hankel1

from qpi_kernels import Defects, extract, simulate
from qpi_kernels.simulate.bands import HBAR2_OVER_2M, SimulationError
from qpi_kernels.simulate.scan import samples
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


# --- directions, windows, and waves that do not return as they went ---


def brute_force(band, cluster, energy, broadening, size, pixel_nm, rows, cols):
    """The formula of `multiple_defects`, momentum by momentum, without any transform."""
    k = 2 * np.pi * np.arange(-size // 2 + 1, size // 2) / (size * pixel_nm)
    kx, ky = (each.ravel() for each in np.meshgrid(k, k))
    matrices = band.hamiltonian(torch.from_numpy(kx), torch.from_numpy(ky)).numpy()
    identity = np.eye(band.orbitals)
    inverse = np.linalg.inv((energy + 1j * broadening) * identity - np.moveaxis(matrices, 2, 0))

    def green_at(x, y):
        phase = np.exp(1j * (kx * x + ky * y))
        return np.einsum("k,kab->ab", phase, inverse) / (size * pixel_nm) ** 2

    centres, count = cluster.centres_nm, len(cluster.centres_nm)
    between = np.block([[green_at(xi - xj, yi - yj) for xj, yj in centres] for xi, yi in centres])
    potential = np.kron(np.diag(cluster.strengths), identity)
    t_matrix = np.linalg.inv(np.eye(count * band.orbitals) - potential @ between) @ potential
    found = np.empty((len(rows), len(cols)))
    for i, row in enumerate(rows):
        for j, col in enumerate(cols):
            x, y = col * pixel_nm, row * pixel_nm
            out = np.hstack([green_at(x - xc, y - yc) for xc, yc in centres])
            back = np.vstack([green_at(xc - x, yc - y) for xc, yc in centres])
            found[i, j] = -np.trace(out @ t_matrix @ back).imag / np.pi
    return found


@pytest.mark.parametrize(
    "band",
    [
        simulate.EllipticBand(0.4, 0.9, -0.2),
        simulate.WarpedBand(0.4, -0.2, 3, 0.4),
        simulate.RashbaBand(0.4, -0.2, 0.08),
        simulate.RotatedBand(simulate.DiracBand(0.3, 0.2), 20.0),
    ],
    ids=str,
)
def test_waves_go_out_and_back_as_the_formula_says(band, monkeypatch):
    monkeypatch.setattr("qpi_kernels.simulate.scattering.ldos.box_pixels", lambda *_: 24)
    cluster = simulate.ClusterImpurity(((0.25, 0.1), (-0.6, 0.7)), (1.1, -0.6))
    options = dict(bias=0.1, pixel_nm=0.3, broadening=0.1)
    found = simulate.single_defect(band, impurity=cluster, shape=(5, 4), **options)
    rows, cols = np.arange(5) - 2, np.arange(4) - 2
    expected = brute_force(band, cluster, 0.1, 0.1, 24, 0.3, rows, cols)
    np.testing.assert_allclose(found, expected, atol=1e-10 * abs(expected).max())


def test_a_moved_fermi_sea_scatters_alike():
    """A parabola about another momentum only gets phases that cancel between out and back."""
    moved = simulate.CustomBand(
        lambda kx, ky: -0.437 + HBAR2_OVER_2M / 0.41 * ((kx - 1.3) ** 2 + (ky + 0.7) ** 2)
    )
    assert not moved.reciprocity
    options = dict(
        bias=0.0,
        pixel_nm=0.1,
        shape=(31, 31),
        impurity=simulate.PhaseShiftImpurity(0.6),
        broadening=0.2,
    )
    found, expected = (simulate.single_defect(band, **options).values for band in (moved, COPPER))
    far = np.hypot(*(np.indices((31, 31)) - 15)) > 4
    np.testing.assert_allclose(found[far], expected[far], atol=0.02 * abs(expected[far]).max())


@pytest.mark.parametrize("band", [COPPER, simulate.RashbaBand.gold()], ids=str)
def test_every_window_shows_the_same_kernel(band, monkeypatch):
    monkeypatch.setattr("qpi_kernels.simulate.scattering.ldos.box_pixels", lambda *_: 160)
    options = dict(bias=0.0, pixel_nm=0.2, impurity=5.0, broadening=0.1)
    whole = simulate.single_defect(band, shape=(64, 64), **options).values
    for height, width in ((64, 63), (20, 21), (1, 40), (33, 10)):
        part = simulate.single_defect(band, shape=(height, width), **options).values
        top, left = 32 - height // 2, 32 - width // 2
        expected = whole[top : top + height, left : left + width]
        np.testing.assert_allclose(part, expected, atol=1e-12 * abs(whole).max())


@pytest.mark.parametrize(
    ("band", "impurity"),
    [
        (simulate.EllipticBand(0.9, 0.4, -0.2), simulate.PointImpurity(1.0)),
        (simulate.GrapheneBand(2.7, 1.2), simulate.PointImpurity(1.0, orbital=0)),
        (simulate.DiracBand(0.3, 0.2), simulate.MagneticImpurity(1.0)),
    ],
    ids=["elliptic", "graphene", "dirac"],
)
def test_a_turned_crystal_turns_its_kernel(band, impurity):
    options = dict(bias=0.3, pixel_nm=0.2, shape=(31, 31), broadening=0.2, tip_nm=0.3)
    straight = simulate.single_defect(band, impurity=impurity, **options).values
    turned = simulate.single_defect(
        simulate.RotatedBand(band, 90.0), impurity=impurity, **options
    ).values
    # From columns towards rows is clockwise on the screen.
    np.testing.assert_allclose(turned, np.rot90(straight, -1), atol=1e-6 * abs(straight).max())
    assert abs(turned - straight).max() > 0.02 * abs(straight).max()


# The transform of cos(2 k r + delta) / r is Re{exp(i delta) (q^2 - 4 k^2)^(-1/2)}: weak scatterers
# peak just outside the ring, unitary ones just inside.
every_phase = pytest.mark.parametrize("phase", [0.2, -0.2, np.pi / 2])


@every_phase
def test_rings_have_twice_the_wave_number_along_both_axes(phase):
    band = simulate.EllipticBand(mass_x=0.9, mass_y=0.4, onset=-0.3)
    pixel_nm, size = 0.25, 128
    kernel = simulate.single_defect(
        band,
        bias=0.0,
        pixel_nm=pixel_nm,
        shape=(size, size),
        impurity=simulate.PhaseShiftImpurity(phase),
        broadening=0.01,
        tip_nm=0.2,
    ).values
    step = 2 * np.pi / (size * pixel_nm)
    spectrum = abs(np.fft.fft2(np.fft.ifftshift(kernel)))
    wanted = slice(8, size // 2)
    for along, mass in ((spectrum[0, wanted], 0.9), (spectrum[wanted, 0], 0.4)):
        q = (8 + int(along.argmax())) * step
        assert q == pytest.approx(2 * np.sqrt(0.3 * mass / HBAR2_OVER_2M), abs=step)


@every_phase
def test_rings_disperse_as_the_parabola(phase):
    size, pixel_nm = 128, 0.25
    stack = simulate.single_defect(
        COPPER,
        bias=[-0.3, -0.1, 0.1],
        pixel_nm=pixel_nm,
        shape=(size, size),
        impurity=simulate.PhaseShiftImpurity(phase),
        broadening=0.015,
        tip_nm=0.1,
    )
    step = 2 * np.pi / (size * pixel_nm)
    distance = np.hypot(*np.meshgrid(*[np.fft.fftfreq(size, 1 / size)] * 2))
    for plane in stack:
        spectrum = abs(np.fft.fft2(np.fft.ifftshift(plane.values)))
        rings = np.bincount(np.rint(distance).astype(int).ravel(), spectrum.ravel())
        rings /= np.bincount(np.rint(distance).astype(int).ravel())
        q = (5 + rings[5:60].argmax()) * step
        assert q == pytest.approx(2 * COPPER.wave_number(float(plane.bias)).real, abs=step)


def test_a_blunt_tip_sees_less_of_short_waves():
    options = dict(
        bias=0.0,
        pixel_nm=0.2,
        shape=(61, 61),
        impurity=simulate.PhaseShiftImpurity(0.9),
        broadening=0.03,
    )
    sharp, blunt = (simulate.single_defect(COPPER, tip_nm=tip, **options) for tip in (0.0, 0.3))
    far = np.hypot(sharp.y, sharp.x).values > 2
    # A factor exp(-k^2 sigma^2 / 2) on the way out and another on the way back.
    k = COPPER.wave_number(0.0).real
    ratio = np.std(blunt.values[far]) / np.std(sharp.values[far])
    assert ratio == pytest.approx(np.exp(-((k * 0.3) ** 2)), rel=0.05)


# --- symmetries that need care ---


@pytest.mark.parametrize(
    "impurity",
    [
        simulate.PointImpurity(2.0),
        simulate.PhaseShiftImpurity(0.9),
        simulate.MagneticImpurity(2.0),
        simulate.MagneticImpurity(1.0, 2.0),
    ],
    ids=str,
)
def test_a_point_on_a_warped_dirac_cone_is_six_fold_not_three_fold(impurity):
    """For ``g(-r) = sigma_y g(r)^T sigma_y``, although H itself is but three-fold."""
    kernel = simulate.single_defect(
        simulate.DiracBand(0.255, 0.25),
        bias=0.35,
        pixel_nm=0.25,
        shape=(65, 65),
        impurity=impurity,
        broadening=0.1,
        tip_nm=0.3,
    )
    found = symmetry_scores(kernel.values)
    assert min(found["C6"], found["C3"], found["C2"]) > 0.99
    assert found["C4"] < min(found["C6"], 0.97)


def test_a_site_of_graphene_is_three_fold_and_the_other_site_its_mirror_image():
    options = dict(bias=0.8, pixel_nm=0.05, shape=(65, 65), broadening=0.3, tip_nm=0.06)
    site_a, site_b = (
        simulate.single_defect(
            simulate.GrapheneBand(), impurity=simulate.PointImpurity(3.0, orbital), **options
        ).values
        for orbital in (0, 1)
    )
    found = symmetry_scores(site_a)
    assert found["C3"] > 0.99
    assert max(found["C2"], found["C4"], found["C6"]) < 0.6
    close = 1e-8 * abs(site_a).max()
    np.testing.assert_allclose(site_b, site_a[::-1, ::-1], atol=close)
    np.testing.assert_allclose(site_a, site_a[:, ::-1], atol=close)
    # Round A its three B neighbours light up, one of them straight down, 0.142 nm off.
    assert abs(site_a[32 + 3, 32]) > 2 * abs(site_a[32 - 3, 32])


# --- precision ---


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


# --- many defects ---

MAP = dict(bias=0.0, pixel_nm=0.25, shape=(40, 50), broadening=0.12)


def superposed(defects, impurity, band=COPPER):
    kernel = simulate.single_defect(band, impurity=impurity, **MAP | dict(shape=(121, 121)))
    found = np.zeros(MAP["shape"])
    for (row, col), strength in zip(
        np.rint(defects.positions).astype(int), defects.strength, strict=True
    ):
        found += strength * kernel.values[60 - row : 100 - row, 60 - col : 110 - col]
    return found


def test_one_defect_of_many_is_its_kernel_moved():
    defects = Defects([[12.0, 31.0]])
    found = simulate.multiple_defects(COPPER, defects, impurity=5.0, **MAP)
    expected = superposed(defects, 5.0)
    np.testing.assert_allclose(found, expected, atol=2e-3 * abs(expected).max())
    np.testing.assert_allclose(found.x, 0.25 * np.arange(50))
    np.testing.assert_allclose(found.y, 0.25 * np.arange(40))


@pytest.mark.parametrize(
    ("positions", "impurity", "least", "most"),
    [
        ([[3.0, 4.0], [36.0, 45.0]], 5.0, 0.0, 0.02),
        ([[18.0, 20.0], [22.0, 24.0]], 1e-4, 0.0, 0.01),
        ([[18.0, 20.0], [20.0, 21.0]], 5.0, 0.1, 1.0),
    ],
    ids=["far", "weak", "close"],
)
def test_superposition_holds_for_far_or_weak_defects_only(positions, impurity, least, most):
    defects = Defects(positions)
    found = simulate.multiple_defects(COPPER, defects, impurity=impurity, **MAP).values
    error = np.std(found - superposed(defects, impurity)) / np.std(found)
    assert least <= error <= most


def test_strengths_are_potentials_and_defects_may_lie_outside():
    defects = Defects([[10.0, 10.0], [-6.0, 20.0]], strength=[1.0, 2.0])
    found = simulate.multiple_defects(COPPER, defects, impurity=1e-5, **MAP).values
    expected = superposed(defects, 1e-5)
    np.testing.assert_allclose(found, expected, atol=2e-3 * abs(expected).max())
    order = defects[[1, 0]]
    again = simulate.multiple_defects(COPPER, order, impurity=1e-5, **MAP).values
    np.testing.assert_allclose(again, found, atol=1e-9 * abs(found).max())


def test_many_defects_on_one_sublattice():
    band = simulate.GrapheneBand(lattice_nm=1.0)
    options = MAP | dict(bias=0.8, broadening=0.4, tip_nm=0.3)
    defects = Defects([[0.0, 12.0], [0.2, 28.1]])
    site = simulate.PointImpurity(1.0, orbital=1)
    found = simulate.multiple_defects(band, defects, impurity=site, **options)
    near = simulate.multiple_defects(
        band, Defects([[0.0, 12.0], [0.0, 28.0]]), impurity=site, **options
    )
    np.testing.assert_allclose(found, near)
    with pytest.raises(SimulationError, match="orbital="):
        simulate.multiple_defects(band, defects, impurity=1.0, **options)


def test_bad_defects_are_refused():
    with pytest.raises(SimulationError, match="no defects"):
        simulate.multiple_defects(COPPER, Defects(np.zeros((0, 2))), impurity=1.0, **MAP)
    with pytest.raises(SimulationError, match="must be point impurities"):
        simulate.multiple_defects(
            COPPER, Defects([[1, 1]]), impurity=simulate.GaussianImpurity(1.0, 0.3), **MAP
        )
    with pytest.raises(SimulationError, match="share a lattice site"):
        simulate.multiple_defects(
            simulate.SquareBand(0.1, 1.0), Defects([[1, 1], [1.2, 1]]), impurity=1.0, **MAP
        )
    with pytest.raises(SimulationError, match="choose fewer defects or a smaller window"):
        simulate.multiple_defects(
            COPPER,
            Defects(np.arange(4000).reshape(-1, 2) / 10),
            impurity=1.0,
            **MAP | dict(shape=(256, 256)),
        )
    with pytest.raises(SimulationError, match="same centres"):
        ldos_change(
            COPPER,
            np.array([0.0]),
            pixel_nm=0.2,
            window=(np.arange(3), np.arange(3)),
            impurities=[simulate.PointImpurity(1.0), simulate.GaussianImpurity(1.0, 0.3)],
            broadening=0.1,
        )


# --- cores ---


def test_a_core_is_added_in_units_of_the_waves():
    options = dict(bias=[0.0, 0.1], pixel_nm=0.2, shape=(21, 21), impurity=5.0, broadening=0.1)
    plain = simulate.single_defect(COPPER, **options)
    core = simulate.CoreShape(amplitude=-0.5, width_nm=0.3, ring_nm=0.4)
    added = simulate.single_defect(COPPER, core=core, **options) - plain
    for index in range(2):
        largest = float(abs(plain[index]).max())
        assert float(added[index].min()) == pytest.approx(-0.5 * largest, rel=1e-6)
        assert float(added[index, 10, 12]) == pytest.approx(-0.5 * largest)  # at 0.4 nm
        middle = -0.5 * largest * np.exp(-(0.4**2) / (2 * 0.3**2))
        assert float(added[index, 10, 10]) == pytest.approx(middle)


@pytest.mark.parametrize("fold", [2, 3, 4, 6])
def test_lobes_have_their_fold_and_point_from_columns_to_rows(fold):
    axis = np.arange(-32, 33) * 0.1
    core = simulate.CoreShape(1.0, 0.5, 1.0, fold=fold, lobes=0.8, angle_deg=90.0)
    density = core.density(axis, axis)
    assert symmetry_scores(density)[f"C{fold}"] > 0.995
    radius = np.hypot(*(np.indices(density.shape) - 32))
    ring = abs(radius - 10) < 0.5
    assert density[42, 32] == pytest.approx(density[ring].max(), rel=0.02)  # 1 nm straight down
    assert density[ring].min() < 0.9 * density[42, 32]
    assert np.isfinite(density).all()
    assert density[32, 32] == pytest.approx(np.exp(-2.0))
    for numbers in (dict(width_nm=0.0), dict(width_nm=1.0, ring_nm=-1.0)):
        with pytest.raises(ValueError, match="must be positive"):
            simulate.CoreShape(1.0, **numbers)


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
