"""Nanonis .3ds: layout, sweep axes, dI/dV, aborted grids, size and hostile files."""

import subprocess
import sys
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from qpi_kernels.io import main_channel, open_scan

ROWS, COLUMNS, POINTS = 3, 4, 5
PARAMETERS = "X (m);Y (m);Settling time (s);Z (m);Scan:Current (A)"
SEGMENTS = (
    "Segment Start (V), Segment End (V), Settling (s), Integration (s), Steps (xn), Lockin, "
    "Init. Settling (s)"
)


def write_3ds(path, cubes, *, sweep=(-0.2, 0.2), blank=(), keep=None, extra=(), **changes):
    """Write ``{channel: (row from the top, column, point)}`` as Nanonis does.

    `blank` lists ``(row, column)`` whose record is all zero, `keep` is the number of data bytes;
    changes go by the first word of a header key, None takes the line out.
    """
    rows, columns, points = next(iter(cubes.values())).shape
    count = 2 + len(PARAMETERS.split(";"))
    lines = {
        "Grid dim": f'"{columns} x {rows}"',
        "Grid settings": "1.106620E-7;-2.331660E-7;2.000000E-8;9.000000E-9;3.000000E+1",
        "Filetype": "Linear",
        "Sweep Signal": '"Bias (V)"',
        "Fixed parameters": '"Sweep Start;Sweep End"',
        "Experiment parameters": f'"{PARAMETERS}"',
        "# Parameters (4 byte)": str(count),
        "Experiment size (bytes)": str(4 * len(cubes) * points),
        "Points": str(points),
        "Channels": '"' + ";".join(cubes) + '"',
        "Comment": "a=b",
        "Bias>Bias (V)": "200E-3",
        "Bias Spectroscopy>MultiLine Settings : Segment Start (V), Segment End (V), "
        "Settling (s), Integration (s), Steps (xn)": "-1E+0,1E+0,100E-6,100E-6,256",
        "Z-Controller>Controller status": "OFF",
        "Z-Controller>Setpoint": "100E-12",
        "Z-Controller>Setpoint unit": "A",
    }
    lines |= dict(extra) | {key.replace("_", " "): value for key, value in changes.items()}
    text = "".join(f"{key}={value}\r\n" for key, value in lines.items() if value is not None)
    records = np.zeros((rows, columns, count + len(cubes) * points))
    row, column = np.indices((rows, columns))
    records[..., 0], records[..., 1] = sweep
    records[..., 2], records[..., 3] = 1e-9 * column, 1e-9 * (rows - 1 - row)
    records[..., 5] = 1e-9 * (10 * row + column)
    records[..., count:] = np.concatenate([np.asarray(cube) for cube in cubes.values()], axis=-1)
    for point in blank:
        records[point] = 0
    data = records[::-1].astype(">f4").tobytes()[:keep]
    path.write_bytes((text + ":HEADER_END:\r\n").encode("latin-1") + data)
    return path


def record_bytes(channels=1):
    return 4 * (2 + len(PARAMETERS.split(";")) + channels * POINTS)


@pytest.fixture
def cube():
    """``(row, column, point)``, every value differs."""
    return 1e-12 * (1.0 + np.arange(ROWS * COLUMNS * POINTS).reshape(ROWS, COLUMNS, POINTS))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "grid.3ds"


@pytest.mark.parametrize("lazy", [False, True])
def test_a_grid_becomes_cubes_with_row_0_on_top(file, cube, lazy):
    cubes = {"Current (A)": cube, "LI Demod 1 X (A)": 2 * cube, "LI Demod 1 Y (A)": 3 * cube}
    scan = open_scan(write_3ds(file, cubes), lazy=lazy)
    assert scan["current"].dims == ("bias", "y", "x")
    assert_allclose(scan["current"], cube.transpose(2, 0, 1), rtol=1e-6)
    assert_allclose(scan["didv"], 2 * cube.transpose(2, 0, 1), rtol=1e-6)
    assert scan["didv"].attrs["units"] == "A"
    assert scan["didv"].attrs["derived"] == ""
    assert scan["li_demod_1_y"].attrs["quantity"] == "other"
    assert main_channel(scan).name == "didv"
    assert (scan["current"].chunks is not None) == lazy
    for channel in scan.data_vars.values():
        assert channel.dtype == np.float32
        assert channel.dtype.isnative
        assert channel.compute().values.flags.c_contiguous


