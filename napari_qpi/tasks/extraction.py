"""`ExtractionInput`: everything an extraction needs, copied from the layers before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray

from napari_qpi.layers.conversion import (
    METADATA_KEY,
    defects_from_points,
    image_id,
    mask_from_layer,
    observation_from_layer,
)
from napari_qpi.layers.geometry import layer_geometry
from napari_qpi.tasks.job import load_torch
from qpi_kernels.defects import Defects
from qpi_kernels.extraction import EstimatorParameters, Extraction
from qpi_kernels.extraction.bias_planes import planes_in_range

__all__ = ["ExtractionInput", "ScanSource", "chosen_planes"]

_NO_DEFECTS = Defects(np.zeros((0, 2)))


@dataclass(frozen=True)
class ScanSource:
    """Where an image's numbers can be read again.

    Parameters
    ----------
    path : str
        A scan file that `qpi_kernels.open_scan` reads.
    channel : str
        Variable of the data set.
    bias_reversed : bool
        Whether the layer shows the planes in the opposite order.
    """

    path: str
    channel: str
    bias_reversed: bool

    @classmethod
    def of(cls, image: Image) -> ScanSource | None:
        """Find the file a layer was read from; None when it is no scan file."""
        known = image.metadata.get(METADATA_KEY, {})
        path, channel = image.source.path, known.get("channel")
        if not path or not channel or known.get("role") != "channel":
            return None
        return cls(str(path), str(channel), bool(known.get("bias_reversed")))


@dataclass(frozen=True)
class ExtractionInput:
    """A copy of all that an extraction depends on; layers may change or go meanwhile.

    Parameters
    ----------
    image : napari.layers.Image
        A copy of the layer that is in no viewer: name, place and look for the results.
    observation : xarray.DataArray
        The chosen planes, ``(y, x)`` or ``(bias, y, x)``.
    planes : list of int or None
        Indices of these planes in the layer, rising; None for a map.
    defects : Defects
        In pixels of the observation; none where the method finds them.
    mask : array of bool, (y, x), or None
        True where a pixel counts.
    parameters : EstimatorParameters
        The choices.
    source : ScanSource or None
        Where the observation can be read again.
    """

    image: Image
    observation: xr.DataArray
    planes: list[int] | None
    defects: Defects
    mask: NDArray[np.bool_] | None
    parameters: EstimatorParameters
    source: ScanSource | None

    @classmethod
    def copy_from(
        cls,
        image: Image,
        points: Points | None,
        parameters: EstimatorParameters,
        *,
        excluded: Layer | None = None,
        bias_range: tuple[float, float] | None = None,
    ) -> ExtractionInput:
        """Copy from layers; call this in the GUI thread.

        Parameters
        ----------
        image : napari.layers.Image
            Observation.
        points : napari.layers.Points or None
            Defects; None where the method finds them.
        parameters : EstimatorParameters
            The choices.
        excluded : napari.layers.Layer, optional
            Marks what does not count.
        bias_range : tuple of float, optional
            Lowest and highest bias of a stack.

        Raises
        ------
        LayerConversionError
            If a layer can not be used.
        ExtractionError
            If the kernel window is larger than the image, or no plane lies in the range.
        """
        observation = observation_from_layer(image)
        rows, columns = observation.shape[-2:]
        parameters.check_window((rows, columns))
        planes = None
        if "bias" in observation.dims:
            planes = chosen_planes(observation, bias_range)
            observation = observation.isel(bias=planes)
        elif not hasattr(observation.data, "dask"):
            observation = observation.copy(deep=True)
        return cls(
            image=_detached(image, observation.data),
            observation=observation,
            planes=planes,
            defects=_NO_DEFECTS if points is None else defects_from_points(points, image),
            mask=None if excluded is None else mask_from_layer(excluded, image),
            parameters=parameters,
            source=ScanSource.of(image),
        )

    def start(self) -> Extraction:
        """Check the input and give the stepper; call this in the worker, it may import torch."""
        load_torch()
        from qpi_kernels.extraction import start_extraction

        return start_extraction(
            self.observation, self.defects, mask=self.mask, parameters=self.parameters
        )


def chosen_planes(observation: xr.DataArray, bias_range: tuple[float, float] | None) -> list[int]:
    """Choose planes of a ``(bias, y, x)`` stack, all of them without a range.

    Raises
    ------
    BiasRangeError
        If no plane lies in the range; see `planes_in_range`.
    """
    biases = observation["bias"].values
    if bias_range is None:
        return list(range(len(biases)))
    chosen: list[int] = planes_in_range(biases, *bias_range).tolist()
    return chosen


def _detached(image: Image, data: Any) -> Image:
    """Copy name, place and look of an image to a layer that is in no viewer."""
    known = {**image.metadata.get(METADATA_KEY, {}), "copy_of": image_id(image)}
    return Image(
        data,
        name=image.name,
        colormap=image.colormap,
        contrast_limits=list(image.contrast_limits),
        metadata={**image.metadata, METADATA_KEY: known},
        **layer_geometry(image, data.ndim),
    )
