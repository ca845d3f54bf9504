"""The published protocol, made anew: geometry, proportions, splits, files, resuming."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from qpi_kernels import simulate
from qpi_kernels.progress import Event, drive
from qpi_kernels.simulate.datasets.protocol import ProtocolError, protocol_labels

FEW = simulate.ProtocolParameters(kernels=2, observations=3)


def test_proportions_and_splits_are_the_published_ones() -> None:
    labels = protocol_labels(simulate.ProtocolParameters()).values()
    assert Counter(one.fold for one in labels) == {1: 12, 2: 27, 3: 19, 4: 24, 6: 18}
    assert Counter(one.split for one in labels) == {"train": 80, "test": 20}
    held_out = {one.family for one in labels if one.family_split == "test"}
    seen = {one.family for one in labels if one.family_split == "train"}
    assert held_out
    assert not held_out & seen


def test_both_layouts_read_back_alike(tmp_path: Path) -> None:
    for layout in ("csv", "netcdf"):
        parameters = FEW.model_copy(update={"layout": layout})
        drive(simulate.PaperProtocol(tmp_path / layout, parameters))
    csv, netcdf = (
        simulate.read_qpi_dataset(tmp_path / layout, lazy=False) for layout in ("csv", "netcdf")
    )
    assert csv.observation.shape == (2, 3, 64, 64)
    for name in ("kernel_true", "observation", "observation_noisy"):
        np.testing.assert_allclose(csv[name], netcdf[name], atol=1e-6)
    np.testing.assert_array_equal(csv.position, netcdf.position)
    assert list(csv.split.values) == list(netcdf.split.values)
    assert json.loads(csv.attrs["protocol"])["seed"] == 0


def test_geometry_and_scatterers_are_the_published_ones(tmp_path: Path) -> None:
    made = simulate.PaperProtocol(tmp_path, FEW).simulate(1)
    assert made.image.shape == (64, 64)
    used = made.positions_A[np.isfinite(made.positions_A)]
    assert abs(used).max() <= 100.0
    counts = np.isfinite(made.positions_A[..., 0]).sum(axis=1)
    assert counts.min() >= 1
    assert counts.max() <= 20
    # One scatterer at (0, 0): between pixels 31 and 32 on both axes.
    np.testing.assert_allclose(made.image, made.image[::-1, ::-1], atol=2e-2)


def test_an_observation_is_made_of_its_kernel(tmp_path: Path) -> None:
    made = simulate.PaperProtocol(tmp_path, FEW).simulate(2)
    axis = np.linspace(-200, 200, 64)
    for sample in range(3):
        x, y = made.positions_A[sample, 0]
        pixel = abs(axis - y).argmin(), abs(axis - x).argmin()
        around = abs(made.clean[sample][pixel[0] - 1 : pixel[0] + 2, pixel[1] - 1 : pixel[1] + 2])
        assert around.max() > 2 * abs(made.clean[sample]).mean()
    noise = made.noisy - made.clean
    ratio = noise.std(axis=(1, 2)) / made.clean.std(axis=(1, 2))
    np.testing.assert_allclose(ratio, 0.3 * np.sqrt(1 + 2 / 9), rtol=0.15)


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    first = simulate.PaperProtocol(tmp_path, FEW)
    first.step()
    kept = (tmp_path / "kernel_001.nc").read_bytes()
    second = simulate.PaperProtocol(tmp_path, FEW)
    events: list[Event] = []
    assert drive(second, events.append) == tmp_path
    assert events[0].message == "kernel 2 of 2"
    assert (events[0].step, events[0].total) == (2, 2)
    assert (tmp_path / "kernel_001.nc").read_bytes() == kept


def test_other_parameters_do_not_mix_into_a_folder(tmp_path: Path) -> None:
    simulate.PaperProtocol(tmp_path, FEW)  # on its own it writes nothing
    assert not list(tmp_path.iterdir())
    simulate.PaperProtocol(tmp_path, FEW).step()
    with pytest.raises(ProtocolError, match="seed 0, not 1: choose another folder"):
        simulate.PaperProtocol(tmp_path, FEW.model_copy(update={"seed": 1}))
