"""Proposals of a map from a topograph: which pixels its plans measure, and with what signal."""

import numpy as np
import pytest
import torch
import xarray as xr

from qpi_kernels.extraction import ExtractionError, plan
from qpi_kernels.extraction.planning.parameters import MapProposalParameters
from qpi_kernels.extraction.planning.pixel_choice import propose_pixels
from qpi_kernels.extraction.planning.proposal import MapProposalSearch
from qpi_kernels.models.kernel_prior import bundled_prior
from qpi_kernels.prepare import Prepared
from qpi_kernels.progress import drive
from shared.planned_maps import PIXEL_NM, SIZE, WINDOW, map_of, positions, ring

START_NM = 40.0


def topograph():
    """Return a quick map with coordinates in nm that do not begin at zero."""
    nm = START_NM + PIXEL_NM * np.arange(SIZE)
    coords = {axis: (axis, nm, {"units": "nm"}) for axis in ("y", "x")}
    return xr.DataArray(map_of(ring(), positions(), 0.5, 3), dims=("y", "x"), coords=coords)


def proposed(image, **changes):
    wanted = MapProposalParameters(**({"whole": True} | changes))
    window = (WINDOW, WINDOW)
    return drive(MapProposalSearch(image, positions(), window, wanted, method="least_squares"))


def test_pixels_of_a_plan_are_its_own():
    image = topograph()
    found = proposed(image)
    assert len(found.plans) == 3
    for one in found.plans:
        chosen = found.pixels(one, image)
        assert chosen.shape == one.shape
        assert int(chosen.sum()) == one.pixels
        pitch = one.pixel_nm / PIXEL_NM
        for axis in ("y", "x"):
            np.testing.assert_allclose(np.diff(chosen[axis]), one.pixel_nm)
            # The edge of the first pixel is that of the topograph's.
            assert chosen[axis][0] == pytest.approx(START_NM + PIXEL_NM * (pitch - 1) / 2)


def test_the_extraction_s_model_of_noise_is_not_the_noise_of_the_map():
    wanted = MapProposalParameters(whole=True, share=0.3)
    fields = {"method": "bayes", "prior": "none", "noise": "white"}
    work = MapProposalSearch(topograph(), positions(), (WINDOW, WINDOW), wanted, **fields)
    found = drive(work)
    assert found.pilot.provenance["parameters"]["noise"] == "white"
    assert found.best.noise == pytest.approx(0.5, rel=0.2)


def test_pixels_that_do_not_count_are_not_measured():
    image, mask = topograph(), np.ones((SIZE, SIZE), bool)
    mask[:, 60:] = False
    found = proposed(Prepared.start(image, mask, None))
    (only,) = found.plans
    chosen = found.pixels(only, image)
    assert int(chosen.sum()) == only.pixels == mask.sum()
    np.testing.assert_array_equal(chosen, mask)


def test_pixels_of_a_rectangle_count_from_its_corner():
    image = topograph()
    found = proposed(image, whole=False, share=0.5)
    place, chosen = found.rectangle, found.pixels(found.best, image)
    assert chosen.shape == (place.rows, place.columns)
    assert float(chosen["x"][0]) == pytest.approx(START_NM + PIXEL_NM * place.col)
    assert int(chosen.sum()) == found.measured.sum() == found.best.pixels


def test_families_have_the_rms_of_the_topographs_kernel():
    found = proposed(topograph(), prior="free_electrons")
    size = float(np.sqrt(np.square(ring()).mean()))
    assert found.plans[0].signal == pytest.approx(size, rel=0.3)
    # With a noise that is given, the topograph's kernel is not extracted.
    with pytest.raises(ExtractionError, match="signal="):
        proposed(topograph(), prior="free_electrons", noise=0.5)


@pytest.mark.parametrize("fields", [{"choose_window": True}, {"validation_folds": 3}])
def test_a_plan_takes_a_given_window(fields):
    with pytest.raises(ExtractionError, match="a plan"):
        MapProposalSearch(topograph(), positions(), (WINDOW, WINDOW), **fields)


class WatchedLibrary:
    """The bundled simulated kernels, and the threads with which they are asked for."""

    def __init__(self):
        self.threads = []

    def components_on(self, window):
        self.threads.append(torch.get_num_threads())
        return bundled_prior().components_on(window)


class WatchedKernel:
    """A kernel as an array, and the threads with which it is read."""

    def __init__(self):
        self.threads = []

    def __array__(self, dtype=None, copy=None):
        self.threads.append(torch.get_num_threads())
        return np.array(ring(), dtype)


def test_plans_and_choices_take_one_thread():
    """Sums of several threads differ in their last bits, and with them what is chosen."""
    library, kernel = WatchedLibrary(), WatchedKernel()
    shape, window = (SIZE, SIZE), (WINDOW, WINDOW)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        propose_pixels(positions(), shape, window, 20, library=library)
        plan(positions(), shape, PIXEL_NM, window, noise=0.5, prior=kernel, rehearsals=1,
             method="least_squares")  # fmt: skip
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(library.threads) == set(kernel.threads) == {1}
