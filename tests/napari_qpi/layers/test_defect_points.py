"""Tables of defects that a Points layer takes and gives back."""

from __future__ import annotations

import numpy as np
from napari.layers import Image

from napari_qpi.layers.defect_points import DefectPoints
from qpi_kernels.defects import Defects

FOUND = Defects([[1.0, 2.0], [3.0, 4.0]], ["a", "b"], [1.0, 0.5], [0.6, 0.9])
MARKED = Defects([[5.0, 6.0]], ["a"])


def test_probabilities_stay_through_replacing_and_adding() -> None:
    image = Image(np.zeros((8, 8)))
    for first, second in ((FOUND, MARKED), (MARKED, FOUND), (MARKED, MARKED)):
        points = DefectPoints.new(image)
        points.replace(first, image)
        points.add(second, image)
        assert points.defects(image) == Defects.concatenate([first, second])


def test_marked_defects_need_no_probability() -> None:
    image = Image(np.zeros((8, 8)))
    points = DefectPoints.new(image)
    points.replace(MARKED, image)
    assert "probability" not in points.layer.features
