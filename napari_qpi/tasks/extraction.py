"""`ExtractionInput`: everything an extraction needs, copied from the layers before it starts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray

from napari_qpi.layers.conversion import (
    defects_from_points,
    detached,
    mask_from_layer,
    observation_from_layer,
)
from napari_qpi.layers.prepared import PreparationRecord, prepared_of, record_of
from napari_qpi.layers.scan_source import ScanSource
from napari_qpi.tasks.job import load_torch
from qpi_kernels.defects import Defects
from qpi_kernels.extraction import EstimatorParameters, Extraction
from qpi_kernels.extraction.bias_planes import planes_in_range
from qpi_kernels.prepare import Prepared

__all__ = ["ExtractionInput", "chosen_planes"]

_NO_DEFECTS = Defects(np.zeros((0, 2)))


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
    prepared : Prepared or None
        The observation with its mask and history, where a preparation made it.
    record : PreparationRecord or None
        What that preparation was given.
    own_mask : bool
        Whether `mask` is another one than the preparation made.
    """

    image: Image
    observation: xr.DataArray
    planes: list[int] | None
    defects: Defects
    mask: NDArray[np.bool_] | None
    parameters: EstimatorParameters
    source: ScanSource | None
    prepared: Prepared | None = None
    record: PreparationRecord | None = None
    own_mask: bool = False

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
            Marks what does not count; left out, the mask of a prepared image counts.
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
        mask = None if excluded is None else mask_from_layer(excluded, image)
        defects = _NO_DEFECTS if points is None else defects_from_points(points, image)
        prepared, own_mask = prepared_of(image), False
        if prepared is not None:
            own_mask = mask is not None and not np.array_equal(mask, prepared.mask)
            mask = prepared.mask if mask is None else mask
            prepared = replace(prepared, image=observation, mask=mask, defects=defects)
        record, source = record_of(image), ScanSource.of(image)
        observation = _with_raw_file(observation, source, record)
        if prepared is not None:
            prepared = replace(prepared, image=observation)
        return cls(
            image=detached(image, observation.data),
            observation=observation,
            planes=planes,
            defects=defects,
            mask=mask,
            parameters=parameters,
            source=source,
            prepared=prepared,
            record=record,
            own_mask=own_mask,
        )

    def start(self) -> Extraction:
        """Check the input and give the stepper; call this in the worker, it may import torch."""
        load_torch()
        from qpi_kernels.extraction import start_extraction

        return start_extraction(
            self.prepared or self.observation,
            self.defects,
            mask=self.mask,
            parameters=self.parameters,
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


def _with_raw_file(
    observation: xr.DataArray, source: ScanSource | None, record: PreparationRecord | None
) -> xr.DataArray:
    """Name the scan file and the channel behind an image, for the provenance."""
    while record is not None:
        source, record = record.source, record.before
    if source is None:
        return observation
    return observation.rename(source.channel).assign_attrs(file=source.path)
