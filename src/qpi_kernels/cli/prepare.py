"""``napari-qpi prepare``: raw scans to maps that an extraction may trust."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qpi_kernels.cli import batch, common_options, scan_files
from qpi_kernels.cli.batch import FileResult, FileTask
from qpi_kernels.cli.scan_files import CommandError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qpi_kernels.defects import Defects
    from qpi_kernels.prepare import Prepared, Step

__all__ = ["Prepare", "choose_steps", "prepare", "read_prepared"]

Prepare = Annotated[
    str | None,
    typer.Option(
        "--prepare",
        metavar="NAME|FILE.json",
        help="Prepare raw scans first: a preset, `suggest`, or a recipe (see `prepare --help`).",
    ),
]
StepChoice = Callable[["Prepared"], "list[Step]"]


def prepare(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="Scan files, folders, or globs in quotes."),
    ] = None,
    *,
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A preset of --list (default: what suits the image)."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Steps of a JSON file instead.")
    ] = None,
    list_presets: Annotated[
        bool, typer.Option("--list", help="List the presets and their steps.")
    ] = False,
    output: Annotated[
        Path | None,
        common_options.output_option(
            "NC|FOLDER",
            "File to write, or a folder for many (default: beside each file, FILE_prepared.nc).",
        ),
    ] = None,
    defects: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Marked defects in raw pixels, which move along."),
    ] = None,
    channel: common_options.ChannelName = None,
    bias: common_options.Bias = None,
    mask: common_options.MaskFile = None,
    recursive: common_options.Recursive = False,
    overwrite: common_options.Overwrite = False,
    debug: common_options.Debug = False,
) -> None:
    """Level, mask and correct raw scans; `extract` and `detect` read the .nc with its mask."""
    if list_presets:
        _print_presets()
        return
    try:
        if preset is not None and recipe is not None:
            raise CommandError("give --preset or --recipe, not both")
        if not files:
            raise CommandError("name the files to prepare, or --list the presets")
        choice = choose_steps(str(recipe) if recipe is not None else preset or "suggest")
        paths = scan_files.expand(files, recursive)
        counted = None if mask is None else scan_files.read_mask(mask)
    except (CommandError, ValueError, OSError) as error:
        raise batch.stop_with(str(error)) from error
    targets = batch.plan_outputs(paths, output, "_prepared.nc", (".nc",))

    def work(job: FileTask) -> FileResult:
        """Prepare one scan and write it."""
        from qpi_kernels.defects import Defects
        from qpi_kernels.prepare import save_prepared
        from qpi_kernels.prepare.report_sentences import report_lines

        target = batch.write_anew(targets[job.path], overwrite)
        table = None if defects is None else Defects.from_csv(defects)
        made = read_prepared(job, choice, channel, bias, counted, table)
        save_prepared(made, target)
        lines = "".join(f"\n  {line}" for line in report_lines(made.report))
        measured = made.image.notnull().any([d for d in made.image.dims if d not in ("y", "x")])
        share = 100 * float((made.mask & measured.values).mean())
        return FileResult(job.path, f"{share:.1f} % of the pixels count -> {target}{lines}")

    batch.exit_if_failed(batch.run_batch(paths, work, debug=debug))


def choose_steps(word: str) -> StepChoice:
    """Find the steps that a word names; errors as for `qpi_kernels.prepare.steps_called`."""
    from qpi_kernels.prepare import steps_called, suggest

    steps = steps_called(word)
    return lambda scan: list(suggest(scan).steps) if steps is None else steps


def read_prepared(
    job: FileTask,
    choice: StepChoice | None,
    channel: str | None = None,
    bias: str | None = None,
    mask: NDArray[np.bool_] | None = None,
    defects: Defects | None = None,
) -> Prepared:
    """Read a scan, or an image that was prepared before, and prepare it.

    Parameters
    ----------
    job : FileTask
        The file, and where to report.
    choice : callable, optional
        From `choose_steps`; nothing more is done when left out.
    channel, bias : str, optional
        As on the command line; a prepared file has one channel.
    mask : array of bool, (y, x), optional
        More pixels that do not count, in the pixels of the file.
    defects : Defects, optional
        In pixels of the file, instead of those of a prepared file.
    """
    from qpi_kernels.io import open_scan
    from qpi_kernels.prepare import Prepared, channels_beside, is_prepared_file, load_prepared, run

    if is_prepared_file(job.path):
        scan = load_prepared(job.path)
        image = scan_files.choose_planes(scan.image, bias)
        counted = scan.mask if mask is None else scan.mask & mask
        table = scan.defects if defects is None else defects
        scan = replace(scan, image=image, mask=counted, defects=table)
    else:
        raw = open_scan(job.path)
        image = scan_files.choose_planes(scan_files.choose_channel(raw, channel), bias)
        beside = channels_beside(raw, image)
        placed = image.assign_attrs(
            {name: raw.attrs[name] for name in ("source", "offset_nm", "scan_angle_deg")}
        )
        scan = Prepared.start(placed, mask, defects, beside)
    steps = [] if choice is None else choice(scan)
    return run(scan, steps, on_event=job.on_event, cancel=job.cancel)


def _print_presets() -> None:
    """Print names and steps of the presets."""
    from qpi_kernels.prepare import presets

    for name, steps in presets().items():
        words = ", ".join(step.name().replace("_", " ") for step in steps)
        typer.echo(f"{name}: {words}")
