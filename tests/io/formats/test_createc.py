"""Createc images: layouts, calibration, aborted, cut, damaged and hostile files."""

import tracemalloc
import zlib

import numpy as np
import pytest
from numpy.testing import assert_allclose

from qpi_kernels.io import ScanFormatError, main_channel, open_scan

ROWS, COLUMNS = 12, 8


def createc_header(planes=4, **changes):
    """The lines that matter, in the newer spelling; None takes a line out."""
    lines = {
        "DAC-Type": "20bit",
        "Titel(File) / Titel": "LN2",
        "Delta X / Delta X [Dac]": 100,
        "Delta Y / Delta Y [Dac]": 200,
        "Num.X / Num.X": COLUMNS,
        "Num.Y / Num.Y": ROWS,
        "GainX / GainX": 10,
        "GainY / GainY": 10,
        "GainZ / GainZ": 3,
        "Rotation / Rotation": "0.00",
        "BiasVoltage / BiasVolt.[mV]": "-350.00",
        "Gainpreamp / GainPre 10^": 9,
        "Scanrotoffx / OffsetX": "1000.0",
        "Scanrotoffy / OffsetY": "-2000.0",
        "Scanmode / ScanXMode": 2,
        "Channels / Channels": planes,
        "ScanmodeSine / ScanmodeSine": 0,
        "Channelselectval / Channelselectval": 3,
        "Dacto[A]xy": "0.00200",
        "Dacto[A]z": "0.00040",
        "FBLogIset": "101.000",
        "Length x[A]": "16.0",
        "Length y[A]": "48.0",
        "Biasvolt[mV]": "-350.00",
    }
    short = {key.split(" / ")[-1]: key for key in lines}
    for key, value in changes.items():
        lines[short.get(key, key)] = value
    return {key: value for key, value in lines.items() if value is not None}


def write_createc(path, planes, header, *, magic="[Paramco32]", tail=True, compress=True):
    """Write raw counts ``(plane, y, x)`` as Createc does."""
    text = "".join(f"{key}={value}\r\n" for key, value in header.items())
    body = np.concatenate([[0.0], np.ravel(planes), np.zeros(4 * COLUMNS if tail else 0)])
    data = body.astype("<f4").tobytes()
    start = f"{magic}\r\n" if magic else ""
    head = (start + text + " = \r\n").encode("latin-1").ljust(1500, b"\0")
    path.write_bytes(head + b"\nDATA" + (zlib.compress(data) if compress else data))
    return path


def counts(planes=4, seed=0):
    return np.random.default_rng(seed).uniform(100, 5000, (planes, ROWS, COLUMNS)).astype("f4")


@pytest.fixture
def createc(tmp_path):
    def write(planes=None, header=None, **options):
        planes = counts() if planes is None else planes
        header = createc_header(len(planes)) if header is None else header
        return write_createc(tmp_path / "A200101.120000.dat", planes, header, **options)

    return write


def test_planes_order_and_calibration(createc):
    raw = counts()
    scan = open_scan(createc(raw))
    names = ["topography_forward", "current_forward", "topography_backward", "current_backward"]
    assert list(scan.data_vars) == names
    assert_allclose(scan.topography_forward, raw[0] * 0.0004 * 0.3, rtol=1e-6)
    assert_allclose(scan.current_forward, raw[1] * 20 / 2**20 / 1e9, rtol=1e-6)
    assert_allclose(scan.topography_backward, raw[2] * 0.0004 * 0.3, rtol=1e-6)
    assert_allclose(scan.current_backward, raw[3] * 20 / 2**20 / 1e9, rtol=1e-6)
    assert scan.topography_forward.dtype == np.float32
    assert scan.topography_forward.dtype.isnative
    assert [v.units for v in scan.data_vars.values()] == ["nm", "A", "nm", "A"]
    assert scan.x[1] == pytest.approx(0.2)
    assert scan.y[1] == pytest.approx(0.4)
    assert scan.bias == pytest.approx(-0.35)
    assert scan.setpoint == "101 pA"
    assert scan.complete
    assert main_channel(scan).name == "topography_forward"


