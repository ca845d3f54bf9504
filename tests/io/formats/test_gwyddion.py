"""Gwyddion .gwy and .gsf, written by gwyfile and gsffile."""

import struct
import tracemalloc

import numpy as np
import pytest
from gsffile import write_gsf
from gwyfile.objects import GwyContainer, GwyDataField, GwyObject
from numpy.testing import assert_allclose

from qpi_kernels.io import ScanFormatError, open_scan
from qpi_kernels.io.physical_units import direction_of, in_project_units, quantity_of


def field(rows=5, columns=4, unit="m", length_unit="m", seed=0, **places):
    data = np.random.default_rng(seed).normal(size=(rows, columns))
    size = {"xreal": 8e-9, "yreal": 5e-9} | places
    return GwyDataField(data, si_unit_xy=length_unit, si_unit_z=unit, **size)


def write_gwy(path, fields):
    container = GwyContainer()
    for number, (title, channel) in enumerate(fields.items()):
        container[f"/{number}/data"] = channel
        container[f"/{number}/data/title"] = title
    container.tofile(str(path))
    return path


@pytest.mark.parametrize(
    ("unit", "factor", "project"),
    [
        ("m", 1e9, "nm"),
        ("nm", 1.0, "nm"),
        ("pm", 1e-3, "nm"),
        ("µm", 1e3, "nm"),
        ("Å", 0.1, "nm"),
        ("Meter", 1e9, "nm"),
        ("V", 1.0, "V"),
        ("mV", 1e-3, "V"),
        ("pA", 1e-12, "A"),
        ("Ampere", 1.0, "A"),
        ("kHz", 1e3, "Hz"),
        ("nA/V", 1e-9, "S"),
        ("pA/mV", 1e-9, "S"),
        ("nS", 1e-9, "S"),
        ("", 1.0, ""),
        ("deg", 1.0, "deg"),
        ("counts", 1.0, "counts"),
        ("dm", 1.0, "dm"),
    ],
)
def test_units(unit, factor, project):
    assert in_project_units(unit) == (pytest.approx(factor), project)


def test_meaning_of_names():
    assert quantity_of("LIA Current", "A") == "didv"
    assert quantity_of("LI Demod 1 X", "A") == "didv"
    assert quantity_of("dI/dV map", "") == "didv"
    assert quantity_of("Current", "A") == "current"
    assert quantity_of("Reliability", "V") == "other"
    assert direction_of("Z (Backward)") == "backward"
    assert direction_of("Z [fwd]") == "forward"
    assert direction_of("Traced edges") == "none"


def test_gwy_channels(tmp_path):
    z, back, current = field(), field(seed=1), field(unit="pA", seed=2)
    fields = {"Z (Forward)": z, "Z (Backward)": back, "I": current}
    scan = open_scan(write_gwy(tmp_path / "a.gwy", fields))
    assert list(scan.data_vars) == ["topography_forward", "topography_backward", "current"]
    assert_allclose(scan.topography_forward, z.data * 1e9, rtol=1e-6)
    assert_allclose(scan.topography_backward, back.data * 1e9, rtol=1e-6)
    assert_allclose(scan.current, current.data * 1e-12, rtol=1e-6)
    assert scan.current.dtype == np.float32
    assert (scan.y[1], scan.x[1]) == (pytest.approx(1.0), pytest.approx(2.0))
    assert_allclose(scan.offset_nm, (4.0, -2.5))
    assert scan.complete


def test_gwy_bias_and_comment_of_the_metadata(tmp_path):
    container = GwyContainer()
    container["/0/data"] = field()
    container["/0/meta"] = GwyObject("GwyContainer", {"Bias": "-20.5 mV", "Comment": "Cu"})
    container.tofile(str(tmp_path / "a.gwy"))
    scan = open_scan(tmp_path / "a.gwy")
    assert scan.bias == pytest.approx(-0.0205)
    assert scan.header["Comment"] == "Cu"


def test_gwy_of_several_sizes(tmp_path):
    fields = {"Z": field(), "I": field(unit="A"), "small": field(2, 3), "moved": field(xreal=9e-9)}
    path = write_gwy(tmp_path / "a.gwy", fields)
    scan = open_scan(path)
    assert list(scan.data_vars) == ["topography", "current"]
    assert scan.header["channels left out"] == "small (2 x 3); moved (5 x 4)"
    assert open_scan(path, size=(2, 3)).topography.shape == (2, 3)
    with pytest.raises(ScanFormatError, match="no image of this size"):
        open_scan(path, size=(7, 7))


def test_gwy_equal_titles_stay_apart(tmp_path):
    container = GwyContainer()
    for number in range(3):
        container[f"/{number}/data"] = field(seed=number)
        container[f"/{number}/data/title"] = "Topo"
    container.tofile(str(tmp_path / "a.gwy"))
    scan = open_scan(tmp_path / "a.gwy")
    assert len(scan.data_vars) == 3
    assert sorted(v.long_name for v in scan.data_vars.values()) == ["Topo 1", "Topo 2", "Topo 3"]


