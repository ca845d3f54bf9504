"""``napari-qpi bench``: measured claims, repeatable by anyone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from qpi_kernels.bench.accuracy.parameters import AccuracyParameters
from qpi_kernels.bench.accuracy.report import AccuracyReport
from qpi_kernels.bench.accuracy.scores import UNITS, CellScores
from qpi_kernels.bench.paper.parameters import PaperParameters
from qpi_kernels.bench.paper.report import PaperReport
from qpi_kernels.cli.batch import (
    FileResult,
    FileTask,
    exit_if_failed,
    run_batch,
    table_console,
)
from qpi_kernels.cli.bench.blind import blind
from qpi_kernels.cli.bench.dispersion import dispersion
from qpi_kernels.cli.bench.gpu import gpu
from qpi_kernels.cli.bench.peers import inspect, prepare
from qpi_kernels.cli.bench.real import real
from qpi_kernels.cli.bench.report_file import checked_target, write_report
from qpi_kernels.cli.bench.speed import speed
from qpi_kernels.cli.common_options import Debug, Overwrite
from qpi_kernels.cli.parameter_options import with_parameters

__all__ = ["app"]

app = typer.Typer(help="Measure what is claimed, on this machine.", no_args_is_help=True)
app.command()(blind)
app.command()(dispersion)
app.command()(gpu)
app.command()(inspect)
app.command()(prepare)
app.command()(real)
app.command()(speed)


@app.callback()
def _group() -> None:
    """Measure what is claimed, on this machine."""


@app.command()
@with_parameters(parameters=PaperParameters)
def paper(
    *,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help=(
                "Where the models go; a benchmark that was stopped there goes on. Left out, "
                "bench-paper or bench-paper-quick here."
            ),
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all numbers as JSON.")
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Draw errors, kernels and the latent space (PNG)."),
    ] = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
    parameters: PaperParameters,
) -> None:
    """Train and test the published method and its ablations beside the published figures.

    An hour or two on two cores; Ctrl-C keeps what is done, and the same command goes on.
    """
    target = checked_target(report, overwrite)
    folder = work or Path("bench-paper-quick" if parameters.quick else "bench-paper")

    def measure(job: FileTask) -> FileResult:
        made = run_paper(job, parameters, plots)
        _print_paper(made)
        write_report(made, target)
        return FileResult(job.path, f"models are in {job.path}")

    exit_if_failed(run_batch([folder], measure, debug=debug))


def run_paper(job: FileTask, parameters: PaperParameters, plots: Path | None) -> PaperReport:
    """Do the benchmark in the folder ``job.path``; a cancel writes a checkpoint first."""
    from qpi_kernels.bench.paper.benchmark import PaperBench
    from qpi_kernels.bench.paper.plots import write_plots
    from qpi_kernels.progress import Cancelled, CancelledResumably, drive

    bench = PaperBench(job.path, parameters)
    try:
        made = drive(bench, job.on_event, job.cancel)
    except Cancelled:
        bench.save()
        raise CancelledResumably(
            f"what is done is kept in {job.path}; the same command goes on"
        ) from None
    if plots is not None:
        write_plots(made.report, made.pictures, plots)
    return made.report


def _print_paper(report: PaperReport) -> None:
    """Print the tables of the paper benchmark and how they were made."""
    console = table_console()
    console.print(_score_table(report))
    console.print(_comparison_table(report))
    for name in ("rmse", "rmse_as_predicted", "nrmse", "core_excluded", "fourier"):
        console.print(f"{name}: {report.units[name]}", markup=False)
    latent = ", ".join(f"{name} {value:.2f}" for name, value in report.latent.items())
    console.print(f"latent space: {latent}", markup=False)
    budget = ", ".join(f"{name} {value}" for name, value in report.budget.items())
    console.print(f"seed {report.seed}, {budget}", markup=False)
    console.print(f"{report.software}; {report.machine}", markup=False)
    for other in report.earlier:
        console.print(f"A part of this was made before with {other}", markup=False)
    if report.quick:
        console.print("A quick run shows that everything works, and nothing about the methods.")


def _score_table(report: PaperReport) -> Table:
    """Make the table of scores."""
    table = Table(title="RMSE x 2 of min-max kernels, and other scores (means)")
    for name in ("", "model", "steps", "tests", "rmse", "95 %", "max", "published", "as predicted"):
        table.add_column(name)
    for name in ("nrmse", "core_excluded", "fourier"):
        table.add_column(name)
    before = ""
    for row in report.rows:
        if row.table != before:
            table.add_section()
        before = row.table
        tests = f"{row.tests}{', noisy' if row.noisy else ''}"
        published = "" if row.published_rmse is None else f"{row.published_rmse:.4f}"
        if row.not_run:
            shown = ["not run", "", "", published, "", "", "", ""]
        else:
            rmse, raw = row.scores["rmse"], row.scores.get("rmse_as_predicted")
            shown = [
                *(f"{rmse.mean:.4f}", f"{rmse.low:.3f}-{rmse.high:.3f}", f"{rmse.max:.3f}"),
                published,
                "" if raw is None else f"{raw.mean:.4f}",
                *(f"{row.scores[name].mean:.3f}" for name in ("nrmse", "core_excluded", "fourier")),
            ]
        steps = str(row.steps) if row.steps else "-"
        table.add_row(row.table, escape(row.label), steps, tests, *shown)
    notes = ["steps: of all stages together; - for models that were trained before"]
    reasons = {row.not_run: row.table for row in report.rows if row.not_run}
    notes += [f"{letter} not run: {escape(why)}" for why, letter in reasons.items()]
    table.caption = "\n".join(notes)
    table.caption_justify = "left"
    return table


def _comparison_table(report: PaperReport) -> Table:
    """Make the table of differences."""
    table = Table(
        "first against second", "tests", "change of RMSE", "95 %", "better on", "published",
        title="Differences, over the kernels of the test set",
    )  # fmt: skip
    for one in report.comparisons:
        published = "" if one.published_change is None else f"{one.published_change:+.1%}"
        shown = ["not run", "", ""]
        if one.change is not None and one.low is not None and one.high is not None:
            interval = f"{one.low:+.1%} to {one.high:+.1%}"
            shown = [f"{one.change:+.1%}", interval, f"{one.better_on} of {one.kernels}"]
        table.add_row(escape(one.claim), one.tests, *shown, published)
    return table


@app.command()
@with_parameters(parameters=AccuracyParameters)
def accuracy(
    *,
    kernels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=(
                "Look for these kernels instead of simulated ones: .npz with one array (N, h, w), "
                "or .npy; centres at (h//2, w//2)."
            ),
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help=(
                "Where the numbers are kept; a benchmark that was stopped there goes on. Left "
                "out, bench-accuracy or bench-accuracy-quick here."
            ),
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all numbers, anew after each cell."),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw errors and coverage (PNG).")
    ] = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
    parameters: AccuracyParameters,
) -> None:
    """Compare all methods on maps whose kernel is known, also on your own kernels.

    Hours for everything; the options restrict it. Ctrl-C keeps what is done, and the same command
    goes on.
    """
    target = checked_target(report, overwrite)
    folder = work or Path("bench-accuracy-quick" if parameters.quick else "bench-accuracy")

    def measure(job: FileTask) -> FileResult:
        """Run the benchmark, print its tables and draw."""
        made = run_accuracy(job, parameters, kernels, target)
        _print_accuracy(made)
        if plots is not None:
            from qpi_kernels.bench.accuracy.plots import write_accuracy_plots

            write_accuracy_plots(made, plots)
        return FileResult(job.path, f"numbers are kept in {job.path}")

    exit_if_failed(run_batch([folder], measure, debug=debug))


def run_accuracy(
    job: FileTask, parameters: AccuracyParameters, kernels: Path | None, target: Path | None
) -> AccuracyReport:
    """Do the benchmark in the folder ``job.path``."""
    from qpi_kernels.bench.accuracy.benchmark import AccuracyBench
    from qpi_kernels.progress import Cancelled, CancelledResumably, drive

    bench = AccuracyBench(job.path, parameters, kernels=kernels, report_path=target)
    try:
        return drive(bench, job.on_event, job.cancel)
    except Cancelled:
        raise CancelledResumably(
            f"what is done is kept in {job.path}; the same command goes on"
        ) from None


def _print_accuracy(report: AccuracyReport) -> None:
    """Print the tables of the accuracy benchmark and how they were made."""
    console = table_console()
    for kind in dict.fromkeys(one.cell.kind for one in report.cells):
        console.print(_accuracy_table([one for one in report.cells if one.cell.kind == kind]))
    table = Table("target", "measured", "limits", "", "cells", "worst cell")
    for one in report.targets:
        limits = [
            *([] if one.lowest is None else [f">= {one.lowest:g}"]),
            *([] if one.highest is None else [f"<= {one.highest:g}"]),
        ]
        verdict = "[green]reached[/green]" if one.reached else "[red]missed[/red]"
        shown = (f"{one.measured:.3f}", ", ".join(limits), verdict if limits else "")
        table.add_row(escape(one.claim), *shown, str(one.cells), escape(one.worst))
    console.print(table)
    for name in ("nrmse", "ratio", "limit", "coverage"):
        console.print(f"{name}: {UNITS[name]}", markup=False)
    numbers = report.settings.numbers
    console.print(f"maps per cell: {len(numbers)}, seeds from {numbers[0]} on", markup=False)
    console.print(f"{report.software}; {report.machine}", markup=False)
    for other in report.earlier:
        console.print(f"A part of this was made before with {other}", markup=False)
    if report.settings.quick:
        console.print("A quick run shows that everything works, and nothing about the methods.")


def _accuracy_table(cells: list[CellScores]) -> Table:
    """Make the table of one kind of kernels."""
    table = Table(title=f"Kernels: {cells[0].cell.kind} (medians; of bayes also 10-90 % of maps)")
    for name in ("map/kernel", "defects", "SNR", "marks", "limit", "tuned ridge"):
        table.add_column(name)
    methods = [method for method in cells[0].methods if method != "tuned_ridge"]
    for method in methods:
        table.add_column(f"{method} ratio" if method == "bayes" else method)
    for name in ("bayes coverage", "bayes s"):
        table.add_column(name)
    for one in cells:
        cell, bayes = one.cell, one.ratios["bayes"]
        ratios = {method: f"{one.ratios[method].median:.2f}" for method in methods}
        ratios["bayes"] += f" ({bayes.low:.2f}-{bayes.high:.2f})"
        table.add_row(
            f"{cell.image_px}/{cell.kernel_px}",
            str(cell.defects),
            f"{cell.snr:g}",
            cell.annotation,
            "inf" if one.limit is None else f"{one.limit:.3f}",
            f"{one.scores['tuned_ridge']['nrmse'].median:.3f}",
            *ratios.values(),
            f"{one.values('bayes', 'coverage').mean():.1%}",
            f"{one.scores['bayes']['seconds'].median:.2f}",
        )
    table.caption = "limit, tuned ridge: nrmse; the other methods: nrmse over tuned ridge's (ratio)"
    table.caption_justify = "left"
    return table
