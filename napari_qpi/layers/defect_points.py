"""`DefectPoints`: a Points layer as a table of defects with kinds; no Qt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Points
from numpy.typing import NDArray

from napari_qpi.layers.conversion import (
    KIND_COLORS,
    METADATA_KEY,
    PROPOSALS,
    defects_from_points,
    feature_columns,
    points_from_defects,
)
from napari_qpi.layers.geometry import pixel_to_pixel
from napari_qpi.layers.result import CAPTIONS
from qpi_kernels.defects import Defects
from qpi_kernels.defects.table import DEFAULT_KIND

__all__ = ["DefectPoints", "KindError", "Snapshot", "change_emitters", "is_defect_layer"]

_KINDS = "kind_colors"
_OTHER_ROLES = ("spectra", CAPTIONS, PROPOSALS)


class KindError(ValueError):
    """A kind can not be changed as asked; the message says why."""


def is_defect_layer(layer: Any) -> bool:
    """Return whether a layer's points may be defects: any points but those of other roles."""
    role = layer.metadata.get(METADATA_KEY, {}).get("role")
    return isinstance(layer, Points) and role not in _OTHER_ROLES


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Points, features and kinds at one time, to come back to."""

    data: NDArray[np.floating]
    features: Any
    feature_defaults: dict[str, Any]
    kinds: dict[str, str]

    @classmethod
    def of(cls, layer: Points) -> Snapshot:
        """Copy everything that `DefectPoints.restore` brings back."""
        return cls(
            data=np.array(layer.data),
            features=layer.features.copy(),
            feature_defaults={name: col.iloc[0] for name, col in layer.feature_defaults.items()},
            kinds=dict(layer.metadata.get(METADATA_KEY, {}).get(_KINDS, {})),
        )

    def same_positions(self, layer: Points) -> bool:
        """Compare the points with those of a layer."""
        return np.array_equal(self.data, layer.data)

    def same_as(self, other: Snapshot) -> bool:
        """Compare points, features and kinds, but not the kind of the next click."""
        return (
            np.array_equal(self.data, other.data)
            and bool(self.features.equals(other.features))
            and list(self.kinds.items()) == list(other.kinds.items())
        )


class DefectPoints:
    """The defects that a Points layer holds.

    Kinds with their colours live in the layer's metadata, so every panel on the layer agrees and
    a kind without points is kept.

    Parameters
    ----------
    layer : napari.layers.Points
        Gets the features ``kind`` and ``strength`` where it lacks them.
    """

    def __init__(self, layer: Points) -> None:
        self.layer = layer
        self.complete()

    @classmethod
    def new(cls, image: Image) -> DefectPoints:
        """Make an empty layer over an image; the caller adds it to the viewer."""
        data, arguments, _ = points_from_defects(Defects(np.zeros((0, 2))), image)
        arguments["name"] = f"{image.name} defects"
        return cls(Points(data, **arguments))

    @property
    def kinds(self) -> dict[str, str]:
        """Colour of every kind, in the order of the table."""
        return dict(self.layer.metadata.get(METADATA_KEY, {}).get(_KINDS, {}))

    @property
    def current_kind(self) -> str:
        """The kind that the next point gets."""
        return str(self.layer.feature_defaults["kind"].iloc[0])

    @current_kind.setter
    def current_kind(self, kind: str) -> None:
        defaults = {name: column.iloc[0] for name, column in self.layer.feature_defaults.items()}
        self.layer.feature_defaults = {**defaults, "kind": kind}

    def counts(self) -> dict[str, int]:
        """Count the points of each kind."""
        column = [str(kind) for kind in self.layer.features["kind"]]
        return {kind: column.count(kind) for kind in self.kinds}

    def defects(self, image: Image) -> Defects:
        """Return the table of defects, in pixels of an image."""
        return defects_from_points(self.layer, image)

    def complete(self) -> None:
        """Give every point a kind and a strength, and every kind a colour."""
        features = self.layer.features
        filled = features.copy()
        for name, default in (("kind", DEFAULT_KIND), ("strength", 1.0)):
            if name not in filled:
                filled[name] = np.full(
                    len(filled), default, dtype=object if name == "kind" else float
                )
            filled[name] = filled[name].where(filled[name].notna(), default)
        if not filled.equals(features):
            self.layer.features = filled
        defaults = self.layer.feature_defaults
        if "kind" not in defaults or not isinstance(defaults["kind"].iloc[0], str):
            known = {name: column.iloc[0] for name, column in defaults.items()}
            first = str(filled["kind"].iloc[0]) if len(filled) else DEFAULT_KIND
            self.layer.feature_defaults = {**known, "kind": first, "strength": 1.0}
        kinds = self.kinds
        found = [*kinds, *map(str, filled["kind"]), self.current_kind]
        missing = [kind for kind in dict.fromkeys(found) if kind not in kinds]
        if missing:
            self._set_kinds({**kinds, **_coloured(missing, kinds.values())})

    def add_kind(self) -> str:
        """Add a kind with a free name and colour, and make it the current one."""
        kinds = self.kinds
        number = len(kinds) + 1
        while (name := f"{DEFAULT_KIND} {number}") in kinds:
            number += 1
        self._set_kinds({**kinds, **_coloured([name], kinds.values())})
        self.current_kind = name
        return name

    def rename_kind(self, old: str, new: str) -> None:
        """Rename a kind, its points included.

        Raises
        ------
        KindError
            If the name is empty or taken.
        """
        if not new or new in self.kinds:
            raise KindError(f"there is a kind {new!r} already" if new else "a kind needs a name")
        current = new if self.current_kind == old else self.current_kind
        self.layer.metadata[METADATA_KEY][_KINDS] = {
            new if kind == old else kind: colour for kind, colour in self.kinds.items()
        }
        self._write_kinds({old: new})
        self.current_kind = current
        self._colour()

    def remove_kind(self, kind: str) -> None:
        """Remove a kind together with its points; the last kind stays.

        Raises
        ------
        KindError
            If it is the only kind.
        """
        kinds = self.kinds
        if set(kinds) <= {kind}:
            raise KindError("the last kind can not be removed")
        del kinds[kind]
        current = self.current_kind
        self._keep(np.array([str(name) != kind for name in self.layer.features["kind"]], bool))
        self.current_kind = next(iter(kinds)) if current == kind else current
        self._set_kinds(kinds)

    def recolour(self, kind: str, colour: str) -> None:
        """Give a kind another colour, ``#rrggbb``."""
        self._set_kinds({**self.kinds, kind: colour})

    def assign(self, indices: Iterable[int], kind: str) -> None:
        """Make some points defects of a kind."""
        features = self.layer.features.copy()
        features.loc[sorted(indices), "kind"] = kind
        self._set_features(features)
        self.current_kind = kind
        self._colour()

    def replace(self, defects: Defects, image: Image) -> None:
        """Put a table in place of the points.

        Parameters
        ----------
        defects : Defects
            In pixels of `image`.
        image : Image
            May lie elsewhere than the points.
        """
        current = self.current_kind
        positions = defects.positions
        if len(positions):
            positions = pixel_to_pixel(positions, image, self.layer)
        leading = np.zeros((len(positions), self.layer.ndim - 2))
        self._set_points(np.hstack([leading, positions]), feature_columns(defects))
        self.current_kind = current
        self.complete()
        self._colour()

    def add(self, defects: Defects, image: Image) -> None:
        """Append defects, in pixels of an image; the points that are there stay as they are."""
        if not len(defects):
            return
        current = self.current_kind
        positions = pixel_to_pixel(defects.positions, image, self.layer)
        leading = np.zeros((len(positions), self.layer.ndim - 2))
        new = feature_columns(defects)
        features = self.layer.features
        if "probability" in new and "probability" not in features:
            features = features.assign(probability=1.0)
        elif "probability" in features:
            new["probability"] = np.array(defects.probability)
        unknown = [None] * len(positions)
        self._set_points(
            np.vstack([self.layer.data, np.hstack([leading, positions])]),
            {
                name: np.array(
                    [*column, *new.get(name, unknown)], object if name == "kind" else None
                )
                for name, column in features.items()
            },
        )
        self.current_kind = current
        self.complete()
        self._colour()

    def remove(self, indices: Iterable[int]) -> None:
        """Remove some points."""
        keep = np.ones(len(self.layer.data), bool)
        keep[list(indices)] = False
        self._keep(keep)

    def move(self, defects: Defects, image: Image) -> None:
        """Move the points to the positions of as many defects, in pixels of an image."""
        data = np.array(self.layer.data)
        if len(data):
            data[:, -2:] = pixel_to_pixel(defects.positions, image, self.layer)
        self.layer.data = data

    def snapshot(self) -> Snapshot:
        """Copy everything that `restore` brings back."""
        return Snapshot.of(self.layer)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot; the kind of the next click stays where there is one of it."""
        current = self.current_kind
        self._set_points(snapshot.data.copy(), snapshot.features.copy())
        defaults = dict(snapshot.feature_defaults)
        if current in snapshot.kinds:
            defaults["kind"] = current
        self.layer.feature_defaults = defaults
        self._set_kinds(snapshot.kinds)

    def _keep(self, keep: NDArray[np.bool_]) -> None:
        if not keep.all():
            features = self.layer.features[keep].reset_index(drop=True)
            self._set_points(np.array(self.layer.data)[keep], features)

    def _set_points(self, data: NDArray[np.floating], features: Any) -> None:
        self.layer.selected_data = set()
        self.layer.data = data
        # An empty table was shortened with the data; given one, napari colours by NaN and fails.
        if len(data):
            self._set_features(features)

    def _set_features(self, features: Any) -> None:
        """Set the features, and keep those of the next click."""
        known = {name: column.iloc[0] for name, column in self.layer.feature_defaults.items()}
        # The next click is a mark, which is sure.
        defaults = {"probability": 1.0} | known
        self.layer.features = features
        self.layer.feature_defaults = {
            name: value for name, value in defaults.items() if name in features
        }

    def _write_kinds(self, renamed: dict[str, str]) -> None:
        features = self.layer.features.copy()
        features["kind"] = [renamed.get(str(kind), str(kind)) for kind in features["kind"]]
        self._set_features(features)

    def _set_kinds(self, kinds: dict[str, str]) -> None:
        # Replaced, not changed in place: a duplicated layer may share the dictionary.
        known = self.layer.metadata.get(METADATA_KEY, {})
        self.layer.metadata[METADATA_KEY] = {**known, _KINDS: dict(kinds)}
        self._colour()

    def _colour(self) -> None:
        self.layer.face_color_cycle = self.kinds
        self.layer.face_color = "kind"


def _coloured(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Choose a colour for each of some kinds, unlike those taken."""
    used = {colour.lower() for colour in taken}
    colours: dict[str, str] = {}
    for name in names:
        free = [colour for colour in KIND_COLORS if colour.lower() not in used]
        colours[name] = free[0] if free else KIND_COLORS[len(used) % len(KIND_COLORS)]
        used.add(colours[name].lower())
    return colours


def change_emitters(layer: Points) -> tuple[Any, ...]:
    """Return the events of a points layer that its defects depend on."""
    return layer.events.data, layer.events.features, layer.events.feature_defaults
