"""Files, maps, planes and masks that the command line names."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.extraction.bias_planes import BiasRangeError, planes_in_range

__all__ = [
    "CommandError",
    "choose_channel",
    "choose_planes",
    "clearest_plane",
    "expand",
    "is_result",
    "read_mask",
]

# Files that lie beside scans and are none, so that folders can be given whole; .mtrx are the
# parameter files of Omicron Matrix, whose data end in _mtrx.
_NEVER_SCANS = {
    ".csv",
    ".json",
    ".md",
    ".txt",
    ".png",
    ".jpg",
    ".pdf",
    ".py",
    ".zip",
    ".ini",
    ".mtrx",
}


class CommandError(ValueError):
    """A command can not be done as given; the message says what to change."""


def expand(words: Sequence[Path], recursive: bool) -> list[Path]:
    """Find the files meant by paths, folders and globs.

    Parameters
    ----------
    words : sequence of Path
        Files stay as they are, even if they do not exist, so that the error names them. A
        folder stands for the scans in it: hidden files, results of ours and what is known to be
        no scan (text, pictures) are passed over. Globs serve shells that do not expand them.
    recursive : bool
        Whether folders below count too; in a glob ``**`` always does.

    Raises
    ------
    CommandError
        If nothing is found.
    """
    found: list[Path] = []
    for word in words:
        if word.is_dir():
            inside = word.rglob("*") if recursive else word.glob("*")
            found += sorted(path for path in inside if _may_be_scan(path, word))
        elif not word.exists() and glob.has_magic(str(word)):
            matches = sorted(Path(match) for match in glob.glob(str(word), recursive=True))
            found += [path for path in matches if path.is_file()]
        else:
            found.append(word)
    if not found:
        raise CommandError(f"no files in {', '.join(str(word) for word in words)}")
    return list(dict.fromkeys(found))


def _may_be_scan(path: Path, folder: Path) -> bool:
    """Tell whether a file of a folder is to be tried as a scan."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return (
        path.is_file()
        and not hidden
        and path.suffix.lower() not in _NEVER_SCANS
        and (not is_result(path))
    )


def is_result(path: Path) -> bool:
    """Tell whether a file is a kernel that we saved."""
    from qpi_kernels.io.stored import holds_type

    return holds_type(path, "KernelResult")


def choose_channel(scan: xr.Dataset, name: str | None) -> xr.DataArray:
    """Choose a map by its variable's name or the instrument's own; the main one without a name.

    Raises
    ------
    CommandError
        If there is no such channel, or none at all.
    """
    from qpi_kernels.io import main_channel

    images = {str(key): value for key, value in scan.items() if {"y", "x"} <= set(value.dims)}
    if not images:
        raise CommandError("this scan holds no image channel, only curves")
    if name is None:
        return main_channel(scan)
    if name in images:
        return images[name]
    matches = [
        image
        for key, image in images.items()
        if name.lower() in (key.lower(), str(image.attrs.get("long_name", "")).lower())
    ]
    if len(matches) != 1:
        raise CommandError(f"no one channel {name!r}; choose one of {', '.join(images)}")
    return matches[0]


def choose_planes(observation: xr.DataArray, bias: str | None) -> xr.DataArray:
    """Choose planes of a stack by bias.

    Parameters
    ----------
    observation : xarray.DataArray
        ``(y, x)`` or ``(bias, y, x)``.
    bias : str, optional
        In V: ``0.05`` for the nearest plane, ``-0.02:0.1`` for a range (either end may be left
        out; see `planes_in_range`), several of these with commas between. All planes when left
        out.

    Raises
    ------
    CommandError
        If the stack has no bias, the words are no numbers or no plane lies in a range.
    """
    if bias is None:
        return observation
    if "bias" not in observation.dims:
        raise CommandError("--bias chooses planes of a bias stack, and this channel is none")
    known = np.asarray(observation["bias"].values, float)
    chosen: set[int] = set()
    for word in bias.split(","):
        low, is_range, high = word.partition(":")
        try:
            if is_range:
                ends = float(low or "-inf"), float(high or "inf")
                chosen.update(planes_in_range(known, *ends).tolist())
            else:
                chosen.add(int(np.abs(known - float(low)).argmin()))
        except BiasRangeError as error:
            raise CommandError(f"--bias {word}: {error}") from None
        except ValueError:
            raise CommandError(f"--bias {word!r}: give volts, such as 0.05 or -0.02:0.1") from None
    picked = sorted(chosen)
    return observation.isel(bias=picked[0] if len(picked) == 1 else picked)


def clearest_plane(observation: xr.DataArray) -> xr.DataArray:
    """Choose the plane of a stack with the most contrast per noise; a map stays as it is.

    Noise is judged from differences of neighbours along the scan line.
    """
    if observation.ndim == 2:
        return observation
    best, highest = 0, -1.0
    for index in range(observation.shape[0]):
        plane = np.asarray(observation[index].values, float)
        step = np.diff(plane, axis=1)
        noise = float(np.nanmedian(np.abs(step))) if np.isfinite(step).any() else 0.0
        if noise > 0 and (contrast := float(np.nanstd(plane)) / noise) > highest:
            best, highest = index, contrast
    return observation[best]


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask from ``.npy``, ``.tif`` or ``.tiff``: nonzero where a pixel counts.

    Raises
    ------
    CommandError
        If the file is neither, or its content is not 2-D.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        elif suffix in (".tif", ".tiff"):
            import tifffile

            values = tifffile.imread(path)
        else:
            raise CommandError(f"{path.name}: masks are read from .npy or .tif")
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, CommandError):
            raise
        raise CommandError(f"{path.name}: not readable as a mask ({error})") from error
    if values.ndim != 2:
        raise CommandError(f"{path.name}: a mask must be 2-D (y, x), not {values.shape}")
    return np.asarray(values != 0)
