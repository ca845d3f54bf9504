"""Crops of the photographs that come with scikit-image: pictures to pre-train on, anywhere."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.io import imread

__all__ = ["photograph_crops"]

# In the wheel itself; `skimage.data` would download those that are not.
_NAMES = (
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png"),
    *("coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png"),
    *("motorcycle_left.png", "retina.jpg", "rocket.jpg"),
)


def photograph_crops(count: int, side: int = 64, seed: int = 0) -> NDArray[np.float32]:
    """Cut squares from photographs, shrunk by 1 to 3 so that there is something in each.

    Parameters
    ----------
    count : int
        Number of crops.
    side : int
        Height and width in px.
    seed : int
        Seed of the photographs, places and scales.

    Returns
    -------
    array, (count, side, side)
        Grey values minus their mean, largest absolute value 1.

    Raises
    ------
    FileNotFoundError
        If this build of scikit-image comes without photographs.
    """
    folder = files("skimage") / "data"
    pictures = []
    for name in _NAMES:
        if (folder / name).is_file():
            picture = imread(str(folder / name))
            pictures.append(rgb2gray(picture[..., :3]) if picture.ndim == 3 else picture / 255)
    if not pictures:
        raise FileNotFoundError("this build of scikit-image comes without photographs")
    rng = np.random.default_rng([seed, 64])
    crops = np.empty((count, side, side), np.float32)
    made = 0
    while made < count:
        picture = pictures[int(rng.integers(len(pictures)))]
        shrink = int(rng.integers(1, 4))
        extent = shrink * side
        if min(picture.shape) < extent:
            continue
        row, col = (int(rng.integers(size - extent + 1)) for size in picture.shape)
        square = picture[row : row + extent, col : col + extent]
        crop = square.reshape(side, shrink, side, shrink).mean(axis=(1, 3))
        crop = crop - crop.mean()
        peak = np.abs(crop).max()
        if peak < 0.02:
            continue
        crops[made] = crop / peak
        made += 1
    return crops
