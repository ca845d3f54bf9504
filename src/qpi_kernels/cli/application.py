"""The application: its commands, in the order of the work."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from qpi_kernels.cli import (
    demo,
    detect,
    extract,
    info,
    library,
    plan,
    prepare,
    simulate,
    train,
)
from qpi_kernels.cli.bench import commands as bench
from qpi_kernels.cli.inspection.figure import figure
from qpi_kernels.cli.inspection.report import report

__all__ = ["app"]

app = typer.Typer(
    help=(
        "Single-defect quasiparticle-interference kernels from STM maps. Lengths in pixels (px) or "
        "nm, bias in V."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("info")(info.info)
app.command("prepare")(prepare.prepare)
app.command("detect")(detect.detect)
app.command("extract")(extract.extract)
app.command("report")(report)
app.command("figure")(figure)
app.command("plan")(plan.plan)
app.command("simulate")(simulate.simulate)
app.command("train")(train.train)
app.command("library")(library.library)
app.add_typer(bench.app, name="bench")
app.command("demo")(demo.demo)


def _version(asked: bool) -> None:
    if asked:
        try:
            typer.echo(version("napari-qpi"))
        except PackageNotFoundError:
            typer.echo("napari-qpi, not installed (running from its source)")
        raise typer.Exit


@app.callback()
def _common(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass
