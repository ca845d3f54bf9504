"""Geometry of layers: from scans, from other layers, and between pixel and world.

A geometry is a dict of napari layer arguments (``scale``, ``translate``, ``rotate``, ``shear``,
``affine``, ``units``, ``axis_labels``) of plain lists and strings, so it also fits into JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = [
    "GEOMETRY_KEY",
    "Geometry",
    "PixelToWorld",
    "frame_geometry",
    "is_known_unit",
    "last_axes",
    "layer_geometry",
    "layer_pitch",
    "moved_columns",
    "pixel_to_pixel",
    "placed_anew",
    "plane_geometry",
    "scan_angle_deg",
    "scan_geometry",
    "stack_geometry",
    "unit_factor",
]

Geometry = dict[str, Any]

# Where saved files keep the geometry of the layer they were saved from.
GEOMETRY_KEY = "layer_geometry"


def layer_geometry(source: Layer, ndim: int | None = None) -> Geometry:
    """Copy the arguments that place a layer in the world.

    Parameters
    ----------
    source : napari.layers.Layer
        The layer to copy from.
    ndim : int, optional
        How many of the last axes to keep; all when left out.

    Returns
    -------
    dict
        Arguments for a new layer of that many axes that lies exactly over `source`.

    Raises
    ------
    ValueError
        If `ndim` is larger than the layer's.
    """
    keep = source.ndim if ndim is None else ndim
    if not 1 <= keep <= source.ndim:
        raise ValueError(f"layer {source.name!r} has {source.ndim} axes, {keep} were asked for")
    whole = {
        "scale": np.asarray(source.scale, float).tolist(),
        "translate": np.asarray(source.translate, float).tolist(),
        "rotate": np.asarray(source.rotate, float).tolist(),
        "shear": _shear_matrix(source.shear, source.ndim).tolist(),
        "affine": np.asarray(source.affine.affine_matrix, float).tolist(),
        "units": [str(unit) for unit in source.units],
        "axis_labels": list(source.axis_labels),
    }
    return last_axes(whole, keep)


def last_axes(geometry: Geometry, ndim: int) -> Geometry:
    """Keep the last axes of a geometry.

    Exact as long as the axes left out are not rotated or sheared into those kept.
    """
    sizes = {"rotate": ndim, "shear": ndim, "affine": ndim + 1}
    return {
        name: [row[-sizes[name] :] for row in values[-sizes[name] :]]
        if name in sizes
        else values[-ndim:]
        for name, values in geometry.items()
    }


def _shear_matrix(shear: ArrayLike, ndim: int) -> NDArray[np.float64]:
    values = np.asarray(shear, float)
    if values.ndim == 2:
        return values
    matrix = np.eye(ndim)
    matrix[np.triu_indices(ndim, 1)] = values
    return matrix


def plane_geometry(
    array: xr.DataArray,
    offset_nm: tuple[float, float] = (0.0, 0.0),
    scan_angle_deg: float = 0.0,
) -> Geometry:
    """Place a scan frame in the plane of the sample.

    Parameters
    ----------
    array : xarray.DataArray
        Any channel; its ``y`` and ``x`` coordinates give pitch and unit.
    offset_nm : tuple of float
        Centre of the frame ``(x, y)`` in the instrument's coordinates, y upwards.
    scan_angle_deg : float
        Rotation of the frame, positive clockwise on the screen.

    Returns
    -------
    dict
        Geometry with two axes. The frame's centre lies at the world's
        ``(row, col) = (-offset_y, offset_x)``. A frame of unknown pitch has the unit ``pixel``
        and starts at the origin.
    """
    in_nm = array["x"].attrs.get("units") == "nm" if "x" in array.coords else False
    return frame_geometry(
        (array.sizes["y"], array.sizes["x"]),
        (_pitch(array, "y"), _pitch(array, "x")) if in_nm else None,
        offset_nm,
        scan_angle_deg,
    )


def frame_geometry(
    shape: tuple[int, int],
    pixel_nm: tuple[float, float] | None,
    offset_nm: tuple[float, float] = (0.0, 0.0),
    scan_angle_deg: float = 0.0,
) -> Geometry:
    """Place a frame of ``(rows, columns)`` with the pitch ``(y, x)``; see `plane_geometry`."""
    in_nm = pixel_nm is not None
    pitch = np.array(pixel_nm or (1.0, 1.0))
    # napari turns by +angle from column towards smaller rows: counter-clockwise on the screen.
    angle = -np.deg2rad(scan_angle_deg) if in_nm else 0.0
    rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if in_nm:
        centre = np.array([-offset_nm[1], offset_nm[0]])
        translate = centre - rotate @ (pitch * (np.array(shape) - 1) / 2)
    else:
        translate = np.zeros(2)
    unit = "nm" if in_nm else "pixel"
    return {
        "scale": pitch.tolist(),
        "translate": translate.tolist(),
        "rotate": rotate.tolist(),
        "units": [unit, unit],
        "axis_labels": ["y", "x"],
    }


def scan_angle_deg(plane: Geometry) -> float:
    """Return the rotation of a two-axis geometry, positive clockwise on the screen, in degrees."""
    (cosine, _), (sine, _) = plane["rotate"]
    return 0.0 - float(np.rad2deg(np.arctan2(sine, cosine)))


def _pitch(array: xr.DataArray, axis: str) -> float:
    values = np.asarray(array[axis].values, float)
    pitch = abs(float(values[-1] - values[0])) / (len(values) - 1) if len(values) > 1 else 0.0
    # A scale of 0.09999999999999963 is rounding in the coordinates, and ugly to look at.
    return float(f"{pitch:.12g}") if np.isfinite(pitch) and pitch > 0 else 1.0


def stack_geometry(plane: Geometry, array: xr.DataArray) -> Geometry:
    """Put the first axis of a stack in front of a plane.

    Parameters
    ----------
    plane : dict
        Geometry with two axes.
    array : xarray.DataArray
        ``(y, x)``, for which the plane is enough, or a stack whose first coordinate ascends, such
        as ``(bias, y, x)`` or ``(sweep, y, x)``. The coordinate's ``attrs["units"]`` is the axis's
        unit and its ``attrs["long_name"]`` the label (by default the dimension's name). napari's
        axes are uniform, so the mean step is used. Without a coordinate planes are counted.

    Returns
    -------
    dict
        Geometry with as many axes as the array.
    """
    if array.ndim == 2:
        return plane
    name = str(array.dims[0])
    length = array.shape[0]
    axis = array.coords.get(name)
    values = np.arange(length, dtype=float) if axis is None else np.asarray(axis.values, float)
    known = {} if axis is None else axis.attrs
    step = float(values[-1] - values[0]) / (length - 1) if length > 1 else 0.0
    first = float(values[0]) if np.isfinite(values[0]) else 0.0
    unit = str(known.get("units", "V" if name == "bias" and axis is not None else "pixel"))
    geometry: Geometry = {
        "scale": [step if np.isfinite(step) and step > 0 else 1.0, *plane["scale"]],
        "translate": [first, *plane["translate"]],
        # napari refuses a unit that it does not know.
        "units": [unit if is_known_unit(unit) else "pixel", *plane["units"]],
        "axis_labels": [str(known.get("long_name") or name), *plane["axis_labels"]],
    }
    for name in ("rotate", "shear", "affine"):
        if name in plane:
            inner = np.asarray(plane[name], float)
            matrix = np.eye(len(inner) + 1)
            matrix[1:, 1:] = inner
            geometry[name] = matrix.tolist()
    return geometry


def scan_geometry(
    array: xr.DataArray,
    offset_nm: tuple[float, float] = (0.0, 0.0),
    scan_angle_deg: float = 0.0,
) -> Geometry:
    """Place a channel with dims ``(y, x)`` or a stack of such with its first axis ascending.

    See `plane_geometry` for the parameters and `stack_geometry` for the third axis.
    """
    return stack_geometry(plane_geometry(array, offset_nm, scan_angle_deg), array)


@dataclass(frozen=True)
class PixelToWorld:
    """The affine map from a layer's pixels to the world, in the plane of its last two axes.

    Parameters
    ----------
    matrix : array, (2, 2)
        Turns and scales ``(row, col)``.
    offset : array, (2,)
        World coordinates of pixel (0, 0): ``world = matrix @ (row, col) + offset``.
    """

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def of(cls, layer: Layer) -> PixelToWorld:
        """Take the map from a layer."""
        offset = np.asarray(layer.data_to_world((0.0, 0.0)), float)[-2:]
        ends = [
            np.asarray(layer.data_to_world(step), float)[-2:] for step in ((1.0, 0.0), (0.0, 1.0))
        ]
        return cls(np.stack(ends, axis=1) - offset[:, None], offset)

    def same_as(self, other: PixelToWorld) -> bool:
        """Compare with another map, to a thousandth of a pixel."""
        size = float(np.abs(self.matrix).max())
        return np.allclose(self.matrix, other.matrix, rtol=0, atol=1e-6 * size) and np.allclose(
            self.offset, other.offset, rtol=0, atol=1e-3 * size
        )

    def scaled(self, factor: float) -> PixelToWorld:
        """Give the same map in another unit of length."""
        return PixelToWorld(self.matrix * factor, self.offset * factor)

    def to_world(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Convert ``(N, 2)`` pixel positions to the world."""
        world: NDArray[np.float64] = np.asarray(positions, float) @ self.matrix.T + self.offset
        return world

    def to_pixels(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Convert ``(N, 2)`` world positions to pixels."""
        away = np.asarray(positions, float) - self.offset
        return np.asarray(np.linalg.solve(self.matrix, away.T).T, np.float64)


def pixel_to_pixel(positions: ArrayLike, source: Layer, target: Layer) -> NDArray[np.float64]:
    """Carry ``(N, 2)`` pixel positions of one layer to the pixels of another.

    Layers in different units of length are converted; pixels against nanometres are taken as they
    are, as napari shows them.
    """
    factors = [unit_factor(layer.units[-1], "nm") for layer in (source, target)]
    if None in factors:
        factors = [1.0, 1.0]
    maps = [
        PixelToWorld.of(layer).scaled(factor or 1.0)
        for layer, factor in zip((source, target), factors, strict=True)
    ]
    return maps[1].to_pixels(maps[0].to_world(positions))


def is_known_unit(unit: str) -> bool:
    """Return whether napari's unit registry knows a unit."""
    import pint

    registry: Any = pint.application_registry
    try:
        registry.Unit(unit)
    except Exception:  # pint's parser raises errors of many kinds, tokenize's among them
        return False
    return bool(unit.strip())


def unit_factor(unit: Any, target: str) -> float | None:
    """Return how many `target` units one `unit` is, None when they measure different things.

    Parameters
    ----------
    unit : pint.Unit or str
        As in ``layer.units``.
    target : str
        ``"nm"`` or ``"V"``.
    """
    import pint

    registry: Any = pint.application_registry
    try:
        return float(registry.Quantity(1.0, str(unit)).to(target).magnitude)
    except (pint.DimensionalityError, pint.UndefinedUnitError):
        return None


def layer_pitch(layer: Layer) -> tuple[tuple[float, float], str]:
    """Measure a layer's pixels.

    Returns
    -------
    tuple of float, str
        Height and width of a pixel and their unit: ``"nm"``, or ``"pixel"`` with pitch 1 when the
        layer's units are not lengths.
    """
    factors = [unit_factor(unit, "nm") for unit in layer.units[-2:]]
    if None in factors:
        return (1.0, 1.0), "pixel"
    steps = np.linalg.norm(PixelToWorld.of(layer).matrix, axis=0)
    row, col = (
        float(step) * float(factor or 1.0) for step, factor in zip(steps, factors, strict=True)
    )
    return (row, col), "nm"


def moved_columns(plane: Geometry, columns: float, rows: float = 0.0) -> Geometry:
    """Shift a two-axis geometry along its own columns and rows, in pixels."""
    linear = np.asarray(plane["rotate"], float)
    if "shear" in plane:
        linear = linear @ np.asarray(plane["shear"], float)
    shift = linear @ (np.asarray(plane["scale"], float) * np.array([rows, columns]))
    return {**plane, "translate": (np.asarray(plane["translate"], float) + shift).tolist()}


def placed_anew(
    plane: Geometry, matrix: NDArray[np.float64], shift: NDArray[np.float64]
) -> Geometry:
    """Place an image whose pixels ``p`` are those at ``matrix @ p + shift`` of a placed one.

    Parameters
    ----------
    plane : dict
        Two-axis geometry of the placed image, with all of `layer_geometry`.
    matrix : array, (2, 2)
        From new pixels to old ones.
    shift : array, (2,)
        Old position of the new pixel (0, 0).
    """
    turn = np.asarray(plane["rotate"], float) @ np.asarray(plane["shear"], float)
    linear = turn @ np.diag(plane["scale"])
    translate = linear @ shift + np.asarray(plane["translate"], float)
    whole = linear @ matrix
    scale = np.linalg.norm(whole, axis=0)
    rotate = whole / scale
    placed = {**plane, "scale": scale.tolist(), "shear": np.eye(2).tolist()}
    if np.allclose(rotate.T @ rotate, np.eye(2), atol=1e-9):
        return {**placed, "rotate": rotate.tolist(), "translate": translate.tolist()}
    outer, inner = np.asarray(plane["affine"], float), np.eye(3)
    inner[:2, :2], inner[:2, 2] = rotate, translate
    return {
        **placed,
        "rotate": np.eye(2).tolist(),
        "translate": [0.0, 0.0],
        "affine": (outer @ inner).tolist(),
    }
