"""``napari-qpi library``: the Gaussian prior of chosen families of simulated kernels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qpi_kernels.cli.batch import FileResult, exit_if_failed, run_batch, write_anew
from qpi_kernels.cli.common_options import Debug, Overwrite, output_option
from qpi_kernels.cli.scan_files import CommandError

if TYPE_CHECKING:
    from qpi_kernels.cli.batch import FileTask

__all__ = ["library"]

# Of the library that comes with the package.
_SEED, _KERNELS, _COMPONENTS = 20260, 65_536, 1024


def library(
    output: Annotated[Path, output_option("FILE", "Library to write, .safetensors.")],
    families: Annotated[
        list[str] | None,
        typer.Option("--family", help="A family to simulate; repeat it; all when left out."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", help="A family to leave out; repeat it.")
    ] = None,
    kernels: Annotated[int, typer.Option(min=64, help="How many kernels to simulate.")] = _KERNELS,
    components: Annotated[
        int, typer.Option(min=1, max=4096, help="Principal components to keep.")
    ] = _COMPONENTS,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the kernels.")] = _SEED,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Simulate kernels and keep what they have in common, for extract --library.

    A few minutes. As it stands this makes the library that comes with the package.
    """

    def work(job: FileTask) -> FileResult:
        """Fit the prior and write its file."""
        if job.path.suffix.lower() != ".safetensors":
            raise CommandError("a library is a safetensors file; end the name in .safetensors")
        target = write_anew(job.path, overwrite)

        from qpi_kernels.progress import drive
        from qpi_kernels.simulate.kernel_sampler import KernelSampler
        from qpi_kernels.train.prior_fit import PriorFit

        try:
            source = KernelSampler(families or None, seed=seed).without(*(without or ()))
        except ValueError as error:
            raise CommandError(str(error)) from error
        prior = drive(PriorFit(source, kernels, components), job.on_event, job.cancel)
        prior.save(target)
        count = prior.description["kernels"]
        return FileResult(
            job.path, f"{count} kernels of {len(source.families)} families -> {target}"
        )

    exit_if_failed(run_batch([output], work, debug=debug))
