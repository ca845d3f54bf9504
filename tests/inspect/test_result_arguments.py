"""Functions of images take a result for its kernel, and say what an image is."""

import numpy as np
import pytest
import xarray as xr

from qpi_kernels import inspect
from qpi_kernels.inspect import ImageTypeError, InspectionError
from shared.results import planted_result


@pytest.fixture(scope="module")
def stack():
    """Return a result over bias."""
    return planted_result(biases=(0.0, 0.1))


OF_IMAGES = {
    "fourier": inspect.fourier,
    "radial_profile": inspect.radial_profile,
    "sector_profile": lambda image: inspect.sector_profile(image, 30.0),
    "line_cut": lambda image: inspect.line_cut(image, (0.0, 0.0), (0.0, 2.0)),
    "cut_stack": lambda image: inspect.cut_stack(image, (0.0, 0.0), (0.0, 2.0)),
    "autocorrelation": inspect.autocorrelation,
    "without_energy_mean": inspect.without_energy_mean,
}


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_result_stands_for_its_kernel(name, stack):
    made, expected = OF_IMAGES[name](stack), OF_IMAGES[name](stack.kernel)
    xr.testing.assert_identical(made, expected)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_an_array_without_axes_is_refused_in_a_sentence(name):
    with pytest.raises(ImageTypeError, match=r"in nm, or a KernelResult, not ndarray"):
        OF_IMAGES[name](np.zeros((8, 8)))


def test_a_result_is_compared_with_its_own_map():
    mask = np.ones((40, 48), bool)
    mask[:7, 5:] = False
    result = planted_result(mask=mask)
    made = inspect.compare_fourier(result)
    expected = inspect.compare_fourier(result.kernel, result.observation, mask=mask)
    xr.testing.assert_identical(made.observation, expected.observation)
    with pytest.raises(InspectionError, match="the second the map"):
        inspect.compare_fourier(result.observation, result)
    with pytest.raises(InspectionError, match="give the map too"):
        inspect.compare_fourier(result.kernel)


def test_bragg_peaks_are_those_of_a_map(stack):
    with pytest.raises(ImageTypeError, match="its observation"):
        inspect.bragg_peaks(stack)
