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


def test_moves_after_loading_repeat_to_the_bit(tmp_path) -> None:
    raw = np.random.default_rng(3).normal(size=(2, 24, 30)).astype(np.float32)
    image = xr.DataArray(
        raw,
        dims=("bias", "y", "x"),
        coords={"bias": [0.1, 0.2], "y": np.arange(24) * 0.3, "x": np.arange(30) * 0.3},
    )
    first = prepare.run(image, [prepare.Rotate(angle_deg=7.0)], channels={"current": image})
    loaded = prepare.load_prepared(prepare.save_prepared(first, tmp_path / "turned.nc"))
    made = prepare.run(loaded, [prepare.Rotate(angle_deg=-3.0)])
    again = prepare.replay(image, made.history, channels={"current": image})
    assert made.image.identical(again.image)
    assert made.channels["current"].identical(again.channels["current"])
    np.testing.assert_array_equal(made.mask, again.mask)
    cut = prepare.run(first, [prepare.Crop(rows=(2, 20), columns=(2, 20))])
    assert prepare.load_prepared(prepare.save_prepared(cut, tmp_path / "cut.nc")).sampled is None


def test_further_coordinates_and_odd_attributes_are_kept(tmp_path) -> None:
    image = xr.DataArray(
        np.ones((2, 8, 9)),
        dims=("bias", "y", "x"),
        coords={
            "bias": [0.1, 0.2],
            "setpoint": ("bias", np.array([1.5, 2.5], np.float32), {"units": "nA"}),
            "line": ("y", np.arange(8)),
        },
        attrs={"taken": np.datetime64("2020-01-02"), "gain": 3j},
    )
    start = prepare.Prepared.start(image, channels={"current": image})
    loaded = prepare.load_prepared(prepare.save_prepared(start, tmp_path / "map.nc"))
    for found in (loaded.image, loaded.channels["current"]):
        for name in image.coords:
            assert found.coords[name].variable.identical(image.coords[name].variable)
            assert found.coords[name].dtype == image.coords[name].dtype
        assert found.attrs == {"taken": "2020-01-02", "gain": "3j"}


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