def test_the_setpoint_of_another_signal_is_no_current(createc):
    header = createc_header(FBChannel=4, SetPoint="7.000", FBLogIset="700.0")
    assert open_scan(createc(header=header)).setpoint == "feedback on channel 4 at 7"
    header = createc_header(FBChannel=0, SetPoint="5.00E-11")
    assert open_scan(createc(header=header)).setpoint == "50 pA"


def test_offset_is_the_frame_centre(createc):
    scan = open_scan(createc())
    assert_allclose(scan.offset_nm, (-2.0, -4.0 - 2.4))
    turned = open_scan(createc(header=createc_header(Rotation=90)))
    assert turned.scan_angle_deg == -90
    assert_allclose(turned.offset_nm, (-2.0 + 2.4, -4.0))


@pytest.mark.parametrize("column", [COLUMNS, 3])
def test_rows_of_zeros_become_nan(createc, column):
    raw = counts()
    raw[:, 7:] = 0
    raw[0, 3, :column] = 0  # zeros of one input alone are measured values
    scan = open_scan(createc(raw))
    assert not scan.complete
    for data in scan.data_vars.values():
        assert np.isnan(data[7:]).all()
        assert np.isfinite(data[:7]).all()
    assert (scan.topography_forward[3, :column] == 0).all()


def test_backward_direction_may_end_earlier(createc):
    raw = counts()
    raw[:2, 7:] = 0
    raw[2:, 6:] = 0
    scan = open_scan(createc(raw))
    assert np.isfinite(scan.current_forward[6]).all()
    assert np.isnan(scan.current_backward[6]).all()


def test_scan_without_a_row_is_refused(createc):
    with pytest.raises(ScanFormatError, match="before its first row"):
        open_scan(createc(np.zeros((4, ROWS, COLUMNS))))


def test_several_biases(createc):
    raw = counts(12)
    voltages = {"MVoltnumber11": 3, "MVolt_1": -50, "MVolt_2": "150,5", "MVolt_3": 20}
    scan = open_scan(createc(raw, createc_header(12, **voltages)))
    assert scan.topography_forward.dims == ("bias", "y", "x")
    assert_allclose(scan.bias, [-0.05, 0.1505, 0.02])
    assert_allclose(scan.topography_forward, raw[0::4] * 0.00012, rtol=1e-6)
    assert_allclose(scan.current_backward[2], raw[11] * 20 / 2**20 / 1e9, rtol=1e-6)


def test_bias_table_of_a_plain_image_is_ignored(createc):
    scan = open_scan(createc(header=createc_header(MVoltnumber11=10, MVolt_1=-550)))
    assert scan.topography_forward.dims == ("y", "x")
    assert scan.bias == pytest.approx(-0.35)


@pytest.mark.parametrize(
    ("planes", "selected", "names"),
    [
        (2, 3, ["topography_forward", "current_forward"]),
        (2, 1, ["topography_forward", "topography_backward"]),
        (1, 1, ["topography_forward"]),
        (2, None, ["topography_forward", "current_forward"]),
        (4, None, ["topography_forward", "current_forward"]),
        (3, 7, ["topography_forward", "current_forward", "auxiliary_1_forward"]),
        (6, 11, ["topography_forward", "current_forward", "auxiliary_2_forward"]),
    ],
)
def test_channel_selections(createc, planes, selected, names):
    raw = counts(planes)
    scan = open_scan(createc(raw, createc_header(planes, Channelselectval=selected)))
    assert list(scan.data_vars)[: len(names)] == names
    assert len(scan.data_vars) == planes
    if planes == 6:
        auxiliary = scan.auxiliary_2_backward
        assert auxiliary.quantity == "other"
        assert auxiliary.units == ""
        assert_allclose(auxiliary, raw[5])


