"""Detection on real scans against defects that were marked by eye (`marks.csv`)."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from qpi_kernels.defects import detect_defects
from qpi_kernels.prepare import presets, run

MARKS = Path(__file__).with_name("marks.csv")


def marks(scan, *seen):
    """Give the (row, col, radius) of the marks of a scan."""
    lines = [line for line in MARKS.read_text().splitlines() if not line.startswith("#")]
    rows = [row for row in csv.DictReader(lines) if row["scan"] == scan and row["seen"] in seen]
    return np.array([[float(row[key]) for key in ("row", "col", "radius_px")] for row in rows])


def near(positions, marked):
    """Tell which (position, mark) lie within the mark's radius."""
    away = np.linalg.norm(positions[:, None] - marked[:, :2], axis=-1)
    return away <= marked[:, 2]


def recall_and_precision(positions, scan):
    """Rate detections one to one; those at doubtful marks count neither way."""
    close = near(positions, marks(scan, "yes", "no"))
    hits = close[linear_sum_assignment(close, maximize=True)].sum()
    doubtful = near(positions, marks(scan, "doubtful")).any(1) & ~close.any(1)
    return hits / close.shape[1], hits / (len(positions) - doubtful.sum())


def real_topograph(scan):
    folder = os.environ.get("NAPARI_QPI_SAMPLES")
    if not folder:
        pytest.skip("NAPARI_QPI_SAMPLES is not set: no real scans to read")
    from qpi_kernels.io import open_scan

    return open_scan(Path(folder) / f"{scan}.dat")["topography_forward"]


@pytest.mark.parametrize("scan", ["createc_friedel_rings_60nm", "createc_step_defects_100nm"])
def test_prepared_scans_give_the_defects_that_a_person_marks(scan):
    prepared = run(real_topograph(scan), presets()["topograph with steps"])
    found = detect_defects(prepared)
    recall, precision = recall_and_precision(found.positions, scan)
    assert recall >= 0.9
    assert precision >= 0.9


@pytest.mark.parametrize("masked", [False, True])
def test_raw_point_defects_beside_a_step(masked):
    from scipy import ndimage

    scan = "createc_step_defects_100nm"
    image = real_topograph(scan)
    mask = np.ones(image.shape, bool)
    if masked:
        steep = ndimage.gaussian_gradient_magnitude(np.asarray(image, float), 1.5)
        mask = ~ndimage.binary_dilation(steep > 0.02, iterations=4)
    found = detect_defects(image, mask=mask, polarity="dark")
    assert near(found.positions, marks(scan, "yes", "no") * [1, 1, 0.5]).any(0).sum() >= 10
    assert len(found) <= 20


def test_raw_friedel_rings():
    scan = "createc_friedel_rings_60nm"
    image = real_topograph(scan)
    calm = np.zeros(image.shape, bool)
    calm[95:430] = True
    found = detect_defects(image, mask=calm, polarity="both")
    assert near(found.positions, marks(scan, "yes")).any(0).sum() >= 6
    assert len(found) <= 12
