"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "Bias",
    "ChannelName",
    "Debug",
    "Files",
    "MaskFile",
    "Overwrite",
    "Recursive",
    "output_option",
]

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE", help="Scan files, folders, or globs in quotes."),
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Search folders below the given ones too.")
]
ChannelName = Annotated[
    str | None,
    typer.Option(
        "--channel",
        metavar="NAME",
        help="Channel to use, as `info` names it (default: dI/dV, else topography, forward).",
    ),
]
Bias = Annotated[
    str | None,
    typer.Option(
        metavar="V|V:V",
        help="Planes of a bias stack, in V: 0.05 (nearest), -0.02:0.1 (range), commas between.",
    ),
]
MaskFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Mask (.npy, .tif), (y, x), nonzero where a pixel counts."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def output_option(metavar: str, text: str) -> Any:
    """Make the option ``--output``, ``-o``, with the kind of its value and its help text."""
    return typer.Option("--output", "-o", metavar=metavar, help=text)
