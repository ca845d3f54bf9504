"""Nanonis .dat point spectra."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from qpi_kernels.io import open_scan

COLUMNS = {
    "Bias calc (V)": [-0.02, 0.0, 0.02],
    "Current [AVG] (A)": [-1.5e-12, 0.0, 1.5e-12],
    "LI Demod 1 X [AVG] (A)": [3e-12, 2e-12, 3e-12],
    "Current [00001] (A)": [-1e-12, 0.0, 1e-12],
    "Current [AVG] [bwd] (A)": [-2e-12, 0.0, 2e-12],
}


def write_dat(path, columns, *, end="\r\n", **changes):
    """Write a table under a header; None takes a header line out."""
    lines = {
        "Experiment": "bias spectroscopy",
        "User": "",
        "X (m)": "177.347E-9",
        "Y (m)": "-270.765E-9",
        "Bias>Bias (V)": "-15E-3",
        "Bias Spectroscopy>Num Pixel": "3",
        "Z-Controller>Setpoint": "500E-12",
        "Z-Controller>Setpoint unit": "A",
        "Z-Controller>Controller status": "ON",
    } | changes
    text = "".join(f"{key}\t{value}\t\r\n" for key, value in lines.items() if value is not None)
    rows = [columns, *zip(*columns.values(), strict=True)]
    table = "\r\n".join("\t".join(str(cell) for cell in row) for row in rows)
    path.write_bytes(f"{text}\r\n[DATA]\r\n{table}{end}".encode("latin-1"))
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "spectrum.dat"


def test_columns_become_spectra(file):
    scan = open_scan(write_dat(file, COLUMNS))
    assert_array_equal(scan["bias"], [-0.02, 0.0, 0.02])
    assert scan["current_forward"].dims == ("spectrum", "bias")
    assert scan["current_forward"].dtype == np.float32
    assert scan["current_forward"].attrs["long_name"] == "Current [AVG]"
    assert_allclose(scan["current_forward"][0], COLUMNS["Current [AVG] (A)"])
    assert_allclose(scan["didv_forward"][0], COLUMNS["LI Demod 1 X [AVG] (A)"])
    assert_allclose(scan["current_forward_current_00001"][0], COLUMNS["Current [00001] (A)"])
    assert_allclose(scan["current_backward"][0], COLUMNS["Current [AVG] [bwd] (A)"])
    assert_allclose(scan["spectrum_x"], [177.347])
    assert_allclose(scan["spectrum_y"], [-270.765])
    assert scan.attrs["setpoint"] == "500 pA, feedback on"
    assert scan.attrs["complete"] is True


@pytest.mark.parametrize("order", [1, -1])
def test_without_lock_in_didv_is_computed_from_the_average(file, order):
    bias = np.array([-0.02, 0.0, 0.03])[::order]
    columns = {"Bias calc (V)": bias, "Current (A)": 5e-9 * bias}
    scan = open_scan(write_dat(file, columns))
    assert_array_equal(scan["bias"], bias)
    assert_allclose(scan["didv"], 5e-9, rtol=1e-5)
    assert scan["didv"].attrs["derived"]


def test_a_sweep_of_something_else_is_not_called_bias(file):
    columns = {"Z rel (m)": [0.0, 1e-9], "Current (A)": [1e-12, 2e-12]}
    scan = open_scan(write_dat(file, columns))
    assert scan["current"].dims == ("spectrum", "sweep")
    assert_allclose(scan["sweep"], [0, 1])
    assert scan["sweep"].attrs == {"long_name": "Z rel", "units": "nm"}
    assert float(scan["bias"]) == -0.015


def test_an_aborted_spectrum_is_incomplete(file):
    changes = {"Bias Spectroscopy>Num Pixel": "401"}
    assert open_scan(write_dat(file, COLUMNS, **changes)).attrs["complete"] is False


def test_a_last_line_without_end_is_not_trusted(file):
    scan = open_scan(write_dat(file, COLUMNS, end=""))
    assert scan.sizes["bias"] == 2
    assert scan.attrs["complete"] is False


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"Bias calc (V)": [0.0], "Current (A)": ["much"]}, "row 1 of the table"),
        ({"Bias calc (V)": ["nan"], "Current (A)": [0.0]}, "not numbers"),
        ({"Bias calc (V)": [0.0, 1.0]}, "no channel beside its axis"),
        ({"Bias calc (V)": [], "Current (A)": []}, "no row of numbers"),
    ],
)
def test_damaged_tables_are_refused(file, assert_refused, columns, reason):
    assert_refused(write_dat(file, columns), reason)


def test_files_without_data_are_refused(file, assert_refused):
    file.write_bytes(b"Experiment\tbias spectroscopy\t\r\n")
    assert_refused(file, "[DATA] is missing")
    file.write_bytes(b"Experiment\tbias spectroscopy\t\r\n\r\n[DATA]\r\n")
    assert_refused(file, "no row of numbers")


def test_damage_never_escapes(file, assert_survives_damage):
    write_dat(file, COLUMNS)
    assert_survives_damage(file, file.read_bytes().index(b"[DATA]"))


def test_sample(sample):
    scan = open_scan(sample("nanonis_sts_15mv.dat"))
    assert scan.sizes["bias"] == 401
    assert_allclose(scan["bias"][[0, -1]], [-0.015, 0.015])
    current = scan["current_forward"].values[0] * 1e12
    assert len(scan.data_vars) == 12
    assert_allclose(current[[0, -1]], (-500.983, 536.865), atol=1e-3)
    average = scan["didv_forward"].values[0]
    sweeps = [scan[f"didv_forward_lockin_0000{number}"].values[0] for number in (1, 2)]
    assert average[0] == pytest.approx(3.99821)
    assert_allclose([sweep[0] for sweep in sweeps], (3.94842, 4.04801), rtol=1e-6)
    assert_allclose(average, np.mean(sweeps, axis=0), atol=2e-5)
    assert scan["didv_forward"].attrs["units"] == "V"
    assert_allclose(scan["spectrum_x"], [177.347])
    assert scan.attrs["setpoint"] == "500 pA, feedback on"
    assert scan.attrs["complete"] is True


def test_filtered_columns_keep_their_unit_and_come_second(file):
    columns = {
        "Bias (V)": [-0.02, 0.0, 0.02],
        "Current (A)": [-1e-12, 0.0, 1e-12],
        "Z (m)": [1e-9, 1e-9, 1e-9],
        "Current (A) [filt]": [-5e-13, 0.0, 5e-13],
        "Z (m) [filt]": [2e-9, 2e-9, 2e-9],
    }
    scan = open_scan(write_dat(file, columns))
    assert scan.attrs["complete"] is True
    assert scan["current"].attrs["long_name"] == "Current"
    assert scan["current_current_filt"].attrs["units"] == "A"
    assert_allclose(scan["current_current_filt"][0], columns["Current (A) [filt]"])
    assert_allclose(scan["z_filt"][0], 2.0)
    assert [name for name in scan if "didv" in name] == ["didv"]
    assert_allclose(scan["didv"][0], 5e-11, rtol=1e-6)


def test_a_byte_order_mark_left_by_an_editor_is_passed_over(file):
    path = write_dat(file, COLUMNS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\n"))
    scan = open_scan(path)
    assert scan.attrs["format"] == "Nanonis .dat"
    assert_allclose(scan["current_forward"][0], COLUMNS["Current [AVG] (A)"])
