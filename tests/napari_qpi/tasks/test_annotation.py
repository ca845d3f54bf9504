"""What Detect replaces, and which kinds it writes."""

import numpy as np
import pytest

from napari_qpi.tasks.annotation import detection
from qpi_kernels.defects import Defects, DetectionParameters


def spots(signs):
    rows, columns = np.indices((96, 96))
    image = np.random.default_rng(0).normal(scale=0.03, size=(96, 96))
    places = [(20, 20), (20, 70), (48, 45), (75, 20), (75, 72), (50, 85)]
    for (row, column), sign in zip(places, signs, strict=True):
        image += sign * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 12)
    return image


def find(image, polarity, before=None):
    values = {**DetectionParameters().model_dump(exclude={"kind"}), "polarity": polarity}
    start = Defects(np.zeros((0, 2))) if before is None else before
    return detection(image, None, values, "defect")(start)


def test_one_polarity_gets_the_kind_that_was_asked_for() -> None:
    assert find(spots([1] * 6), "auto").counts() == {"defect": 6}
    assert find(spots([-1] * 6), "dark").counts() == {"defect": 6}


@pytest.mark.parametrize("polarity", ["auto", "both"])
def test_bright_and_dark_are_never_one_kind_and_found_once(polarity) -> None:
    image = spots([1, -1, 1, -1, 1, -1])
    once = find(image, polarity)
    assert once.counts() == {"bright": 3, "dark": 3}
    again = find(image, "both", Defects.concatenate([once, Defects([(5.0, 5.0)], "vacancy")]))
    assert again.counts() == {"vacancy": 1, "bright": 3, "dark": 3}
