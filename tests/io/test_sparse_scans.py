"""Maps of which only some pixels were measured: readers keep the others as NaN."""

import numpy as np
import pytest
import tifffile
from gsffile import write_gsf
from numpy.testing import assert_array_equal

from qpi_kernels.io import open_scan
from qpi_kernels.io.exporters import export_array
from qpi_kernels.io.formats.netcdf import save_scan
from shared.nanonis_files import write_sxm

ROWS, COLUMNS = 20, 24


def measured(kind):
    rng = np.random.default_rng(3)
    if kind == "pixels":
        return rng.random((ROWS, COLUMNS)) < 0.2
    return np.broadcast_to(rng.random((ROWS, 1)) < 0.3, (ROWS, COLUMNS))


def write(path, values):
    if path.suffix == ".gsf":
        frame = {"XReal": 1e-9, "YReal": 1e-9, "XYUnits": "m", "ZUnits": "m"}
        write_gsf(path, values * np.float32(1e-9), frame)
    elif path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, data=values, pixel_nm=0.5)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, values)
    elif path.suffix == ".sxm":
        write_sxm(path, values[None], channels=[("Z", "m", "forward")])
    else:
        np.savez(path.with_suffix(".npz"), data=values, pixel_nm=0.5)
        save_scan(open_scan(path.with_suffix(".npz")), path)


@pytest.mark.parametrize("kind", ["pixels", "lines"])
@pytest.mark.parametrize("extension", [".gsf", ".npy", ".npz", ".tif", ".nc", ".sxm"])
def test_pixels_that_were_not_measured_are_nan(tmp_path, extension, kind):
    mask = measured(kind)
    values = np.where(mask, np.random.default_rng(1).normal(5, 1, mask.shape), np.nan)
    path = tmp_path / f"sparse{extension}"
    write(path, values.astype(np.float32))
    scan = open_scan(path)
    (name, *_) = scan.data_vars
    assert_array_equal(np.isfinite(scan[name].values), mask)
    assert not scan.attrs["complete"]


def test_an_exported_map_stays_sparse(tmp_path):
    mask = measured("pixels")
    np.save(tmp_path / "sparse.npy", np.where(mask, 1.5, np.nan).astype(np.float32))
    scan = open_scan(tmp_path / "sparse.npy")
    image = scan[next(iter(scan.data_vars))]
    for extension in (".npz", ".tif"):
        path = tmp_path / f"again{extension}"
        export_array(image, path)
        again = open_scan(path)
        assert_array_equal(np.isfinite(again[next(iter(again.data_vars))].values), mask)
