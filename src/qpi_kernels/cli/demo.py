"""``napari-qpi demo``: the main job on a map made on the spot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qpi_kernels.cli.batch import stop_with
from qpi_kernels.cli.common_options import output_option

if TYPE_CHECKING:
    import xarray as xr

    from qpi_kernels.defects import Defects
    from qpi_kernels.result import KernelResult

__all__ = ["demo"]

_KERNEL_PX = 65


def demo(
    output: Annotated[Path, output_option("FOLDER", "Where files go.")] = Path("napari-qpi-demo"),
    headless: Annotated[
        bool, typer.Option("--headless", help="Do not open napari, even with a display.")
    ] = False,
) -> None:
    """Simulate a noisy Ag(111)-like map, find its defects, extract the kernel, compare with truth.

    Writes observation.nc, defects.csv, kernel.nc and summary.txt; opens them in napari where
    there is a display.
    """
    from qpi_kernels.defects import detect_defects, snap_positions
    from qpi_kernels.extraction import extract
    from qpi_kernels.io.array_notes import frame_of
    from qpi_kernels.io.formats.netcdf import save_scan
    from qpi_kernels.simulate.scan.samples import ag111_map

    typer.echo("simulating a noisy Ag(111)-like dI/dV map with known defects and kernel ...")
    sample = ag111_map()
    observation = sample["didv"]
    typer.echo("finding defects ...")
    defects = snap_positions(observation, detect_defects(observation))
    typer.echo("extracting the kernel ...")
    result = extract(observation, defects, kernel_shape=(_KERNEL_PX, _KERNEL_PX), background="rows")
    summary = _summary(sample, defects, result)
    try:
        output.mkdir(parents=True, exist_ok=True)
        save_scan(sample[["didv"]], output / "observation.nc")
        defects.to_csv(output / "defects.csv", frame=frame_of(sample))
        result.save(output / "kernel.nc")
        (output / "summary.txt").write_text(summary, encoding="utf-8")
    except OSError as error:
        raise stop_with(f"{output}: {error.strerror or error}") from error
    typer.echo(summary)
    typer.echo(f"written to {output}: observation.nc, defects.csv, kernel.nc, summary.txt")
    if headless or not _has_display():
        typer.echo("no window opened; on a desktop this command shows the result in napari")
        return
    # In a process of its own, for a broken window system ends the process that asks for one.
    shown = subprocess.run(
        [sys.executable, "-m", "napari_qpi.demonstration", str(output)], check=False
    )
    if shown.returncode:
        raise stop_with(
            "napari could not open; install it with `pip install 'napari-qpi[all]'`, or use "
            "--headless"
        )


def _summary(sample: xr.Dataset, defects: Defects, result: KernelResult) -> str:
    """Compare found defects and kernel with the truth."""
    import numpy as np

    true = sample["defect_position"].values
    away = np.hypot(*(true[:, None, :] - defects.positions[None, :, :]).transpose(2, 0, 1))
    hit = away.min(axis=1) < 2.0
    inside = ((true > -0.5) & (true < np.array(sample["didv"].shape) - 0.5)).all(axis=1)
    kernel = result.kernel.values.ravel()
    similarity = np.corrcoef(kernel, sample["kernel_true"].values.ravel())[0, 1]
    lines = [
        f"defects found: {int((hit & inside).sum())} of the {int(inside.sum())} inside the map, "
        f"{int((away.min(axis=0) >= 2.0).sum())} false, "
        f"{np.sqrt((away.min(axis=1)[hit] ** 2).mean()):.2f} px (rms) from the true places",
        f"correlation of the {_KERNEL_PX} x {_KERNEL_PX} kernel with the true one: "
        f"{similarity:.3f}",
        *result.quality.verdict,
    ]
    return "\n".join(lines) + "\n"


def _has_display() -> bool:
    """Tell whether there is a screen to open a window on."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
