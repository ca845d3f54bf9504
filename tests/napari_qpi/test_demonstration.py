"""The window that ``napari-qpi demo`` opens: observation, defects and kernel in their places."""

import numpy as np
from typer.testing import CliRunner

from napari_qpi.demonstration import add_demo
from qpi_kernels.cli.application import app


def test_the_demo_shows_what_it_made(viewer, tmp_path):
    done = CliRunner().invoke(app, ["demo", "--headless", "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    add_demo(viewer, tmp_path)
    shown = [layer for layer in viewer.layers if layer.visible]
    observation, defects, kernel = shown
    assert [layer._type_string for layer in shown] == ["image", "points", "image"]
    np.testing.assert_allclose(defects.scale, observation.scale)
    np.testing.assert_allclose(kernel.scale, observation.scale)
    assert kernel.data.shape == (65, 65)
    assert kernel.extent.world[0, 1] > observation.extent.world[1, 1]
