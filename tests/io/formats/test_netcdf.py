"""NetCDF: our own scans without loss, kernels of saved results, maps of other programs."""

import json

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from qpi_kernels.io import Channel, main_channel, open_scan, scan_dataset
from qpi_kernels.io.formats.netcdf import save_scan

CUBE = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)


def grid_scan():
    cube = CUBE.copy()
    cube[:, 2] = np.nan
    return scan_dataset(
        [
            Channel("LI Demod 1 X", cube, "A", "didv", "forward"),
            Channel("dI/dV", cube, "S", "didv", "backward", derived="by hand"),
            Channel("Z", cube[0], "nm", "topography"),
        ],
        source="/somewhere/ü.3ds",
        format="Nanonis .3ds",
        pixel_nm=(0.5, 0.25),
        bias=np.array([0.2, 0.05, -0.1]),
        offset_nm=(110.662, -233.1),
        scan_angle_deg=12.5,
        setpoint="",
        complete=False,
        header={"Comment": "zwei\nlines, µ", "empty": ""},
    )


def spectra_scan():
    return scan_dataset(
        [Channel("Current", CUBE[0], "A", "current")],
        source="s.dat",
        format="Nanonis .dat",
        pixel_nm=None,
        bias=np.linspace(0, 1, 5),
        spectrum_positions_nm=np.arange(8.0).reshape(4, 2),
    )


def placed_in(path, scan):
    """Note the file in each channel, as `open_scan` does."""
    for channel in scan.data_vars.values():
        channel.attrs["file"] = str(path.resolve())
    return scan


def image_scan():
    return scan_dataset(
        [Channel("Z", CUBE[0], "nm", "topography")],
        source="s.sxm",
        format="Nanonis .sxm",
        pixel_nm=None,
        bias=0.1,
    )


@pytest.mark.parametrize("make", [grid_scan, spectra_scan, image_scan])
def test_a_saved_scan_comes_back_as_it_was(tmp_path, make):
    scan = make()
    path = save_scan(scan, tmp_path / "scan.nc")
    xr.testing.assert_identical(scan, make())
    again = open_scan(path)
    xr.testing.assert_identical(again, placed_in(path, scan))
    for name, value in scan.attrs.items():
        assert type(again.attrs[name]) is type(value)
    for name in scan.variables:
        assert again[name].dtype == scan[name].dtype
    assert list(tmp_path.iterdir()) == [path]
    xr.testing.assert_identical(open_scan(save_scan(again, path)), scan)


