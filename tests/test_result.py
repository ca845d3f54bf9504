"""Saving and loading a result, without loss."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from qpi_kernels import Defects, KernelResult, extract
from qpi_kernels.result import ResultFormatError


@pytest.fixture(scope="module", params=["map", "cube", "two kinds", "bare array"])
def result(request):
    rng = np.random.default_rng(0)
    observation = xr.DataArray(
        rng.standard_normal((3, 24, 28)).astype(np.float32),
        dims=("bias", "y", "x"),
        coords={
            "bias": ("bias", [0.1, 0.0, -0.2], {"units": "V"}),
            "y": ("y", np.arange(24) * 0.25, {"units": "nm"}),
            "x": ("x", np.arange(28) * 0.5, {"units": "nm"}),
        },
        name="didv",
        attrs={"units": "S", "long_name": "LI Demod 1 X", "source": "somewhere.3ds"},
    )
    observation[:, 3, 4] = np.nan
    kind = ["vacancy", "Fe on top"] * 4 if request.param == "two kinds" else None
    defects = Defects(rng.uniform(0, 24, (8, 2)), kind=kind, strength=rng.random(8) + 0.5)
    data = {
        "map": observation[1],
        "cube": observation,
        "two kinds": observation[:2],
        "bare array": observation.values[0],
    }[request.param]
    return extract(data, defects, kernel_shape=(5, 7))


def test_a_saved_result_comes_back_identical(result, tmp_path):
    loaded = KernelResult.load(result.save(tmp_path / "kernel.nc"))
    for name in ("kernel", "std", "background", "reconstruction", "residual", "draws"):
        before, after = getattr(result, name), getattr(loaded, name)
        xr.testing.assert_identical(before, after)
        assert before.dtype == after.dtype
        for coordinate in before.coords:
            assert before[coordinate].attrs == after[coordinate].attrs
    assert loaded.defects == result.defects
    assert loaded.quality == result.quality
    assert loaded.provenance == result.provenance


def test_a_result_without_drawn_errors_comes_back_without(result, tmp_path):
    plain = replace(result, draws=None)
    loaded = KernelResult.load(plain.save(tmp_path / "kernel.nc"))
    assert loaded.draws is None
    xr.testing.assert_identical(loaded.kernel, result.kernel)


def test_axes_of_the_kernel_count_from_its_centre(result):
    assert float(result.kernel.y[5 // 2]) == 0.0
    assert float(result.kernel.x[7 // 2]) == 0.0


def test_saving_replaces_only_with_a_complete_file(result, tmp_path):
    path = tmp_path / "kernel.nc"
    result.save(path)
    result.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["kernel.nc"]


def test_only_netcdf_keeps_a_result(result, tmp_path):
    with pytest.raises(ResultFormatError, match=r"end the name in \.nc"):
        result.save(tmp_path / "kernel.tif")
    assert not list(tmp_path.iterdir())


def test_other_files_are_refused_in_words(tmp_path):
    foreign, text = tmp_path / "other.nc", tmp_path / "text.nc"
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(foreign, engine="h5netcdf")
    text.write_text("hello")
    told = {
        foreign: "other.nc.* extract the kernel of a scan first",
        text: "text.nc: not readable as NetCDF",
        tmp_path / "missing.nc": "missing.nc: there is no such file",
    }
    for path, words in told.items():
        with pytest.raises(ResultFormatError, match=words):
            KernelResult.load(path)


def test_provenance_repeats_the_extraction(result):
    parameters = result.provenance["parameters"]
    assert parameters["kernel_shape"] == [5, 7]
    assert parameters["method"] == "bayes"
    assert result.provenance["seed"] if "seed" in result.provenance else parameters["seed"] == 0
    assert len(result.provenance["observation_sha256"]) == 64
