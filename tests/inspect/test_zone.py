"""Bragg peaks and Brillouin zones of lattices whose vectors are known."""

import numpy as np
import pytest
import xarray as xr

from qpi_kernels.inspect import InspectionError, bragg_peaks, brillouin_zone, fourier

PITCH = 0.05


def lattice(angles_deg, rows_nm=0.4, noise=0.3):
    """Simulate an atomic lattice with rows so far apart, in directions as seen."""
    rng = np.random.default_rng(0)
    size = 192
    at = np.arange(size) * PITCH
    values = noise * rng.normal(size=(size, size))
    waves = []
    for angle in np.deg2rad(angles_deg):
        q = 2 * np.pi / rows_nm * np.array([-np.sin(angle), np.cos(angle)])
        values += np.cos(q[0] * at[:, None] + q[1] * at + rng.uniform(0, 6))
        waves.append(q)
    coords = {axis: (axis, at, {"units": "nm"}) for axis in ("y", "x")}
    return xr.DataArray(values, dims=("y", "x"), coords=coords), np.array(waves)


@pytest.mark.parametrize(
    ("angles", "constant", "symmetry"),
    [((12, 102), 0.4, "square"), ((7, 67, 127), 0.4619, "hexagonal")],
)
def test_peaks_and_zone_of_a_lattice(angles, constant, symmetry):
    image, waves = lattice(angles)
    peaks = bragg_peaks(image)
    assert peaks.attrs["symmetry"] == symmetry
    assert peaks.attrs["units"] == "rad/nm"
    assert peaks.attrs["lattice_constant"] == pytest.approx(constant, rel=0.01)
    assert len(peaks) == 2 * len(angles)
    step = fourier(image).attrs["dq_x"]
    for wave in np.vstack([waves, -waves]):
        assert np.linalg.norm(peaks.values - wave, axis=1).min() < 0.1 * step
    zone = brillouin_zone(peaks)
    corners = zone.values
    assert len(corners) == 2 * len(angles) + 1
    np.testing.assert_array_equal(corners[0], corners[-1])
    # A corner is as far from q = 0 as from two lattice points.
    length = np.linalg.norm(waves[0])
    reach = length / np.sqrt(2) if symmetry == "square" else length / np.sqrt(3)
    np.testing.assert_allclose(np.linalg.norm(corners, axis=1), reach, rtol=0.02)
    seen = np.unwrap(np.arctan2(-corners[:, 0], corners[:, 1]))
    assert (np.diff(seen) > 0).all()
    area = 0.5 * abs(np.sum(corners[:-1, 0] * corners[1:, 1] - corners[1:, 0] * corners[:-1, 1]))
    cell = constant**2 * (np.sqrt(0.75) if symmetry == "hexagonal" else 1)
    assert area == pytest.approx((2 * np.pi) ** 2 / cell, rel=0.02)


def test_two_of_three_hexagonal_pairs_are_enough():
    image, waves = lattice((7, 67))
    peaks = bragg_peaks(image)
    assert len(peaks) == 6
    third = waves[1] - waves[0]
    assert np.linalg.norm(peaks.values - third, axis=1).min() < 0.3


def test_a_rectangle_and_a_skewed_basis():
    zone = brillouin_zone([(0, 3.0), (2.0, 0)])
    np.testing.assert_allclose(np.abs(zone.values), np.broadcast_to([1.0, 1.5], zone.shape))
    skewed = brillouin_zone([(2.0, 0), (6.0, 3.0)])
    np.testing.assert_allclose(np.sort(skewed.values, 0), np.sort(zone.values, 0), atol=1e-9)
    # A rhombus with an angle of 80 degrees has six sides.
    turn = np.deg2rad(80)
    assert len(brillouin_zone([(0, 1), (np.sin(turn), np.cos(turn))])) == 7


def test_peaks_on_one_line_are_refused():
    with pytest.raises(InspectionError, match="one line"):
        brillouin_zone([(0, 1), (0, -1), (0, 2)])
    with pytest.raises(InspectionError, match="array"):
        brillouin_zone([1.0, 2.0])


def test_a_map_without_a_lattice_has_no_peaks():
    image, _ = lattice(())
    with pytest.raises(ValueError, match="not resolved"):
        bragg_peaks(image)