def test_geometry_topography_and_set_point(file, cube):
    scan = open_scan(write_3ds(file, {"Current (A)": cube}))
    assert_allclose(scan["x"], 5.0 * np.arange(COLUMNS))
    assert_allclose(scan["y"], 3.0 * np.arange(ROWS))
    assert_array_equal(scan["bias"], np.linspace(-0.2, 0.2, POINTS))
    row, column = np.indices((ROWS, COLUMNS))
    assert scan["topography"].dims == ("y", "x")
    assert_allclose(scan["topography"], 10 * row + column, rtol=1e-6)
    assert_allclose(scan.attrs["offset_nm"], (110.662, -233.166))
    assert scan.attrs["scan_angle_deg"] == 30
    assert scan.attrs["setpoint"] == "100 pA, feedback off"
    assert scan.attrs["complete"] is True
    assert scan.attrs["header"]["Comment"] == "a=b"


def test_channels_named_like_coordinates_are_kept(file, cube):
    cubes = {"Bias (V)": cube, "X (m)": cube, "Current (A)": cube, "Z (m)": cube}
    scan = open_scan(write_3ds(file, cubes))
    assert_allclose(scan["bias_channel"], cube.transpose(2, 0, 1), rtol=1e-6)
    assert_allclose(scan["x_channel"], 1e9 * cube.transpose(2, 0, 1), rtol=1e-6)
    assert scan["bias_channel"].attrs["quantity"] == "bias"
    assert scan["z"].attrs["quantity"] == "other"


def test_without_the_parameter_z_the_channel_gives_the_topography(file, cube):
    scan = open_scan(
        write_3ds(file, {"Z (m)": cube}, **{"Experiment parameters": '"X (m);Y (m);A;B;C"'})
    )
    assert_allclose(scan["topography"], 1e9 * cube[..., 0], rtol=1e-6)
    assert "first point" in scan["topography"].attrs["derived"]


def test_forward_and_backward_sweeps(file, cube):
    cubes = {"LI Demod 1 X (A)": cube, "LI Demod 1 X [bwd] (A)": 2 * cube}
    scan = open_scan(write_3ds(file, cubes))
    assert_allclose(scan["didv_forward"], cube.transpose(2, 0, 1), rtol=1e-6)
    assert_allclose(scan["didv_backward"], 2 * cube.transpose(2, 0, 1), rtol=1e-6)
    assert scan["didv_backward"].attrs["direction"] == "backward"
    assert main_channel(scan).name == "didv_forward"


@pytest.mark.parametrize("sweep", [(-0.2, 0.2), (0.3, -0.1)])
@pytest.mark.parametrize("lazy", [False, True])
def test_numerical_didv_has_the_right_sign_and_size(file, sweep, lazy):
    """I = a V + b V^2 has dI/dV = a + 2 b V, which central differences give exactly inside."""
    bias = np.linspace(*sweep, POINTS)
    slope = 1e-9 * (1 + np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS, 1))
    path = write_3ds(file, {"Current (A)": slope * bias + 3e-9 * bias**2}, sweep=sweep)
    scan = open_scan(path, lazy=lazy)
    assert_allclose(scan["bias"], bias)
    expected = (slope + 6e-9 * bias).transpose(2, 0, 1)
    assert_allclose(scan["didv"][1:-1], expected[1:-1], rtol=1e-5)
    assert scan["didv"].attrs["units"] == "S"
    assert "numerical derivative" in scan["didv"].attrs["derived"]
    assert main_channel(scan).name == "didv"


def test_a_single_point_sweep_has_no_derivative(file, cube):
    scan = open_scan(write_3ds(file, {"Current (A)": cube[..., :1]}, sweep=(0.1, 0.1)))
    assert "didv" not in scan
    assert_allclose(scan["bias"], [0.1])