def test_gwy_without_units_counts_pixels(tmp_path):
    path = write_gwy(tmp_path / "a.gwy", {"Test": field(unit="", length_unit="")})
    scan = open_scan(path)
    assert scan.x.units == "pixel"
    assert scan.test.units == ""


def test_gwy_cut_anywhere_ends_in_one_line(tmp_path):
    path = write_gwy(tmp_path / "a.gwy", {"Z": field(), "I": field(unit="A")})
    whole = path.read_bytes()
    for size in range(0, len(whole), 3):
        path.write_bytes(whole[:size])
        with pytest.raises(ScanFormatError):
            open_scan(path)


def test_gwy_hostile_sizes_are_refused_cheaply(tmp_path):
    path = write_gwy(tmp_path / "a.gwy", {"Z": field()})
    whole = path.read_bytes()
    tracemalloc.start()
    for key in (b"xres\0i", b"yres\0i", b"data\0D", b"GwyContainer\0", b"GwyDataField\0"):
        at = whole.index(key) + len(key)
        for value in (2**31 - 1, 2**32 - 1, 0, 2**31):
            path.write_bytes(whole[:at] + struct.pack("<I", value) + whole[at + 4 :])
            with pytest.raises(ScanFormatError):
                open_scan(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_gwy_random_damage_never_escapes(tmp_path, damaged, survives):
    path = write_gwy(tmp_path / "a.gwy", {"Z (Forward)": field(), "I": field(unit="nA")})
    for content in damaged(path, 400, most=10, seed=3):
        path.write_bytes(content)
        survives(path)


def gsf(path, data, **metadata):
    write_gsf(path, np.asarray(data, np.float32), metadata)
    return path


def test_gsf(tmp_path):
    data = np.random.default_rng(0).normal(size=(3, 5)).astype("f4") * 1e-10
    about = {"XReal": 1e-8, "YReal": 1.2e-8, "XYUnits": "m", "ZUnits": "m", "Title": "Z backward"}
    scan = open_scan(gsf(tmp_path / "a.gsf", data, **about))
    assert_allclose(scan.topography_backward, data * 1e9, rtol=1e-6)
    assert (scan.y[1], scan.x[1]) == (pytest.approx(4.0), pytest.approx(2.0))
    assert_allclose(scan.offset_nm, (5, -6))


@pytest.mark.parametrize("about", [{}, {"XReal": "nan", "YReal": "x", "XYUnits": "m"}])
def test_gsf_without_size_counts_pixels(tmp_path, about, survives):
    scan = survives(gsf(tmp_path / "map.gsf", np.ones((3, 5)), **about))
    if not about:
        assert list(scan.data_vars) == ["map"]
        assert scan.x.units == "pixel"


@pytest.mark.parametrize(
    "size", [b"XRes = 1000000\nYRes = 1000000", b"XRes = -1\nYRes = -15", b"XRes = 5", b"YRes = x"]
)
def test_gsf_hostile_sizes_are_refused(tmp_path, size):
    head = b"Gwyddion Simple Field 1.0\n" + size + b"\n"
    path = tmp_path / "a.gsf"
    path.write_bytes(head + b"\0" * (4 - len(head) % 4) + b"\0" * 60)
    with pytest.raises(ScanFormatError):
        open_scan(path)


def test_gsf_random_damage_never_escapes(tmp_path, assert_random_damage_is_survived):
    about = {"XReal": 1e-8, "YReal": 1.2e-8, "XYUnits": "m", "ZUnits": "m", "Title": "Z"}
    path = gsf(tmp_path / "a.gsf", np.ones((3, 5)), **about)
    assert_random_damage_is_survived(path, opened=path, trials=300, seed=5)


def test_sample_gwy(sample):
    scan = open_scan(sample("gwyddion_test.gwy"))
    assert scan.test.shape == (128, 128)
    assert scan.x.units == "pixel"
    assert (scan.test.min(), scan.test.max()) == (0, pytest.approx(0.001))
    assert float(scan.test.mean(dtype=float)) == pytest.approx(5.1530e-4, rel=1e-4)


def test_sample_gsf(sample):
    scan = open_scan(sample("synthetic_example.gsf"))
    z = scan.topography
    assert z.shape == (64, 48)
    assert z.long_name == "synthetic"
    assert (scan.y[1], scan.x[1]) == (pytest.approx(0.1875), pytest.approx(0.20833, rel=1e-4))
    assert_allclose((z.min(), z.max(), z.std()), (-0.38994, 0.30660, 0.099624), rtol=1e-4)


def test_files_of_gwyddion_1_are_refused_by_name(tmp_path, assert_refused):
    path = write_gwy(tmp_path / "old.gwy", {"Z": field()})
    path.write_bytes(b"GWYO" + path.read_bytes()[4:])
    assert_refused(path, "Gwyddion 1; open it in Gwyddion and save it again")
