"""``napari-qpi plan``: what a map will tell, from a topograph with marked defects."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from qpi_kernels.cli import batch, common_options, scan_files
from qpi_kernels.cli.batch import FileResult, FileTask
from qpi_kernels.cli.parameter_options import with_parameters
from qpi_kernels.cli.prepare import Prepare, choose_steps, read_prepared
from qpi_kernels.cli.scan_files import CommandError
from qpi_kernels.defects import Defects
from qpi_kernels.extraction.planning.parameters import MapProposalParameters
from qpi_kernels.progress import drive

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qpi_kernels.extraction.planning.map_plan import MapPlan
    from qpi_kernels.extraction.planning.proposal import MapProposal

__all__ = ["plan"]


@with_parameters(wanted=MapProposalParameters)
def plan(
    topograph: Annotated[
        Path, typer.Argument(metavar="TOPOGRAPH", help="A topograph, or a quick map.")
    ],
    *,
    defects: Annotated[
        Path, typer.Option(metavar="CSV", help="Positions of its defects, in pixels.")
    ],
    kernel_size: Annotated[
        tuple[int, int], typer.Option(help="Height and width of the kernel window (px).")
    ] = (64, 64),
    tour: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Write the pixels of the quickest plan in the order of a tour.",
        ),
    ] = None,
    pixels: Annotated[
        Path | None,
        typer.Option(
            metavar="NPY|TIF", help="Write the pixels of the quickest plan as a mask of its map."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers as JSON.")
    ] = None,
    prepare: Prepare = None,
    channel: common_options.ChannelName = None,
    bias: common_options.Bias = None,
    mask: common_options.MaskFile = None,
    overwrite: common_options.Overwrite = False,
    debug: common_options.Debug = False,
    wanted: MapProposalParameters,
) -> None:
    """Predict the error of a kernel before its map is measured, and propose what to measure.

    Maps as they will be are simulated and their kernels extracted: for pixels of several pitches,
    with the time for the wanted error, and what one more hour buys. Times are integration times;
    settling of the tip and its travel come on top.
    """
    try:
        counted = None if mask is None else scan_files.read_mask(mask)
        choice = None if prepare is None else choose_steps(prepare)
        for target in (tour, pixels, report):
            if target is not None:
                batch.write_anew(target, overwrite)
        if pixels is not None and pixels.suffix.lower() not in (".npy", ".tif", ".tiff"):
            raise CommandError(f"{pixels.name}: masks are written as .npy or .tif")
    except (ValueError, OSError) as problem:
        raise batch.stop_with(str(problem)) from problem

    def work(job: FileTask) -> FileResult:
        """Plan a map from one topograph."""
        from qpi_kernels.extraction.planning.proposal import MapProposalSearch
        from qpi_kernels.threads import OneThreadStepper

        scan = read_prepared(job, choice, channel, bias, counted, Defects.from_csv(defects))
        if scan.image.ndim == 3:
            raise CommandError("plan from one plane: choose it with --bias")

        def start() -> MapProposalSearch:
            """Check the topograph and what is wanted."""
            return MapProposalSearch(
                scan,
                scan.defects if scan.defects is not None else Defects.from_csv(defects),
                kernel_size,
                wanted,
            )

        found = drive(OneThreadStepper(start), job.on_event, job.cancel)
        _print_proposal(found)
        if tour is not None or pixels is not None:
            from qpi_kernels.extraction.planning.tour import plan_tour, save_tour

            chosen = found.pixels(found.best, scan.image)
            if pixels is not None:
                _write_mask(pixels, chosen.values)
            if tour is not None:
                save_tour(plan_tour(chosen), tour, chosen)
        if report is not None:
            _write_report(report, found)
        return FileResult(job.path, found.best.in_words())

    batch.exit_if_failed(batch.run_batch([topograph], work, debug=debug))


def _print_proposal(found: MapProposal) -> None:
    """Print the rectangle, and a row for each pitch."""
    console = batch.table_console()
    place = found.rectangle
    console.print(
        f"scan rows {place.row} to {place.row + place.rows - 1}, columns {place.col} to "
        f"{place.col + place.columns - 1}: {place.shown:.1f} defects show each kernel pixel",
        soft_wrap=True,
    )
    wanted = f"for {100 * found.wanted_error:g} %"
    table = Table(
        "pixel (nm)", "pixels", "time", "error", f"s per pixel {wanted}", f"time {wanted}",
        "one more hour",
    )  # fmt: skip
    for one in found.plans:
        rows, columns = one.shape
        hours = one.hours_for(found.wanted_error)
        reached = math.isfinite(hours)
        table.add_row(
            f"{one.pixel_nm:.3g}",
            f"{rows} x {columns}" + ("" if one.pixels == rows * columns else f", {one.pixels}"),
            f"{one.hours:.3g} h",
            f"{100 * one.error:.2g} %",
            f"{found.time_per_pixel_s(one):.3g}" if reached else "never",
            f"{hours:.3g} h" if reached else "never",
            f"{-100 * one.gain_of(1.0):.0f} %",
        )
    console.print(table)


def _write_mask(path: Path, chosen: NDArray[np.bool_]) -> None:
    """Write a mask that `--mask` reads."""
    import numpy as np

    if path.suffix.lower() == ".npy":
        np.save(path, chosen)
        return
    import tifffile

    tifffile.imwrite(path, chosen.astype(np.uint8))


def _write_report(path: Path, found: MapProposal) -> None:
    """Write the numbers of all plans as JSON."""
    from dataclasses import asdict

    def numbers(one: MapPlan) -> dict[str, Any]:
        """Collect the numbers of one plan; never is null."""
        hours = one.hours_for(found.wanted_error)
        return one.as_dict() | {"hours_for_wanted_error": hours if math.isfinite(hours) else None}

    content = {
        "rectangle": asdict(found.rectangle),
        "wanted_error": found.wanted_error,
        "plans": [numbers(one) for one in found.plans],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
