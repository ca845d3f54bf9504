"""Each artefact alone does what it says, and leaves the others as they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qpi_kernels import Defects
from qpi_kernels.simulate.maps.artefact_mixture import draw_artefacts
from qpi_kernels.simulate.maps.artefacts import Artefacts, apply_artefacts, drifted
from qpi_kernels.simulate.maps.scan_drift import DriftError

PIXEL_NM = 0.2
ADDED = {
    "noise": dict(noise=0.4),
    "flicker": dict(flicker=0.4),
    "row_offsets": dict(row_offsets=0.4),
    "mains": dict(mains=0.4),
    "glitches": dict(glitches=0.02),
    "streaks": dict(streaks=4),
    "steps": dict(steps=2),
}
OTHERS = ADDED | {
    "tip_changes": dict(tip_changes=2),
    "drift": dict(drift_x_nm_per_min=0.3, drift_y_nm_per_min=-0.2),
    "missing_rows": dict(missing_rows=0.3),
    "lost_rows": dict(lost_rows=0.1),
}


def waves(shape=(64, 64)):
    row, column = np.mgrid[: shape[0], : shape[1]]
    return 2.5 * np.cos(0.5 * row) * np.sin(0.4 * column + 1)


def scan(clean=None, seed=0, **switches):
    clean = waves() if clean is None else clean
    return apply_artefacts(clean, Artefacts(**switches), pixel_nm=PIXEL_NM, seed=seed)


def added(shape=(64, 64), seed=0, **switches):
    """What was added, in signal std."""
    clean = waves(shape)
    return (scan(clean, seed, **switches) - clean) / clean.std()


def test_everything_is_off_by_default():
    np.testing.assert_array_equal(scan(), waves())


def test_white_noise_is_white():
    noise = added((256, 256), noise=0.5)
    assert noise.std() == pytest.approx(0.5, rel=0.02)
    power = np.abs(np.fft.rfft2(noise)) ** 2
    low, high = power[:, 1:60].mean(), power[:, 68:].mean()
    assert low == pytest.approx(high, rel=0.1)


def test_flicker_falls_as_one_over_q_along_the_rows_and_wanders_down_them():
    noise = np.concatenate([added((128, 256), seed, flicker=0.7) for seed in range(8)])
    assert noise.std() == pytest.approx(0.7, rel=0.15)
    window = np.hanning(256)
    power = (np.abs(np.fft.rfft((noise - noise.mean(1, keepdims=True)) * window)) ** 2).mean(0)
    q = np.arange(3, 120)
    slope = np.polyfit(np.log(q), np.log(power[q]), 1)[0]
    assert slope == pytest.approx(-1, abs=0.1)
    # Fast components of neighbouring rows are independent, row means are not.
    fast = np.fft.rfft(noise)[:, 20:100]
    coherence = np.abs((fast[1:] * fast[:-1].conj()).mean()) / (np.abs(fast) ** 2).mean()
    assert coherence < 0.05
    means = noise.mean(axis=1)
    assert np.corrcoef(means[1:], means[:-1])[0, 1] > 0.5


def test_row_offsets_are_constant_along_rows():
    offsets = added((400, 30), row_offsets=0.6)
    np.testing.assert_allclose(offsets, offsets[:, :1] + np.zeros(30), atol=1e-12)
    assert offsets[:, 0].std() == pytest.approx(0.6, rel=0.12)


@pytest.mark.parametrize(("line_time_s", "hz", "periods"), [(0.2, 50, 10), (1.0, 60, 60 - 64)])
def test_mains_sits_where_frequency_and_line_time_put_it(line_time_s, hz, periods):
    pickup = added(mains=0.3, mains_hz=hz, line_time_s=line_time_s, mains_wander_hz=0.0)
    assert pickup.std() == pytest.approx(0.3, rel=0.02)
    assert np.abs(np.fft.rfft(pickup)).mean(axis=0).argmax() == abs(periods)


def test_mains_stripes_are_oblique_by_the_phase_of_a_whole_row():
    line_time_s = 0.202
    pickup = added(mains=0.3, line_time_s=line_time_s, mains_wander_hz=0.0)
    waves = np.fft.rfft(pickup)[:, 10]
    turns = np.angle(waves[1:] * waves[:-1].conj()) / (2 * np.pi)
    np.testing.assert_allclose(turns, (50 * 2 * line_time_s) % 1, atol=0.01)


def test_the_mains_frequency_wanders_from_frame_to_frame():
    def turn(seed):
        wave = np.fft.rfft(added(seed=seed, mains=0.3, line_time_s=0.2, mains_wander_hz=0.1))
        return np.angle((wave[1:, 10] * wave[:-1, 10].conj()).sum()) / (2 * np.pi) / 0.4

    assert np.std([turn(seed) for seed in range(100)]) == pytest.approx(0.1, rel=0.25)


def test_glitches_hit_their_share_of_single_pixels():
    plane = added((256, 256), glitches=0.01, glitch_height=5.0)
    hit = np.abs(plane) > 1e-9
    assert hit.mean() == pytest.approx(0.01, rel=0.15)
    assert plane[hit].std() == pytest.approx(5, rel=0.15)


def test_streaks_are_offset_parts_of_rows():
    for seed in range(5):
        plane = added(seed=seed, streaks=1, streak_nm=1.0)
        row, column = np.nonzero(np.abs(plane) > 1e-9)
        assert len(set(row)) == 1
        np.testing.assert_array_equal(np.diff(column), 1)
        np.testing.assert_allclose(plane[row, column], plane[row[0], column[0]])
    many = added((2000, 64), streaks=400, streak_nm=1.0, streak_height=2.0)
    assert (np.abs(many) > 1e-9).sum() / 400 == pytest.approx(1.0 / PIXEL_NM + 0.5, rel=0.15)
    assert many[np.abs(many) > 1e-9].std() == pytest.approx(2, rel=0.15)


def test_a_tip_change_scales_and_offsets_all_that_follows():
    clean = waves()
    seen = scan(tip_changes=1, tip_change_gain=0.5, tip_change_offset=2.0).ravel()
    changed = np.flatnonzero(seen != clean.ravel())
    assert changed[0] > 0
    np.testing.assert_array_equal(changed, np.arange(changed[0], clean.size))
    gain, offset = np.polyfit(clean.ravel()[changed], seen[changed], 1)
    np.testing.assert_allclose(seen[changed], gain * clean.ravel()[changed] + offset, atol=1e-9)
    assert gain > 0
    assert abs(gain - 1) > 0.01
    assert abs(offset) > 0.01


def test_a_step_edge_has_height_and_width():
    heights = []
    for seed in range(6):
        plane = added((101, 101), seed, steps=1, step_height=4.0, step_nm=2.0)
        assert plane.max() - plane.min() <= 4.0
        heights.append(plane.max() - plane.min())
        steepest = np.hypot(*np.gradient(plane, PIXEL_NM)).max()
        assert steepest == pytest.approx(4.0 / 2.0, rel=0.05)  # height / width, from tanh
    assert np.median(heights) > 3.99


def test_missing_and_lost_rows_are_nan_and_nothing_else_is():
    aborted = np.isnan(scan(missing_rows=0.25))
    assert aborted[48:].all()
    assert not aborted[:48].any()
    lost = np.isnan(scan(waves((1000, 20)), lost_rows=0.1))
    assert (lost.all(axis=1) == lost.any(axis=1)).all()
    assert lost.mean() == pytest.approx(0.1, abs=0.03)


def test_drift_shears_a_vertical_line():
    line = np.broadcast_to(np.exp(-((np.arange(64) - 30.0) ** 2) / 8), (64, 64))
    seen = scan(line, drift_x_nm_per_min=0.6, line_time_s=1.5)
    centre = (seen * np.arange(64)).sum(axis=1) / seen.sum(axis=1)
    pixels_per_row = 0.6 / PIXEL_NM / 60 * 2 * 1.5
    expected = 30 + pixels_per_row * (np.arange(64) - 31.5)
    np.testing.assert_allclose(centre, expected, atol=0.02 * np.abs(expected - 30).max() + 0.02)


def test_drift_along_the_scan_stretches_the_image():
    rows = np.arange(64)
    lines = np.exp(-((rows - 16.0) ** 2) / 8) + np.exp(-((rows - 48.0) ** 2) / 8)
    seen = scan(np.repeat(lines[:, None], 64, axis=1), drift_y_nm_per_min=0.6)[:, 32]
    peaks = [(seen[part] * rows[part]).sum() / seen[part].sum() for part in (rows < 32, rows >= 32)]
    assert peaks[1] - peaks[0] == pytest.approx(32 / (1 - 0.6 / PIXEL_NM / 60 * 2), abs=0.02)


def test_defects_appear_where_the_drifted_map_shows_them():
    artefacts = Artefacts(drift_x_nm_per_min=0.8, drift_y_nm_per_min=-0.5)
    row, column = np.mgrid[-20:84, -20:84]
    for position in ([10.3, 50.6], [55.0, 8.2]):
        clean = np.exp(-((row - position[0]) ** 2 + (column - position[1]) ** 2) / 8)
        seen = apply_artefacts(clean, artefacts, pixel_nm=PIXEL_NM, seed=0, margin_px=20)
        centre = np.array([(seen * axis).sum() for axis in np.mgrid[:64, :64]]) / seen.sum()
        moved = drifted(Defects([position]), artefacts, (64, 64), pixel_nm=PIXEL_NM)
        np.testing.assert_allclose(moved.positions[0], centre, atol=2e-3)
        assert np.abs(centre - position).max() > 0.2


@given(
    x=st.floats(-3, 3), y=st.floats(-3, 3), rows=st.integers(20, 60), columns=st.integers(20, 60)
)
@settings(max_examples=30, deadline=None)
def test_resampling_and_appearing_are_inverse_within_the_margin(x, y, rows, columns):
    artefacts = Artefacts(drift_x_nm_per_min=x, drift_y_nm_per_min=y)
    drift = artefacts.drift((rows, columns), pixel_nm=PIXEL_NM)
    margin = drift.margin_px
    ramps = np.mgrid[-margin : rows + margin, -margin : columns + margin].astype(float)
    true = np.stack([drift.resample(ramp, margin) for ramp in ramps], axis=-1).reshape(-1, 2)
    pixels = np.moveaxis(np.mgrid[:rows, :columns], 0, -1).reshape(-1, 2)
    assert (true >= -margin - 1e-9).all()
    assert (true <= np.array([rows, columns]) - 1 + margin + 1e-9).all()
    np.testing.assert_allclose(drift.appear(true), pixels, atol=1e-2)


def test_drift_that_outruns_the_scan_is_refused():
    with pytest.raises(DriftError, match="lower the drift"):
        scan(drift_y_nm_per_min=60 * PIXEL_NM, line_time_s=0.5)


@pytest.mark.parametrize(
    ("name", "other"), [(name, other) for name in ADDED for other in OTHERS if name != other]
)
def test_switching_one_on_leaves_the_others(name, other):
    both = scan(**ADDED[name], **OTHERS[other]) - scan(**OTHERS[other])
    alone = scan(**ADDED[name]) - waves()
    measured = np.isfinite(both)
    assert measured.mean() > 0.5
    np.testing.assert_allclose(both[measured], alone[measured], atol=1e-10)


def test_planes_share_events_but_not_noise():
    stack = np.stack([waves(), 3 * waves()[::-1], waves()])
    events = scan(stack, streaks=3, steps=1, tip_changes=1, missing_rows=0.2)
    np.testing.assert_array_equal(events[0], events[2])
    common = scan(stack, streaks=3, steps=1) - stack
    np.testing.assert_allclose(common[1], 3 * common[0], atol=1e-10)
    for name in ("noise", "flicker", "row_offsets", "glitches"):
        noise = scan(stack, **ADDED[name]) - stack
        assert abs(np.corrcoef(noise[0].ravel(), noise[2].ravel())[0, 1]) < 0.3, name
    first, _, last = scan(stack, mains=0.3)
    assert not np.allclose(first, last)


def test_the_same_seed_gives_the_same_bits_however_many_planes_there_are():
    stack = np.stack([waves(), waves().T, 2 * waves()])
    everything = {key: value for switch in OTHERS.values() for key, value in switch.items()}
    whole = scan(stack, seed=[5, 7], **everything)
    np.testing.assert_array_equal(whole, scan(stack, seed=[5, 7], **everything))
    np.testing.assert_array_equal(whole[0], scan(stack[0], seed=[5, 7], **everything))
    assert (whole != scan(stack, seed=[5, 8], **everything))[np.isfinite(whole)].any()


def test_amplitudes_follow_the_clean_signal():
    np.testing.assert_allclose(
        scan(7 * waves(), **ADDED["noise"]), 7 * scan(**ADDED["noise"]), rtol=1e-10
    )
    np.testing.assert_array_equal(scan(np.full((8, 8), 3.0), noise=1.0, mains=1.0), 3.0)


def test_the_margin_does_not_count_for_amplitudes():
    wide = np.pad(waves(), 10)
    noisy = apply_artefacts(wide, Artefacts(noise=0.4), pixel_nm=PIXEL_NM, seed=0, margin_px=10)
    np.testing.assert_array_equal(noisy, scan(noise=0.4))


def test_every_field_explains_itself():
    for name, field in Artefacts.model_fields.items():
        assert field.description, name
        assert field.default is not None, name


def test_the_typical_set_needs_no_mask():
    seen = apply_artefacts(waves(), Artefacts.typical(), pixel_nm=PIXEL_NM, seed=0)
    assert np.isfinite(seen).all()
    assert 0.3 < (seen - waves()).std() / waves().std() < 1.0


def test_mixtures_draw_each_artefact_with_its_probability():
    drawn = [
        draw_artefacts((64, 64), pixel_nm=PIXEL_NM, seed=[0, index], probability=0.3)
        for index in range(400)
    ]
    for name in ("flicker", "mains", "streaks", "steps", "drift_x_nm_per_min", "lost_rows"):
        share = np.mean([getattr(one, name) != 0 for one in drawn])
        assert share == pytest.approx(0.3, abs=0.08), name
    noise = np.array([one.noise for one in drawn])
    assert noise.min() >= 0.03
    assert noise.max() <= 1.0
    assert np.median(noise) == pytest.approx(np.sqrt(0.03), rel=0.2)
    assert drawn[3] == draw_artefacts((64, 64), pixel_nm=PIXEL_NM, seed=[0, 3], probability=0.3)
    moved = [
        np.abs(drifted(Defects([[0.0, 0.0]]), one, (64, 64), pixel_nm=PIXEL_NM).positions).max()
        for one in drawn
    ]
    assert 0.2 < max(moved) < 0.02 * 64
