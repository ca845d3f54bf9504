"""The command line, ``napari-qpi``: every job without a window."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; the console script's entry point."""
    from qpi_kernels.cli.application import app

    app(prog_name="napari-qpi")
