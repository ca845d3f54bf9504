"""Show what ``napari-qpi demo`` made: ``python -m napari_qpi.demonstration FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["open_demo", "show"]


def open_demo(folder: Path) -> object:
    """Open the folder's observation, defects and kernel in a new viewer and give the viewer.

    Parameters
    ----------
    folder : Path
        Holds ``observation.nc``, ``defects.csv`` and ``kernel.nc``.
    """
    import napari

    from napari_qpi.layers import add_layers, points_from_defects, result_layers
    from napari_qpi.readers import read_layers
    from qpi_kernels.defects import Defects
    from qpi_kernels.result import KernelResult

    viewer = napari.Viewer(title="napari-qpi demo")
    (image,) = add_layers(viewer, read_layers(str(folder / "observation.nc")))
    defects = Defects.from_csv(folder / "defects.csv")
    add_layers(viewer, [points_from_defects(defects, image, name="defects")])
    add_layers(viewer, result_layers(KernelResult.load(folder / "kernel.nc"), image))
    viewer.reset_view()
    return viewer


def show(folder: Path) -> None:
    """Open the demo and stay until its window is closed."""
    import napari

    open_demo(folder)
    napari.run()


if __name__ == "__main__":
    show(Path(sys.argv[1]))
