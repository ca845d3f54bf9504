"""Running steps in order, and repeating them from their history."""

import json

import numpy as np
import pytest
import xarray as xr
from pydantic import Field

import qpi_kernels as qk
from qpi_kernels import prepare
from qpi_kernels.progress import Cancelled, CancelToken


class ScaleBy(prepare.Step):
    """Multiply the image."""

    factor: float = Field(default=2.0, description="Factor.")

    def change(self, scan):
        from dataclasses import replace

        return replace(scan, image=scan.image * self.factor), {"factor": self.factor}


@pytest.fixture
def scale_by():
    yield prepare.register(ScaleBy)
    prepare.unregister("scale_by")


def test_a_step_is_named_after_its_class() -> None:
    assert ScaleBy.name() == "scale_by"


def test_a_registered_step_is_known_and_replayed_bit_for_bit(scale_by) -> None:
    raw = np.random.default_rng(0).normal(size=(3, 20, 24)).astype(np.float32)
    steps = [ScaleBy(factor=0.1), prepare.Crop(rows=(2, 18), columns=(4, 24))]
    made = prepare.run(raw, steps, defects=[(5, 6)])
    history = json.loads(json.dumps(made.history))
    assert [entry["step"] for entry in history] == ["scale_by", "crop"]
    again = prepare.replay(raw, history, defects=[(5, 6)])
    assert again.image.identical(made.image)
    assert again.defects == made.defects
    assert again.report == made.report
    assert "scale_by" in prepare.known_steps()


def test_a_step_that_nobody_knows_is_named() -> None:
    with pytest.raises(prepare.PreparationError, match="no step 'level_everything'"):
        prepare.replay(np.zeros((4, 4)), [{"step": "level_everything"}])
    with pytest.raises(prepare.PreparationError, match="crop"):
        prepare.replay(np.zeros((4, 4)), [{"step": "crop", "rows": [0, 2]}])


def test_a_second_step_of_the_same_name_is_refused(scale_by) -> None:
    with pytest.raises(ValueError, match="already"):
        prepare.register(type("ScaleBy", (ScaleBy,), {"__qualname__": "other.ScaleBy"}))


def test_only_the_same_definition_replaces_a_step(scale_by) -> None:
    again = {"__qualname__": ScaleBy.__qualname__, "__module__": ScaleBy.__module__}
    assert prepare.register(type("ScaleBy", (ScaleBy,), again)) is not ScaleBy
    foreign = type("Rotate", (prepare.Step,), {"__module__": "elsewhere", "__qualname__": "Rotate"})
    with pytest.raises(ValueError, match="already"):
        prepare.register(foreign)
    assert prepare.known_steps()["rotate"] is prepare.Rotate


def test_a_cancelled_preparation_raises() -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        prepare.run(np.zeros((4, 4)), [ScaleBy()], cancel=token)


@pytest.mark.parametrize(
    ("image", "mask", "reason"),
    [
        (np.zeros(4), None, "shape"),
        (xr.DataArray(np.zeros((4, 4)), dims=("x", "y")), None, "dims"),
        (np.zeros((4, 4), complex), None, "real"),
        (np.zeros((4, 4)), np.ones((4, 5), bool), "mask"),
        (np.zeros((4, 4)), np.ones((4, 4)), "boolean"),
    ],
)
def test_input_that_does_not_fit_is_refused(image, mask, reason) -> None:
    with pytest.raises(prepare.PreparationError, match=reason):
        prepare.run(image, [], mask=mask)


def test_channels_take_the_coordinates_of_the_image(tmp_path) -> None:
    axes = {"bias": [-0.1, 0.0, 0.1], "y": np.arange(8.0), "x": np.arange(9.0)}
    image = xr.DataArray(np.ones((3, 8, 9)), dims=tuple(axes), coords=axes)
    rounded = {"bias": np.array(axes["bias"]) * (1 + 1e-8), "x": axes["x"] + 1e-6}
    other = image.assign_coords(rounded).isel(bias=[0, 2])
    channels = {"current": image.assign_coords(rounded), "topography": other[0], "few": other}
    start = prepare.Prepared.start(image, channels=channels)
    for name, dims in (("current", ("bias", "y", "x")), ("topography", "yx"), ("few", "yx")):
        for dim in dims:
            assert start.channels[name].indexes[dim].equals(image.indexes[dim])
    assert start.channels["few"].sizes["bias"] == 2
    loaded = prepare.load_prepared(prepare.save_prepared(start, tmp_path / "a.nc"))
    assert loaded.channels["current"].sizes == image.sizes


def test_a_prepared_image_is_extracted_with_its_mask_defects_and_history() -> None:
    raw = np.random.default_rng(2).normal(size=(40, 40))
    mask = np.ones((40, 40), bool)
    mask[:, 5] = False
    crop = prepare.Crop(rows=(4, 40), columns=(0, 40))
    made = prepare.run(raw, [crop], mask=mask, defects=[(14.0, 12.0), (30.0, 25.0)])
    options = {"method": "average", "kernel_shape": (9, 9)}
    found = qk.extract(made, **options)
    same = qk.extract(raw[4:], made.defects, mask=mask[4:], **options)
    np.testing.assert_array_equal(found.kernel, same.kernel)
    assert found.provenance["preparation"] == list(made.history)
    assert same.provenance["preparation"] == []
    assert found.provenance["mask_sha256"] == same.provenance["mask_sha256"]
    other = qk.extract(made, [(20.0, 20.0)], **options)
    assert other.defects.positions.tolist() == [[20.0, 20.0]]