@pytest.mark.parametrize(
    ("bias", "table"),
    [
        ([-0.4, -0.2, 0, 0.05, 0.1], "-400E-3,0,1E-3,1E-3,3,0,0;0,100E-3,1E-3,1E-3,3,0,0"),
        ([-0.2, -0.1, 0, 0, 0.1], "-200E-3,0,1E-3,1E-3,3,0,0;0,100E-3,1E-3,1E-3,2,0,0"),
    ],
    ids=["shared point once", "shared point twice"],
)
def test_segments_follow_their_table(file, bias, table):
    """Uneven steps; the slope must come out right in both segments."""
    current = np.broadcast_to(2e-9 * np.array(bias), (ROWS, COLUMNS, POINTS))
    path = write_3ds(file, {"Current (A)": current}, Filetype="MLS", extra={SEGMENTS: table})
    scan = open_scan(path)
    assert_allclose(scan["bias"], bias, atol=1e-12)
    assert_allclose(scan["didv"], 2e-9, rtol=1e-5)


def test_segments_without_a_table_need_the_recorded_bias(file, cube, assert_refused):
    bias = np.array([-0.4, -0.1, 0.0, 0.2, 0.9])
    mode = {"Bias Spectroscopy>Sweep mode": "MLS"}
    assert_refused(write_3ds(file, {"Current (A)": cube}, extra=mode), "several segments")
    recorded = np.broadcast_to(bias, cube.shape)
    cubes = {"Current (A)": cube, "Bias (V)": recorded}
    assert_allclose(open_scan(write_3ds(file, cubes, extra=mode))["bias"], bias, rtol=1e-6)
    drifting = recorded + np.arange(COLUMNS)[:, np.newaxis]
    cubes = {"Current (A)": cube, "Bias (V)": drifting}
    assert_refused(write_3ds(file, cubes, extra=mode), "differs between grid points")


def test_a_sweep_of_something_else_is_not_called_bias(file, cube):
    cubes = {"Current (A)": cube, "LI Demod 1 X (A)": cube}
    path = write_3ds(file, cubes, sweep=(0, 1e-9), **{"Sweep Signal": '"Z rel (m)"'})
    scan = open_scan(path)
    assert scan["current"].dims == ("sweep", "y", "x")
    assert_allclose(scan["sweep"], np.linspace(0, 1, POINTS), rtol=1e-6)
    assert scan["sweep"].attrs == {"long_name": "Z rel", "units": "nm"}
    assert float(scan["bias"]) == 0.2
    assert "didv" not in scan


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("spare", [0, 17])
def test_an_aborted_grid_is_nan_where_nothing_was_measured(file, cube, lazy, spare):
    """Measurement starts at the bottom left: 1 row and 2 points were done."""
    path = write_3ds(file, {"Current (A)": cube}, keep=6 * record_bytes() + spare)
    scan = open_scan(path, lazy=lazy).compute()
    assert scan.attrs["complete"] is False
    measured = np.zeros((ROWS, COLUMNS), bool)
    measured[2] = measured[1, :2] = True
    for channel in ("current", "didv"):
        assert_array_equal(np.isfinite(scan[channel]).all("bias"), measured)
        assert_array_equal(np.isfinite(scan[channel]).any("bias"), measured)
    assert_array_equal(np.isfinite(scan["topography"]), measured)
    assert_allclose(scan["current"].values[:, measured], cube[measured].T, rtol=1e-6)


@pytest.mark.parametrize("lazy", [False, True])
def test_zero_filled_points_are_nan_but_measured_zeros_stay(file, cube, lazy):
    cube[2, 0] = 0
    path = write_3ds(file, {"Current (A)": cube}, blank=[(0, 3), (0, 2)])
    scan = open_scan(path, lazy=lazy).compute()
    assert scan.attrs["complete"] is False
    assert np.isnan(scan["current"][:, 0, 2:]).all()
    assert np.isnan(scan["topography"][0, 2:]).all()
    assert np.isnan(scan["current"]).sum() == 2 * POINTS
    assert_array_equal(scan["current"][:, 2, 0], 0)


