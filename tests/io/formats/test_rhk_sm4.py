"""RHK .sm4: images, point spectra, maps; cut, damaged and hostile files."""

import struct
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose

from qpi_kernels.io import ScanFormatError, main_channel, open_scan

IMAGE, CURVES = 0, 1


def image_page(label, raw, *, unit="m", z_scale=1e-12, backward=False, **changes):
    page_type = {"Topography": 1}.get(label, 2)
    return {
        "kind": IMAGE,
        "label": label,
        "raw": raw,
        "units": ("m", "m", unit),
        "numbers": {"page_type": page_type, "backward": int(backward)},
        "floats": {
            "x_scale": -1e-10,
            "y_scale": -2e-10,
            "z_scale": z_scale,
            "x_offset": 5e-9,
            "y_offset": 7e-9,
            "z_offset": 3e-9 if unit == "m" else 0.0,
            "bias": 0.5,
            "current": 1e-10,
            "angle": 30.0,
        }
        | changes,
    }


def curve_page(label, raw, *, positions=None, line_type=7, grid=(0, 0), **changes):
    return {
        "kind": CURVES,
        "label": label,
        "raw": raw,
        "units": ("V", " ", "A"),
        "numbers": {"page_type": 38, "line_type": line_type},
        "grid": grid,
        "positions": positions,
        "floats": {"x_scale": -0.01, "x_offset": 0.2, "z_scale": 1e-15, "y_scale": 1.0} | changes,
    }


def write_sm4(path, pages):
    """Write pages one behind the other: header, strings, positions, data."""
    array_at = 56 + 2 + 12 + 16 + 12
    block_at = array_at + len(pages) * (32 + 24)
    index, blocks = b"", b""
    for page in pages:
        at = block_at + len(blocks)
        raw = np.asarray(page["raw"])
        rows, columns = raw.shape
        strings = [page["label"], "", "", "", "C:\\f.sm4", "08/13/21", "19:08:26", *page["units"]]
        text = b"".join(struct.pack("<H", len(s)) + s.encode("utf-16-le") for s in strings)
        positions = b""
        if page.get("positions") is not None:
            table = np.zeros((rows, 7), "<f4")
            table[:, 1:3] = page["positions"]
            positions = table.tobytes()
        data = raw.astype(raw.dtype if raw.dtype == "<f4" else "<i4").tobytes()
        text_at = at + 180 + 24
        data_at = text_at + len(text) + len(positions)
        n, f = page["numbers"], page["floats"]
        numbers = [n.get("page_type", 0), 0, n.get("line_type", 0), 0, 0, columns, rows, 0]
        numbers += [n.get("backward", 0), 0, len(data), 0, 0]
        names = "x_scale y_scale z_scale - x_offset y_offset z_offset - bias current angle"
        header = struct.pack("<2H13I", 180, len(strings), *numbers)
        header += struct.pack("<11f", *(f.get(name, 0.0) for name in names.split()))
        header += struct.pack("<4I", 0, *page.get("grid", (0, 0)), 2)
        tables = struct.pack("<3I", 10, text_at, len(text))
        tables += struct.pack("<3I", 8, text_at + len(text), 28 if positions else 0)
        blocks += header.ljust(180, b"\0") + tables + text + positions + data
        index += b"\0" * 16 + struct.pack("<4I", page["kind"], 0, 2, 6)
        index += struct.pack("<6I", 3, at, 180, 4, data_at, len(data))
    start = struct.pack("<H", 56) + "STiMage 005.004 1 ".encode("utf-16-le")
    start += struct.pack("<5I", len(pages), 1, 12, 0, 0)
    start += struct.pack("<3I", 1, 70, 16)
    start += struct.pack("<4I", len(pages), 1, 0, 0) + struct.pack("<3I", 2, array_at, 32)
    path.write_bytes(start + index + blocks)
    return path


def counts(rows, columns, seed=0):
    return np.random.default_rng(seed).integers(-9000, 9000, (rows, columns))


@pytest.fixture
def sm4(tmp_path):
    return lambda pages: write_sm4(tmp_path / "scan.sm4", pages)


