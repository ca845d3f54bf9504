"""Saving and loading a prepared image, without loss."""

import numpy as np
import pytest
import xarray as xr

import qpi_kernels as qk
from qpi_kernels import prepare


class Tabulate(prepare.Step):
    """Report numbers and a table."""

    def change(self, scan):
        table = np.arange(6, dtype=np.int32).reshape(2, 3)
        return scan, {"table_px": table, "largest_nm": np.float64(3.5), "words": "a ring"}


@pytest.fixture
def tabulate():
    yield prepare.register(Tabulate)
    prepare.unregister("tabulate")


@pytest.fixture(params=["map", "cube", "bare array"])
def prepared(request, tabulate):
    values = np.random.default_rng(0).normal(size=(3, 20, 24)).astype(np.float32)
    cube = xr.DataArray(
        values,
        dims=("bias", "y", "x"),
        coords={
            "bias": ("bias", [0.1, 0.0, -0.2], {"units": "V"}),
            "y": ("y", np.arange(20) * 0.25, {"units": "nm"}),
            "x": ("x", np.arange(24) * 0.25, {"units": "nm"}),
        },
        name="didv_forward",
        attrs={
            "units": "S",
            "long_name": "LI Demod 1 X",
            "quantity": "didv",
            "direction": "forward",
            "offset_nm": (3.0, -4.0),
            "scan_angle_deg": 12.0,
        },
    )
    image = {"map": cube[1], "cube": cube, "bare array": values[0]}[request.param]
    mask = np.random.default_rng(1).random((20, 24)) > 0.1
    defects = None
    if request.param != "cube":
        defects = qk.Defects([(3.0, 4.5), (9.0, 9.0)], ["a", "b"], [1.0, 0.5])
    channels = {"topography": cube[0].drop_vars("bias"), "current": cube}
    steps = [Tabulate(), prepare.Crop(rows=(2, 18), columns=(1, 23))]
    return prepare.run(image, steps, mask=mask, defects=defects, channels=channels)


def test_a_prepared_image_comes_back_identical(prepared, tmp_path) -> None:
    path = prepare.save_prepared(prepared, tmp_path / "map.nc")
    assert prepare.is_prepared_file(path)
    loaded = prepare.load_prepared(path)
    pairs = [(prepared.image, loaded.image)]
    assert set(loaded.channels) == {"topography", "current"}
    pairs += [(prepared.channels[name], loaded.channels[name]) for name in loaded.channels]
    for before, after in pairs:
        xr.testing.assert_identical(before, after)
        assert before.dtype == after.dtype
        for name in before.coords:
            assert before[name].attrs == after[name].attrs
    np.testing.assert_array_equal(loaded.mask, prepared.mask)
    assert loaded.mask.dtype == bool
    assert loaded.defects == prepared.defects
    assert loaded.history == prepared.history
    table = loaded.report["tabulate"]["table_px"]
    assert table.dtype == np.int32
    np.testing.assert_array_equal(table, prepared.report["tabulate"]["table_px"])
    assert loaded.report["tabulate"]["largest_nm"] == 3.5
    assert loaded.report["crop"] == prepared.report["crop"]


def test_a_reader_shows_image_and_mask(prepared, tmp_path) -> None:
    scan = qk.open_scan(prepare.save_prepared(prepared, tmp_path / "map.nc"))
    image, mask = scan.data_vars.values()
    np.testing.assert_array_equal(image.values, prepared.image.values)
    np.testing.assert_array_equal(mask.values, prepared.mask)
    assert image.attrs["units"] == prepared.image.attrs.get("units", "")
    if "offset_nm" in prepared.image.attrs:
        assert scan.attrs["scan_angle_deg"] == 12.0
        assert scan.attrs["offset_nm"] == prepared.image.attrs["offset_nm"]
        assert float(scan.x[1]) == 0.25


def test_other_files_are_refused_in_words(tmp_path) -> None:
    foreign = tmp_path / "other.nc"
    xr.Dataset({"a": ("t", [1.0])}).to_netcdf(foreign, engine="h5netcdf")
    (tmp_path / "text.nc").write_text("nothing")
    for name in ("other.nc", "text.nc", "none.nc"):
        with pytest.raises(prepare.PreparationError, match=name):
            prepare.load_prepared(tmp_path / name)
        assert not prepare.is_prepared_file(tmp_path / name)
    with pytest.raises(prepare.PreparationError, match=r"\.nc"):
        prepare.save_prepared(prepare.Prepared.start(np.zeros((4, 4))), tmp_path / "map.tif")
