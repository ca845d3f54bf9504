"""Correcting drift by the lattice."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from qpi_kernels import prepare
from qpi_kernels.prepare.lattice.displacement import follow_lattice
from shared.drifted_lattices import bragg, drifted, regular, rms_error


def corrected(raw, **options):
    fields = {name: options.pop(name) for name in list(options) if name not in ("mask", "channels")}
    made = prepare.run(raw, [prepare.CorrectDrift(**fields)], **options)
    return made, made.report["correct_drift"]


@pytest.mark.parametrize(
    ("shape", "symmetry", "constant", "degrees"),
    [
        ((256, 256), "square", 8.0, 0.0),
        ((192, 255), "square", 6.3, 33.0),
        ((201, 171), "hexagonal", 8.7, 11.0),
        ((256, 256), "hexagonal", 13.0, 52.0),
        ((160, 160), "hexagonal", 5.2, 5.0),
    ],
)
def test_drift_as_slow_as_the_frame_is_found_in_as_much_noise(
    shape, symmetry, constant, degrees
) -> None:
    raw, truth = drifted(shape, bragg(symmetry, constant, degrees), snr=1.0)
    _, report = corrected(raw)
    margin = round(3 * constant)
    error = rms_error(report["displacement_px"], truth, margin)
    assert error < 0.1
    assert rms_error(-report["displacement_px"], truth, margin) > 2 * error
    assert report["symmetry"] == symmetry
    assert report["residue_share"] == 0.0


@pytest.mark.parametrize(("symmetry", "constant"), [("square", 6.0), ("hexagonal", 7.0)])
def test_the_corrected_map_is_the_regular_lattice(symmetry, constant) -> None:
    waves = bragg(symmetry, constant, 20.0)
    raw, truth = drifted((150, 161), waves)
    made, report = corrected(raw)
    assert rms_error(report["displacement_px"], truth, 20) < 0.05
    # A lattice is regular if few waves of its mean Bragg vectors are all of it.
    grid = np.indices(raw.shape, float)
    inner = np.s_[20:-20, 20:-20]
    left = []
    for image, mean in (
        (raw, waves),
        (made.image.values, report["bragg_rad_per_px"]),
    ):
        phases = np.tensordot(mean, grid, 1)[(slice(None), *inner)].reshape(len(mean), -1)
        terms = np.concatenate([np.cos(phases), np.sin(phases)]).T
        values = image[inner].ravel()
        fit = np.linalg.lstsq(terms, values, rcond=None)[0]
        left.append(np.std(values - terms @ fit) / np.std(values))
    assert left[0] > 0.5
    assert left[1] < 0.1


@pytest.mark.parametrize(("symmetry", "constant"), [("square", 6.0), ("hexagonal", 7.0)])
def test_a_sheared_lattice_becomes_that_of_its_target(symmetry, constant) -> None:
    waves = bragg(symmetry, constant, 17.0)
    raw, truth = drifted((150, 150), waves, size=0.0, shear=0.02)
    _, kept = corrected(raw)
    assert kept["rms_px"] < 0.05
    for known in (None, constant):
        _, report = corrected(raw, target=symmetry, lattice_constant=known)
        assert rms_error(report["displacement_px"], truth, 0, slopes=False) < 0.1
        lengths = np.linalg.norm(report["target_rad_per_px"], axis=1)
        np.testing.assert_allclose(lengths, np.linalg.norm(waves[0]), rtol=2e-3)
    wrong = "hexagonal" if symmetry == "square" else "square"
    with pytest.raises(prepare.PreparationError, match=f"not those of a {wrong} lattice"):
        corrected(raw, target=wrong)
    with pytest.raises(prepare.PreparationError, match=r"not resolved.* lattice of 12 px"):
        corrected(raw, target=symmetry, lattice_constant=12.0)


def test_the_field_of_the_topograph_moves_the_cube_its_mask_and_its_defects() -> None:
    waves = bragg("square", 7.0, 10.0)
    topograph, _ = drifted((120, 130), waves)
    cube = xr.DataArray(
        da.from_array(np.stack([topograph, 2 * topograph]), chunks=(1, 60, 60)),
        dims=("bias", "y", "x"),
        coords={
            "bias": [0.1, 0.2],
            "y": ("y", 0.05 * np.arange(120), {"units": "nm"}),
            "x": ("x", 0.05 * np.arange(130), {"units": "nm"}),
        },
    )
    mask = np.ones((120, 130), bool)
    mask[60:64, 30:34] = False
    channel = cube[0].compute().copy(data=topograph)
    made = prepare.run(
        cube,
        [prepare.CorrectDrift()],
        mask=mask,
        defects=[(50.0, 70.0)],
        channels={"topography": channel},
    )
    report = made.report["correct_drift"]
    assert report["measured_in"] == "topography"
    assert report["lattice_constant_nm"] == pytest.approx(0.35, rel=0.02)
    np.testing.assert_allclose(
        report["bragg_rad_per_nm"], report["bragg_rad_per_px"] / 0.05, rtol=1e-12
    )
    assert hasattr(made.image.data, "dask")
    np.testing.assert_allclose(
        made.image.values[1], 2 * made.channels["topography"].values, atol=1e-6
    )
    moved = report["displacement_px"]
    row, column = made.defects.positions[0]
    at = (round(row), round(column))
    np.testing.assert_allclose([row, column] + moved[:, at[0], at[1]], [50.0, 70.0], atol=0.1)
    holes = np.argwhere(~made.mask[10:-10, 10:-10]) + 10
    shift = moved[:, 61, 31]
    np.testing.assert_allclose(holes.mean(axis=0) + shift, [61.5, 31.5], atol=0.6)
    assert (made.mask[made.mask] <= np.isfinite(made.image.values[0][made.mask])).all()
    again = prepare.replay(
        cube, made.history, mask=mask, defects=[(50.0, 70.0)], channels={"topography": channel}
    )
    assert again.image.identical(made.image)
    np.testing.assert_array_equal(again.report["correct_drift"]["displacement_px"], moved)


def test_terraces_masks_spikes_and_gaps_do_not_disturb() -> None:
    waves = bragg("hexagonal", 8.0, 20.0)
    raw, truth = drifted((180, 180), waves, snr=4.0)
    rows, columns = np.indices(raw.shape)
    raw = raw + 20.0 * (columns + 0.3 * rows > 110)
    raw[100:104, 20:70] = np.nan
    rng = np.random.default_rng(1)
    spikes = rng.integers(5, 175, (40, 2))
    raw[tuple(spikes.T)] += 30.0
    mask = np.abs(columns + 0.3 * rows - 110) > 6
    made, report = corrected(raw, mask=mask)
    far = np.abs(columns + 0.3 * rows - 110) > 12
    assert rms_error(report["displacement_px"], truth, 24, where=far) < 0.1
    assert np.isnan(made.image.values[102, 40:50]).all()
    assert not made.mask[90, 80:86].any()


def test_given_bragg_peaks_are_used_and_checked() -> None:
    waves = bragg("square", 7.0, 25.0)
    raw, truth = drifted((140, 140), waves)
    dragged = waves + 2 * np.pi / 140 * np.array([[0.6, -0.7], [0.8, 0.5]])
    _, report = corrected(raw, bragg_peaks=tuple(map(tuple, dragged.tolist())))
    assert rms_error(report["displacement_px"], truth, 21) < 0.05
    with pytest.raises(prepare.PreparationError, match="two or three"):
        corrected(raw, bragg_peaks=((0.5, 0.5), (1.0, 1.0)))
    with pytest.raises(prepare.PreparationError, match="pi/pixel"):
        corrected(raw, bragg_peaks=((0.5, 0.5), (4.0, -1.0)))


def test_an_image_without_a_lattice_is_refused() -> None:
    noise = np.random.default_rng(2).normal(size=(128, 128))
    with pytest.raises(prepare.PreparationError, match="lattice is not resolved"):
        corrected(noise)
    with pytest.raises(prepare.PreparationError, match=r"lattice is not resolved.* no one value"):
        corrected(noise, bragg_peaks=((0.8, 0.0), (0.0, 0.8)))


def test_a_dislocation_is_masked() -> None:
    waves = bragg("square", 6.0, 0.0)
    rows, columns = np.indices((160, 160), float) - 80.5
    turns = np.stack([0 * rows, np.arctan2(rows, columns) * 6.0 / (2 * np.pi)])
    raw = regular(np.stack([rows, columns]) - turns, waves)
    made, report = corrected(raw)
    assert 0 < report["residue_share"] < 0.05
    assert not made.mask[78:83, 78:83].any()
    assert made.mask[20:60, 20:140].all()


def test_defects_all_over_the_frame_leave_no_lattice_to_follow() -> None:
    raw = regular(np.indices((64, 64), float), bragg("square", 6.0, 20.0))
    marks = np.stack(np.meshgrid(*[np.linspace(0, 63, 9)] * 2), -1).reshape(-1, 2)
    with pytest.raises(prepare.PreparationError, match="mark fewer defects"):
        prepare.run(raw, [prepare.CorrectDrift()], defects=marks)


def test_too_few_pixels_for_any_window_are_refused() -> None:
    plane = np.full((64, 64), np.nan)
    plane[30, 30] = 1.0
    with pytest.raises(prepare.PreparationError, match="too few pixels"):
        follow_lattice(plane, bragg("square", 6.0, 20.0))
