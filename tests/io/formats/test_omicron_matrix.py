"""Omicron Matrix images: orientation, parameters, partners that are missing, damage."""

import shutil
import struct

import numpy as np
import pytest
from numpy.testing import assert_allclose

from qpi_kernels.io import ScanFormatError, open_scan

ROWS, COLUMNS = 6, 5
MAGIC = b"ONTMATRX0101"


def text(string):
    return struct.pack("<I", len(string)) + string.encode("utf-16-le")


def value(number):
    if isinstance(number, bool):
        return b"LOOB" + struct.pack("<I", number)
    return (b"GNOL" + struct.pack("<i", number)) if isinstance(number, int) else real(number)


def real(number):
    return b"BUOD" + struct.pack("<d", number)


def block(name, data, stamped=True):
    stamp = b"\0" * 8 if stamped else b""
    return name + struct.pack("<I", len(data)) + stamp + data


def write_matrix(folder, counts, *, channel="Z", unit="m", down=False, lines=ROWS, **changes):
    """Write ``name--1_1.Z_mtrx`` with the counts in recorded order, and its parameter file."""
    scanner = {"X_Retrace": True, "Y_Retrace": down, "Points": COLUMNS, "Lines": lines}
    scanner |= {"Width": 10e-9, "Height": 12e-9, "X_Offset": 1e-9, "Y_Offset": -2e-9, "Angle": 30}
    scanner |= {key: new for key, new in changes.items() if key in scanner}
    elements = {
        "XYScanner": scanner,
        "GapVoltageControl": {"Voltage": -0.25},
        "Regulator": {"Setpoint_1": 3e-10, "Feedback_Loop_Enabled": True},
    }
    eepa = b"\0" * 4 + struct.pack("<I", len(elements))
    for name, properties in elements.items():
        eepa += text(name) + struct.pack("<I", len(properties))
        for key, number in properties.items():
            eepa += text(key) + text("--") + b"\0" * 4 + value(number)
    dictionary = b"\0" * 8 + struct.pack("<2I", 0, 1) + struct.pack("<2I", 0, 7) + b"\0" * 8
    dictionary += text(channel) + text(unit)
    dictionary += struct.pack("<I", 1) + b"\1" * 8 + struct.pack("<2I", 0, 7) + text("data")
    transfer = struct.pack("<2I", 0, 7) + text("TFF_Linear1D") + text(unit) + struct.pack("<I", 2)
    transfer += text("Offset") + real(0.0) + text("Factor") + real(1e12)
    path = folder / f"name--1_1.{channel}_mtrx"
    parameters = block(b"APEE", eepa) + block(b"TCID", dictionary, False)
    parameters += block(b"REFX", transfer, False) + block(b"FERB", b"\0" * 4 + text(path.name))
    (folder / "name_0001.mtrx").write_bytes(MAGIC + block(b"ATEM", b"") + parameters)
    counts = np.ravel(counts).astype("<i4")
    body = b"\0" * 12 + block(b"CSED", b"\0" * 20 + struct.pack("<2i", counts.size, counts.size), 0)
    body += block(b"ATAD", counts.tobytes(), False)
    path.write_bytes(MAGIC + b"TLKB" + struct.pack("<I", len(body) - 8) + body)
    return path


def sweep(seed=0, rows=ROWS):
    """One sweep as recorded: per line the forward row, then the backward row right to left."""
    return np.random.default_rng(seed).integers(-9000, 9000, (rows, 2, COLUMNS))


def test_upward_scan(tmp_path):
    counts = sweep()
    scan = open_scan(write_matrix(tmp_path, counts))
    assert list(scan.data_vars) == ["topography_forward", "topography_backward"]
    assert_allclose(scan.topography_forward, counts[::-1, 0] * 1e-3, rtol=1e-6)
    assert_allclose(scan.topography_backward, counts[::-1, 1, ::-1] * 1e-3, rtol=1e-6)
    assert scan.topography_forward.dtype == np.float32
    assert (scan.y[1], scan.x[1]) == (pytest.approx(2.0), pytest.approx(2.0))
    assert_allclose(scan.offset_nm, (1, -2))
    assert scan.scan_angle_deg == -30
    assert scan.bias == pytest.approx(-0.25)
    assert scan.setpoint == "300 pA, feedback on"
    assert scan.complete


def test_up_and_down(tmp_path):
    up, down = sweep(), sweep(1)
    scan = open_scan(write_matrix(tmp_path, [up, down], down=True))
    assert len(scan.data_vars) == 4
    labels = {(v.long_name, v.direction): v for v in scan.data_vars.values()}
    assert_allclose(labels["Z", "forward"], up[::-1, 0] * 1e-3, rtol=1e-6)
    assert_allclose(labels["Z down", "forward"], down[:, 0] * 1e-3, rtol=1e-6)
    assert_allclose(labels["Z down", "backward"], down[:, 1, ::-1] * 1e-3, rtol=1e-6)


