"""Kernels that the data do not determine do not look like measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from napari.layers import Image, Layer

from napari_qpi.layers.comparison import show_side_by_side
from napari_qpi.layers.conversion import METADATA_KEY
from napari_qpi.layers.result import SIGNED_COLORMAP, show_result
from napari_qpi.readers import read_layers
from qpi_kernels.kernel_files import save_kernel
from qpi_kernels.quality import Reason
from qpi_kernels.result import KernelResult

if TYPE_CHECKING:
    from napari.components import ViewerModel


def with_trust(result: KernelResult, trust: str, *reasons: Reason) -> KernelResult:
    changes = {"trust": trust, "reasons": list(reasons)}
    return replace(result, quality=result.quality.model_copy(update=changes))


def kernel_layers(model: ViewerModel) -> list[Image]:
    return [
        layer
        for layer in model.layers
        if layer.metadata.get(METADATA_KEY, {}).get("role") == "kernel"
    ]


def shown_contrast(layer: Image) -> float:
    """Rms of the colours on show, 1 at the ends of the colour map, times the opacity."""
    return float(np.sqrt(np.mean(np.square(layer.data)))) / layer.contrast_limits[1] * layer.opacity


@pytest.fixture
def image(model: ViewerModel) -> Image:
    return model.add_image(np.random.default_rng(0).normal(size=(20, 24)), name="map")


@pytest.mark.parametrize("std", [1e-4, 1.0, 10.0])
def test_an_undetermined_kernel_is_faded_and_named(
    model: ViewerModel, image: Image, make_result: Callable[..., KernelResult], std: float
) -> None:
    result = make_result()
    result = replace(result, std=result.std * 0 + std)
    show_result(model, with_trust(result, "good"), image)
    show_result(model, with_trust(result, "undetermined"), image)
    good, faded = kernel_layers(model)
    assert good.name == "kernel of map"
    assert faded.name.startswith("kernel of map")
    assert faded.name.split(" [")[0].endswith("(undetermined)")
    assert good.opacity == 1
    assert shown_contrast(good) > 0.3
    assert shown_contrast(faded) < 0.15
    assert faded.contrast_limits[1] >= 3 * std
    np.testing.assert_array_equal(faded.data, result.kernel.values)


def test_only_the_undetermined_kind_is_faded(
    model: ViewerModel, image: Image, make_result: Callable[..., KernelResult]
) -> None:
    weak = Reason(code="error_exceeds_kernel", number=2.0, place="b", trust="uncertain")
    show_result(model, with_trust(make_result(kinds=("a", "b")), "uncertain", weak), image)
    assert [layer.name for layer in kernel_layers(model)] == [
        "kernel a of map",
        "kernel b of map (undetermined)",
    ]
    assert [layer.opacity < 1 for layer in kernel_layers(model)] == [False, True]


def test_a_comparison_does_not_sharpen_an_undetermined_kernel(
    model: ViewerModel, image: Image, make_result: Callable[..., KernelResult]
) -> None:
    weak, good = make_result(), make_result()
    good = replace(good, kernel=good.kernel / 10)
    results = {
        "average": with_trust(weak, "undetermined"),
        "least squares": with_trust(weak, "good"),
        "bayes": with_trust(good, "good"),
    }
    show_side_by_side(model, results, image)
    faded, plain, last = kernel_layers(model)
    assert plain.contrast_limits == last.contrast_limits
    assert shown_contrast(faded) < 0.15
    (captions,) = (layer for layer in model.layers if "compared methods" in layer.name)
    assert captions.features["method"][0].split() == ["average", "(undetermined)"]


@pytest.mark.usefixtures("plugin_manager")
@pytest.mark.parametrize("extension", ["npz", "tif", "gwy"])
def test_a_reopened_kernel_looks_as_it_did(
    tmp_path: Path, make_result: Callable[..., KernelResult], extension: str
) -> None:
    result = make_result()
    result = replace(result, kernel=result.kernel.assign_attrs(quantity="didv", long_name="map"))
    for trust in ("good", "undetermined"):
        (path,) = save_kernel(with_trust(result, trust), tmp_path / f"a.{extension}")
        (data,) = read_layers(str(path))
        layer = Layer.create(*data)
        assert layer.colormap.name == SIGNED_COLORMAP
        assert layer.metadata[METADATA_KEY]["role"] == "kernel"
        assert layer.metadata[METADATA_KEY]["quantity"] == "didv"
        undetermined = trust == "undetermined"
        assert layer.name.startswith(f"kernel{' (undetermined)' * undetermined} of a")
        assert (shown_contrast(layer) < 0.15) is undetermined
        (again,) = layer.save(str(tmp_path / f"again.{extension}"), plugin="napari-qpi")
        ((_, arguments, _),) = read_layers(again)
        assert (arguments.get("opacity", 1.0) < 1) is undetermined
