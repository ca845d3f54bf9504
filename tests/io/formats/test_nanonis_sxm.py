"""Nanonis .sxm: layout, orientation, units, aborted, damaged and hostile files."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from qpi_kernels.io import main_channel, open_scan
from shared.nanonis_files import write_sxm

ROWS, COLUMNS = 3, 5


@pytest.fixture
def planes():
    """Z forward, Z backward, current forward, current backward; every value differs."""
    return (1 + np.arange(4 * ROWS * COLUMNS).reshape(4, ROWS, COLUMNS)) * 1e-10


@pytest.fixture
def file(tmp_path):
    return tmp_path / "scan.sxm"


def test_planes_become_channels_in_display_order(file, planes):
    scan = open_scan(write_sxm(file, planes))
    assert list(scan.data_vars) == [
        "topography_forward",
        "topography_backward",
        "current_forward",
        "current_backward",
    ]
    assert_allclose(scan["topography_forward"], planes[0] * 1e9, rtol=1e-6)
    assert_allclose(scan["topography_backward"], planes[1, :, ::-1] * 1e9, rtol=1e-6)
    assert_allclose(scan["current_forward"], planes[2], rtol=1e-6)
    assert_allclose(scan["current_backward"], planes[3, :, ::-1], rtol=1e-6)
    for channel in scan.data_vars.values():
        assert channel.dims == ("y", "x")
        assert channel.dtype == np.float32
        assert channel.dtype.isnative
        assert channel.values.flags.c_contiguous


def test_an_up_scan_is_flipped_so_that_row_0_is_the_top(file, planes):
    scan = open_scan(write_sxm(file, planes, SCAN_DIR="up"))
    assert_allclose(scan["topography_forward"], planes[0, ::-1] * 1e9, rtol=1e-6)
    assert_allclose(scan["topography_backward"], planes[1, ::-1, ::-1] * 1e9, rtol=1e-6)


def test_geometry_bias_and_set_point(file, planes):
    scan = open_scan(write_sxm(file, planes))
    assert_allclose(scan["x"], np.arange(COLUMNS) * 2.0)
    assert_allclose(scan["y"], np.arange(ROWS) * 3.0)
    assert scan["x"].attrs["units"] == "nm"
    assert float(scan["bias"]) == -0.05
    assert scan.attrs["scan_angle_deg"] == 135.1
    assert_allclose(scan.attrs["offset_nm"], (470.9271, -56.57749))
    assert scan.attrs["setpoint"] == "30 pA, feedback on"
    assert scan.attrs["complete"] is True
    assert scan.attrs["header"]["COMMENT"] == "first line\nsecond: line"
    assert scan["topography_forward"].attrs["units"] == "nm"
    assert scan["current_forward"].attrs["units"] == "A"


@pytest.mark.parametrize(
    ("direction", "name"), [("forward", "current_forward"), ("backward", "current_backward")]
)
def test_a_channel_of_one_direction_has_one_plane(file, planes, direction, name):
    channels = (("Current", "A", direction),)
    scan = open_scan(write_sxm(file, planes[:1], channels=channels))
    assert list(scan.data_vars) == [name]
    expected = planes[0] if direction == "forward" else planes[0, :, ::-1]
    assert_allclose(scan[name], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("label", "extra", "quantity"),
    [
        ("LI_Demod_1_X", {}, "didv"),
        ("LI_Demod_1_Y", {}, "other"),
        ("LI_Demod_2_X", {"Lock-in>Harmonic D2": "2"}, "other"),
        ("LI_Demod_1_X", {"Lock-in>Demodulated signal": "OC M1 Freq. Shift (Hz)"}, "other"),
        ("LIX_1_omega", {}, "didv"),
        ("LIX_2_omega", {}, "other"),
        ("LIY_1_omega", {}, "other"),
        ("Lockin_X", {}, "didv"),
        ("LockinX", {}, "didv"),
        ("LockinY", {}, "other"),
        ("LockIn", {}, "didv"),
        ("dI/dV", {}, "didv"),
        ("[P1]_LI_Demod_1_X", {}, "didv"),
        ("[P1]_Z", {}, "topography"),
        ("Phase", {}, "other"),
    ],
)
def test_what_a_channel_is(file, planes, label, extra, quantity):
    unit = "m" if label.endswith("Z") else "A"
    channels = (("Current", "A", "forward"), (label, unit, "forward"))
    curved = np.sqrt(planes[:2])  # a topograph that is a plane would come last
    scan = open_scan(write_sxm(file, curved, channels=channels, extra=extra))
    found = next(v for v in scan.data_vars.values() if v.attrs["long_name"] == label)
    assert found.attrs["quantity"] == quantity
    if quantity != "other":
        assert main_channel(scan).attrs["long_name"] == label


def test_constant_height_is_said(file, planes):
    table = "\tName\ton\tSetpoint\n\tlog Current\t0\t2.500E-11 A"
    assert open_scan(write_sxm(file, planes, Z__CONTROLLER=table)).attrs["setpoint"] == (
        "25 pA, feedback off"
    )


def test_passes_of_different_bias_are_not_given_one(file, planes):
    table = "\tBias_override\tBias_override_value\n\tFALSE\t0\n\tTRUE\t5E-1"
    scan = open_scan(write_sxm(file, planes, extra={"Multipass-Config": table}))
    assert "bias" not in scan.coords


def test_little_endian_and_unknown_types(file, planes, assert_refused):
    scan = open_scan(write_sxm(file, planes, order="<f4", SCANIT_TYPE="FLOAT LSBFIRST"))
    assert_allclose(scan["current_forward"], planes[2], rtol=1e-6)
    assert_refused(write_sxm(file, planes, SCANIT_TYPE="INT MSBFIRST"), "FLOAT MSBFIRST")


@pytest.mark.parametrize("filler", [np.nan, 0.0])
@pytest.mark.parametrize("scan_direction", ["down", "up"])
def test_rows_that_were_not_scanned_are_nan(file, planes, filler, scan_direction):
    planes[:, 2] = filler
    scan = open_scan(write_sxm(file, planes, SCAN_DIR=scan_direction))
    missing = 2 if scan_direction == "down" else 0
    assert scan.attrs["complete"] is False
    for channel in scan.data_vars.values():
        rows = np.isnan(channel.values).all(axis=1)
        assert_array_equal(np.flatnonzero(rows), [missing])
        assert np.isnan(channel.values).sum() == COLUMNS


def test_a_single_zero_is_a_measured_value(file, planes):
    planes[2, 1] = 0
    scan = open_scan(write_sxm(file, planes))
    assert scan.attrs["complete"] is True
    assert_array_equal(scan["current_forward"][1], 0)


def test_a_cut_file_keeps_what_is_there(file, planes):
    whole = planes.astype(">f4").tobytes()
    scan = open_scan(write_sxm(file, planes, data=whole[: 4 * (ROWS * COLUMNS + 7) + 2]))
    assert scan.attrs["complete"] is False
    assert_allclose(scan["topography_forward"], planes[0] * 1e9, rtol=1e-6)
    assert np.isfinite(scan["topography_backward"]).sum() == 7
    assert np.isnan(scan["current_forward"]).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SCAN_PIXELS": None}, "lacks 'SCAN_PIXELS'"),
        ({"SCAN_PIXELS": "many more"}, "SCAN_PIXELS"),
        ({"SCAN_PIXELS": "-5 3"}, "SCAN_PIXELS"),
        ({"SCAN_PIXELS": "0 3"}, "impossible size"),
        ({"SCAN_PIXELS": "60000 60000"}, "not one image row"),
        ({"SCAN_PIXELS": "999999999 999999999"}, "impossible size"),
        ({"SCAN_PIXELS": "50 65000"}, "the header is damaged"),
        ({"SCAN_PIXELS": "5 2"}, "SCAN_PIXELS or DATA_INFO is damaged"),
        ({"SCAN_RANGE": "nan 1E-9"}, "SCAN_RANGE"),
        ({"SCAN_RANGE": "-1E-9 1E-9"}, "negative size"),
        ({"SCAN_RANGE": "1E-9"}, "SCAN_RANGE"),
        ({"SCAN_OFFSET": "left right"}, "SCAN_OFFSET"),
        ({"SCAN_ANGLE": "inf"}, "SCAN_ANGLE"),
        ({"SCAN_DIR": "sideways"}, "SCAN_DIR"),
        ({"DATA_INFO": None}, "lacks 'DATA_INFO'"),
        ({"DATA_INFO": ""}, "lists no channel"),
        ({"DATA_INFO": "\tName\tUnit\n\tZ\tm"}, "direction"),
    ],
)
def test_damaged_headers_are_refused(file, planes, assert_refused, changes, reason):
    assert_refused(write_sxm(file, planes, **changes), reason)


def test_files_without_data_are_refused(file, planes, assert_refused):
    assert_refused(write_sxm(file, planes, data=b""), "not one image row")
    file.write_bytes(b":NANONIS_VERSION:\n2\n")
    assert_refused(file, ":SCANIT_END: is missing")
    file.write_bytes(b":NANONIS_VERSION:" + np.random.default_rng(0).bytes(4000))
    assert_refused(file, ":SCANIT_END: is missing")


def test_damage_never_escapes(file, planes, assert_survives_damage):
    write_sxm(file, planes)
    header_bytes = file.stat().st_size - planes.size * 4
    assert assert_survives_damage(file, header_bytes)["read"] > 0


def row_correlation(forward, backward):
    """Trace/retrace correlation after taking the median off every row."""
    levelled = [image - np.median(image, axis=1, keepdims=True) for image in (forward, backward)]
    return np.corrcoef(*(image.ravel() for image in levelled))[0, 1]


def test_sample_moire(sample):
    scan = open_scan(sample("nanonis_moire_10nm.sxm"))
    assert dict(scan.sizes) == {"y": 160, "x": 160}
    assert_allclose(scan["x"][1] - scan["x"][0], 0.0625)
    assert float(scan["bias"]) == 0.2688
    assert scan.attrs["setpoint"] == "30 pA, feedback on"
    assert scan.attrs["scan_angle_deg"] == 0
    assert_allclose(scan.attrs["offset_nm"], (470.9271, 56.57749))
    assert scan.attrs["complete"] is True
    forward, backward = scan["topography_forward"].values, scan["topography_backward"].values
    assert_allclose((forward.min(), forward.max()), (105.3800, 105.7491), atol=6e-5)
    assert_allclose(forward[0, 0], 105.68659, atol=1e-5)
    assert row_correlation(forward, backward) == pytest.approx(0.883, abs=5e-4)
    currents = row_correlation(scan["current_forward"].values, scan["current_backward"].values)
    assert currents == pytest.approx(-0.66, abs=0.01)
    assert scan.attrs["header"]["NanonisMain>SW Version"] == "Generic 4"


def test_sample_constant_height(sample):
    scan = open_scan(sample("nanonis_gen5_Au_mica.sxm"))
    assert dict(scan.sizes) == {"y": 256, "x": 256}
    assert_allclose(scan["x"][-1] + scan["x"][1], 4)
    assert float(scan["bias"]) == -0.05
    assert scan.attrs["scan_angle_deg"] == 135.1
    assert_allclose(scan.attrs["offset_nm"], (150.066, -157.108), atol=1e-3)
    assert scan.attrs["setpoint"] == "25 pA, feedback off"
    assert_allclose(scan["topography_forward"], 0.01724386, atol=1e-8)
    current = scan["current_forward"].values
    assert_allclose((current.min(), current.max()), (-9.678e-9, -0.0151e-9), rtol=5e-3)
    backward = scan["current_backward"].values
    assert row_correlation(current, backward) == pytest.approx(0.948, abs=5e-4)


def test_sample_agrees_with_nanonispy2(sample):
    """An independent reader; it mirrors nothing, so its backward planes are mirrored here."""
    nanonispy2 = pytest.importorskip("nanonispy2")
    path = sample("nanonis_moire_10nm.sxm")
    theirs = nanonispy2.read.Scan(str(path)).signals
    ours = open_scan(path)
    assert_allclose(ours["topography_forward"], theirs["Z"]["forward"] * 1e9, rtol=1e-6)
    assert_allclose(ours["topography_backward"], theirs["Z"]["backward"][:, ::-1] * 1e9, rtol=1e-6)
    assert_allclose(ours["current_backward"], theirs["Current"]["backward"][:, ::-1], rtol=1e-6)


def test_a_scan_stopped_before_its_first_row_is_refused(file, planes, assert_refused):
    assert_refused(write_sxm(file, np.zeros_like(planes)), "stopped before its first row")
