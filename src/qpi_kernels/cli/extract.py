"""``napari-qpi extract``: kernels of scans."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qpi_kernels.cli.batch import (
    FileResult,
    FileTask,
    exit_if_failed,
    plan_outputs,
    run_batch,
    stop_with,
    write_anew,
)
from qpi_kernels.cli.common_options import (
    Bias,
    ChannelName,
    Debug,
    Files,
    MaskFile,
    Overwrite,
    Recursive,
    output_option,
)
from qpi_kernels.cli.detect import DEFECTS_SUFFIX, find_defects
from qpi_kernels.cli.parameter_options import ParameterGroup, with_parameters
from qpi_kernels.cli.prepare import Prepare, choose_steps, read_prepared
from qpi_kernels.cli.scan_files import CommandError, clearest_plane, expand, read_mask
from qpi_kernels.defects import Defects, DetectionParameters, snap_positions
from qpi_kernels.extraction.parameters import EstimatorParameters
from qpi_kernels.extraction.registry import combined_parameters, make_parameters
from qpi_kernels.progress import Event

if TYPE_CHECKING:
    from qpi_kernels.result import KernelResult

__all__ = ["extract"]

_LEVEL = " The topograph was not prepared: --prepare suggest levels it and masks steps and streaks."
_EXTENSIONS = (".nc", ".tif", ".tiff", ".gwy", ".npz")


class KernelFormat(StrEnum):
    """Formats of a kernel file."""

    nc = "nc"
    tif = "tif"
    gwy = "gwy"
    npz = "npz"


@with_parameters(
    extraction=ParameterGroup(combined_parameters, make_parameters),
    detection=DetectionParameters,
)
def extract(
    files: Files,
    *,
    defects: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV|FOLDER",
            help="Positions in pixels, for all files, or a folder of FILE_defects.csv (default: "
            "FILE_defects.csv beside each file).",
        ),
    ] = None,
    detect: Annotated[
        bool,
        typer.Option("--detect", help="Detect defects instead, with --polarity to --max-count."),
    ] = False,
    snap: Annotated[
        bool, typer.Option("--snap", help="Move positions onto the average pattern first.")
    ] = False,
    output: Annotated[
        Path | None,
        output_option(
            "FILE|FOLDER",
            "Kernel to write (.nc keeps everything; .tif, .gwy, .npz the kernel), or a folder for "
            "many (default: beside each file, FILE_kernel.nc).",
        ),
    ] = None,
    file_format: Annotated[
        KernelFormat, typer.Option("--format", help="Format when -o is no file name.")
    ] = KernelFormat.nc,
    report: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write quality and parameters as JSON."),
    ] = None,
    prepare: Prepare = None,
    channel: ChannelName = None,
    bias: Bias = None,
    mask: MaskFile = None,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
    extraction: EstimatorParameters,
    detection: DetectionParameters,
) -> None:
    """Extract the kernel that one defect alone would show, in the data's units."""
    try:
        paths = expand(files, recursive)
        counted = None if mask is None else read_mask(mask)
        if defects is not None and detect:
            raise CommandError("give --defects or --detect, not both")
        if extraction.finds_defects and (defects is not None or detect or snap):
            raise CommandError(
                f"{extraction.method} finds the defects: leave out --defects, --detect and --snap"
            )
        choice = None if prepare is None else choose_steps(prepare)
        if report is not None:
            write_anew(report, overwrite)
    except (ValueError, OSError) as error:
        raise stop_with(str(error)) from error
    suffix = f"_kernel.{file_format.value}"
    targets = plan_outputs(paths, output, suffix, _EXTENSIONS)

    def work(job: FileTask) -> FileResult:
        """Extract the kernel of one file."""
        from qpi_kernels.extraction import start_extraction
        from qpi_kernels.kernel_files import kernel_paths, save_kernel
        from qpi_kernels.progress import drive

        started = time.perf_counter()
        target = write_anew(targets[job.path], overwrite)
        marked: Defects | None = None
        if not (detect or extraction.finds_defects) and _has_table(job.path, defects):
            marked = Defects.from_csv(_table_of(job.path, defects))
        scan = read_prepared(job, choice, channel, bias, counted, marked)
        job.on_event(Event("defects"))
        positions = scan.defects
        if detect:
            positions = find_defects(scan.image, scan.mask, detection, snap)
        elif not extraction.finds_defects:
            if positions is None:
                positions = Defects.from_csv(_table_of(job.path, defects))
            if snap:
                plane = clearest_plane(scan.image)
                positions = snap_positions(plane, positions, mask=scan.mask)
        job.cancel.check()
        stepper = start_extraction(scan, positions, parameters=extraction)
        result = drive(stepper, job.on_event, job.cancel)
        for path in kernel_paths(result, target):
            write_anew(path, overwrite)
        angle = {"scan_angle_deg": scan.image.attrs.get("scan_angle_deg", 0.0)}
        written = save_kernel(result, target, angle)
        raw = (
            choice is None and not scan.history and scan.image.attrs.get("quantity") == "topography"
        )
        return _done(job.path, result, written, time.perf_counter() - started, raw=raw)

    outcomes = run_batch(paths, work, debug=debug)
    if report is not None:
        _write_report(report, outcomes)
    exit_if_failed(outcomes)


def _has_table(path: Path, defects: Path | None) -> bool:
    """Tell whether a table is given, or must be there because the file has no defects itself."""
    from qpi_kernels.prepare import is_prepared_file

    return defects is not None or not is_prepared_file(path)


def _table_of(path: Path, defects: Path | None) -> Path:
    if defects is not None and not defects.is_dir():
        return defects
    table = (defects if defects is not None else path.parent) / f"{path.stem}{DEFECTS_SUFFIX}"
    if not table.exists():
        raise CommandError(f"no defects: {table} is not there; give --defects FILE or --detect")
    return table


def _done(
    path: Path, result: KernelResult, written: list[Path], seconds: float, *, raw: bool
) -> FileResult:
    """Summarise an extraction for the terminal and the report."""
    headline, *reasons = result.quality.verdict
    advice = _LEVEL if raw and result.quality.trust == "undetermined" else ""
    # What casts doubt on a kernel is to be read where its file is named.
    doubts = "".join(f"\n  {one}" for one in reasons if result.quality.trust != "good")
    targets = ", ".join(str(target) for target in written)
    return FileResult(
        path,
        f"{result.defects.in_words()} -> {targets}; {headline}{advice}{doubts}",
        report={
            "output": [str(target) for target in written],
            "defects": result.defects.counts(),
            "seconds": round(seconds, 3),
            "quality": json.loads(result.quality.model_dump_json()),
            "verdict": [headline, *reasons],
            "provenance": result.provenance,
        },
    )


def _write_report(path: Path, outcomes: list[FileResult]) -> None:
    """Write the outcomes of all files as JSON."""
    from qpi_kernels.io.atomic_write import replacing

    entries: list[dict[str, Any]] = [
        {
            "file": str(outcome.path),
            "status": "failed" if outcome.failed else "done",
            **({"error": outcome.message} if outcome.failed else outcome.report),
        }
        for outcome in outcomes
    ]
    with replacing(path) as partial:
        partial.write_text(json.dumps({"files": entries}, indent=2) + "\n", encoding="utf-8")