def test_images(sm4):
    z, back, lock_in = counts(6, 4), counts(6, 4, 1), counts(6, 4, 2)
    pages = [
        image_page("Topography", back, backward=True),
        image_page("Topography", z),
        image_page("LIA Current", lock_in, unit="A"),
    ]
    scan = open_scan(sm4(pages))
    assert list(scan.data_vars) == ["topography_backward", "topography_forward", "didv_forward"]
    assert_allclose(scan.topography_forward, z[:, ::-1] * 1e-3 + 3.0, rtol=1e-5)
    assert_allclose(scan.topography_backward, back[:, ::-1] * 1e-3 + 3.0, rtol=1e-5)
    assert_allclose(scan.didv_forward, lock_in[:, ::-1] * 1e-12, rtol=1e-5)
    assert scan.topography_forward.dtype == np.float32
    assert (scan.y[1], scan.x[1]) == (pytest.approx(0.2), pytest.approx(0.1))
    assert_allclose(scan.offset_nm, (5 - 1.5 * 0.1, 7 - 2.5 * 0.2), rtol=1e-6)
    assert scan.scan_angle_deg == 30
    assert scan.bias == pytest.approx(0.5)
    assert scan.setpoint == "100 pA"
    assert scan.complete
    assert main_channel(scan).name == "didv_forward"


@pytest.mark.parametrize("x_sign", [1, -1])
@pytest.mark.parametrize("y_sign", [1, -1])
def test_signs_of_the_scales_turn_the_image(sm4, x_sign, y_sign):
    raw = counts(5, 3)
    page = image_page("Topography", raw, x_scale=x_sign * 1e-10, y_scale=y_sign * 1e-10)
    expected = raw[::-y_sign, ::x_sign] * 1e-3 + 3.0
    assert_allclose(open_scan(sm4([page])).topography_forward, expected, rtol=1e-5)


def test_large_counts_are_scaled_in_double_precision(sm4):
    raw = np.array([[2**31 - 1, 2**31 - 2, -(2**31)]])
    page = image_page("Topography", raw, z_scale=1e-9, x_scale=1e-10, z_offset=-2.147483648)
    values = open_scan(sm4([page])).topography_forward.values[0]
    assert values[0] - values[1] == pytest.approx(1.0, abs=0.01)


def test_images_of_several_sizes(sm4):
    pages = [
        image_page("Topography", counts(4, 4)),
        image_page("Current", counts(4, 4), unit="A"),
        image_page("Topography", counts(9, 7)),
    ]
    path = sm4(pages)
    scan = open_scan(path)
    assert list(scan.data_vars) == ["topography_forward", "current_forward"]
    assert scan.header["pages left out"] == "images 9 x 7 (Topography)"
    assert open_scan(path, size=(9, 7)).topography_forward.shape == (9, 7)
    with pytest.raises(ScanFormatError, match="holds images 4 x 4"):
        open_scan(path, size=(3, 3))


def test_point_spectra(sm4):
    current, lock_in = counts(3, 5), counts(3, 5, 1)
    places = np.array([[1e-9, 2e-9], [1e-9, 2e-9], [4e-9, 2e-9]])
    pages = [
        curve_page("LIA Current", lock_in, positions=places),
        curve_page("Current", current, positions=places),
    ]
    scan = open_scan(sm4(pages))
    assert scan.current.dims == ("spectrum", "bias")
    assert_allclose(scan.current, current * 1e-15, rtol=1e-5)
    assert scan.didv.quantity == "didv"
    assert_allclose(scan.bias, [0.2, 0.19, 0.18, 0.17, 0.16], rtol=1e-6)
    assert_allclose(scan.spectrum_x, [1, 1, 4], rtol=1e-6)
    assert_allclose(scan.spectrum_y, 2, rtol=1e-6)


def test_float_curves(sm4):
    raw = counts(2, 4).astype("<f4")
    page = curve_page("Current", raw, line_type=9)
    assert_allclose(open_scan(sm4([page])).current, raw * 1e-15, rtol=1e-5)


@pytest.mark.parametrize("repeats", [1, 2])
def test_map_from_positions_in_any_order(sm4, repeats):
    random = np.random.default_rng(4)
    rows, columns, biases = 3, 4, 5
    cube = random.integers(-9000, 9000, (biases, rows, columns))
    y, x = np.divmod(np.tile(np.arange(rows * columns), repeats), columns)
    order = random.permutation(y.size)
    y, x = y[order], x[order]
    places = np.stack([(10 + 0.5 * x) * 1e-9, (20 - 0.25 * y) * 1e-9], axis=1)
    page = curve_page("LIA Current", cube[:, y, x].T, positions=places)
    scan = open_scan(sm4([page]))
    assert scan.didv.dims == ("bias", "y", "x")
    assert_allclose(scan.didv, cube * 1e-15, rtol=1e-5)
    assert (scan.y[1], scan.x[1]) == (pytest.approx(0.25), pytest.approx(0.5))
    assert_allclose(scan.offset_nm, (10.75, 19.75), rtol=1e-6)
    assert bool(scan.didv.derived) == (repeats > 1)
    assert main_channel(scan).name == "didv"


