"""Stacks become movies whose frames say bias and colours."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import animation
from PIL import Image

from qpi_kernels.inspect import energy_movie
from qpi_kernels.inspect.figures.kind import FigureError
from qpi_kernels.inspect.figures.movie import frame_title
from shared.results import planted_result


def test_a_gif_has_a_frame_for_each_plane(tmp_path):
    stack = planted_result(biases=(0.1, 0.0, 0.05)).kernel
    path = energy_movie(stack, tmp_path / "k.gif", frames_per_second=4, width=40.0)
    with Image.open(path) as movie:
        assert movie.n_frames == 3
        assert movie.info["duration"] == 250
        frames = []
        for index in range(3):
            movie.seek(index)
            frames.append(np.asarray(movie.convert("RGB"), float))
    assert all((frames[0] != other).any() for other in frames[1:])
    assert list(tmp_path.iterdir()) == [path]


def test_frames_say_bias_and_limits():
    stack = planted_result(biases=(0.1, 0.0)).kernel
    assert frame_title(stack[0], (-1.25, 1.25)) == "100 mV; colours -1.25 to 1.25"
    bare = stack.rename(bias="plane").assign_coords(plane=[4, 5])
    assert frame_title(bare[1], (0, 1)).startswith("plane 5")


@pytest.mark.skipif(not animation.FFMpegWriter.isAvailable(), reason="needs ffmpeg")
def test_an_mp4_is_written_where_there_is_an_encoder(tmp_path):
    stack = planted_result(biases=(0.1, 0.0)).kernel
    path = energy_movie(stack, tmp_path / "k.mp4", width=41.0, each=True)
    assert path.read_bytes()[4:8] == b"ftyp"


def test_mistakes_are_told(tmp_path):
    kernel = planted_result().kernel
    with pytest.raises(FigureError, match="stack"):
        energy_movie(kernel, tmp_path / "k.gif")
    with pytest.raises(FigureError, match=r"\.gif or \.mp4"):
        energy_movie(kernel, tmp_path / "k.avi")
