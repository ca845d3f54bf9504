"""An option that a format does not take is the caller's mistake, not the file's."""

import numpy as np
import pytest

from qpi_kernels.io import ScanFormatError, open_scan


def test_an_unknown_option_is_named_with_those_that_are_known(tmp_path):
    path = tmp_path / "map.npy"
    np.save(path, np.zeros((3, 4)))
    with pytest.raises(TypeError, match=r"NumPy files .* option lazy; it takes .*pixel_nm"):
        open_scan(path, lazy=True)
    assert open_scan(path, pixel_nm=0.5).x[1] == 0.5


def test_a_format_without_options_says_so_before_it_reads(tmp_path):
    path = tmp_path / "damaged.sxm"
    path.write_bytes(b":NANONIS_VERSION:\n2\n")
    with pytest.raises(TypeError, match=r"Nanonis .sxm files .* option lazy; it takes none"):
        open_scan(path, lazy=True)
    with pytest.raises(ScanFormatError):
        open_scan(path)