def test_current_is_in_ampere(tmp_path):
    counts = sweep()
    scan = open_scan(write_matrix(tmp_path, counts, channel="I", unit="A"))
    assert_allclose(scan.current_forward, counts[::-1, 0] * 1e-12, rtol=1e-6)
    assert scan.current_forward.units == "A"


def test_stopped_scan_is_filled_at_the_top(tmp_path):
    counts = sweep(rows=4)
    scan = open_scan(write_matrix(tmp_path, counts))
    assert not scan.complete
    assert scan.topography_forward.shape == (ROWS, COLUMNS)
    assert np.isnan(scan.topography_forward[:2]).all()
    assert_allclose(scan.topography_forward[2:], counts[::-1, 0] * 1e-3, rtol=1e-6)
    assert scan.y[1] == pytest.approx(2.0)


def test_stopped_downward_sweep_is_filled_at_the_bottom(tmp_path):
    up, down = sweep(), sweep(1, rows=4)
    counts = np.concatenate([up.ravel(), down.ravel()])
    scan = open_scan(write_matrix(tmp_path, counts, down=True))
    labels = {(v.long_name, v.direction): v for v in scan.data_vars.values()}
    second = labels["Z down", "forward"]
    assert_allclose(second[:4], down[:, 0] * 1e-3, rtol=1e-6)
    assert np.isnan(second[4:]).all()
    assert np.isfinite(labels["Z", "forward"]).all()


def test_missing_parameter_file(tmp_path):
    path = write_matrix(tmp_path, sweep())
    (tmp_path / "name_0001.mtrx").unlink()
    with pytest.raises(ScanFormatError, match=r"parameter file name_0001\.mtrx is missing"):
        open_scan(path)


def test_parameter_file_names_the_data_files(tmp_path):
    write_matrix(tmp_path, sweep())
    with pytest.raises(ScanFormatError, match=r"open a data file beside it: name--1_1\.Z_mtrx"):
        open_scan(tmp_path / "name_0001.mtrx")


def test_renamed_files_are_refused(tmp_path):
    path = write_matrix(tmp_path, sweep())
    other = shutil.copy(path, tmp_path / "name--2_1.Z_mtrx")
    with pytest.raises(ScanFormatError, match="does not mention it"):
        open_scan(other)
    plain = shutil.copy(path, tmp_path / "scan.mtrx_data")
    with pytest.raises(ScanFormatError, match="original name"):
        open_scan(plain)


def test_curves_are_refused(tmp_path):
    path = write_matrix(tmp_path, sweep(), channel="I(V)")
    with pytest.raises(ScanFormatError, match="spectroscopy curves"):
        open_scan(path)


def test_huge_declared_lines_are_refused(tmp_path):
    path = write_matrix(tmp_path, sweep(), lines=2**31 - 1)
    with pytest.raises(ScanFormatError, match="cannot be"):
        open_scan(path)


@pytest.mark.parametrize("changes", [{"Points": 0}, {"Points": -5}, {"Points": 2**31 - 1}])
def test_impossible_points_are_refused(tmp_path, changes):
    with pytest.raises(ScanFormatError):
        open_scan(write_matrix(tmp_path, sweep(), **changes))


@pytest.mark.parametrize("which", ["name--1_1.Z_mtrx", "name_0001.mtrx"])
def test_random_damage_never_escapes(tmp_path, which, assert_random_damage_is_survived):
    data = write_matrix(tmp_path, sweep())
    path = tmp_path / which
    assert_random_damage_is_survived(path, opened=data, trials=150, seed=6)


def test_sample(sample, trace_correlation):
    scan = open_scan(sample("omicron/20201111--4_1.Z_mtrx"))
    z = scan.topography_forward
    assert z.shape == (400, 400)
    assert_allclose((z.min(), z.max()), (-514.0772, -511.3530), atol=1e-3)
    assert scan.x[1] == pytest.approx(0.25)
    assert scan.bias == pytest.approx(0.6)
    assert_allclose(scan.offset_nm, (-16.5, 281.5))
    assert scan.setpoint.startswith("300 pA")
    correlation = trace_correlation(scan)
    assert correlation == pytest.approx(0.966, abs=0.01)


def test_sample_without_its_parameter_file(tmp_path, sample):
    path = shutil.copy(sample("omicron/20201111--4_1.Z_mtrx"), tmp_path)
    with pytest.raises(ScanFormatError, match=r"20201111_0001\.mtrx is missing"):
        open_scan(path)
