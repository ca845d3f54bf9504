"""The script of a result repeats it, from the raw file or from the result."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import qpi_kernels as qk
from qpi_kernels.inspect.report.raw_map import find_raw_map
from qpi_kernels.io.formats.netcdf import save_scan
from qpi_kernels.prepare import Crop, Level, MaskPixels
from qpi_kernels.scripts.extraction import extraction_script
from qpi_kernels.scripts.parts import short_numbers

SIZE = (40, 44)
MARKS = [(8.5, 9.0), (20.0, 30.25), (30.0, 12.0), (14.0, 22.0)]


@pytest.fixture
def scan(tmp_path):
    """Save a small grid of tilted maps with bumps and an outlier, and read it."""
    rng = np.random.default_rng(4)
    rows, columns = np.indices(SIZE)
    bumps = sum(np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 6) for y, x in MARKS)
    stack = np.stack([gain * bumps + 0.01 * rows for gain in (1.0, 2.0, 3.0)])
    stack += 0.05 * rng.standard_normal(stack.shape)
    stack[:, 5, 6] = 40.0
    coords = {"bias": ("bias", [0.2, 0.1, 0.0], {"units": "V"})}
    coords |= {axis: (axis, 0.5 * np.arange(n), {"units": "nm"})
               for axis, n in zip("yx", SIZE, strict=True)}  # fmt: skip
    known = {
        "units": "S",
        "quantity": "didv",
        "long_name": "LI",
        "direction": "none",
        "derived": "",
    }
    didv = xr.DataArray(stack.astype("f4"), dims=("bias", "y", "x"), coords=coords, attrs=known)
    return qk.open_scan(save_scan(xr.Dataset({"didv": didv}), tmp_path / "grid.nc"))


def repeat(result, folder, monkeypatch):
    """Run the script of a saved result; return what it extracts."""
    script = extraction_script(result, str(result.save(folder / "result.nc")))
    monkeypatch.chdir(folder)
    exec(compile(script, "again.py", "exec"), {})
    return qk.KernelResult.load(folder / "again.nc")


def extract(observation, **more):
    return qk.extract(observation, MARKS, kernel_shape=(7, 7), method="least_squares", **more)


def test_planes_of_a_file_with_a_mask(scan, tmp_path, monkeypatch, capsys):
    mask = np.ones(SIZE, bool)
    mask[3:8, 4:9] = False
    result = extract(scan["didv"].isel(bias=[2, 0]), mask=mask)
    again = repeat(result, tmp_path, monkeypatch)
    np.testing.assert_array_equal(again.kernel, result.kernel)
    np.testing.assert_array_equal(again.kernel["bias"], [0.0, 0.2])
    assert again.provenance["mask_sha256"] == result.provenance["mask_sha256"]
    assert "differ" not in capsys.readouterr().out


def test_biases_are_written_as_they_were_meant(scan, tmp_path, monkeypatch):
    noisy = np.array([0.1 + 0.2, 0.1 - 0.3 + 0.2, -np.float32(0.1)])
    result = extract(scan["didv"].assign_coords(bias=("bias", noisy, {"units": "V"})))
    assert "biases = [0.3, 0.0, -0.1]\n" in extraction_script(result)
    plane = extract(scan["didv"].assign_coords(bias=("bias", noisy, {"units": "V"}))[0])
    assert "sel(bias=0.3, " in extraction_script(plane)


def test_numbers_keep_the_digits_that_tell_them():
    steps = np.linspace(-0.1, 0.1, 513)
    short = short_numbers(steps)
    assert len(set(short)) == len(steps)
    np.testing.assert_allclose(short, steps, atol=1e-8)
    assert short_numbers([0.1 + 0.2, -1e-17], 1e-14) == [0.3, 0.0]
    assert short_numbers([]) == []
    assert short_numbers([0.0]) == [0.0]


def test_a_prepared_plane_and_its_raw_map(scan, tmp_path, monkeypatch, capsys):
    raw = scan["didv"].sel(bias=0.1)
    steps = [Level(), MaskPixels(), Crop(rows=(2, 38), columns=(0, 40))]
    prepared = qk.prepare.run(raw, steps)
    result = extract(prepared)
    assert not prepared.mask.all()
    again = repeat(result, tmp_path, monkeypatch)
    np.testing.assert_array_equal(again.kernel, result.kernel)
    assert again.provenance["mask_sha256"] == result.provenance["mask_sha256"]
    assert "differ" not in capsys.readouterr().out
    found = find_raw_map(result)
    np.testing.assert_array_equal(found.image, raw)
    assert "recorded preparation" in found.sentence


def test_an_array_comes_from_the_result(scan, tmp_path, monkeypatch):
    result = extract(scan["didv"][1].values)
    again = repeat(result, tmp_path, monkeypatch)
    np.testing.assert_allclose(again.kernel, result.kernel, atol=1e-5)


def test_changed_files_are_told(scan, tmp_path, monkeypatch, capsys):
    result = extract(scan["didv"][0])
    save_scan(scan + 0.1, tmp_path / "grid.nc")
    repeat(result, tmp_path, monkeypatch)
    assert "differ" in capsys.readouterr().out
