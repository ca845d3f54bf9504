"""Read a whole data set of kernels, observations and scatterers from a folder of files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from qpi_kernels.simulate.datasets.labels import (
    DatasetRecord,
    KernelLabels,
    published_fold,
    read_record,
)
from qpi_kernels.simulate.datasets.netcdf_layout import is_netcdf_name, read_netcdf
from qpi_kernels.simulate.datasets.public_layout import (
    kernel_number,
    pixel_positions,
    read_public_csv,
)
from qpi_kernels.simulate.datasets.public_lines import DatasetFormatError

__all__ = ["read_qpi_dataset"]

Images = NDArray[np.float32]

_NOISY = re.compile("nois[ey]", re.IGNORECASE)
_PUBLIC_NUMBERS = range(1, 101)


@dataclass(frozen=True, eq=False)
class _Kernel:
    """One kernel's contents, whatever the format of its file; see `read_qpi_dataset`."""

    path: Path
    number: int
    axis_nm: NDArray[np.float64]
    image: Images
    positions: NDArray[np.float64]
    labels: KernelLabels | None
    read_clean: Callable[[], Images]
    read_noisy: Callable[[], Images] | None


def read_qpi_dataset(path: str | Path, *, lazy: bool = True) -> xr.Dataset:
    """Read a data set in the public CSV layout or in our NetCDF files.

    Parameters
    ----------
    path : path-like
        One kernel's file, or a folder that is searched with all folders in it. CSV files count
        when they are named ``Kernel number{X} ....csv``, NetCDF files when named
        ``kernel_001.nc`` and so on; everything else is ignored. If a folder holds the same
        kernels in both formats, NetCDF is read.

        CSV files that have "noise" or "noisy" in their name or in the name of a folder inside
        `path` are the noisy images of the kernels with the same numbers; where there are no
        others they are the observations.
    lazy : bool
        True leaves the images on disk, as dask arrays with one chunk for each kernel's file:
        50 000 images need no memory, but a look at one image reads its whole file, which takes
        about half a second for CSV and a tenth of that for NetCDF. False reads all at once.

    Returns
    -------
    xarray.Dataset
        Kernels in the order of their numbers; images have row 0 at the smallest y, and the public
        files do not say which way y points on a screen.

        ``kernel_true`` (kernel, y, x)
            Single-scatterer images, float32.
        ``observation``, ``observation_noisy`` (kernel, sample, y, x)
            Clean images and, if there are any, noisy ones; float32, NaN beyond a kernel's
            ``sample_count``.
        ``position`` (kernel, sample, defect, axis)
            Sub-pixel (row, col) in pixels of the image, NaN where unused. See
            `qpi_kernels.simulate.datasets.observations.dataset_defects` before convolving.
        ``sample_count`` (kernel)
            Number of observations.
        ``fold`` (kernel)
            Rotational symmetry 2, 3, 4 or 6; 1 is isotropic, 0 unknown. From the data set's own
            labels; files numbered from 1 to 100 without labels are taken for the public data set
            and get its published labels. The attribute ``fold_source`` tells.
        ``family``, ``split``, ``family_split``, ``seed``, ``parameters`` (kernel)
            The other labels of `KernelLabels`, where the data set has them; ``seed`` is -1 where
            unknown and ``parameters`` is JSON text.

        Coordinates: ``x``, ``y`` in nm as the files give them, ``number`` (kernel). Attributes:
        ``source``, ``format``, ``fold_source``, ``kernel_centre_px``, the (row, col) of
        coordinate 0, where the scatterer of ``kernel_true`` lies, and ``protocol``, JSON text on
        how the data set was made, if known.

    Raises
    ------
    DatasetFormatError
        If there is no such file, a file is damaged (a damaged pixel shows when the images are
        read), kernels differ in geometry, or two files hold the same kernel.
    FileNotFoundError
        If `path` does not exist.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    netcdf, csv = _find(path)
    if netcdf:
        kernels = [_from_netcdf(file) for file in netcdf]
        format = "NetCDF"
    else:
        kernels = _from_csv(csv, path)
        format = "public CSV"
    kernels.sort(key=lambda kernel: kernel.number)
    _check_alike(kernels)
    if netcdf and not {kernel.number for kernel in kernels}.issuperset(map(kernel_number, csv)):
        reason = (
            "holds other kernels as CSV than as NetCDF; if napari-qpi simulate made it, the same "
            "command completes it, else open the folder of the CSV files alone"
        )
        raise DatasetFormatError(path, reason)
    dataset = _assembled(kernels).assign_attrs(source=str(path), format=format)
    record = read_record(kernels[0].path.parent)
    if record is not None and record.protocol:
        dataset.attrs["protocol"] = json.dumps(record.protocol)
    return dataset if lazy else dataset.load()


def _find(path: Path) -> tuple[list[Path], list[Path]]:
    """List NetCDF and CSV files."""
    if path.is_file():
        is_netcdf = path.suffix.lower() == ".nc"
        return ([path], []) if is_netcdf else ([], [path])
    files = sorted(file for file in path.rglob("*") if file.is_file())
    netcdf = [file for file in files if is_netcdf_name(file)]
    csv = [file for file in files if kernel_number(file) is not None]
    if not netcdf and not csv:
        reason = (
            "holds neither 'Kernel number1 ....csv' nor 'kernel_001.nc'; choose the folder with "
            "the unpacked data set"
        )
        raise DatasetFormatError(path, reason)
    return netcdf, csv


def _from_netcdf(path: Path) -> _Kernel:
    """Read a kernel from its NetCDF file, its observations on demand."""
    file = read_netcdf(path)
    return _Kernel(
        path=path,
        number=file.number,
        axis_nm=file.axis,
        image=file.kernel,
        positions=file.positions,
        labels=file.labels,
        read_clean=file.read_observations,
        read_noisy=partial(file.read_observations, noisy=True) if file.has_noisy else None,
    )


def _from_csv(paths: list[Path], root: Path) -> list[_Kernel]:
    """Read the files of clean images and find each one's noisy partner."""
    noisy = {path for path in paths if _is_noisy(path, root)}
    if len(noisy) == len(paths):
        noisy = set()
    partners = _by_number(noisy)
    clean = _by_number(path for path in paths if path not in noisy)
    lonely = sorted(clean.keys() ^ partners.keys())
    if partners and lonely:
        reason = f"kernel {lonely[0]} is either clean or noisy; add what is missing or remove it"
        raise DatasetFormatError(root, reason)
    records = {folder: read_record(folder) for folder in {path.parent for path in clean.values()}}
    return [
        _from_one_csv(path, partners.get(number), records[path.parent])
        for number, path in clean.items()
    ]