def test_lazy_scans_and_changed_attributes_are_saved(tmp_path):
    scan = grid_scan().chunk(y=2)
    scan["topography"].attrs["prepared"] = {"steps": ["level"], "sigma": None}
    again = open_scan(save_scan(scan, tmp_path / "scan.nc"))
    xr.testing.assert_identical(again, placed_in(tmp_path / "scan.nc", scan.compute()))
    assert again["topography"].attrs["prepared"]["steps"] == ["level"]


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = save_scan(image_scan(), tmp_path / "scan.nc")
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_scan(image_scan().assign_attrs(odd=object()), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_extension_is_checked(tmp_path):
    with pytest.raises(ValueError, match=r"end the name in \.nc"):
        save_scan(image_scan(), tmp_path / "scan.tif")


@pytest.mark.parametrize("kinds", [1, 2])
def test_the_kernel_of_a_saved_result_is_a_channel(tmp_path, kinds):
    """The layout of `KernelResult.save`, written here because readers do not import torch."""
    kernel = xr.DataArray(
        np.broadcast_to(CUBE, (kinds, *CUBE.shape)),
        dims=("kind", "bias", "kernel_y", "kernel_x"),
        coords={
            "kind": [f"vacancy {index}" for index in range(kinds)],
            "bias": ("bias", [0.1, 0.2, 0.3], {"units": "V"}),
            "kernel_y": ("kernel_y", 0.5 * np.arange(-2, 2), {"units": "nm"}),
            "kernel_x": ("kernel_x", 0.25 * np.arange(-2, 3), {"units": "nm"}),
        },
    ).squeeze("kind" if kinds == 1 else [])
    result = xr.Dataset(
        {"kernel": kernel, "residual": (("bias", "y", "x"), np.zeros((3, 9, 9)))},
        attrs={
            "qpi_kernels_type": "KernelResult",
            "provenance": "{}",
            "arrays": json.dumps({"kernel": {"attributes": {"units": "S"}}}),
        },
    )
    result.to_netcdf(tmp_path / "kernel.nc", engine="h5netcdf")
    scan = open_scan(tmp_path / "kernel.nc")
    assert len(scan.data_vars) == kinds
    for channel in scan.data_vars.values():
        assert channel.dims == ("bias", "y", "x")
        assert_array_equal(channel, CUBE)
        assert channel.attrs["units"] == "S"
    assert_allclose((scan["y"][1], scan["x"][1]), (0.5, 0.25))
    assert_allclose(scan["bias"], [0.1, 0.2, 0.3])


def test_a_real_kernel_result_is_read(tmp_path):
    result = pytest.importorskip("qpi_kernels.result")
    from qpi_kernels.defects import Defects
    from qpi_kernels.quality import Quality

    image = xr.DataArray(
        CUBE[0],
        dims=("y", "x"),
        coords={
            "y": ("y", np.arange(-2, 2) * 0.5, {"units": "nm"}),
            "x": ("x", np.arange(-2, 3) * 0.5, {"units": "nm"}),
            "bias": ((), 0.1, {"units": "V"}),
        },
        attrs={"units": "S"},
    )
    saved = result.KernelResult(
        kernel=image,
        std=image,
        background=image,
        reconstruction=image,
        residual=image,
        defects=Defects(np.array([[1.0, 1.0]])),
        quality=Quality.model_construct(),
    ).save(tmp_path / "kernel.nc")
    scan = open_scan(saved)
    assert_array_equal(main_channel(scan), CUBE[0])
    assert main_channel(scan).attrs["units"] == "S"
    assert_allclose((scan["y"][1], scan["bias"]), (0.5, 0.1))


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
def test_maps_of_other_programs(tmp_path, engine):
    """Angstrom and mV, axes in another order, capital names, one variable that is no map."""
    foreign = xr.Dataset(
        {
            "LDOS": (("Y", "X", "bias"), CUBE.transpose(1, 2, 0), {"units": "nA/V"}),
            "height": (("Y", "X"), CUBE[0], {"units": "pm"}),
            "trace": (("time",), np.zeros(7)),
        },
        coords={
            "Y": ("Y", 5.0 * np.arange(4), {"units": "Å"}),
            "X": ("X", 2.5 * np.arange(5), {"units": "Å"}),
            "bias": ("bias", [100.0, 0.0, -50.0], {"units": "mV"}),
        },
        attrs={"title": "made elsewhere"},
    )
    foreign.to_netcdf(tmp_path / "foreign.nc", engine=engine)
    scan = open_scan(tmp_path / "foreign.nc")
    assert list(scan.data_vars) == ["didv", "topography"]
    assert_allclose(scan["didv"], CUBE * 1e-9, rtol=1e-6)
    assert scan["didv"].attrs["units"] == "S"
    assert_allclose(scan["topography"], CUBE[0] * 1e-3, rtol=1e-6)
    assert_allclose(scan["bias"], [0.1, 0.0, -0.05])
    assert_allclose((scan["y"][1], scan["x"][1]), (0.5, 0.25))
    assert scan.attrs["header"] == {"title": "made elsewhere"}


def test_a_foreign_stack_of_unknown_axis_has_planes(tmp_path):
    foreign = xr.Dataset({"a": (("time", "y", "x"), CUBE)}, coords={"time": [1, 2, 3]})
    foreign.to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    scan = open_scan(tmp_path / "foreign.nc")
    assert scan["a"].dims == ("plane", "y", "x")
    assert scan["x"].attrs["units"] == "pixel"


def test_files_without_maps_are_refused(tmp_path, assert_refused):
    path = tmp_path / "foreign.nc"
    xr.Dataset({"trace": ("time", np.zeros(7))}).to_netcdf(path, engine="h5netcdf")
    assert_refused(path, "no variable over y and x")
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + np.random.default_rng(0).bytes(500))
    assert_refused(path, "damaged")
    path.write_bytes(b"CDF\x01" + np.random.default_rng(0).bytes(500))
    assert_refused(path, "not readable as NetCDF")


def test_a_claim_beyond_the_file_is_refused(tmp_path, assert_refused):
    """HDF5 stores nothing for an array that was never written."""
    import h5netcdf

    path = tmp_path / "huge.nc"
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"y": 60000, "x": 60000}
        file.create_variable("a", ("y", "x"), np.float32, chunks=(100, 100))
    assert_refused(path, "announces")


@pytest.mark.filterwarnings("ignore")
def test_damage_never_escapes(tmp_path, assert_survives_damage):
    path = save_scan(grid_scan(), tmp_path / "scan.nc")
    assert_survives_damage(path, path.stat().st_size, trials=15)
