"""``napari-qpi detect``: defects of scans, as CSV tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qpi_kernels.cli import batch, common_options, scan_files
from qpi_kernels.cli.batch import FileResult, FileTask
from qpi_kernels.cli.parameter_options import with_parameters
from qpi_kernels.cli.prepare import Prepare, choose_steps, read_prepared
from qpi_kernels.cli.scan_files import CommandError
from qpi_kernels.defects import Defects, DetectionParameters, detect_defects, snap_positions
from qpi_kernels.progress import Event

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["DEFECTS_SUFFIX", "detect", "find_defects"]

DEFECTS_SUFFIX = "_defects.csv"


@with_parameters(detection=DetectionParameters)
def detect(
    files: common_options.Files,
    *,
    output: Annotated[
        Path | None,
        common_options.output_option(
            "CSV|FOLDER",
            "Table to write, or a folder for many (default: beside each file, FILE_defects.csv). "
            "napari knows tables of defects by 'defects' in their name.",
        ),
    ] = None,
    prepare: Prepare = None,
    channel: common_options.ChannelName = None,
    bias: common_options.Bias = None,
    mask: common_options.MaskFile = None,
    snap: Annotated[
        bool, typer.Option("--snap", help="Move positions onto the average pattern afterwards.")
    ] = False,
    recursive: common_options.Recursive = False,
    overwrite: common_options.Overwrite = False,
    debug: common_options.Debug = False,
    detection: DetectionParameters,
) -> None:
    """Find point defects and write their positions, in pixels, as CSV that napari opens.

    Of a bias stack the plane with the most contrast is searched unless --bias names one. After
    steps that move pixels, positions are those of the prepared image.
    """
    try:
        paths = scan_files.expand(files, recursive)
        counted = None if mask is None else scan_files.read_mask(mask)
        choice = None if prepare is None else choose_steps(prepare)
    except (ValueError, OSError) as error:
        raise batch.stop_with(str(error)) from error
    targets = batch.plan_outputs(paths, output, DEFECTS_SUFFIX, (".csv",))

    def work(job: FileTask) -> FileResult:
        """Detect the defects of one scan and write their table."""
        from qpi_kernels.io.array_notes import frame_of
        from qpi_kernels.io.atomic_write import replacing

        target = batch.write_anew(targets[job.path], overwrite)
        scan = read_prepared(job, choice, channel, bias, counted)
        job.on_event(Event("looking for defects"))
        defects = find_defects(scan.image, scan.mask, detection, snap)
        with replacing(target) as partial:
            defects.to_csv(partial, frame=frame_of(scan.image))
        return FileResult(job.path, f"{_counted(defects)} -> {target}")

    batch.exit_if_failed(batch.run_batch(paths, work, debug=debug))


def find_defects(
    image: xr.DataArray,
    mask: NDArray[np.bool_] | None,
    parameters: DetectionParameters,
    snap: bool,
) -> Defects:
    """Detect on the clearest plane and, if asked, snap.

    Raises
    ------
    CommandError
        If nothing is found.
    """
    plane = scan_files.clearest_plane(image)
    defects = detect_defects(plane, mask=mask, parameters=parameters)
    if not len(defects):
        raise CommandError("no defect stands out; lower --threshold or set --size-px or --polarity")
    return snap_positions(plane, defects, mask=mask) if snap else defects


def _counted(defects: Defects) -> str:
    """Count the defects of each kind, in words."""
    if len(defects.kinds) > 1:
        return ", ".join(f"{count} {kind}" for kind, count in defects.counts().items())
    return defects.in_words()