def _is_noisy(path: Path, root: Path) -> bool:
    """Tell whether a file lies in a folder of noisy observations."""
    inside = path.relative_to(root) if path != root else Path()
    return any(_NOISY.search(part) for part in inside.parts)


def _by_number(paths: Iterable[Path]) -> dict[int, Path]:
    """Order files by the number of their kernel; refuse two of one number."""
    found: dict[int, Path] = {}
    for path in paths:
        number = kernel_number(path) or 0
        if number in found:
            reason = f"the same kernel as {found[number]}; open the folder of one of the two"
            raise DatasetFormatError(path, reason)
        found[number] = path
    return found


def _from_one_csv(path: Path, noisy: Path | None, record: DatasetRecord | None) -> _Kernel:
    """Read a kernel from its CSV file and the record beside it."""
    file = read_public_csv(path)
    labels = None
    if record is not None:
        labels = record.kernels.get(file.number)
        if labels is None:
            reason = f"dataset.json has no entry for kernel {file.number}; add it or remove one"
            raise DatasetFormatError(path, reason)
    positions = pixel_positions(file.positions, file.axis)
    return _Kernel(
        path=path,
        number=file.number,
        axis_nm=file.axis / 10,
        image=file.kernel,
        positions=positions,
        labels=labels,
        read_clean=file.read_observations,
        read_noisy=partial(_read_noisy, noisy, positions) if noisy else None,
    )


def _read_noisy(path: Path, positions: NDArray[np.float64]) -> Images:
    """Read a noisy file; the scatterers of its images must be those of the clean ones."""
    file = read_public_csv(path)
    found = pixel_positions(file.positions, file.axis)
    if found.shape != positions.shape or not np.allclose(
        found, positions, rtol=0, atol=1e-2, equal_nan=True
    ):
        reason = "its scatterers are not those of the clean images; open the folders one by one"
        raise DatasetFormatError(path, reason)
    return file.read_observations()