@pytest.mark.parametrize("selected", [3, None])
def test_missing_or_wrong_plane_count(createc, selected):
    raw = counts()
    scan = open_scan(createc(raw, createc_header(None, Channelselectval=selected)))
    assert len(scan.data_vars) == 4
    two = open_scan(createc(raw[:2], createc_header(4)))
    assert list(two.data_vars) == ["topography_forward", "current_forward"]
    assert two.complete


def test_other_versions(createc):
    raw = counts()
    expected = open_scan(createc(raw))
    old = createc_header(**{"DAC-Type": "16bit"})
    short = {key.split(" / ")[0]: str(value).replace(".", ",") for key, value in old.items()}
    scan = open_scan(createc(raw, short, magic="", tail=False))
    assert_allclose(scan.topography_forward, expected.topography_forward)
    assert_allclose(scan.current_forward, expected.current_forward * 16, rtol=1e-6)
    assert scan.bias == expected.bias
    plain = open_scan(createc(raw, magic="[Paramet32]", compress=False))
    assert_allclose(plain.current_forward, expected.current_forward)


def test_calibrations_may_be_missing(createc):
    raw = counts()
    gone = {"Dacto[A]z": None, "GainPre 10^": None, "Length x[A]": None, "Dacto[A]xy": None}
    scan = open_scan(createc(raw, createc_header(**gone)))
    assert_allclose(scan["topography_raw_counts_forward"], raw[0])
    assert_allclose(scan["current_raw_counts_forward"], raw[1])
    assert scan.x.units == "pixel"
    piezo = createc_header(**{"Dacto[A]z": None, "ZPiezoconst": 20.0, "Length x[A]": None})
    scan = open_scan(createc(raw, piezo))
    assert_allclose(scan.topography_forward, raw[0] * 20 * 20 / 2**20 * 0.3, rtol=1e-6)
    assert scan.x[1] == pytest.approx(100 * 0.002)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ScanmodeSine": 1}, "sine"),
        ({"Num.X": "many"}, "Num.X many"),
        ({"Num.Y": -256}, "Num.Y -256"),
        ({"Num.X": None}, "Num.X nothing"),
        ({"Num.X": 60000, "Num.Y": 60000}, "more than this file can hold"),
        ({"Num.X": 10**9}, "makes no sense"),
        ({"Num.X": "nan"}, "Num.X nan"),
    ],
)
def test_refused_headers(createc, changes, reason):
    with pytest.raises(ScanFormatError, match=reason):
        open_scan(createc(header=createc_header(**changes)))


def test_spectra_and_16_bit_files_are_named(createc):
    for magic, reason in (("[ParVERT32]", "spectrum"), ("[Parameter]", "16-bit")):
        with pytest.raises(ScanFormatError, match=reason):
            open_scan(createc(magic=magic))


def test_non_numeric_entries_do_not_matter(createc):
    junk = createc_header(Rotation="x", FBLogIset="--", OffsetX="inf", **{"Biasvolt[mV]": "?"})
    scan = open_scan(createc(header=junk))
    assert scan.scan_angle_deg == 0
    assert scan.bias == pytest.approx(-0.35)  # from BiasVoltage


