"""A real napari viewer that knows this plugin, installed or not."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr
from napari.components import ViewerModel
from npe2 import PluginManager, PluginManifest

from qpi_kernels.defects import Defects
from qpi_kernels.quality import Quality
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from napari import Viewer


@pytest.fixture(scope="module", autouse=True)
def _loaded_modules_are_no_garbage() -> None:
    """Keep what is loaded out of the collections that napari runs at each removal of a layer.

    They would go through a million objects of torch, napari and pytest, 0.3 s each time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def plugin_manager() -> PluginManager:
    """Return the plugin manager that napari uses, with this plugin in it."""
    manager = PluginManager.instance()
    if "napari-qpi" not in manager:
        manager.discover()
    if "napari-qpi" not in manager:
        folder = Path(import_module("napari_qpi").__path__[0])
        manager.register(PluginManifest.from_file(folder / "napari.yaml"))
    return manager


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Viewer], request: pytest.FixtureRequest) -> Viewer:
    """Return an empty viewer; the test fails when it leaves Qt objects behind."""
    made = make_napari_viewer(strict_qt=True)
    request.getfixturevalue("plugin_manager")
    return made


@pytest.fixture
def model(plugin_manager: PluginManager, qapp: object) -> ViewerModel:
    """Return an empty viewer without a window, as a script has it; much faster than `viewer`.

    The application is there, for computations that are waited for end by its events.
    """
    return ViewerModel()


@pytest.fixture
def samples() -> Path:
    """Return the folder of real microscope files, or skip."""
    folder = os.environ.get("NAPARI_QPI_SAMPLES")
    if not folder:
        pytest.skip("set NAPARI_QPI_SAMPLES to a folder of real STM files")
    return Path(folder)


@pytest.fixture
def make_result() -> Callable[..., KernelResult]:
    """Return a factory of results as an extraction gives them, without its work."""
    return _make_result


def _make_result(
    biases: np.ndarray | None = None,
    kinds: tuple[str, ...] = ("defect",),
    image_shape: tuple[int, int] = (20, 24),
    kernel_shape: tuple[int, int] = (7, 9),
    pitch_nm: float = 0.25,
) -> KernelResult:
    random = np.random.default_rng(5)

    def array(name: str, shape: tuple[int, int]) -> xr.DataArray:
        centred = name in ("kernel", "std")
        dims, sizes, coords = ["y", "x"], list(shape), {}
        for axis, size in zip(dims, shape, strict=True):
            first = -(size // 2) if centred else 0
            coords[axis] = (axis, (np.arange(size) + first) * pitch_nm, {"units": "nm"})
        if biases is not None:
            dims.insert(0, "bias")
            sizes.insert(0, len(biases))
            coords["bias"] = ("bias", biases, {"units": "V"})
        if centred and len(kinds) > 1:
            dims.insert(0, "kind")
            sizes.insert(0, len(kinds))
            coords["kind"] = ("kind", list(kinds))
        return xr.DataArray(
            random.normal(size=sizes), dims=dims, coords=coords, name=name, attrs={"units": "S"}
        )

    count = 1 if biases is None else len(biases)
    return KernelResult(
        kernel=array("kernel", kernel_shape),
        std=abs(array("std", kernel_shape)),
        background=array("background", image_shape),
        reconstruction=array("reconstruction", image_shape),
        residual=array("residual", image_shape),
        defects=Defects([[3.0, 4.5]] * len(kinds), kinds),
        quality=Quality.model_construct(
            **{name: _value(name, count) for name in Quality.model_fields}
        ),
        provenance={"seed": 5},
    )


def _value(name: str, count: int) -> object:
    values: dict[str, object] = {
        "fill": 0.1,
        "condition": 10.0,
        "iterations": 3,
        "converged": True,
        "symmetry_scores": {"C2": 0.5},
        "expected_error": 0.1,
        "defects": 1,
        "trust": "good",
        "reasons": [],
        "checks": None,
        "prediction": None,
    }
    return values.get(name, [1.0] * count)
