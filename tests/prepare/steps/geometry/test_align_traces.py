"""The lag between trace and retrace."""

import numpy as np
import pytest
import scipy.ndimage

import qpi_kernels as qk
from qpi_kernels import prepare

SHAPE = (60, 160)


@pytest.fixture(scope="module")
def surface():
    """A smooth random surface, as a function of rows and (fractional) columns."""
    values = np.random.default_rng(0).normal(size=(SHAPE[0], SHAPE[1] + 100))
    smooth = scipy.ndimage.gaussian_filter(values, 2.5)
    smooth /= smooth.std()

    def read(columns):
        rows = np.indices(SHAPE)[0]
        at = np.broadcast_to(columns + 50, SHAPE)
        return scipy.ndimage.map_coordinates(smooth, [rows, at], order=3)

    return read


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_both_directions_show_what_lies_between(surface, sign, slope) -> None:
    columns = np.arange(SHAPE[1], dtype=float)
    half = sign * (2.15 + slope * columns / 2)
    # A feature at x is recorded at x + half by the trace and x - half by the retrace.
    true_of_trace = (columns - sign * 2.15) / (1 + sign * slope / 2)
    true_of_retrace = (columns + sign * 2.15) / (1 - sign * slope / 2)
    noise = np.random.default_rng(1).normal(scale=0.2, size=(2, *SHAPE))
    rows = np.random.default_rng(2).normal(size=(2, SHAPE[0], 1))
    trace = surface(true_of_trace) + noise[0] + rows[0]
    retrace = surface(true_of_retrace) + noise[1] + rows[1]
    made = prepare.run(trace, [prepare.AlignTraces()], channels={"retrace": retrace})
    lag = made.report["align_traces"]["lag_px"]
    np.testing.assert_allclose(lag[10:-10], 2 * half[10:-10], atol=0.15)
    wanted = surface(columns)
    got = made.image.values - rows[0]
    inner = np.s_[:, 15:-15]
    assert (got - wanted)[inner].std() < 0.25
    back = made.channels["retrace"].values - rows[1]
    assert (back - wanted)[inner].std() < 0.25
    assert made.report["align_traces"]["correlation_after"] > 0.9
    assert not made.mask[:, :1].all() or not made.mask[:, -1:].all()


def test_pixels_that_do_not_count_leave_the_lag_as_it_is(surface) -> None:
    columns = np.arange(SHAPE[1], dtype=float)
    trace, retrace = surface(columns - 2.15), surface(columns + 2.15)
    trace[20, 70] = np.nan
    mask = np.ones(SHAPE, bool)
    mask[40, 90:93] = False
    made = prepare.run(trace, [prepare.AlignTraces()], channels={"retrace": retrace}, mask=mask)
    np.testing.assert_allclose(made.report["align_traces"]["lag_px"], 4.3, atol=0.05)


def test_images_that_have_nothing_in_common_are_refused() -> None:
    trace, retrace = np.random.default_rng(0).normal(size=(2, 50, 60))
    with pytest.raises(prepare.PreparationError, match="too little in common"):
        prepare.run(trace, [prepare.AlignTraces()], channels={"retrace": retrace})
    with pytest.raises(prepare.PreparationError, match="needs the retrace"):
        prepare.run(trace, [prepare.AlignTraces()])


@pytest.mark.parametrize(
    ("file", "lag", "least"),
    [
        ("createc_friedel_rings_60nm.dat", 13, 0.35),
        ("createc_step_defects_100nm.dat", 5, 0.9),
        ("nanonis_moire_10nm.sxm", 4.7, 0.9),
    ],
)
def test_the_lag_of_real_files(sample, file, lag, least) -> None:
    scan = qk.open_scan(sample(file))
    trace, retrace = scan["topography_forward"], scan["topography_backward"]
    made = prepare.run(trace, [prepare.AlignTraces()], channels={"retrace": retrace})
    found = made.report["align_traces"]
    assert abs(found["mean_lag_px"]) == pytest.approx(lag, abs=1.5)
    assert found["correlation_after"] > least
