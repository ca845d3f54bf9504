"""A report in words."""

import numpy as np
import pytest
import xarray as xr

from qpi_kernels import prepare
from qpi_kernels.prepare.report_keys import with_unit
from qpi_kernels.prepare.report_sentences import report_lines


def test_numbers_have_their_units_and_arrays_are_left_out() -> None:
    report = {
        "align_rows": {"offset_rms_nm": np.float64(0.01234), "offsets_nm": np.zeros(4)},
        "remove_pickup": {"frequency_Hz": 50.0, "tones": 2, "locked": False, "note": "A ring."},
        "rebin": {"nyquist_rad_per_nm": 3.0, "removed_px": 12},
        "symmetrize": {"residual_share": 0.123},
        "mask_pixels": {"masked_percent": 0.0133, "level_A": 2e-10},
        "smooth_bias": {},
    }
    assert report_lines(report) == [
        "align rows: offset rms 0.0123 nm",
        "remove pickup: frequency 50 Hz, tones 2, locked no, A ring",
        "rebin: nyquist 3 rad/nm, removed 12 px",
        "symmetrize: residual 12.3 %",
        "mask pixels: masked 0.0133 %, level 2e-10 A",
        "smooth bias: done",
    ]


@pytest.mark.parametrize(
    ("units", "key", "words"),
    [
        ("", "rms", "rms 0.5"),
        ("nm", "rms_nm", "rms 0.5 nm"),
        ("nm/px", "rms_nm_per_px", "rms 0.5 nm/px"),
        ("nA / V", "rms_nA_per_V", "rms 0.5 nA/V"),
        ("1/V", "rms_per_V", "rms 0.5 1/V"),
        ("arb. units", "rms_arb_units", "rms 0.5 arb. units"),
    ],
)
def test_quotients_of_units_are_kept(units: str, key: str, words: str) -> None:
    assert with_unit("rms", xr.DataArray(0.0, attrs={"units": units})) == key
    assert report_lines({"step": {key: 0.5}}) == [f"step: {words}"]


def test_slope_of_a_conductance_is_told_per_pixel() -> None:
    rows = np.indices((24, 24))[0]
    image = xr.DataArray(2.0 * rows, dims=("y", "x"), attrs={"units": "nA/V"})
    (line,) = report_lines(prepare.run(image, [prepare.Level(order=1)]).report)
    assert "slope down per px 2 nA/V" in line