def test_map_from_the_grid_entries_with_images_of_its_size(sm4):
    raw = counts(6, 5)
    pages = [
        curve_page("LIA Current", raw, grid=(3, 2)),
        image_page("Topography", counts(2, 3)),
        image_page("Topography", counts(8, 8)),
    ]
    path = sm4(pages)
    scan = open_scan(path)
    assert_allclose(scan.didv, raw.T.reshape(5, 2, 3) * 1e-15, rtol=1e-5)
    assert scan.topography_forward.dims == ("y", "x")
    assert scan.header["pages left out"] == "images 8 x 8 (Topography)"
    assert open_scan(path, pages="images").topography_forward.shape == (8, 8)


def test_pages_without_images_or_bias_spectra(sm4):
    page = curve_page("Frequency", counts(2, 4), line_type=8)
    page["units"] = ("s", " ", "Hz")
    with pytest.raises(ScanFormatError, match="no image, map or bias spectrum"):
        open_scan(sm4([page]))


def test_cut_file_keeps_what_is_there(sm4):
    z, current = counts(6, 4), counts(6, 4, 1)
    path = sm4([image_page("Topography", z), image_page("Current", current, unit="A")])
    path.write_bytes(path.read_bytes()[:-40])
    scan = open_scan(path)
    assert not scan.complete
    assert_allclose(scan.topography_forward, z[:, ::-1] * 1e-3 + 3.0, rtol=1e-5)
    assert np.isnan(scan.current_forward[4:]).all()
    assert np.isfinite(scan.current_forward[:3]).all()


def test_lost_page_makes_the_scan_incomplete(sm4):
    path = sm4([image_page("Topography", counts(6, 4)), image_page("Current", counts(6, 4))])
    path.write_bytes(path.read_bytes()[:-400])
    scan = open_scan(path)
    assert list(scan.data_vars) == ["topography_forward"]
    assert not scan.complete


def test_huge_declared_sizes_are_refused_cheaply(sm4, survives):
    path = sm4([image_page("Topography", counts(6, 4))])
    whole = path.read_bytes()
    at = whole.index(struct.pack("<2I", 4, 6))
    tracemalloc.start()
    for size in ((40000, 40000), (2**32 - 1, 2**32 - 1), (1, 2**31)):
        path.write_bytes(whole[:at] + struct.pack("<2I", *size) + whole[at + 8 :])
        with pytest.raises(ScanFormatError, match="more than this file can hold"):
            open_scan(path)
    for offset in (38, 42, 70, 74, 86, 90):  # page and object counts, table addresses
        path.write_bytes(whole[:offset] + b"\xff\xff\xff\x7f" + whole[offset + 4 :])
        survives(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 2**20


def test_random_damage_never_escapes(sm4, assert_random_damage_is_survived):
    places = np.stack(np.divmod(np.arange(6), 3), axis=1) * 1e-9
    pages = [
        image_page("Topography", counts(6, 4)),
        curve_page("LIA Current", counts(6, 5), positions=places),
    ]
    path = sm4(pages)
    assert set(open_scan(path).data_vars) == {"didv"}
    assert_random_damage_is_survived(path, opened=path, trials=400, seed=2)


def test_sample_topography(sample, trace_correlation):
    scan = open_scan(sample("rhk_topo_ABC_graphite.sm4"))
    assert len(scan.data_vars) == 6
    z = scan.topography_forward
    assert z.shape == (128, 128)
    assert_allclose((z.min(), z.max()), (-97.101, -87.152), atol=1e-3)
    assert scan.x[1] == pytest.approx(0.5859375, rel=1e-6)
    assert scan.bias == pytest.approx(0.5, abs=1e-6)
    assert scan.setpoint == "100 pA"
    assert trace_correlation(scan) == pytest.approx(0.947, abs=0.005)


def test_sample_spectra(sample):
    scan = open_scan(sample("rhk_dIdV_point.sm4"))
    assert scan.current.shape == (6, 481)
    assert_allclose(scan.bias[[0, 1, -1]], [0.6, 0.5975, -0.6], atol=1e-6)
    assert_allclose(scan.spectrum_x, -97.144, atol=1e-3)
    assert_allclose(scan.spectrum_y, -73.079, atol=1e-3)
    current = scan.current * 1e12
    assert_allclose((current.min(), current.max()), (-39.92, 50.36), atol=0.01)
    assert_allclose(current[0, [0, -1]], (44.296, -31.287), atol=1e-3)
    assert_allclose((scan.didv.min() * 1e12, scan.didv.max() * 1e12), (0.0064, 2.247), atol=1e-3)
