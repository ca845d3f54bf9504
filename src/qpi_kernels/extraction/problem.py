"""The checked input of an extraction: observation, defects, mask, parameters and operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from typing_extensions import TypeVar

from qpi_kernels.background import Background, BackgroundKind
from qpi_kernels.defects import Defects
from qpi_kernels.devices import DeviceError, choose_device
from qpi_kernels.extraction.background_choice import PixelLabels, choose_background
from qpi_kernels.extraction.normal_operator import ExactNormal
from qpi_kernels.extraction.parameters import EstimatorParameters, ExtractionError
from qpi_kernels.extraction.symmetrisation import Symmetrisation
from qpi_kernels.forward import ForwardModel
from qpi_kernels.prepare.moved_report.noise_covariance import (
    difference_share,
    known_covariance,
    power_on,
)
from qpi_kernels.prepare.prepared import PreparationError, Prepared, label_image

__all__ = ["ExtractionError", "Parameters", "Planes", "Problem"]

Parameters = TypeVar(
    "Parameters", bound=EstimatorParameters, default=EstimatorParameters, covariant=True
)


@dataclass(frozen=True)
class Planes:
    """Some planes of the observation, centred and scaled to order one.

    Parameters
    ----------
    values : tensor, (plane, rows, columns)
        ``(observation - centre) / scale``, zero where a pixel does not count.
    centre, scale : tensor, (plane, 1, 1)
        In the observation's units.
    """

    values: torch.Tensor
    centre: torch.Tensor
    scale: torch.Tensor


@dataclass(frozen=True)
class Problem(Generic[Parameters]):
    """The input of an estimator, checked once, with the operators that follow from it.

    ``Problem[BayesParameters]`` is one whose parameters have the fields of ``bayes``; a plain
    ``Problem`` shows those that all methods share.

    Parameters
    ----------
    observation : xarray.DataArray
        ``(y, x)`` or ``(bias, y, x)``, numpy or dask.
    defects : Defects
        In pixels of the observation.
    mask : array of bool, (rows, columns)
        True where a pixel counts; False wherever an observed plane holds NaN.
    parameters : EstimatorParameters
        The choices.
    preparation : tuple of mapping
        As `qpi_kernels.prepare.Prepared.history`.
    labels : PixelLabels
        Terraces and scan lines that the preparation tells of.
    noise_covariance : array, optional
        What interpolation made of white noise, see `resampled_covariance`.
    memory_share : float
        Share of the usual work space on a device, less where it proved too small.
    """

    observation: xr.DataArray
    defects: Defects
    mask: NDArray[np.bool_]
    parameters: Parameters
    preparation: tuple[Mapping[str, Any], ...] = ()
    labels: PixelLabels = field(default_factory=PixelLabels)
    noise_covariance: NDArray[np.float64] | None = None
    memory_share: float = 1.0

    @classmethod
    def check(
        cls,
        observation: ArrayLike | xr.DataArray | Prepared,
        defects: Defects | ArrayLike | None,
        mask: ArrayLike | xr.DataArray | None,
        parameters: Parameters,  # type: ignore[misc]  # a constructor may take what it returns
    ) -> Problem[Parameters]:
        """Validate the input of `qpi_kernels.extract`; errors as documented there."""
        prepared = observation if isinstance(observation, Prepared) else None
        if isinstance(observation, Prepared):
            observation = observation.image
        if prepared is not None:
            defects = prepared.defects if defects is None else defects
        labelled = _labelled(observation)
        table = _table(defects)
        if not len(table) and not parameters.finds_defects:
            raise ExtractionError(
                "there are no defects; mark at least one, or use method='blind', which finds them"
            )
        rows, columns = shape = labelled.shape[-2:]
        parameters.check_window((rows, columns))
        counted = _finite_pixels(labelled)
        labels = PixelLabels()
        if prepared is not None:
            labels = PixelLabels.of(prepared)
            counted &= prepared.mask
        if labels.terraces is not None:
            counted &= labels.terraces > 0
        if mask is not None:
            given = np.asarray(mask)
            if given.shape != shape:
                raise ExtractionError(
                    f"the mask has shape {given.shape}, the image {shape}; they must agree"
                )
            if given.dtype != np.bool_ and not np.isin(given, (0, 1)).all():
                raise ExtractionError("the mask must be boolean: True where a pixel counts")
            counted &= given.astype(bool)
        if not counted.any():
            raise ExtractionError("no pixel counts: all are masked or were not measured")
        problem = cls(labelled, table, counted, parameters)
        if prepared is not None:
            problem = replace(
                problem,
                preparation=prepared.history,
                labels=labels,
                noise_covariance=known_covariance(prepared.report),
            )
        problem._check_reach()
        return problem

    def _check_reach(self) -> None:
        """Refuse kinds of defect of which no counted pixel can show anything."""
        height, width = self.parameters.kernel_shape
        reach = np.array([height // 2 + 1, width // 2 + 1])
        limits = np.array(self.image_shape)
        for kind in self.defects.kinds:
            points = self.defects.of_kind(kind)
            near = (points.positions > -reach) & (points.positions < limits - 1 + reach)
            if not (near.all(axis=1) & (points.strength != 0)).any():
                raise ExtractionError(
                    f"no defect of kind {kind!r} reaches into the image; positions are (row, col) "
                    f"in pixels of an image of {limits[0]} x {limits[1]}"
                )

    @property
    def image_shape(self) -> tuple[int, int]:
        """(rows, columns) of the observation."""
        rows, columns = self.observation.shape[-2:]
        return rows, columns

    @property
    def plane_dim(self) -> str:
        """Name of the stack's first dimension, ``bias`` unless the observation says otherwise."""
        return str(self.observation.dims[0]) if self.observation.ndim == 3 else "bias"

    @property
    def plane_count(self) -> int:
        """Number of biases, 1 for a single map."""
        return self.observation.shape[0] if self.observation.ndim == 3 else 1

    @cached_property
    def dtype(self) -> torch.dtype:
        """Precision of the computation."""
        choice = self.parameters.dtype
        if choice == "auto":
            single = self.observation.dtype.itemsize <= 4 and self.observation.dtype.kind == "f"
            single &= not self.parameters.needs_double
            choice = "float32" if single or self.device.type == "mps" else "float64"
        return torch.float32 if choice == "float32" else torch.float64

    def in_precision(self, dtype: torch.dtype) -> Problem[Parameters]:
        """Return the same problem, computed in another precision."""
        if dtype == self.dtype:
            return self
        name = "float32" if dtype == torch.float32 else "float64"
        return replace(self, parameters=self.parameters.model_copy(update={"dtype": name}))

    @cached_property
    def device(self) -> torch.device:
        """Device of the computation."""
        try:
            return choose_device(self.parameters.device)
        except DeviceError as error:
            raise ExtractionError(str(error)) from error

    @cached_property
    def model(self) -> ForwardModel:
        """The convolution with the activation maps."""
        return ForwardModel(
            self.defects,
            self.image_shape,
            self.parameters.kernel_shape,
            dtype=self.dtype,
            device=self.device,
        )

    @cached_property
    def mask_tensor(self) -> torch.Tensor:
        """The mask on the device."""
        return torch.from_numpy(self.mask).to(self.device)

    @property
    def background_kind(self) -> BackgroundKind:
        """The background that is fitted, chosen if the parameters leave it open."""
        joint = self.parameters.separates_defects
        return choose_background(self.parameters.background, self.preparation if joint else ())

    @cached_property
    def background(self) -> Background:
        """The background that is fitted together with the kernels."""
        return self.make_background(self.mask_tensor, self.dtype)

    def make_background(self, mask: torch.Tensor, dtype: torch.dtype) -> Background:
        """Make the background on another device or in another precision."""
        terraces, lines = (
            None if labels is None else torch.from_numpy(labels).to(mask.device)
            for labels in (self.labels.terraces, self.labels.lines)
        )
        return Background(self.background_kind, mask, dtype, terraces=terraces, lines=lines)

    @cached_property
    def coverage(self) -> torch.Tensor:
        """Squared strengths of the defects that show each kernel pixel, (kind, h, w)."""
        return self.model.coverage(self.mask_tensor)

    @cached_property
    def symmetrisation(self) -> Symmetrisation:
        """The average over the point group that the parameters impose, or the identity."""
        return Symmetrisation(
            self.parameters.symmetry,
            self.parameters.kernel_shape,
            len(self.model.kinds),
            dtype=self.dtype,
            device=self.device,
        )

    @cached_property
    def normal(self) -> ExactNormal:
        """The normal operator for white noise."""
        return ExactNormal(self.model, self.background)

    @cached_property
    def known_noise_power(self) -> NDArray[np.float64] | None:
        """Power that interpolation left of white noise, (rows, columns); None if untouched."""
        if self.noise_covariance is None:
            return None
        return power_on(self.noise_covariance, self.mask)

    @property
    def difference_share(self) -> float:
        """Share of the noise's variance in second differences of neighbours, 1 if white."""
        return 1.0 if self.noise_covariance is None else difference_share(self.noise_covariance)

    @cached_property
    def samples(self) -> int:
        """Independent numbers of a plane: counted pixels less the background's parameters."""
        return int(self.mask.sum()) - self.background.parameters

    def signal(self, index: int) -> torch.Tensor:
        """Load a plane without its background, (rows, columns), in scaled units."""
        return self.background.remove(self.planes(index, index + 1).values)[0]

    def planes(self, start: int, stop: int) -> Planes:
        """Load planes ``start`` to ``stop`` (exclusive) as tensors."""
        data = self.observation.data
        chunk = np.asarray(data if self.observation.ndim == 2 else data[start:stop])
        raw = _tensor(chunk.reshape(-1, self.mask.size))
        # Apple's MPS has no double precision.
        exact = torch.device("cpu") if self.device.type == "mps" else self.device
        raw, places = raw.to(exact), None if self.mask.all() else self._counted_places.to(exact)
        counted = (raw if places is None else raw[:, places]).double()
        # Without a fitted background a constant is part of the kernels' signal and has to stay.
        fitted = self.background_kind != "none"
        centre = counted.mean(dim=1, keepdim=True) * fitted
        scale = (counted - centre).square().mean(dim=1, keepdim=True).sqrt()
        # A constant that is not zero differs from its mean by rounding.
        alive = scale > 1e-13 * centre.abs()
        scale = torch.where(alive, scale, 1.0)
        counted = (torch.where(alive, counted - centre, 0.0) / scale).to(self.dtype)
        values = counted
        if places is not None:
            values = counted.new_zeros(raw.shape)
            values[:, places] = counted
        values = values.view(-1, *self.image_shape).to(self.device)
        centre, scale = (one.to(self.device, self.dtype)[..., None] for one in (centre, scale))
        return Planes(values, centre, scale)

    @cached_property
    def _counted_places(self) -> torch.Tensor:
        """Places of the counted pixels in a flattened plane, on the device."""
        return torch.from_numpy(np.flatnonzero(self.mask)).to(self.device)


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    """Make a tensor on the memory of floats; copy other numbers to double precision."""
    known = array.dtype in (np.float32, np.float64) and array.dtype.isnative
    # torch warns of memory that may not be written to.
    return torch.from_numpy(np.require(array, None if known else np.float64, ["C", "W"]))


