"""`Defects`: positions, kinds and strengths of point defects."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qpi_kernels.defects.activation import activation_map

__all__ = ["DEFAULT_KIND", "DefectFormatError", "Defects", "read_frame"]

DEFAULT_KIND = "defect"
_FRAME, _PROBABILITY = "frame", "probability"


class DefectFormatError(ValueError):
    """A table of defects is not usable; the message says what to change."""


@dataclass(frozen=True, eq=False)
class Defects:
    """Point defects in the pixel coordinates of one image.

    Parameters
    ----------
    positions : array, (N, 2)
        (row, col); 0 is the centre of the first pixel. Positions may lie outside the image, for
        a defect beyond the edge still sends waves into it.
    kind : array of str, (N,), optional
        The kind of each defect; one kind named ``"defect"`` when left out. A single string
        stands for all.
    strength : array, (N,), optional
        Weight of each defect in units of its kind's kernel; 1 when left out.
    probability : array, (N,), optional
        Probability that a defect of that kind is there, where a computer found it; 1, as of marked
        defects, when left out.

    Raises
    ------
    DefectFormatError
        If the lengths disagree, a number is not finite, or a probability is not within 0 to 1.
    """

    positions: NDArray[np.float64]
    kind: NDArray[np.str_]
    strength: NDArray[np.float64]
    probability: NDArray[np.float64]

    def __init__(
        self,
        positions: ArrayLike,
        kind: str | Sequence[str] | NDArray[np.str_] | None = None,
        strength: float | ArrayLike | None = None,
        probability: float | ArrayLike | None = None,
    ) -> None:
        points = np.array(positions, dtype=np.float64)
        if points.size == 0:
            points = points.reshape(0, 2)
        if points.ndim != 2 or points.shape[1] != 2:
            raise DefectFormatError(
                f"defect positions must have shape (N, 2) as (row, col), not {points.shape}"
            )
        count = len(points)
        kinds = np.array(DEFAULT_KIND if kind is None else kind, dtype=str)
        strengths = _column(strength, count)
        probabilities = _column(probability, count)
        if kinds.ndim == 0:
            kinds = np.full(count, str(kinds))
        columns = {"kind": kinds, "strength": strengths, "probability": probabilities}
        for name, column in columns.items():
            if column.shape != (count,):
                raise DefectFormatError(
                    f"{name} must have one entry per defect ({count}), not shape {column.shape}"
                )
        if not all(np.isfinite(numbers).all() for numbers in (points, strengths, probabilities)):
            raise DefectFormatError(
                "defect positions, strengths and probabilities must be finite numbers"
            )
        if not ((probabilities >= 0) & (probabilities <= 1)).all():
            raise DefectFormatError(
                f"probabilities must be within 0 to 1, not {probabilities.min():g} to "
                f"{probabilities.max():g}"
            )
        for column in (points, *columns.values()):
            column.setflags(write=False)
        object.__setattr__(self, "positions", points)
        for name, column in columns.items():
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.positions)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Defects):
            return NotImplemented
        return (
            np.array_equal(self.positions, other.positions)
            and np.array_equal(self.kind, other.kind)
            and np.array_equal(self.strength, other.strength)
            and np.array_equal(self.probability, other.probability)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        kinds = ", ".join(f"{kind}: {count}" for kind, count in self.counts().items())
        return f"Defects({len(self)}; {kinds})" if len(self) else "Defects(0)"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The distinct kinds in order of first appearance."""
        return tuple(dict.fromkeys(str(kind) for kind in self.kind))

    def in_words(self) -> str:
        """Count the defects in words, such as ``"1 defect"``."""
        return f"{len(self)} defect{'s' * (len(self) != 1)}"

    def counts(self) -> dict[str, int]:
        """Count the defects of each kind."""
        return {kind: int((self.kind == kind).sum()) for kind in self.kinds}

    def __getitem__(self, index: slice | NDArray[np.bool_] | NDArray[np.intp]) -> Defects:
        return Defects(
            self.positions[index], self.kind[index], self.strength[index], self.probability[index]
        )

    def of_kind(self, kind: str) -> Defects:
        """Return the defects of one kind."""
        return self[self.kind == kind]

    def moved(self, positions: ArrayLike) -> Defects:
        """Return the same defects at other positions, ``(N, 2)`` as (row, col)."""
        return Defects(positions, self.kind, self.strength, self.probability)

    def with_strength(self, strength: float | ArrayLike) -> Defects:
        """Return the same defects with other strengths, ``(N,)`` or one for all."""
        return Defects(self.positions, self.kind, strength, self.probability)

    @classmethod
    def concatenate(cls, tables: Iterable[Defects]) -> Defects:
        """Join tables, in order."""
        parts = list(tables)
        if not parts:
            return cls(np.zeros((0, 2)))
        return cls(
            np.concatenate([part.positions for part in parts]),
            np.concatenate([part.kind for part in parts]),
            np.concatenate([part.strength for part in parts]),
            np.concatenate([part.probability for part in parts]),
        )

    def activation(
        self, shape: tuple[int, int], kind: str | None = None, origin: tuple[float, float] = (0, 0)
    ) -> NDArray[np.float64]:
        """Compute the activation map M with sub-pixel weights.

        Parameters
        ----------
        shape : tuple of int
            Size of the map, (rows, columns).
        kind : str, optional
            Only this kind; all kinds together when left out.
        origin : tuple of float
            Pixel coordinates of the map's first pixel.

        Returns
        -------
        array, `shape`
            See `activation_map`.
        """
        chosen = self if kind is None else self.of_kind(kind)
        return activation_map(chosen.positions, chosen.strength, shape, origin)

    def to_csv(self, path: str | Path, *, frame: Mapping[str, Any] | None = None) -> None:
        """Write a CSV that napari opens as a Points layer.

        Columns ``index, axis-0, axis-1, kind, strength``: row and column in pixels; and
        ``probability`` where it is not 1.

        Parameters
        ----------
        path : path-like
            The file.
        frame : mapping, optional
            Where the image lies: JSON that `read_frame` gives back, in the first row of one more
            column.
        """
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            header = ["index", "axis-0", "axis-1", "kind", "strength"]
            uncertain = not (self.probability == 1).all()
            if uncertain:
                header.append(_PROBABILITY)
            writer.writerow(header if frame is None else [*header, _FRAME])
            rows = zip(self.positions, self.kind, self.strength, strict=True)
            for index, ((row, col), kind, strength) in enumerate(rows):
                cells = [index, repr(float(row)), repr(float(col)), kind, repr(float(strength))]
                if uncertain:
                    cells.append(repr(float(self.probability[index])))
                if frame is not None:
                    cells.append("" if index else json.dumps(dict(frame)))
                writer.writerow(cells)

    @classmethod
    def from_csv(cls, path: str | Path) -> Defects:
        """Read a table written by `to_csv` or by napari's Points layer.

        Parameters
        ----------
        path : path-like
            CSV with columns ``axis-0, axis-1`` (a third axis, as in the points of a
            ``(bias, y, x)`` image, is allowed: the last two are used), and optionally ``kind``,
            ``strength`` and ``probability``.

        Raises
        ------
        DefectFormatError
            If there is no such file, columns are missing or an entry is not a number.
        """
        path = Path(path)
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file)
                columns = list(reader.fieldnames or [])
                rows = list(reader)
        except FileNotFoundError as error:
            raise DefectFormatError(f"{path}: no such file") from error
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DefectFormatError(f"{path.name}: not readable as CSV ({error})") from error
        axes = sorted(
            (name for name in columns if name.startswith("axis-") and name[5:].isdigit()),
            key=lambda name: int(name[5:]),
        )[-2:]
        if len(axes) < 2:
            raise DefectFormatError(
                f"{path.name}: needs the columns axis-0 and axis-1 (row and column in pixels)"
            )
        try:
            positions = [[float(row[axis]) for axis in axes] for row in rows]
            strength, probability = (
                [float(row[name]) for row in rows] if name in columns else None
                for name in ("strength", _PROBABILITY)
            )
        except (TypeError, ValueError) as error:
            raise DefectFormatError(f"{path.name}: an entry is not a number ({error})") from error
        kind = [row["kind"] or DEFAULT_KIND for row in rows] if "kind" in columns else None
        return cls(positions, kind, strength, probability)


def _column(values: float | ArrayLike | None, count: int) -> NDArray[np.float64]:
    """Take the numbers of a column, one for all or one each; 1 where there are none."""
    numbers = np.array(1.0 if values is None else values, dtype=np.float64)
    return np.full(count, float(numbers)) if numbers.ndim == 0 else numbers


def read_frame(path: str | Path) -> dict[str, Any] | None:
    """Read the ``frame`` that `Defects.to_csv` wrote; None for a table without one."""
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            text = next(csv.DictReader(file), {}).get(_FRAME)
        frame = json.loads(text or "null")
    except (OSError, ValueError, csv.Error):
        return None
    return frame if isinstance(frame, dict) else None
