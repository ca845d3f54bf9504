"""NumPy files: pixel size and bias beside the array, nothing pickled, sizes checked."""

import zipfile

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from qpi_kernels.io import main_channel, open_scan

IMAGE = np.arange(12.0).reshape(3, 4)
STACK = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize("dtype", [">f4", "<f8", "i2", "u1", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_image(tmp_path, dtype, order):
    path = tmp_path / "map.npy"
    np.save(path, np.asarray(IMAGE.astype(dtype), order=order))
    scan = open_scan(path, pixel_nm=(0.5, 0.25), bias=0.1)
    channel = main_channel(scan)
    assert channel.dims == ("y", "x")
    assert channel.dtype == np.float32
    assert channel.dtype.isnative
    assert_array_equal(channel, IMAGE.astype(dtype))
    assert_allclose((scan["y"][1], scan["x"][1], scan["bias"]), (0.5, 0.25, 0.1))


def test_unknown_sizes_are_pixels_and_planes(tmp_path):
    path = tmp_path / "map.npy"
    np.save(path, STACK)
    scan = open_scan(path)
    assert main_channel(scan).dims == ("plane", "y", "x")
    assert scan["x"].attrs["units"] == "pixel"
    assert_array_equal(open_scan(path, bias=[0.1, -0.1])["bias"], [0.1, -0.1])


def test_an_archive_says_its_pixel_size_and_bias(tmp_path):
    path = tmp_path / "map.npz"
    np.savez(
        path,
        kernel=np.ones((3, 3)),
        topography=IMAGE,
        didv=STACK,
        pixel_nm=0.5,
        bias=np.array([0.2, 0.1]),
        units="S",
    )
    scan = open_scan(path)
    assert list(scan.data_vars) == ["didv", "topography"]
    assert main_channel(scan).name == "didv"
    assert main_channel(scan).attrs["units"] == "S"
    assert_array_equal(scan["bias"], [0.2, 0.1])
    assert_array_equal(scan["topography"], IMAGE)
    assert_allclose((scan["y"][1], scan["x"][1]), 0.5)
    assert scan.attrs["header"] == {"arrays left out": "kernel (3, 3)"}
    assert_allclose(open_scan(path, pixel_nm=2)["x"][1], 2)


def test_nan_means_incomplete(tmp_path):
    path = tmp_path / "map.npy"
    np.save(path, np.where(IMAGE > 3, IMAGE, np.nan))
    assert open_scan(path).attrs["complete"] is False


@pytest.mark.parametrize(
    ("array", "options", "reason"),
    [
        (np.array([{}], dtype=object), {}, "pickled"),
        (np.zeros(5), {}, "no 2-D or 3-D array"),
        (np.zeros((2, 2, 2, 2)), {}, "no 2-D or 3-D array"),
        (np.zeros((0, 4)), {}, "no 2-D or 3-D array"),
        (np.zeros((3, 4), complex), {}, "no 2-D or 3-D array"),
        (STACK, {"bias": [1, 2, 3]}, "3 values for 2 planes"),
        (STACK, {"bias": "low"}, "not numbers"),
        (STACK, {"bias": [0, np.inf]}, "finite"),
        (STACK, {"pixel_nm": 0}, "positive"),
        (STACK, {"pixel_nm": np.nan}, "positive"),
    ],
)
def test_what_is_no_map_is_refused(tmp_path, assert_refused, array, options, reason):
    path = tmp_path / "map.npy"
    np.save(path, array, allow_pickle=True)
    assert_refused(path, reason, **options)


@pytest.mark.parametrize("shape", ["(100000, 100000)", "(-1, 4)", "(99999999999999999999, 4)"])
def test_a_claim_beyond_the_file_is_refused(tmp_path, assert_refused, shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header = header.ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
    path = tmp_path / "map.npy"
    path.write_bytes(content)
    assert_refused(path, "announces")
    with zipfile.ZipFile(tmp_path / "map.npz", "w") as archive:
        archive.writestr("data.npy", content)
    assert_refused(tmp_path / "map.npz", "announces")


def test_other_archives_are_refused(tmp_path, assert_refused):
    path = tmp_path / "map.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no arrays")
    assert_refused(path, "no .npy array")
    np.savez(path, data=np.array([{}], dtype=object))
    assert_refused(path, "pickled")
    np.savez(path, pixel_nm="small", data=IMAGE)
    assert_refused(path, "could not convert")


@pytest.mark.parametrize("name", ["map.npy", "map.npz"])
def test_damage_never_escapes(tmp_path, assert_survives_damage, name):
    path = tmp_path / name
    if name == "map.npy":
        np.save(path, STACK)
    else:
        np.savez_compressed(path, data=STACK, pixel_nm=0.5, bias=[0.1, 0.2])
    assert_survives_damage(path, 128)
