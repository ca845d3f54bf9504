"""File > Open Sample: made offline, with true defects and the true kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_qpi.layers.conversion import METADATA_KEY, defects_from_points, observation_from_layer

if TYPE_CHECKING:
    from napari import Viewer

SAMPLES = {
    "triangular_map": 2,
    "ag111_map": 2,
    "sparse_map": 2,
    "bias_grid": 3,
    "bi2te3_grid": 3,
}


def test_a_second_sample_lies_beside_the_first(viewer: Viewer) -> None:
    first, first_points = viewer.open_sample("napari-qpi", "triangular_map")
    second, points = viewer.open_sample("napari-qpi", "triangular_map")
    assert second.extent.world[0, 1] > first.extent.world[1, 1]
    assert second.extent.world[0, 0] == pytest.approx(first.extent.world[0, 0])
    np.testing.assert_allclose(
        defects_from_points(points, second).positions,
        defects_from_points(first_points, first).positions,
        atol=1e-6,
    )


@pytest.mark.parametrize("key", SAMPLES)
def test_a_sample_opens_with_its_truth(viewer: Viewer, key: str) -> None:
    image, points = viewer.open_sample("napari-qpi", key)
    assert image.ndim == SAMPLES[key]
    assert [str(unit) for unit in image.units[-2:]] == ["nanometer", "nanometer"]
    assert np.all(image.scale[-2:] != 1)
    known = image.metadata[METADATA_KEY]
    kernel = known["kernel_true"]
    assert kernel.dims[-2:] == ("kernel_y", "kernel_x")
    assert kernel.ndim == image.ndim
    assert defects_from_points(points, image).positions == pytest.approx(
        known["defects_true"].positions, abs=1e-6
    )
    observation = observation_from_layer(image)
    measured = np.isfinite(observation.values).mean()
    assert measured == pytest.approx(0.2 if key == "sparse_map" else 1.0, abs=0.02)
    assert "bias" in observation.coords