def _table(defects: Defects | ArrayLike | None) -> Defects:
    """Take positions for defects of one kind and strength."""
    if isinstance(defects, Defects):
        return defects
    return Defects(np.zeros((0, 2)) if defects is None else defects)


def _labelled(observation: ArrayLike | xr.DataArray) -> xr.DataArray:
    """Label the observation as a DataArray with dims (y, x) or (bias, y, x)."""
    try:
        observation = label_image(observation)
    except PreparationError as error:
        raise ExtractionError(str(error)) from error
    if observation.dims[0] == "kind":
        raise ExtractionError(
            f"an image must have the dims (y, x) or (bias, y, x), not {observation.dims}"
        )
    if observation.dtype.kind not in "fiub":
        raise ExtractionError(f"the observation must be real numbers, not {observation.dtype}")
    if 0 in observation.shape:
        raise ExtractionError("the observation is empty")
    return observation


def _finite_pixels(observation: xr.DataArray) -> NDArray[np.bool_]:
    """Find the pixels at which every plane has a number."""
    finite = np.ones(observation.shape[-2:], bool)
    if observation.dtype.kind != "f":
        return finite
    if observation.ndim == 2:
        return np.asarray(np.isfinite(np.asarray(observation.data)))
    for index in range(observation.shape[0]):
        plane = np.isfinite(np.asarray(observation.data[index]))
        if not plane.any():
            raise ExtractionError(
                f"the plane with index {index} holds no numbers; choose biases without it"
            )
        finite &= plane
    return finite
