"""The sections of a report, each made from a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from qpi_kernels.inspect.dispersion.result import Dispersion
from qpi_kernels.inspect.figures.kind import FigureError, FigurePanel, make_panel
from qpi_kernels.inspect.figures.kinds.images.image import image_panel
from qpi_kernels.inspect.figures.planes import bias_words, clearest_bias, one_plane, plane_axis
from qpi_kernels.inspect.report import numbers
from qpi_kernels.inspect.report.contents import Section
from qpi_kernels.inspect.report.dispersion_section import dispersion_section
from qpi_kernels.inspect.report.raw_map import find_raw_map
from qpi_kernels.quality import describe_quality
from qpi_kernels.result import KernelResult

__all__ = ["section_makers"]

Maker = Callable[[], Section]


def section_makers(
    result: KernelResult, dispersion: Dispersion | None, script: str
) -> Iterator[tuple[str, Maker]]:
    """Name the sections of a report in their order, with what makes each.

    Parameters
    ----------
    result : KernelResult
        What is reported.
    dispersion : Dispersion, optional
        Its fit, where there is one; of a stack it is fitted here when left out.
    script : str
        The Python script that repeats the extraction.
    """
    yield "verdict", lambda: _verdict(result)
    yield "maps", lambda: _maps(result)
    yield "kernel", lambda: _kernel(result)
    yield "Fourier transforms", lambda: _fourier(result)
    yield "residual", lambda: _residual(result)
    yield "symmetry", lambda: _symmetry(result)
    if _is_bias_stack(result):
        for kind in _kinds(result):
            # A dispersion is of one kind, the first where it does not say which.
            known = dispersion
            if known is not None and (known.kind or _kinds(result)[0]) != kind:
                known = None
            yield "dispersion", partial(dispersion_section, result, known, kind)
    score = result.quality.prediction
    if score is not None:
        table = numbers.prediction_table(score)
        yield "prediction", lambda: Section("Prediction of left-out pixels", tables=(table,))
    yield "provenance", lambda: _provenance(result, script)


def _verdict(result: KernelResult) -> Section:
    """Write trust, reasons and numbers."""
    words = describe_quality(result.quality)
    sentences = (*words.reasons, *words.details)
    tables = (numbers.quality_table(result), numbers.planes_table(result))
    return Section("Can the kernel be trusted?", sentences, tables=tables)


def _maps(result: KernelResult) -> Section:
    """Show the raw map, and what was extracted from."""
    raw = find_raw_map(result)
    steps = [str(step.get("step", "?")) for step in result.provenance.get("preparation", [])]
    words = ", then ".join(step.replace("_", " ") for step in steps)
    done = f"Preparation: {words}." if steps else "The observation was not prepared."
    panels = [make_panel("map", result)]
    if raw.image is not None:
        plane = one_plane(raw.image, clearest_bias(result))
        caption = f"The raw map{bias_words(plane)}, as it was measured."
        panels.insert(0, image_panel(plane.rename("raw"), "Raw map", caption, signed=False))
    sentences = (raw.sentence, done, *_about_planes(result))
    return Section("From the raw map to the observation", sentences, tuple(panels))


def _kernel(result: KernelResult) -> Section:
    """Show kernel and standard deviation of each kind."""
    panels = []
    for kind in _kinds(result):
        panels += [make_panel(name, result, kind_of_defect=kind) for name in ("kernel", "std")]
    return Section("Kernel", (), tuple(panels))


def _fourier(result: KernelResult) -> Section:
    """Show the transforms of kernel and map."""
    panels = [make_panel("fourier", result, kind_of_defect=kind) for kind in _kinds(result)]
    panels += _panels(result, "map_fourier", "fourier_profiles")
    sentences = (
        "Amplitudes with a Hann window; q = 2π/λ. A maximum of |FT| is not the wave number 2k of "
        "the band: it is moved by the scattering phase and by the window.",
    )
    return Section("Scattering vectors", sentences, tuple(panels))


def _residual(result: KernelResult) -> Section:
    """Show the residual and its spectrum."""
    names = ("residual", "residual_spectrum", "residual_around")
    return Section("Residual", (), tuple(_panels(result, *names)))


def _symmetry(result: KernelResult) -> Section:
    """Show the symmetry scores of each kind."""
    imposed = result.provenance.get("parameters", {}).get("symmetry")
    said = (
        f"The symmetry {imposed} was imposed: scores of its operations say nothing."
        if imposed
        else "No symmetry was imposed: the scores are those of the data."
    )
    panels = tuple(make_panel("symmetry", result, kind_of_defect=kind) for kind in _kinds(result))
    return Section("Symmetry", (said,), panels)


def _provenance(result: KernelResult, script: str) -> Section:
    """List what is recorded, and the script that repeats the extraction."""
    tables = (numbers.defects_table(result), numbers.provenance_table(result))
    return Section(
        "Provenance", ("This script repeats the extraction.",), tables=tables, code=script
    )


def _panels(result: KernelResult, *names: str) -> list[FigurePanel]:
    """Make the figures of these names that the result has the numbers for."""
    panels = []
    for name in names:
        try:
            panels.append(make_panel(name, result))
        except FigureError:
            continue
    return panels


def _kinds(result: KernelResult) -> list[str | None]:
    """List the kinds with a kernel of their own; None stands for the only one."""
    kernel = result.kernel
    return kernel["kind"].values.tolist() if "kind" in kernel.dims else [None]


def _is_bias_stack(result: KernelResult) -> bool:
    return "bias" in result.kernel.dims


def _about_planes(result: KernelResult) -> tuple[str, ...]:
    """Say which plane of a stack the figures show."""
    biases = plane_axis(result.residual)
    if biases is None:
        return ()
    where = bias_words(one_plane(result.residual, clearest_bias(result)))
    return (
        f"Of {len(biases)} planes the figures of single planes show one{where}: the kernel whose "
        "waves, of those that fit three times into its window, stand out most from its error.",
    )
