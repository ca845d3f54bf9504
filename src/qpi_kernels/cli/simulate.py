"""``napari-qpi simulate``: maps with a known answer, and whole data sets of them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from qpi_kernels.cli.batch import FileResult, FileTask, exit_if_failed, run_batch, write_anew
from qpi_kernels.cli.common_options import Debug, Overwrite, output_option
from qpi_kernels.cli.detect import DEFECTS_SUFFIX
from qpi_kernels.cli.parameter_options import with_parameters
from qpi_kernels.cli.scan_files import CommandError
from qpi_kernels.simulate.datasets.protocol_parameters import ProtocolParameters
from qpi_kernels.simulate.scan.parameters import SimulatedScanParameters

__all__ = ["simulate", "write_dataset", "write_simulated_scan"]


class ProtocolName(StrEnum):
    """Protocols for whole data sets."""

    paper = "paper"


@with_parameters(scan=SimulatedScanParameters, dataset=ProtocolParameters)
def simulate(
    *,
    output: Annotated[
        Path,
        output_option(
            "FILE|FOLDER",
            "Map to write (.nc); FILE_defects.csv, which `extract` looks for, goes beside it. "
            "With --protocol a folder; a run that was stopped there goes on.",
        ),
    ],
    protocol: Annotated[
        ProtocolName | None,
        typer.Option(
            help=(
                "Write a data set instead of a map; paper: that of arXiv 2506.05325. Only the "
                "options under Protocol and --seed count then."
            )
        ),
    ] = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
    scan: SimulatedScanParameters,
    dataset: ProtocolParameters,
) -> None:
    """Simulate a dI/dV map or a stack over bias, with true kernel and defects inside the file.

    With --protocol, a data set of many kernels and maps.
    """
    _check_mode(protocol, scan, dataset)

    def work(job: FileTask) -> FileResult:
        if protocol is None:
            return write_simulated_scan(scan, job, overwrite=overwrite)
        return write_dataset(dataset, job)

    exit_if_failed(run_batch([output], work, debug=debug))


def _check_mode(
    protocol: ProtocolName | None, scan: SimulatedScanParameters, dataset: ProtocolParameters
) -> None:
    """Refuse options that would not count."""
    of_datasets = "--kernels, --observations, --noise-level and --layout"
    if protocol is None and dataset != ProtocolParameters(seed=dataset.seed):
        raise typer.BadParameter(f"{of_datasets} go with --protocol only")
    if protocol is not None and scan != SimulatedScanParameters(seed=scan.seed):
        raise typer.BadParameter(f"with --protocol only {of_datasets} and --seed count")


def write_simulated_scan(
    scan: SimulatedScanParameters, job: FileTask, *, overwrite: bool
) -> FileResult:
    """Simulate a scan into ``job.path`` and its defects into the table beside it.

    Raises
    ------
    CommandError
        If the path does not end in .nc.
    FileExistsError
        If one of the files exists and may not be replaced.
    """
    if job.path.suffix.lower() != ".nc":
        raise CommandError("a simulated map is written as NetCDF; end the name in .nc")
    target = write_anew(job.path, overwrite)
    table = write_anew(target.with_name(f"{target.stem}{DEFECTS_SUFFIX}"), overwrite)

    from qpi_kernels.io.array_notes import frame_of
    from qpi_kernels.io.atomic_write import replacing
    from qpi_kernels.io.formats.netcdf import save_scan
    from qpi_kernels.simulate.scan.simulation import simulate_scan, simulated_scan_dataset

    made = simulate_scan(scan, on_event=job.on_event, cancel=job.cancel)
    dataset = simulated_scan_dataset(made)
    save_scan(dataset, target)
    with replacing(table) as partial:
        made.defects.to_csv(partial, frame=frame_of(dataset))
    return FileResult(
        job.path,
        f"{scan.known_material.label}, {made.defects.in_words()} -> {target}, {table}",
    )


def write_dataset(parameters: ProtocolParameters, job: FileTask) -> FileResult:
    """Write the published data set into the folder ``job.path``, or go on with it."""
    from qpi_kernels.progress import Cancelled, CancelledResumably, drive
    from qpi_kernels.simulate.datasets.protocol import PaperProtocol

    protocol = PaperProtocol(job.path, parameters)
    try:
        drive(protocol, job.on_event, job.cancel)
    except Cancelled:
        raise CancelledResumably(
            f"{protocol.written} of {parameters.kernels} kernels are written; the same command "
            "goes on"
        ) from None
    total = parameters.kernels * parameters.observations
    return FileResult(job.path, f"{parameters.kernels} kernels, {total} observations -> {job.path}")
