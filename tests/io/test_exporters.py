"""Exported arrays, read back by our readers and by the formats' own libraries."""

import numpy as np
import pytest
import tifffile
import xarray as xr
from gwyfile.objects import GwyContainer
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from qpi_kernels.io import main_channel, open_scan
from qpi_kernels.io.exporters import ExportError, export_array

CUBE = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
BIAS = np.array([0.2, 0.1 / 3, -0.1])


@pytest.fixture
def cube():
    return xr.DataArray(
        CUBE.copy(),
        dims=("bias", "y", "x"),
        coords={
            "bias": ("bias", BIAS, {"units": "V"}),
            "y": ("y", 0.3 * np.arange(4), {"units": "nm"}),
            "x": ("x", 0.0625 * np.arange(5), {"units": "nm"}),
        },
        attrs={"long_name": "LI Demod 1 X", "units": "A"},
        name="didv",
    )


@pytest.mark.parametrize("extension", [".tif", ".TIFF", ".npz"])
def test_stacks_come_back_whole(tmp_path, cube, extension):
    path = export_array(cube, tmp_path / f"map{extension}")
    scan = open_scan(path)
    again = main_channel(scan)
    assert_array_equal(again, CUBE)
    assert again.attrs["units"] == "A"
    assert_array_equal(scan["bias"], BIAS)
    assert_allclose(scan["x"], cube["x"], rtol=1e-7)
    assert_allclose(scan["y"], cube["y"], rtol=1e-7)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("extension", [".tif", ".npz"])
def test_one_plane_keeps_its_bias(tmp_path, cube, extension):
    scan = open_scan(export_array(cube[1], tmp_path / f"map{extension}"))
    assert main_channel(scan).dims == ("y", "x")
    assert float(scan["bias"]) == BIAS[1]


@pytest.mark.parametrize("extension", [".tif", ".npz", ".gwy"])
def test_arrays_without_coordinates_count_pixels(tmp_path, extension):
    array = xr.DataArray(CUBE, dims=("plane", "y", "x"))
    path = export_array(array, tmp_path / f"map{extension}")
    if extension == ".gwy":
        field = GwyContainer.fromfile(str(path))["/0/data"]
        assert (field.xreal, field.yreal, field.si_unit_xy.unitstr) == (5, 4, "")
        return
    scan = open_scan(path)
    assert main_channel(scan).dims == ("plane", "y", "x")
    assert scan["x"].attrs["units"] == "pixel"


def test_imagej_finds_pixel_size_and_labels(tmp_path, cube):
    path = export_array(cube, tmp_path / "map.tif")
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej
        assert file.series[0].axes == "ZYX"
        assert file.series[0].dtype == np.float32
        assert file.imagej_metadata["unit"] == "nm"
        assert file.imagej_metadata["spacing"] == pytest.approx(0.15)
        assert file.imagej_metadata["Labels"][0] == "0.2 V"
        tags = file.pages.first.tags
        pixels, length = tags["XResolution"].value
        assert length / pixels == pytest.approx(0.0625)
        pixels, length = tags["YResolution"].value
        assert length / pixels == pytest.approx(0.3)


def test_gwyddion_gets_si_units_and_masks(tmp_path, cube):
    cube[0, 1, 2] = np.nan
    container = GwyContainer.fromfile(str(export_array(cube, tmp_path / "map.gwy")))
    for index, bias in enumerate(BIAS):
        field = container[f"/{index}/data"]
        assert_allclose((field.xreal, field.yreal), (5 * 0.0625e-9, 4 * 0.3e-9))
        assert (field.si_unit_xy.unitstr, field.si_unit_z.unitstr) == ("m", "A")
        assert container[f"/{index}/data/title"] == f"LI Demod 1 X {float(bias)!r} V"
        assert container[f"/{index}/data/visible"] is True
    assert_allclose(container["/2/data"].data, CUBE[2])
    assert "/1/mask" not in container
    mask = container["/0/mask"].data.astype(bool)
    assert_array_equal(np.argwhere(mask), [[1, 2]])
    values = container["/0/data"].data
    assert_allclose(values[~mask], CUBE[0][~mask])
    assert values[1, 2] == pytest.approx(CUBE[0][~mask].mean())


def test_heights_are_metres_in_gwyddion(tmp_path, cube):
    height = cube[0].drop_vars("bias").assign_attrs(long_name="Z", units="nm")
    path = export_array(height, tmp_path / "map.gwy")
    container = GwyContainer.fromfile(str(path))
    assert container["/0/data/title"] == "Z"
    assert container["/0/data"].si_unit_z.unitstr == "m"
    assert_allclose(container["/0/data"].data, CUBE[0] * 1e-9, rtol=1e-6)
    assert_allclose(main_channel(open_scan(path)), CUBE[0], rtol=1e-6)


def test_lazy_arrays_are_computed(tmp_path, cube):
    scan = open_scan(export_array(cube.chunk(y=2), tmp_path / "map.npz"))
    assert_array_equal(main_channel(scan), CUBE)


@pytest.mark.parametrize("name", ["map.png", "map", "map.sxm"])
def test_unknown_extensions_name_the_known_ones(tmp_path, cube, name):
    with pytest.raises(ExportError, match=r"use \.gwy, \.npz, \.tif, \.tiff"):
        export_array(cube, tmp_path / name)


def test_what_is_no_image_is_refused(tmp_path, cube):
    with pytest.raises(ExportError, match="only images"):
        export_array(cube.transpose("y", "x", "bias"), tmp_path / "map.tif")
    with pytest.raises(ExportError, match="only images"):
        export_array(cube[0, 0], tmp_path / "map.tif")
    assert list(tmp_path.iterdir()) == []


@settings(deadline=None, max_examples=30)
@given(
    pitch=st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)),
    biases=st.lists(st.floats(-5, 5), min_size=2, max_size=4, unique=True),
    zero=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
    units=st.sampled_from(["", "S", "A", "nm"]),
    extension=st.sampled_from([".npz", ".tif"]),
)
def test_axes_units_and_place_come_back(tmp_path_factory, pitch, biases, zero, units, extension):
    coords = {
        "bias": ("bias", biases, {"units": "V"}),
        "y": ("y", zero[0] + pitch[0] * np.arange(4), {"units": "nm"}),
        "x": ("x", zero[1] + pitch[1] * np.arange(5), {"units": "nm"}),
    }
    values = np.zeros((len(biases), 4, 5), np.float32)
    array = xr.DataArray(values, coords, ("bias", "y", "x"), attrs={"units": units})
    folder = tmp_path_factory.mktemp("export")
    scan = open_scan(export_array(array, folder / f"map{extension}"))
    assert_array_equal(scan["bias"], biases)
    assert next(iter(scan.values())).attrs["units"] == units
    assert_allclose((scan["y"][1], scan["x"][1]), pitch, rtol=1e-6)
    if any(zero):
        centre = (float(array["x"].mean()), -float(array["y"].mean()))
        assert_allclose(scan.attrs["offset_nm"], centre, rtol=1e-9, atol=1e-6)