def test_a_line_of_spectra_has_square_pixels(file, cube):
    path = write_3ds(file, {"Current (A)": cube[:1]}, **{"Grid settings": "0;0;2E-8;0;0"})
    scan = open_scan(path)
    assert dict(scan.sizes) == {"bias": POINTS, "y": 1, "x": COLUMNS}
    assert_allclose(scan["x"][1], 5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Grid dim": "4 by 3"}, "Grid dim"),
        ({"Grid dim": '"-4 x 3"'}, "Grid dim"),
        ({"Grid dim": '"0 x 3"'}, "impossible size"),
        ({"Grid dim": '"999999999 x 999999999"'}, "impossible size"),
        ({"Grid dim": '"60000 x 60000"'}, "barely started"),
        ({"Grid dim": '"2 x 3"'}, "the header announces 2 x 3"),
        ({"Grid settings": None}, "lacks 'Grid settings'"),
        ({"Grid settings": "0;0;1E-8"}, "Grid settings"),
        ({"Grid settings": "0;0;nan;1E-8;0"}, "Grid settings"),
        ({"Grid settings": "0;0;-1E-8;1E-8;0"}, "negative size"),
        ({"Sweep Signal": None}, "lacks 'Sweep Signal'"),
        ({"Channels": '""'}, "lists 0 channels"),
        ({"Channels": '"Current (A);Phase (deg)"'}, "does not hold 2 channels"),
        ({"Points": "many"}, "Points"),
        ({"Points": "0"}, "0 points"),
        ({"Points": "1E9"}, "Points"),
        ({"Experiment size (bytes)": "999999999"}, "does not hold"),
        ({"# Parameters (4 byte)": "999999999"}, "less than one grid point"),
        ({"Experiment parameters": None}, "lacks 'Experiment parameters'"),
    ],
)
def test_damaged_headers_are_refused(file, cube, assert_refused, changes, reason):
    assert_refused(write_3ds(file, {"Current (A)": cube}, **changes), reason)


@pytest.mark.parametrize(
    ("sweep", "reason"),
    [((0.1, 0.1), "where the sweep starts"), ((np.nan, 0.1), "not a number")],
)
def test_an_unknown_axis_is_refused(file, cube, assert_refused, sweep, reason):
    assert_refused(write_3ds(file, {"Current (A)": cube}, sweep=sweep), reason)


def test_sweeps_that_differ_between_points_are_refused(file, cube, assert_refused):
    ends = np.full((ROWS, COLUMNS), 0.2)
    ends[1, 1] = 0.4
    path = write_3ds(file, {"Current (A)": cube}, sweep=(-0.2, ends))
    assert_refused(path, "differs between grid points")


def test_files_without_data_are_refused(file, cube, assert_refused):
    assert_refused(write_3ds(file, {"Current (A)": cube}, keep=0), "less than one grid point")
    everything = [(row, column) for row in range(ROWS) for column in range(COLUMNS)]
    path = write_3ds(file, {"Current (A)": cube}, blank=everything)
    assert_refused(path, "no grid point was measured")
    file.write_bytes(b'Grid dim="4 x 3"\r\n')
    assert_refused(file, ":HEADER_END: is missing")
    file.write_bytes(b"Grid dim=" + np.random.default_rng(0).bytes(4000))
    assert_refused(file, ":HEADER_END: is missing")


def test_damage_never_escapes(file, cube, assert_survives_damage):
    write_3ds(file, {"Current (A)": cube, "Phase (deg)": cube})
    header_bytes = file.stat().st_size - ROWS * COLUMNS * record_bytes(channels=2)
    assert assert_survives_damage(file, header_bytes)["read"] > 0


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    """256 x 256 points of 100 biases, current only: a derived dI/dV doubles the memory."""
    current = np.random.default_rng(0).normal(size=(256, 256, 100)).astype(np.float32)
    return write_3ds(tmp_path_factory.mktemp("large") / "large.3ds", {"Current (A)": current})