def test_cut_stream_keeps_what_was_decoded(createc):
    raw = counts(seed=3)
    path = createc(raw)
    whole = path.read_bytes()
    path.write_bytes(whole[: 1506 + (len(whole) - 1506) // 2])
    scan = open_scan(path)
    assert not scan.complete
    assert_allclose(scan.topography_forward, raw[0] * 0.00012, rtol=1e-6)
    assert np.isnan(scan.current_backward).all()


def test_damaged_stream_keeps_what_precedes(tmp_path):
    rows, columns = 64, 64
    raw = np.random.default_rng(0).normal(1000, 50, (4, rows, columns)).astype("f4")
    header = createc_header(**{"Num.X": columns, "Num.Y": rows})
    path = write_createc(tmp_path / "a.dat", raw, header)
    damaged = bytearray(path.read_bytes())
    middle = 1506 + (len(damaged) - 1506) // 2
    damaged[middle : middle + 2000] = b"\xff" * 2000
    path.write_bytes(damaged)
    scan = open_scan(path)
    assert not scan.complete
    assert_allclose(scan.topography_forward, raw[0] * 0.00012, rtol=1e-6)
    assert np.isnan(scan.current_backward).any()


def test_bomb_is_bounded_by_the_declared_size(tmp_path, survives):
    path = tmp_path / "bomb.dat"
    head = "".join(f"{key}={value}\r\n" for key, value in createc_header().items())
    bomb = zlib.compress(b"\0\0\x80?" * (16 * 2**20), 9)  # 64 MiB of ones
    path.write_bytes(b"[Paramco32]\r\n" + head.encode() + b"\nDATA" + bomb)
    tracemalloc.start()
    scan = survives(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scan is not None
    assert peak < 4 * 2**20


@pytest.mark.parametrize("size", [0, 5, 11, 300, 1500, 1505, 1506, 1507, 1510])
def test_every_cut_ends_in_one_line(createc, size):
    path = createc()
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ScanFormatError):
        open_scan(path)


def test_random_damage_never_escapes(createc, damaged, survives):
    path = createc()
    random = np.random.default_rng(2)
    for content in damaged(path, 200):
        path.write_bytes(content[: random.integers(1, len(content) + 1)])
        survives(path)


@pytest.mark.parametrize(
    ("name", "shape", "pixel", "bias", "rows", "current", "heights"),
    [
        ("friedel_rings_60nm", (512, 512), 0.11719, 1.2134, 512, 119.9, (-111.337, -109.721)),
        ("step_defects_100nm", (256, 256), 0.39003, -0.35, 256, -106.9, (-137.825, -135.582)),
        ("aborted_20nm", (512, 512), 0.038997, 0.02742, 330, 443, (-2.249, -2.015)),
        ("A250407.141806", (256, 256), 0.39003, 0.6538, 9, 152, None),
    ],
)
def test_sample_images(name, shape, pixel, bias, rows, current, heights, sample):
    scan = open_scan(sample(f"createc_{name}.dat"))
    z = scan.topography_forward
    assert z.shape == shape
    assert scan.x[1] == pytest.approx(pixel, rel=1e-4)
    assert scan.bias == pytest.approx(bias)
    assert scan.complete == (rows == shape[0])
    assert np.isfinite(z[:rows]).all()
    assert np.isnan(z[rows:]).all()
    assert float(scan.current_forward.median()) * 1e12 == pytest.approx(current, abs=0.6)
    if heights:
        assert_allclose((z.min(), z.max()), heights, atol=1e-3)


def test_sample_with_ten_biases(sample):
    scan = open_scan(sample("createc_preview_120nm.dat"))
    millivolt = [-550, -450, -350, -250, -150, -50, 150, 250, 350, 450]
    assert_allclose(scan.bias * 1e3, millivolt)
    current = scan.current_forward.mean(("y", "x")) * 1e12
    assert_allclose(current, np.sign(millivolt) * 107, atol=2)
    first = scan.topography_forward[0]
    assert_allclose((first.min(), first.max()), (-56.151, -51.855), atol=1e-3)
    assert len(scan.data_vars) == 4


def test_sample_directions_match_without_mirroring(sample):
    scan = open_scan(sample("createc_step_defects_100nm.dat"))
    forward, backward = (
        scan[f"topography_{d}"].values - np.median(scan[f"topography_{d}"], axis=1, keepdims=True)
        for d in ("forward", "backward")
    )
    assert np.corrcoef(forward[:, :-5].ravel(), backward[:, 5:].ravel())[0, 1] > 0.7
