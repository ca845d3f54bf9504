"""A format registers itself by lying in the room, or in this process by `register`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from napari_qpi.readers import get_reader
from qpi_kernels.io import Channel, ScanFormatError, formats, open_scan, scan_dataset
from qpi_kernels.io.open_scan import sniff
from qpi_kernels.io.registry import ScanFormat, known_formats, register, unregister


def read_toy(path: Path, *, pixel_nm: float = 1.0) -> xr.Dataset:
    values = np.array([[float(word) for word in path.read_text().split()[1:]]])
    channel = Channel("Z", values, "nm", "topography")
    return scan_dataset([channel], source=path, format="Toy", pixel_nm=(pixel_nm, pixel_nm))


TOY = ScanFormat("Toy", (".toy",), lambda head: head.startswith(b"TOY"), read_toy)


@pytest.fixture
def toy() -> Iterator[ScanFormat]:
    register(TOY)
    yield TOY
    unregister("Toy")


def test_every_file_of_the_room_is_a_format() -> None:
    files = [path for path in Path(formats.__path__[0]).glob("*.py") if path.stem != "__init__"]
    assert len(known_formats()) == len(files)


def test_a_registered_format_is_opened_offered_and_named(toy: ScanFormat, tmp_path: Path) -> None:
    path = tmp_path / "scan.TOY"
    path.write_text("TOY 1 2 3")
    assert sniff(path) is toy
    scan = open_scan(path, pixel_nm=0.5)
    np.testing.assert_array_equal(scan["topography"], [[1, 2, 3]])
    assert scan["x"][1] == 0.5
    assert toy.patterns == ("*.toy",)
    assert get_reader(str(tmp_path / "damaged.toy")) is not None
    path.write_text("unknown")
    with pytest.raises(ScanFormatError, match="match none of Toy, Createc"):
        open_scan(path)
    path.write_text("TOY 1")
    with pytest.raises(TypeError, match="option lazy; it takes pixel_nm"):
        open_scan(path, lazy=True)


def test_a_second_format_of_the_same_name_is_refused(toy: ScanFormat) -> None:
    assert register(toy) is toy
    with pytest.raises(ValueError, match="there is a format 'Toy' already"):
        register(replace(toy, extensions=(".other",)))
    with pytest.raises(ValueError, match=r"there is a format 'Createc \.dat' already"):
        register(replace(toy, name="Createc .dat"))


def test_an_unregistered_format_is_forgotten(tmp_path: Path) -> None:
    register(TOY)
    unregister("Toy")
    path = tmp_path / "scan.toy"
    path.write_text("TOY 1 2 3")
    with pytest.raises(ScanFormatError):
        open_scan(path)
