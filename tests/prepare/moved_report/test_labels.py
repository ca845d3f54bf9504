"""Labels of terraces and scan lines stay on their pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from qpi_kernels.prepare import Crop, Prepared, Rebin, Rotate, Step, run

SHAPE = (20, 24)


def labelled(values: np.ndarray) -> Prepared:
    """Show labels as the image, too: what moves alike stays alike."""
    return Prepared(
        xr.DataArray(values.astype(float), dims=("y", "x")),
        values > 0,
        report={"mask_steps": {"terraces": values, "height_nm": 0.2}, "align_rows": {"rms_nm": 1}},
        history=({"step": "mask_steps"}, {"step": "align_rows"}),
    )


@pytest.mark.parametrize(
    "step",
    [
        Crop(rows=(3, 15), columns=(2, 20)),
        Rotate(angle_deg=-90.0),
        Rotate(angle_deg=180.0),
        Rebin(factor=2),
    ],
)
def test_terraces_move_with_the_image(step: Step) -> None:
    terraces = np.repeat([1, 1, 0, 2, 2, 3], 4) * np.ones(SHAPE, int)
    moved = run(labelled(terraces), [step])
    labels = moved.report["mask_steps"]["terraces"]
    np.testing.assert_array_equal(labels[moved.mask], moved.image.values[moved.mask])
    assert moved.report["mask_steps"]["height_nm"] == 0.2
    assert set(moved.report) == {"mask_steps", "align_rows", step.name()}


def test_beyond_the_image_there_is_no_terrace() -> None:
    moved = run(labelled(np.ones(SHAPE, int)), [Rotate(angle_deg=45.0)])
    terraces = moved.report["mask_steps"]["terraces"]
    assert terraces[0, 0] == 0
    assert terraces[moved.mask].all()


def test_scan_lines_are_kept_once_they_are_not_the_rows() -> None:
    start = labelled(np.ones(SHAPE, int))
    cut = run(start, [Crop(rows=(3, 15), columns=(2, 20))])
    assert "scan_lines" not in cut.report["align_rows"]
    turned = run(cut, [Rotate(angle_deg=90.0)])
    lines = turned.report["align_rows"]["scan_lines"]
    np.testing.assert_array_equal(lines, np.arange(12) * np.ones((18, 1), int))
    back = run(turned, [Rotate(angle_deg=-90.0)]).report["align_rows"]
    np.testing.assert_array_equal(back["scan_lines"], np.arange(12)[:, None] * np.ones((1, 18)))


def test_a_step_of_another_kind_leaves_the_report() -> None:
    start = replace(labelled(np.ones(SHAPE, int)), report={"level": {"slope": 1.0}})
    assert run(start, [Rotate(angle_deg=30.0)]).report["level"] == {"slope": 1.0}
