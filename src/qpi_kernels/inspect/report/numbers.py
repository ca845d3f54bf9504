"""The numbers of a result as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from qpi_kernels.inspect.axes import printed_unit
from qpi_kernels.inspect.figures.planes import plane_axis
from qpi_kernels.inspect.report.contents import Table
from qpi_kernels.predictive_score import PredictiveScore
from qpi_kernels.result import KernelResult

__all__ = [
    "defects_table",
    "planes_table",
    "prediction_table",
    "provenance_table",
    "quality_table",
]

_MAX_TEXT = 400


def quality_table(result: KernelResult) -> Table:
    """List the numbers of a result that stand for all of it."""
    quality, kernel = result.quality, result.kernel
    rows, columns = kernel.sizes["y"], kernel.sizes["x"]
    numbers = [
        ("observation", _size(result.residual)),
        ("kernel window", f"{rows} x {columns} px{_extent(kernel)}"),
        ("defects", _defects(result)),
        ("method", str(result.provenance.get("parameters", {}).get("method", "unknown"))),
        ("expected error of the kernel", f"{_number(100 * quality.expected_error)} %"),
        ("kernel pixels over counted pixels", _number(quality.fill)),
        ("condition number", _number(quality.condition)),
        ("solver", f"{quality.iterations} iterations, {_converged(quality.converged)}"),
    ]
    caption = "The extraction. The expected error is the rms standard deviation over the rms."
    return Table(caption, ("quantity", "value"), tuple(numbers))


def planes_table(result: KernelResult) -> Table:
    """List the numbers that a result has for each plane."""
    quality = result.quality
    units = printed_unit(str(result.residual.attrs.get("units", ""))) or "data units"
    columns = {
        f"noise ({units})": quality.noise_sigma,
        "reduced chi-squared": quality.reduced_chi2,
        "R squared": quality.r_squared,
        "predicted": quality.predicted,
        "determined": quality.determined,
        "ridge": quality.ridge,
    }
    columns = {head: values for head, values in columns.items() if values}
    biases = plane_axis(result.residual)
    if biases is None:
        scalar = result.kernel.coords.get("bias")
        first = [_number(float(scalar)) if scalar is not None else "-"]
    else:
        first = [_number(one) for one in biases]
    rows = tuple(
        (bias, *(_number(values[index]) for values in columns.values()))
        for index, bias in enumerate(first)
    )
    caption = (
        "Each plane: bias, pixel noise, misfit (1 for pixel noise alone), share of the variance "
        "explained, share predicted beyond chance, share of the kernel's numbers that the data "
        "fix, ridge as a number of defects without signal."
    )
    return Table(caption, ("bias (V)", *columns), rows)


def prediction_table(score: PredictiveScore) -> Table:
    """List a score by prediction of left-out pixels."""
    rows = (
        (
            "R squared of left-out pixels",
            f"{_number(score.r_squared)} ± {score.r_squared_error:.2g}",
        ),
        (
            "log likelihood of a pixel",
            f"{_number(score.log_likelihood)} ± {score.log_likelihood_error:.2g}",
        ),
        ("within one sigma (68 % of normal noise)", f"{100 * score.within_1_sigma:.3g} %"),
        ("within two sigma (95 % of normal noise)", f"{100 * score.within_2_sigma:.3g} %"),
        (
            "left out",
            f"{score.blocks} {score.left_out} of {score.block_px} px, {score.pixels} pixels",
        ),
        ("extractions", str(score.folds)),
    )
    caption = "Prediction of pixels that the kernel was not extracted from; errors are standard."
    return Table(caption, ("quantity", "value"), rows)


def defects_table(result: KernelResult) -> Table:
    """List the defects that were used."""
    defects = result.defects
    rows = tuple(
        (str(number), f"{row:.2f}", f"{col:.2f}", str(kind), _number(strength))
        for number, ((row, col), kind, strength) in enumerate(
            zip(defects.positions.tolist(), defects.kind, defects.strength, strict=True), start=1
        )
    )
    caption = "Defects used: row and column in pixels, strength in units of the kernel."
    return Table(caption, ("number", "row (px)", "column (px)", "kind", "strength"), rows)


def provenance_table(result: KernelResult) -> Table:
    """List everything that a result records about where it comes from."""
    rows = tuple(_flat(result.provenance, ""))
    return Table("Everything that the result records.", ("entry", "value"), rows)


def _flat(value: Any, name: str) -> list[tuple[str, str]]:
    """Flatten nested records; long entries are cut, with their length."""
    if isinstance(value, Mapping) and value:
        return [
            row
            for key, part in value.items()
            for row in _flat(part, f"{name}: {key}" if name else str(key))
        ]
    if isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        return [
            row
            for number, part in enumerate(value, start=1)
            for row in _flat(part, f"{name} {number}")
        ]
    text = str(value)
    if len(text) > _MAX_TEXT:
        text = f"{text[:_MAX_TEXT]} … ({len(text)} characters)"
    return [(name.replace("_", " "), text)]


def _number(value: float) -> str:
    """Write a number with three digits; a dash where it is not known."""
    return f"{value:.3g}" if math.isfinite(value) else ("-" if math.isnan(value) else "infinite")


def _size(image: Any) -> str:
    """Write the pixels of an observation and its size."""
    planes = f"{image.shape[0]} planes of " if image.ndim == 3 else ""
    return f"{planes}{image.shape[-2]} x {image.shape[-1]} px{_extent(image)}"


def _extent(image: Any) -> str:
    """Write height and width in the unit of the axes, where they have one."""
    sides, unit = [], ""
    for axis in ("y", "x"):
        unit = str(image[axis].attrs.get("units", "")) if axis in image.coords else ""
        if unit in ("", "pixel"):
            return ""
        places = image[axis].values
        sides.append(abs(places[-1] - places[0]) * len(places) / max(len(places) - 1, 1))
    return f", {sides[0]:.4g} x {sides[1]:.4g} {unit}"


def _defects(result: KernelResult) -> str:
    """Count the defects, of each kind where there are several."""
    counts = result.defects.counts()
    if len(counts) < 2:
        return result.defects.in_words()
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _converged(converged: bool) -> str:
    return "converged" if converged else "not converged"