def _check_alike(kernels: list[_Kernel]) -> None:
    """Refuse kernels on other pixels, numbered twice, or only in part with noisy images."""
    first = kernels[0]
    pitch = first.axis_nm[1] - first.axis_nm[0]
    for kernel, before in zip(kernels[1:], kernels, strict=False):
        if kernel.number == before.number:
            reason = f"the same kernel as {before.path}; open the folder of one of the two"
            raise DatasetFormatError(kernel.path, reason)
        same = kernel.axis_nm.shape == first.axis_nm.shape
        if not same or np.abs(kernel.axis_nm - first.axis_nm).max() > 0.01 * pitch:
            reason = f"other pixel coordinates than {first.path.name}; keep them in two folders"
            raise DatasetFormatError(kernel.path, reason)
        if (kernel.read_noisy is None) != (first.read_noisy is None):
            reason = f"unlike {first.path.name} in having or lacking noisy images; part the two"
            raise DatasetFormatError(kernel.path, reason)


def _assembled(kernels: list[_Kernel]) -> xr.Dataset:
    """Assemble kernels into a data set whose observations are lazy."""
    counts = [len(kernel.positions) for kernel in kernels]
    samples, side = max(counts), len(kernels[0].axis_nm)
    defects = max(kernel.positions.shape[1] for kernel in kernels)
    position = np.full((len(kernels), samples, defects, 2), np.nan)
    for place, kernel in zip(position, kernels, strict=True):
        place[: len(kernel.positions), : kernel.positions.shape[1]] = kernel.positions
    axis_nm = kernels[0].axis_nm
    pitch = (axis_nm[-1] - axis_nm[0]) / (side - 1)
    centre = float(-axis_nm[0] / pitch)
    shape = (samples, side, side)
    variables: dict[str, Any] = {
        "kernel_true": (("kernel", "y", "x"), np.stack([kernel.image for kernel in kernels])),
        "observation": _lazy_images([kernel.read_clean for kernel in kernels], shape),
        "position": (("kernel", "sample", "defect", "axis"), position, {"units": "pixel"}),
        "sample_count": ("kernel", np.array(counts)),
    }
    if kernels[0].read_noisy is not None:
        noisy = [kernel.read_noisy for kernel in kernels if kernel.read_noisy is not None]
        variables["observation_noisy"] = _lazy_images(noisy, shape)
    labels, fold_source = _labels(kernels)
    return xr.Dataset(
        {**variables, **labels},
        coords={
            "number": ("kernel", np.array([kernel.number for kernel in kernels])),
            **{name: (name, axis_nm, {"units": "nm"}) for name in ("y", "x")},
        },
        attrs={"fold_source": fold_source, "kernel_centre_px": (centre, centre)},
    )


def _lazy_images(
    readers: list[Callable[[], Images]], shape: tuple[int, int, int]
) -> tuple[tuple[str, ...], Any]:
    """Describe the images as a dask array with one chunk for each file."""
    # dask takes a fifth of a second to import, which other simulations need not wait for.
    import dask.array
    from dask.delayed import delayed

    dask_array: Any = dask.array
    blocks = [
        dask_array.from_delayed(delayed(partial(_padded, read, shape))(), shape, np.float32)
        for read in readers
    ]
    return ("kernel", "sample", "y", "x"), dask_array.stack(blocks)


def _padded(read: Callable[[], Images], shape: tuple[int, int, int]) -> Images:
    """Read images, and pad them with NaN to the common number of samples."""
    images = read()
    if len(images) == shape[0]:
        return images
    padded = np.full(shape, np.nan, np.float32)
    padded[: len(images)] = images
    return padded


def _labels(kernels: list[_Kernel]) -> tuple[dict[str, Any], str]:
    """Gather the labels as variables over the kernels, and tell where the folds are from."""
    known = [kernel.labels or KernelLabels() for kernel in kernels]
    folds = [label.fold for label in known]
    source = "labels of the data set" if any(folds) else "unknown"
    if all(kernel.labels is None and kernel.number in _PUBLIC_NUMBERS for kernel in kernels):
        folds = [published_fold(kernel.number) for kernel in kernels]
        source = "published labels of the public data set"
    variables: dict[str, Any] = {"fold": ("kernel", np.array(folds))}
    for name in ("family", "split", "family_split"):
        texts = [getattr(label, name) for label in known]
        if any(texts):
            variables[name] = ("kernel", np.array(texts))
    if any(label.seed is not None for label in known):
        seeds = [-1 if label.seed is None else label.seed for label in known]
        variables["seed"] = ("kernel", np.array(seeds))
    if any(label.parameters for label in known):
        texts = [json.dumps(label.parameters) for label in known]
        variables["parameters"] = ("kernel", np.array(texts))
    return variables, source
