"""Show what ``napari-qpi demo`` made: ``python -m napari_qpi.demonstration FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["add_demo", "show"]


def add_demo(viewer: ViewerModel, folder: Path) -> None:
    """Add the folder's observation, defects and kernel to a viewer.

    Parameters
    ----------
    viewer : napari.Viewer
        The viewer.
    folder : Path
        Holds ``observation.nc``, ``defects.csv`` and ``kernel.nc``.
    """
    from napari_qpi.layers.conversion import add_layers, points_from_defects
    from napari_qpi.layers.result import show_result
    from napari_qpi.readers import read_layers
    from qpi_kernels.defects import Defects
    from qpi_kernels.result import KernelResult

    (image,) = add_layers(viewer, read_layers(str(folder / "observation.nc")))
    defects = Defects.from_csv(folder / "defects.csv")
    add_layers(viewer, [points_from_defects(defects, image, name="defects")])
    show_result(viewer, KernelResult.load(folder / "kernel.nc"), image)
    viewer.reset_view()


def show(folder: Path) -> None:
    """Open the demo in a window of its own and stay until it is closed."""
    import napari

    add_demo(napari.Viewer(title="napari-qpi demo"), folder)
    napari.run()


if __name__ == "__main__":
    show(Path(sys.argv[1]))
