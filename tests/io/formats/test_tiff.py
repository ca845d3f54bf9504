"""TIFF: pixel size from ImageJ and OME, bias from labels or options, colour refused."""

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_allclose, assert_array_equal

from qpi_kernels.io import open_scan

IMAGE = np.arange(12, dtype=np.float32).reshape(3, 4)
STACK = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "map.tif"


@pytest.mark.parametrize(
    ("unit", "pitch"),
    [("nm", 0.5), ("\\u00B5m", 500), ("micron", 500), ("\\u00C5", 0.05), ("cm", 5e6)],
)
def test_imagej_pixel_size(file, unit, pitch):
    tifffile.imwrite(file, IMAGE, imagej=True, resolution=(2, 4), metadata={"unit": unit})
    scan = open_scan(file)
    if unit == "cm":
        assert scan["x"].attrs["units"] == "pixel"
        return
    assert_allclose(scan["x"][1], pitch)
    assert_allclose(scan["y"][1], pitch / 2)
    assert scan["x"].attrs["units"] == "nm"
    assert_array_equal(next(iter(scan.data_vars.values())), IMAGE)


def test_dots_per_inch_are_no_pixel_size(file):
    tifffile.imwrite(file, IMAGE, resolution=(72, 72), resolutionunit="INCH")
    scan = open_scan(file)
    assert scan["x"].attrs["units"] == "pixel"
    assert_array_equal(scan["x"], np.arange(4))


def test_ome_pixel_size(tmp_path):
    metadata = {
        "axes": "YX",
        "PhysicalSizeX": 0.25,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 5,
        "PhysicalSizeYUnit": "Å",
    }
    path = tmp_path / "map.ome.tif"
    tifffile.imwrite(path, IMAGE, ome=True, metadata=metadata)
    scan = open_scan(path)
    assert_allclose((scan["y"][1], scan["x"][1]), (0.5, 0.25))


def test_pages_are_planes_unless_their_bias_is_told(file):
    tifffile.imwrite(file, STACK, photometric="minisblack")
    scan = open_scan(file)
    channel = next(iter(scan.data_vars.values()))
    assert channel.dims == ("plane", "y", "x")
    assert_array_equal(scan["plane"], [0, 1])
    told = open_scan(file, bias=[-0.1, 0.2], pixel_nm=0.3)
    assert_array_equal(told["bias"], [-0.1, 0.2])
    assert_allclose(told["x"][1], 0.3)


def test_labels_tell_the_bias(file):
    labels = ["map at -100 mV", "map at 2.5E-1 V"]
    tifffile.imwrite(file, STACK, imagej=True, metadata={"axes": "ZYX", "Labels": labels})
    assert_allclose(open_scan(file)["bias"], [-0.1, 0.25])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float64, ">f4"])
def test_pixel_types_become_float32(file, dtype):
    tifffile.imwrite(file, IMAGE.astype(dtype), byteorder=">" if dtype == ">f4" else "<")
    channel = next(iter(open_scan(file).data_vars.values()))
    assert channel.dtype == np.float32
    assert channel.dtype.isnative
    assert_array_equal(channel, IMAGE)


def test_what_is_no_map_is_refused(file, assert_refused):
    tifffile.imwrite(file, np.zeros((3, 4, 3), np.uint8), photometric="rgb")
    assert_refused(file, "colour")
    tifffile.imwrite(file, np.zeros((3, 4), np.complex64))
    assert_refused(file, "complex")
    tifffile.imwrite(file, np.zeros((2, 2, 3, 4), np.float32), photometric="minisblack")
    assert_refused(file, "no image and no stack")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"bias": [1.0, 2.0, 3.0]}, "3 values for 2 planes"),
        ({"bias": [1.0, np.nan]}, "2 values for 2 planes"),
        ({"pixel_nm": -1}, "positive"),
        ({"pixel_nm": (1, 2, 3)}, "positive"),
    ],
)
def test_options_are_checked(file, assert_refused, options, reason):
    tifffile.imwrite(file, STACK, photometric="minisblack")
    assert_refused(file, reason, **options)


def test_a_claim_beyond_the_file_is_refused(file, assert_refused):
    tifffile.imwrite(file, IMAGE)
    with tifffile.TiffFile(file, mode="r+") as tiff:
        for name in ("ImageWidth", "ImageLength"):
            tiff.pages.first.tags[name].overwrite(60000)
    assert_refused(file, "announces")


@pytest.mark.filterwarnings("ignore")
def test_damage_never_escapes(file, assert_survives_damage):
    tifffile.imwrite(file, STACK, imagej=True, metadata={"axes": "ZYX", "unit": "nm"})
    assert_survives_damage(file, file.stat().st_size - STACK.nbytes)
