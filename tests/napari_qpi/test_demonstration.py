"""The window that ``napari-qpi demo`` opens: observation, defects and kernel in their places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_qpi.demonstration import add_demo
from qpi_kernels.defects import Defects
from qpi_kernels.extraction import extract
from qpi_kernels.io.formats.netcdf import save_scan
from qpi_kernels.simulate.scan.samples import ag111_map


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the files of the demo (its command is tested with the others), quickly made."""
    sample = ag111_map()
    defects = Defects(sample["defect_position"].values)
    defects.to_csv(tmp_path / "defects.csv")
    save_scan(sample[["didv"]], tmp_path / "observation.nc")
    result = extract(sample["didv"], defects, kernel_shape=(65, 65), method="average")
    result.save(tmp_path / "kernel.nc")
    return tmp_path


def test_the_demo_shows_observation_defects_and_kernel(model: ViewerModel, folder: Path) -> None:
    add_demo(model, folder)
    shown = [layer for layer in model.layers if layer.visible]
    observation, defects, kernel = shown
    assert [layer._type_string for layer in shown] == ["image", "points", "image"]
    np.testing.assert_allclose(defects.scale, observation.scale)
    np.testing.assert_allclose(kernel.scale, observation.scale)
    assert kernel.data.shape == (65, 65)
    assert kernel.extent.world[0, 1] > observation.extent.world[1, 1]
