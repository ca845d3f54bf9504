"""A report in words."""

import numpy as np

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