def test_a_large_grid_is_read_soon(large_file):
    open_scan(large_file)
    started = time.process_time()  # not the clock's, which others share on a busy machine
    scan = open_scan(large_file)
    assert scan.sizes["bias"] == 100
    assert time.process_time() - started < 1


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted differently elsewhere")
def test_a_large_grid_takes_at_most_two_and_a_half_times_its_size(large_file, file, cube):
    """The whole process, so that mapped pages and temporary copies count as well."""
    small_file = write_3ds(file, {"Current (A)": cube})
    peaks = []
    for path in (small_file, large_file):
        script = (
            "import resource, sys; from qpi_kernels.io import open_scan; "
            f"open_scan({str(small_file)!r}); scan = open_scan({str(path)!r}); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        answer = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(1024 * int(answer.stdout))
    assert peaks[1] - peaks[0] < 2.5 * large_file.stat().st_size


def test_large_data_are_lazy_by_default(file, cube, monkeypatch):
    from qpi_kernels.io.formats import nanonis_3ds

    write_3ds(file, {"Current (A)": cube})
    assert open_scan(file)["current"].chunks is None
    monkeypatch.setattr(nanonis_3ds, "_LAZY_ABOVE_BYTES", 100)
    monkeypatch.setattr(nanonis_3ds, "_LAZY_BLOCK_BYTES", record_bytes() * COLUMNS)
    lazy = open_scan(file)
    assert lazy["current"].chunks == ((POINTS,), (1,) * ROWS, (COLUMNS,))
    assert lazy["didv"].chunks is not None
    assert_allclose(lazy["current"], cube.transpose(2, 0, 1), rtol=1e-6)


def test_sample(sample):
    scan = open_scan(sample("nanonis_grid_bias.3ds"))
    assert dict(scan.sizes) == {"bias": 128, "y": 20, "x": 20}
    assert_array_equal(scan["bias"][[0, -1]], [0.2, -0.1])
    assert_allclose(np.diff(scan["bias"]), -0.3 / 127)
    assert_allclose(scan["x"][1], 0.75)
    assert_allclose(scan["y"][1], 0.75)
    assert_allclose(scan.attrs["offset_nm"], (110.662, 233.166))
    assert scan.attrs["complete"] is True
    assert_allclose(scan["topography"], -11.132063, rtol=1e-6)
    shift = scan["frequency_shift"]
    assert shift.attrs["units"] == "Hz"
    assert_allclose((shift.min(), shift.max()), (-7.0766, -5.8998), atol=5e-5)
    measured = [v for v in scan.data_vars.values() if v.ndim == 3 and not v.attrs["derived"]]
    assert len(measured) == 10
    assert scan["didv"].attrs["derived"]
    assert_allclose(scan["x_channel"][0, :, 0], 103.537, atol=1e-3)
    assert_allclose(scan["y_channel"][0, -1], 226.041, atol=1e-3)
    assert_allclose(scan["y_channel"][0, -2], 226.791, atol=1e-3)
    assert scan["y_channel"][0, 0, 0] > scan["y_channel"][0, -1, 0]
    slope = np.gradient(scan["current"].values, scan["bias"].values, axis=0)
    assert_allclose(scan["didv"], slope, rtol=1e-5, atol=1e-14)


def test_sample_agrees_with_nanonispy2(sample):
    """An independent reader; it keeps row 0 at the bottom."""
    nanonispy2 = pytest.importorskip("nanonispy2")
    path = sample("nanonis_grid_bias.3ds")
    theirs = nanonispy2.read.Grid(str(path)).signals
    ours = open_scan(path)
    assert_allclose(ours["bias"], theirs["sweep_signal"], atol=2e-8)
    assert_allclose(ours["current"], theirs["Current (A)"][::-1].transpose(2, 0, 1), rtol=1e-6)
    expected = theirs["Frequency Shift (Hz)"][::-1].transpose(2, 0, 1)
    assert_allclose(ours["frequency_shift"], expected, rtol=1e-6)
