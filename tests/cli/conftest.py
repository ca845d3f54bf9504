"""Scans written on the spot, and a way to run the command line in this process."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

SPOTS = np.array([[20.0, 30.0], [50.0, 60.5], [70.25, 20.75], [30.5, 75.0]])


@pytest.fixture
def run_command():
    """Give ``run_command("detect", path, ...) -> result`` with exit_code, stdout and stderr."""
    from qpi_kernels.cli.application import app

    def run(*words):
        return CliRunner().invoke(
            app, [str(word) for word in words], prog_name="napari-qpi", env={"COLUMNS": "200"}
        )

    return run


@pytest.fixture
def spots():
    return SPOTS


def draw_map(seed=0, sign=1.0):
    rows, cols = np.mgrid[:96, :96]
    image = sum(np.exp(-((rows - r) ** 2 + (cols - c) ** 2) / 16) for r, c in SPOTS)
    return (sign * image + np.random.default_rng(seed).normal(0, 0.05, image.shape)).astype("f4")


@pytest.fixture
def write_map(tmp_path):
    """Give a function that writes a map of four bright spots in the format of the extension."""

    def write(name="map.npy", seed=0, sign=1.0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = draw_map(seed, sign)
        if path.suffix == ".gsf":
            from gsffile import write_gsf

            frame = {"XReal": 48e-9, "YReal": 48e-9, "XYUnits": "m", "ZUnits": "m"}
            write_gsf(path, image * np.float32(1e-9), frame)
        else:
            np.save(path, image)
        return path

    return write


@pytest.fixture
def write_stack(tmp_path):
    """Give a function that writes five biases, -0.2 to 0.2 V, of which +0.1 V is the clearest."""

    def write(name="stack.npz") -> Path:
        contrast = np.array([0.2, 0.3, 0.4, 2.0, 0.5], "f4")
        noise = np.random.default_rng(3).normal(0, 0.05, (5, 96, 96)).astype("f4")
        clean = draw_map()
        data = contrast[:, None, None] * clean + noise
        np.savez(
            tmp_path / name, data=data, bias=np.linspace(-0.2, 0.2, 5), pixel_nm=0.5, units="S"
        )
        return tmp_path / name

    return write
