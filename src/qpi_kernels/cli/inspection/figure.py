"""``napari-qpi figure``: one figure of saved kernels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qpi_kernels.cli import batch, common_options
from qpi_kernels.cli.batch import FileResult, FileTask
from qpi_kernels.cli.inspection.result_files import find_results
from qpi_kernels.cli.scan_files import CommandError

if TYPE_CHECKING:
    from qpi_kernels.inspect.figures.style import Width

__all__ = ["figure"]


def figure(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Kind of figure, see --list.")] = "",
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RESULT", help="Results of `extract` (.nc), folders, or globs."),
    ] = None,
    *,
    list_kinds: Annotated[bool, typer.Option("--list", help="List the kinds of figures.")] = False,
    output: Annotated[
        Path | None,
        common_options.output_option(
            "FILE|FOLDER",
            "Figure to write, .pdf, .svg or .png, or a folder for many (default: beside each "
            "result, RESULT_KIND.pdf). Its numbers go beside it as .csv.",
        ),
    ] = None,
    width: Annotated[
        str, typer.Option(metavar="single|double|MM", help="Width of a journal's columns, or mm.")
    ] = "single",
    bias: Annotated[
        float | None,
        typer.Option(help="Plane of a stack, in V (default: the clearest kernel's)."),
    ] = None,
    defect_kind: Annotated[
        str | None, typer.Option("--kind", metavar="NAME", help="Kind of defect (default: first).")
    ] = None,
    recursive: common_options.Recursive = False,
    overwrite: common_options.Overwrite = False,
    debug: common_options.Debug = False,
) -> None:
    """Draw one figure of saved kernels in a journal's width, with its numbers as CSV."""
    from qpi_kernels.inspect.figures.kind import known_kinds

    kinds = known_kinds()
    if list_kinds:
        for one in kinds.values():
            typer.echo(f"{one.name}: {one.summary}")
        return
    try:
        if kind not in kinds:
            raise CommandError(_no_kind(kind, list(kinds)))
        if not files:
            raise CommandError("name the results to draw")
        paths = find_results(files, recursive)
        wide = _width(width)
    except (ValueError, OSError) as error:
        raise batch.stop_with(str(error)) from error
    targets = batch.plan_outputs(paths, output, f"_{kind}.pdf", (".pdf", ".svg", ".png"))

    def work(job: FileTask) -> FileResult:
        """Draw the figure of one result."""
        from qpi_kernels.inspect.figures.figure import figure as draw
        from qpi_kernels.inspect.figures.figure import figure_outputs
        from qpi_kernels.result import KernelResult

        target = targets[job.path]
        for path in figure_outputs(target):
            batch.write_anew(path, overwrite)
        given = {"bias": bias, "kind_of_defect": defect_kind}
        chosen = {name: value for name, value in given.items() if value is not None}
        draw(kind, KernelResult.load(job.path), width=wide, path=target, **chosen)
        return FileResult(job.path, f"{kind} -> {target}, {target.with_suffix('.csv').name}")

    batch.exit_if_failed(batch.run_batch(paths, work, debug=debug))


def _no_kind(kind: str, kinds: list[str]) -> str:
    """Say what a kind of figure is, for one that there is not."""
    there = f"there are {', '.join(kinds)}"
    if not kind:
        return f"name a kind of figure, then results: napari-qpi figure KIND RESULT; {there}"
    if Path(kind).suffix or Path(kind).exists():
        return f"the kind of figure comes first: napari-qpi figure KIND {kind}; {there}"
    return f"no figure {kind!r}; {there}"


def _width(text: str) -> Width:
    """Read a width, of a column or in mm.

    Raises
    ------
    CommandError
        If it is no number.
    """
    columns: dict[str, Width] = {"single": "single", "double": "double"}
    if text in columns:
        return columns[text]
    try:
        return float(text)
    except ValueError:
        raise CommandError(f"--width takes single, double or mm, not {text!r}") from None
